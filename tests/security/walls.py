"""The program that the suite deploys: functions that run what they are sent, each started in another way."""

import modal
from answers import answer

stub = modal.Stub("walls")

# Containers live as long as the suite, and one serves one request at a time.
IDLE = 900


@stub.webhook(method="POST", container_idle_timeout=IDLE)
async def forked(body: dict):
    """In a fork of the function's zygote."""
    return await answer(body)


# The C library reads this variable once, at the start of a process: no fork will do.
@stub.webhook(method="POST", container_idle_timeout=IDLE, secret=modal.Secret({"MALLOC_ARENA_MAX": "1"}))
async def plain(body: dict):
    """In an interpreter of its own."""
    return await answer(body)
