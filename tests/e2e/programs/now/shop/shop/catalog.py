"""What is for sale."""

import modal

from .images import image
from .pricing import with_tax

app = modal.App("catalog", image=image)
GOODS = {"tea": 4.0, "cup": 7.5}


@app.function()
@modal.fastapi_endpoint()
def goods(country: str = "de"):
    return {name: with_tax(price, country) for name, price in GOODS.items()}
