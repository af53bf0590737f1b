"""An app whose containers have limits: one that runs what it is sent, and a sibling that must not notice."""

import asyncio

import attempts
import modal

app = modal.App("bounded")

IDLE = 900


@app.function(memory=512, scaledown_window=IDLE, max_containers=1)
@modal.fastapi_endpoint(method="POST")
async def owner(body: dict):
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(None, attempts.answer, body)


@app.function(scaledown_window=IDLE, max_containers=1)
@modal.fastapi_endpoint(method="POST")
async def sibling(body: dict):
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(None, attempts.answer, {**body, "own": True})
