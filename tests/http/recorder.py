"""An application, ASGI and WSGI, that writes down each request it gets whole: a JSON line per request."""

import json
import os


def record(method, target, body):
    """Method, target as it came, body."""
    line = f"{method} {target} {''.join(map(escape, body))}"
    with open(os.environ["RECORD"], "a") as file:
        file.write(json.dumps(line) + "\n")


def escape(byte):
    """As the table of framings writes bytes."""
    return chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}"


async def asgi(scope, receive, send):
    if scope["type"] != "http":
        raise RuntimeError("only HTTP")
    body = b""
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            return
        body += event.get("body", b"")
        if not event.get("more_body", False):
            break
    target = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
    if scope["query_string"] and "?" not in target:
        target += "?" + scope["query_string"].decode("latin-1")
    record(scope["method"], target, body)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})


def wsgi(environ, start_response):
    body = environ["wsgi.input"].read()
    query = environ.get("QUERY_STRING")
    target = (
        environ.get("RAW_URI") or environ.get("REQUEST_URI") or environ["PATH_INFO"] + (query and f"?{query}")
    )
    record(environ["REQUEST_METHOD"], target, body)
    start_response("200 OK", [("Content-Length", "0")])
    return []
