"""The same application as `warm.py` serves, for a plain uvicorn."""

import fastapi

api = fastapi.FastAPI()


@api.get("/")
async def root():
    return "Hello world!"
