"""A blog in Flask: posts, templates and the style sheet lie beside the program and are mounted."""

import pathlib

import modal

HERE = pathlib.Path(__file__).parent


def published(path: str) -> bool:
    return not pathlib.Path(path).name.startswith("draft-")


stub = modal.Stub("blog")
stub["image"] = modal.Image.debian_slim().pip_install(["flask"])
look = [
    modal.Mount(remote_dir="/blog/templates", local_dir=HERE / "templates"),
    modal.Mount(remote_dir="/blog/static", local_file=HERE / "static" / "style.css"),
]


@stub.wsgi(
    label="our-blog",
    mounts=[*look, modal.Mount(remote_dir="/blog/posts", local_dir=HERE / "posts", condition=published)],
)
def web():
    from flask import Flask, abort, render_template

    app = Flask(__name__, root_path="/blog")
    folder = pathlib.Path("/blog/posts")

    def post(name):
        title, _, text = (folder / f"{name}.txt").read_text().partition("\n")
        return {"name": name, "title": title, "paragraphs": text.strip().split("\n\n")}

    @app.get("/")
    def index():
        return render_template("index.html", posts=[post(path.stem) for path in sorted(folder.iterdir())])

    @app.get("/posts/<name>")
    def show(name):
        if not (folder / f"{name}.txt").exists():
            abort(404)
        return render_template("post.html", post=post(name))

    @app.errorhandler(404)
    def missing(error):
        return render_template("post.html", post={"title": "No such post", "paragraphs": []}), 404

    return app


if __name__ == "__main__":
    stub.serve()
