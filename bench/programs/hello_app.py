"""Hello world that is held for a second, so that several containers are warm; the answer names one."""

import os

import pilotlight

app = pilotlight.App("bench-hello")


@app.function(scaledown_window=5, max_containers=4)
@pilotlight.fastapi_endpoint()
async def held():
    import asyncio

    await asyncio.sleep(1)
    return os.environ["MODAL_TASK_ID"]
