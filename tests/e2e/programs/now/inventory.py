"""A stock list in Litestar: a controller, dataclasses, injected dependencies, a guard."""

import modal

image = modal.Image.debian_slim().pip_install("litestar")
app = modal.App("inventory", image=image)

with image.imports():
    from dataclasses import dataclass
    from typing import Annotated, Optional

    from litestar import Controller, Litestar, Request, delete, get, post
    from litestar.di import Provide
    from litestar.exceptions import NotFoundException, PermissionDeniedException
    from litestar.handlers.base import BaseRouteHandler
    from litestar.params import Parameter

    @dataclass
    class Item:
        sku: str
        name: str
        stock: int = 0

    class Warehouse(dict):
        """The items by their numbers."""

    def clerks_only(request: Request, handler: BaseRouteHandler) -> None:
        if request.headers.get("x-role") != "clerk":
            raise PermissionDeniedException("clerks only")

    class Items(Controller):
        path = "/items"

        @get()
        async def everything(
            self, warehouse: Warehouse, least: Annotated[int, Parameter(ge=0)] = 0
        ) -> list[Item]:
            return [item for item in warehouse.values() if item.stock >= least]

        @get("/{sku:str}")
        async def one(self, warehouse: Warehouse, sku: str) -> Item:
            if sku not in warehouse:
                raise NotFoundException(f"no item {sku}")
            return warehouse[sku]

        @post(guards=[clerks_only])
        async def add(self, warehouse: Warehouse, data: Item) -> Item:
            warehouse[data.sku] = data
            return data

        @delete("/{sku:str}", guards=[clerks_only])
        async def remove(self, warehouse: Warehouse, sku: str) -> None:
            warehouse.pop(sku, None)


@app.function(max_containers=1)
@modal.asgi_app(label="stock")
def api():
    warehouse = Warehouse(a1=Item("a1", "anvil", 3), b2=Item("b2", "bolt", 500))

    async def provide_warehouse() -> Warehouse:
        return warehouse

    @get("/health", sync_to_thread=False)
    def health(probe: Optional[str] = None) -> dict[str, Optional[str]]:
        return {"status": "ok", "probe": probe}

    return Litestar([Items, health], dependencies={"warehouse": Provide(provide_warehouse)})
