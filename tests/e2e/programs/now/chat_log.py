"""A chat room in Quart: lines come in as JSON and go out as a stream of events."""

import modal

app = modal.App("chat-log", image=modal.Image.debian_slim().pip_install("quart"))


@app.function(max_containers=1, timeout=120)
@modal.concurrent(max_inputs=100)
@modal.asgi_app()
def room():
    import asyncio
    import json

    from quart import Quart, Response, make_response, request

    web = Quart(__name__)
    web.config["STARTED"] = False

    @web.before_serving
    async def open_room():
        web.config["STARTED"] = True
        web.log = []
        web.changed = asyncio.Condition()

    @web.post("/say/<name>")
    async def say(name: str):
        line = {"name": name, "text": (await request.get_json())["text"], "number": len(web.log) + 1}
        async with web.changed:
            web.log.append(line)
            web.changed.notify_all()
        return line, 201

    @web.get("/listen")
    async def listen():
        first, count = int(request.args.get("first", 1)), int(request.args["count"])

        async def events():
            yield b": welcome\n\n"
            for number in range(first, first + count):
                async with web.changed:
                    await web.changed.wait_for(lambda number=number: len(web.log) >= number)
                yield f"data: {json.dumps(web.log[number - 1])}\n\n".encode()

        response = await make_response(events(), {"Content-Type": "text/event-stream"})
        response.timeout = None
        return response

    @web.get("/")
    async def index():
        return {"started": web.config["STARTED"], "lines": len(web.log)}

    @web.errorhandler(400)
    async def bad(error) -> Response:
        return await make_response({"error": error.description}, 400)

    return web
