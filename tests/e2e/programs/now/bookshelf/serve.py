"""A Django site with a JSON API: its package is added to the image by name, its templates as a folder."""

import pathlib

import modal

templates = pathlib.Path(__file__).parent / "templates"
image = (
    modal.Image.debian_slim()
    .pip_install("django")
    .env({"DJANGO_SETTINGS_MODULE": "bookshelf.settings"})
    .add_local_dir(templates, "/srv/templates")
    .add_local_python_source("bookshelf")
)
app = modal.App("bookshelf", image=image)


@app.function(max_containers=1)
@modal.wsgi_app()
def site():
    from django.core.wsgi import get_wsgi_application

    application = get_wsgi_application()

    from bookshelf.shelf import fill

    fill()
    return application
