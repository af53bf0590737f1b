"""A contact form in Flask: sessions, flashed messages, an uploaded attachment."""

import modal

image = modal.Image.debian_slim().pip_install("flask")
app = modal.App("contact-form")

PAGE = """
<!doctype html>
{% for message in get_flashed_messages() %}<p class="flash">{{ message }}</p>{% endfor %}
<form method="post" enctype="multipart/form-data">
  <input name="sender" value="{{ session.get('sender', '') }}"><textarea name="text"></textarea>
  <input name="attachment" type="file"><button>Send</button>
</form>
"""


@app.function(image=image, secrets=[modal.Secret.from_dict({"FLASK_SECRET_KEY": "of the contact form"})])
@modal.concurrent(max_inputs=10)
@modal.wsgi_app()
def contact():
    from flask import Flask, flash, redirect, render_template_string, request, session, url_for

    web = Flask(__name__)
    web.config.from_prefixed_env()
    web.config["MAX_CONTENT_LENGTH"] = 100_000

    @web.route("/", methods=["GET", "POST"])
    def form():
        if request.method == "GET":
            return render_template_string(PAGE)
        session["sender"] = request.form["sender"]
        file = request.files.get("attachment")
        size = len(file.read()) if file else 0
        name = file.filename if file else "nothing"
        flash(f"{session['sender']} sent {len(request.form['text'])} characters and {name} ({size} bytes)")
        return redirect(url_for("form"))

    @web.errorhandler(413)
    def too_large(error):
        return {"error": "attachments have at most 100 kB"}, 413

    return web
