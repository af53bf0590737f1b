"""Starlette with everything around the handlers: middleware, mounts, errors, tasks after the answer."""

import modal

image = modal.Image.debian_slim().uv_pip_install("starlette")
app = modal.App("timing", image=image)


class Timing:
    """A pure ASGI middleware: says in a header which request of the container this was."""

    def __init__(self, app, prefix: str):
        self.app = app
        self.prefix = prefix
        self.requests = 0

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        self.requests += 1
        number = self.requests

        async def send_with_header(message):
            if message["type"] == "http.response.start":
                message["headers"].append((b"x-request-number", f"{self.prefix}{number}".encode()))
            await send(message)

        await self.app(scope, receive, send_with_header)


@app.function(max_containers=1)
@modal.concurrent(max_inputs=10)
@modal.asgi_app()
def web():
    from starlette.applications import Starlette
    from starlette.background import BackgroundTask
    from starlette.endpoints import HTTPEndpoint
    from starlette.exceptions import HTTPException
    from starlette.middleware import Middleware
    from starlette.middleware.gzip import GZipMiddleware
    from starlette.responses import JSONResponse, PlainTextResponse, Response
    from starlette.routing import Mount, Route

    finished = []

    class Orders(HTTPEndpoint):
        async def get(self, request):
            return JSONResponse({"finished": finished})

        async def post(self, request):
            order = await request.json()
            task = BackgroundTask(finished.append, order["id"])
            return JSONResponse({"accepted": order["id"]}, status_code=202, background=task)

    async def long(request):
        return PlainTextResponse("long " * request.path_params["words"])

    async def teapot(request):
        raise HTTPException(418, "short and stout", headers={"x-spout": "yes"})

    async def broken(request):
        raise LookupError("of the program")

    async def on_lookup_error(request, error):
        return JSONResponse({"error": f"{type(error).__name__} {error}"}, status_code=503)

    async def anything(request):
        answer = f"{request.method} {request.url.path} {request.query_params.multi_items()}"
        return Response(answer, media_type="text/plain", headers={"x-root": request.scope["root_path"]})

    methods = ["GET", "PATCH", "PUT"]
    return Starlette(
        routes=[
            Route("/orders", Orders),
            Route("/long/{words:int}", long),
            Route("/teapot", teapot),
            Route("/broken", broken),
            Mount("/any", routes=[Route("/{rest:path}", anything, methods=methods)]),
        ],
        middleware=[Middleware(Timing, prefix="no. "), Middleware(GZipMiddleware, minimum_size=100)],
        exception_handlers={LookupError: on_lookup_error},
    )
