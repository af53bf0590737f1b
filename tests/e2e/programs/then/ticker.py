"""Share prices as server-sent events, from Quart."""

import asyncio
import json

import modal

stub = modal.Stub("ticker")
image = modal.Image.debian_slim().pip_install(["quart"])


def prices(symbol, start):
    price = start
    while True:
        price = round(price * (1.01 if len(symbol) % 2 else 0.99), 2)
        yield {"symbol": symbol, "price": price}


@stub.asgi(image=image, label="ticker")
def feed():
    from quart import Quart, abort, request

    app = Quart("ticker")
    listed = {"ABC": 100.0, "WXYZ": 50.0}

    @app.get("/")
    async def index():
        return {"listed": sorted(listed)}

    @app.get("/stream/<symbol>")
    async def stream(symbol):
        if symbol not in listed:
            abort(404)
        count = request.args.get("count", 3, type=int)

        async def events():
            for number, price in zip(range(count), prices(symbol, listed[symbol])):
                yield f"id: {number}\nevent: price\ndata: {json.dumps(price)}\n\n".encode()
                await asyncio.sleep(0)

        return events(), 200, {"content-type": "text/event-stream", "cache-control": "no-cache"}

    @app.put("/listed/<symbol>")
    async def enlist(symbol):
        listed[symbol] = float((await request.get_json())["price"])
        return {"listed": sorted(listed)}, 201

    return app


if __name__ == "__main__":
    stub.serve()
