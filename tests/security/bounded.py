"""An app whose containers have limits: one that runs what it is sent, and a sibling that must not notice."""

import modal
from answers import answer

app = modal.App("bounded")

IDLE = 900


@app.function(memory=512, ephemeral_disk=64, scaledown_window=IDLE, max_containers=1)
@modal.fastapi_endpoint(method="POST")
async def owner(body: dict):
    return await answer(body)


@app.function(scaledown_window=IDLE, max_containers=1)
@modal.fastapi_endpoint(method="POST")
async def sibling(body: dict):
    return await answer(body)
