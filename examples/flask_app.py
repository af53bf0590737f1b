"""A whole Flask application behind one URL."""

import pilotlight

app = pilotlight.App("flask-app")
image = pilotlight.Image.debian_slim().pip_install("flask")


@app.function(image=image)
@pilotlight.wsgi_app()
def flask_app():
    from flask import Flask, request

    web_app = Flask(__name__)

    @web_app.get("/")
    def home():
        return "Hello Flask World!"

    @web_app.post("/foo")
    def foo():
        return request.json

    return web_app


if __name__ == "__main__":
    app.serve()
