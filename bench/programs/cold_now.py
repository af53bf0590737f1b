"""Hello worlds of today. Four are asked in turn, so that each has gone when its turn comes again."""

import os

import pilotlight

app = pilotlight.App("bench-cold")


def answer():
    """Names its container: a new name is a cold start."""
    return "Hello world! " + os.environ["MODAL_TASK_ID"]


@app.function(scaledown_window=2)
@pilotlight.fastapi_endpoint()
def hello_0():
    return answer()


@app.function(scaledown_window=2)
@pilotlight.fastapi_endpoint()
def hello_1():
    return answer()


@app.function(scaledown_window=2)
@pilotlight.fastapi_endpoint()
def hello_2():
    return answer()


@app.function(scaledown_window=2)
@pilotlight.fastapi_endpoint()
def hello_3():
    return answer()


# Without a zygote of their own: forks of the image's, which import this file.
@app.function(scaledown_window=2, enable_memory_snapshot=False)
@pilotlight.fastapi_endpoint()
def imported_0():
    return answer()


@app.function(scaledown_window=2, enable_memory_snapshot=False)
@pilotlight.fastapi_endpoint()
def imported_1():
    return answer()


@app.function(scaledown_window=2, max_containers=200)
@pilotlight.fastapi_endpoint()
async def held(seconds: float = 30):
    """Long enough that no container takes a second request of the same burst."""
    import asyncio
    import time

    begun = time.time()
    await asyncio.sleep(seconds)
    return [os.environ["MODAL_TASK_ID"], begun]
