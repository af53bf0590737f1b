"""Rolls dice, with documentation pages, and with help from plain functions of the same app."""

import random
import re

import modal

app = modal.App("dice", image=modal.Image.debian_slim().pip_install("fastapi[standard]"))


@app.function()
def parse(notation: str) -> tuple:
    found = re.fullmatch(r"(\d*)d(\d+)([+-]\d+)?", notation.replace(" ", ""))
    if not found:
        raise ValueError(f"{notation!r} is no roll: write it as 2d6+1")
    return int(found[1] or 1), int(found[2]), int(found[3] or 0)


@app.function(max_containers=2)
@modal.concurrent(max_inputs=20)
@modal.fastapi_endpoint(docs=True, label="dice-roll")
def roll(notation: str = "1d6", seed: int = 0):
    """Rolls `notation`, the same way for the same seed."""
    from fastapi import HTTPException

    try:
        count, sides, plus = parse.local(notation)
    except ValueError as error:
        raise HTTPException(400, str(error)) from None
    dice = random.Random(seed or None)
    rolls = [dice.randint(1, sides) for _ in range(count)]
    return {"rolls": rolls, "total": sum(rolls) + plus}


@app.function()
@modal.fastapi_endpoint(method="DELETE")
async def reset():
    from fastapi import Response

    return Response(status_code=204)


if __name__ == "__main__":
    app.deploy()
