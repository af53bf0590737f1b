"""A page with a form, and the endpoint that the form is sent to."""

import html
import os
import re
from urllib.parse import urlencode

import modal
from fastapi import Form
from fastapi.responses import HTMLResponse, RedirectResponse

stub = modal.Stub("newsletter", secrets=[modal.Secret({"SITE": "https://news.example.com"})])

PAGE = """<!doctype html>
<title>{title}</title>
<h1>{title}</h1>
{body}
"""


@stub.webhook(label="newsletter", keep_warm=True)
def page(welcome: str = None):
    if welcome:
        return HTMLResponse(PAGE.format(title="Thanks", body=f"<p>Welcome, {html.escape(welcome)}!</p>"))
    site = os.environ["SITE"]
    form = f"""
        <form action="{site}/join" method="post">
            <input name="name"> <input name="email" type="email">
            <label><input name="weekly" type="checkbox"> every week</label>
            <button>Join</button>
        </form>
    """
    return HTMLResponse(PAGE.format(title="Our newsletter", body=form))


@stub.webhook(method="POST", label="newsletter-join")
async def join(name: str = Form(...), email: str = Form(...), weekly: bool = Form(False)):
    if not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", email):
        body = f"<p>{html.escape(email)} is no address.</p>"
        return HTMLResponse(PAGE.format(title="Try again", body=body), status_code=400)
    answer = RedirectResponse(f"{os.environ['SITE']}/?{urlencode({'welcome': name})}", status_code=303)
    answer.set_cookie("rhythm", "weekly" if weekly else "monthly", httponly=True)
    return answer


if __name__ == "__main__":
    stub.deploy()
