"""Pages from Jinja2 templates, with static files, a data file and an error page of their own."""

import json
import pathlib

import modal

here = pathlib.Path(__file__).parent
image = (
    modal.Image.debian_slim()
    .pip_install("fastapi[standard]")
    .env({"GALLERY": "/srv/gallery"})
    .add_local_dir(here / "templates", "/srv/gallery/templates")
    .add_local_dir(here / "static", remote_path="/srv/gallery/static", ignore=["*.psd", "**/.*"])
    .add_local_file(here / "paintings.json", "/srv/gallery/")
)
app = modal.App(name="gallery")


@app.function(image=image)
@modal.asgi_app(label="gallery")
def site():
    import os

    from fastapi import FastAPI, HTTPException, Request
    from fastapi.responses import HTMLResponse
    from fastapi.staticfiles import StaticFiles
    from fastapi.templating import Jinja2Templates

    root = pathlib.Path(os.environ["GALLERY"])
    paintings = json.loads((root / "paintings.json").read_text())
    templates = Jinja2Templates(root / "templates")
    templates.env.filters["century"] = lambda year: f"{(year - 1) // 100 + 1}th century"

    web = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    web.mount("/static", StaticFiles(directory=root / "static"), name="static")

    @web.get("/", response_class=HTMLResponse)
    async def index(request: Request):
        return templates.TemplateResponse(request, "index.html", {"paintings": paintings})

    @web.get("/paintings/{key}", response_class=HTMLResponse)
    async def painting(request: Request, key: str):
        if key not in paintings:
            raise HTTPException(404)
        return templates.TemplateResponse(request, "painting.html", {"painting": paintings[key]})

    @web.exception_handler(404)
    async def missing(request: Request, error: HTTPException):
        return templates.TemplateResponse(request, "missing.html", status_code=404)

    return web
