"""Orders, which ask the catalog for its prices at the address that it has."""

import modal

from .images import image

app = modal.App("orders", image=image)


@app.function()
@modal.fastapi_endpoint(method="POST")
def order(basket: dict[str, int], country: str = "de"):
    import httpx
    from fastapi import HTTPException

    from .catalog import goods

    prices = httpx.get(goods.get_web_url(), params={"country": country}, timeout=30).json()
    if missing := set(basket) - set(prices):
        raise HTTPException(409, f"not for sale: {', '.join(sorted(missing))}")
    return {"total": round(sum(prices[name] * count for name, count in basket.items()), 2)}
