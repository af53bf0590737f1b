"""A POST endpoint with a validated body, in an image with a package of its own."""

import pilotlight
from fastapi.responses import HTMLResponse
from pydantic import BaseModel

app = pilotlight.App("item")
image = pilotlight.Image.debian_slim().pip_install("fastapi", "markupsafe")


class Item(BaseModel):
    name: str
    qty: int = 42


@app.function(image=image)
@pilotlight.fastapi_endpoint(method="POST", docs=True)
def order(item: Item):
    # Imported here, where the image has it: this machine need not.
    from markupsafe import escape

    return HTMLResponse(f"<html>{item.qty} for {escape(item.name)}</html>")


if __name__ == "__main__":
    app.serve()
