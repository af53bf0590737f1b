"""The shop as a whole."""

import modal

from . import catalog, orders
from .images import image

app = modal.App("shop", tags={"team": "sales"}).include(catalog.app).include(orders.app)


@app.function(image=image)
@modal.fastapi_endpoint(docs=True)
async def front():
    return {"shop": __name__, "goods": sorted(catalog.GOODS)}
