"""A link shortener: an ASGI app over SQLite, in three files beside each other."""

import sqlite3

import modal
from codes import code_of
from fastapi import FastAPI, HTTPException, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, HttpUrl
from storage import Links

stub = modal.Stub("shortener")


class Link(BaseModel):
    url: HttpUrl


@stub.asgi(concurrency_limit=1, container_idle_timeout=120)
def web():
    app = FastAPI(title="Shortener")
    links = Links("/tmp/links.sqlite")

    @app.post("/links", status_code=201)
    def shorten(link: Link, response: Response):
        code = code_of(link.url)
        try:
            links.add(code, link.url)
        except sqlite3.IntegrityError:
            response.status_code = 200
        response.headers["location"] = f"/{code}"
        return {"code": code}

    @app.get("/links/{code}")
    def about(code: str):
        return links.find(code)

    @app.get("/{code}")
    def follow(code: str):
        link = links.follow(code)
        if link is None:
            raise HTTPException(404, "no such link")
        return RedirectResponse(link["url"])

    return app


if __name__ == "__main__":
    stub.serve()
