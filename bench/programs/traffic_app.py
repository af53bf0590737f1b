"""Functions under load; each answer names the container that gave it."""

import os
import time

import pilotlight

app = pilotlight.App("bench-traffic")


@app.function(scaledown_window=2, max_containers=100)
@pilotlight.fastapi_endpoint()
def asleep():
    time.sleep(1)
    return os.environ["MODAL_TASK_ID"]


@app.function(scaledown_window=60, max_containers=4)
@pilotlight.concurrent(max_inputs=100)
@pilotlight.fastapi_endpoint()
async def shared():
    return os.environ["MODAL_TASK_ID"]


@app.function(scaledown_window=60, max_containers=4)
@pilotlight.fastapi_endpoint()
def single():
    return os.environ["MODAL_TASK_ID"]
