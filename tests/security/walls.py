"""The program that the suite deploys: functions that run what they are sent, each started in another way."""

import asyncio
import json

import attempts
import modal
from fastapi.responses import StreamingResponse

stub = modal.Stub("walls")

# Containers live as long as the suite, and one serves one request at a time.
IDLE = 900


async def _answer(body: dict):
    loop = asyncio.get_running_loop()
    given = await loop.run_in_executor(None, attempts.answer, body)
    if not body.get("hold"):
        return given

    async def stay():
        yield json.dumps(given) + "\n"
        # The container is taken until the client leaves.
        await asyncio.Event().wait()

    return StreamingResponse(stay())


@stub.webhook(method="POST", container_idle_timeout=IDLE)
async def forked(body: dict):
    """In a fork of the function's zygote."""
    return await _answer(body)


# The C library reads this variable once, at the start of a process: no fork will do.
@stub.webhook(method="POST", container_idle_timeout=IDLE, secret=modal.Secret({"MALLOC_ARENA_MAX": "1"}))
async def plain(body: dict):
    """In an interpreter of its own."""
    return await _answer(body)
