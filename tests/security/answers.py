"""What the functions of both apps do with a request: run what it has, and stay taken if it asks for that."""

import asyncio
import json

import attempts
from fastapi.responses import StreamingResponse


async def answer(body: dict):
    """The outcome of an attempt, as the endpoint's answer."""
    loop = asyncio.get_running_loop()
    given = await loop.run_in_executor(None, attempts.answer, body)
    if not body.get("hold"):
        return given

    async def stay():
        yield json.dumps(given) + "\n"
        # The container is taken until the client leaves.
        await asyncio.Event().wait()

    return StreamingResponse(stay())
