"""A whole FastAPI application behind one URL, several requests at a time."""

import pilotlight
from fastapi import FastAPI, Request

app = pilotlight.App("fastapi-app")
web_app = FastAPI()


@web_app.post("/foo")
async def foo(request: Request):
    return await request.json()


@web_app.get("/bar")
async def bar():
    return "Hello Fast World!"


@app.function()
@pilotlight.concurrent(max_inputs=100)
@pilotlight.asgi_app()
def fastapi_app():
    return web_app


if __name__ == "__main__":
    app.serve()
