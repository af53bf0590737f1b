"""One endpoint for many customers: each has a domain of their own, some below a wildcard."""

import modal

image = modal.Image.debian_slim().pip_install("fastapi[standard]")
app = modal.App("tenants", image=image)


@app.function()
@modal.asgi_app(custom_domains=["Tenants.Example.Test", "*.tenants.example.test"], label="tenants")
def portal():
    from fastapi import Depends, FastAPI, Request, WebSocket

    def tenant(request: Request) -> str:
        name, _, domain = request.headers["host"].split(":")[0].partition(".")
        return name if domain == "tenants.example.test" else "everyone"

    web = FastAPI()

    @web.get("/")
    def home(tenant: str = Depends(tenant)):
        return {"tenant": tenant}

    @web.websocket("/echo")
    async def echo(socket: WebSocket):
        await socket.accept()
        async for text in socket.iter_text():
            await socket.send_text(text.upper())

    return web


@app.function()
@modal.fastapi_endpoint(custom_domains=["status.example.test"])
def status():
    return "all is well"
