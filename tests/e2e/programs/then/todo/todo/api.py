"""The app, put together from its routers; started by `serve_todo.py`."""

from fastapi import FastAPI

from .routers import history, tasks

api = FastAPI(title="To do", version="2.0")
api.include_router(tasks.router)
api.include_router(history.router)
