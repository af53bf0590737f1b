"""Hello world of today; the answer names its container: a new name is a cold start."""

import os

import pilotlight

app = pilotlight.App("bench-hello")


@app.function(scaledown_window=2)
@pilotlight.fastapi_endpoint()
def hello():
    return "Hello world! " + os.environ["MODAL_TASK_ID"]


@app.function(scaledown_window=60, max_containers=4)
@pilotlight.fastapi_endpoint()
async def held():
    import asyncio

    await asyncio.sleep(1)
    return os.environ["MODAL_TASK_ID"]
