"""The web decorators of all eras."""

from __future__ import annotations

from ..table import Area, refused, works

WEB = Area(
    "Web decorators",
    "",
    (
        works(
            "@modal.fastapi_endpoint(method=…, label=…, docs=…)",
            sees="@app.function()\n@modal.fastapi_endpoint(method='post', label='a-b', docs=True)",
            expect="f['web'] == {'kind': 'endpoint', 'method': 'POST', 'docs': True, 'cors': True} "
            "and f['label'] == 'a-b'",
        ),
        works(
            "@modal.wsgi_app",
            "runner/test_apps.py::test_wsgi",
            sees="@app.function()\n@modal.wsgi_app()",
            expect="f['web'] == {'kind': 'wsgi'}",
        ),
        refused(
            "@modal.web_endpoint",
            "DeprecationError",
            "f: @modal.web_endpoint is now @modal.fastapi_endpoint() under @app.function()",
            "@app.function()\n@modal.web_endpoint()",
        ),
    ),
)
