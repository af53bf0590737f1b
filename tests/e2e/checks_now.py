"""What the programs of today answer: one check for each, by the program's file or module."""

from __future__ import annotations

import gzip
import hashlib
import json
import struct
import zlib
from collections.abc import Callable

from tools import request, wait_until
from wire import Urls, WebSocket, opened, uploaded


def dice(urls: Urls) -> None:
    url = urls["roll"]
    rolled = request(url + "?notation=3d6%2B2&seed=7").json()
    assert len(rolled["rolls"]) == 3
    assert rolled["total"] == sum(rolled["rolls"]) + 2
    assert request(url + "?notation=3d6%2B2&seed=7").json() == rolled
    refused = request(url + "?notation=two")
    assert (refused.status, refused.json()["detail"]) == (400, "'two' is no roll: write it as 2d6+1")
    assert "Rolls `notation`" in json.dumps(request(url + "/openapi.json").json())
    assert request(url + "/docs").status == 200
    assert request(urls["reset"], "DELETE").status == 204
    assert request(urls["reset"]).status == 405
    assert request(urls["reset"] + "/docs").status == 404


def notes(urls: Urls) -> None:
    url = urls["api"] + "/notes"
    made = request(url, "POST", {"title": "  buy milk "})
    assert (made.status, made.json()) == (201, {"title": "Buy milk", "text": "", "id": 1})
    assert request(url, "POST", {"title": "Call Ada", "text": "at 9"}).json()["id"] == 2
    assert [note["id"] for note in request(url).json()] == [1, 2]
    assert [note["title"] for note in request(url + "?q=ada").json()] == ["Call Ada"]
    assert request(url + "?limit=11").json()["detail"][0]["type"] == "less_than_equal"
    assert request(url, "POST", {"title": " "}).json()["detail"][0]["type"] == "string_too_short"
    assert request(url, "POST", {"title": "x", "more": 1}).json()["detail"][0]["type"] == "extra_forbidden"
    assert request(url + "/1", "DELETE").status == 204
    assert request(url + "/1", "DELETE").json() == {"detail": "no note 1"}


def gallery(urls: Urls) -> None:
    url = urls["site"]
    index = request(url).text
    assert '<li><a href="/paintings/wave">The Great Wave off Kanagawa</a></li>' in index
    assert 'href="/static/gallery.css"' in index
    painting = request(url + "/paintings/milkmaid").text
    assert "<title>The Milkmaid</title>" in painting
    assert "<p>Johannes Vermeer, 17th century</p>" in painting
    missing = request(url + "/paintings/scream")
    assert missing.status == 404
    assert "Nothing hangs at /paintings/scream." in missing.text
    frame = request(url + "/static/frame.svg")
    assert frame.headers["content-type"].startswith("image/svg+xml")
    assert request(url + "/static/frame.svg", "GET", Range="bytes=0-3").text == "<svg"
    assert request(url + "/static/frame.psd").status == 404
    assert request(url + "/docs").status == 404


def contact_form(urls: Urls) -> None:
    url = urls["contact"]
    assert '<input name="sender" value="">' in request(url).text
    body, kind = uploaded({"attachment": ("plan.txt", b"12345")}, sender="Ada & co", text="Hello!")
    sent = request(url, "POST", body, content_type=kind)
    assert (sent.status, sent.headers["location"]) == (302, "/")
    cookie = sent.headers["set-cookie"].split(";")[0]
    page = request(url, Cookie=cookie)
    assert '<p class="flash">Ada &amp; co sent 6 characters and plan.txt (5 bytes)</p>' in page.text
    assert '<input name="sender" value="Ada &amp; co">' in page.text
    forgotten = page.headers["set-cookie"].split(";")[0]
    assert "flash" not in request(url, Cookie=forgotten).text
    body, kind = uploaded({"attachment": ("plan.txt", bytes(100_001))}, sender="Ada", text="")
    large = request(url, "POST", body, content_type=kind)
    assert (large.status, large.json()) == (413, {"error": "attachments have at most 100 kB"})


def bookshelf(urls: Urls) -> None:
    url = urls["site"]
    page = request(url)
    assert "<title>2 books</title>" in page.text
    assert "<p>Stanisław Lem: <em>Solaris</em> (1961)</p>" in page.text
    made = request(
        url + "/api/books", "POST", {"author": "Ursula K. Le Guin", "title": "Tehanu", "year": 1990}
    )
    book = {"id": 3, "title": "Tehanu", "year": 1990, "author": "Ursula K. Le Guin"}
    assert (made.status, made.json()) == (201, book)
    assert request(url + "/api/books?after=1986").json() == {"books": [book]}
    every = request(url + "/api/books")
    assert len(every.json()["books"]) == 3
    assert request(url + "/api/books", If_None_Match=every.headers["etag"]).status == 304
    assert request(url + "/elsewhere").status == 404


def chat_log(urls: Urls) -> None:
    url = urls["room"]
    assert request(url).json() == {"started": True, "lines": 0}
    with opened(url + "/listen?count=2") as events:
        assert events.getheader("content-type") == "text/event-stream"
        assert (events.readline(), events.readline()) == (b": welcome\n", b"\n")
        for number, name in enumerate(["ada", "alan"], 1):
            said = request(f"{url}/say/{name}", "POST", {"text": "hi"})
            assert said.status == 201
            line = json.loads(events.readline().removeprefix(b"data: "))
            assert line == said.json() == {"name": name, "text": "hi", "number": number}
            assert events.readline() == b"\n"
        assert events.read() == b""
    bad = request(url + "/say/eve", "POST", b"{", content_type="application/json")
    assert (bad.status, list(bad.json())) == (400, ["error"])


def inventory(urls: Urls) -> None:
    url = urls["api"]
    assert request(url + "/items?least=10").json() == [{"sku": "b2", "name": "bolt", "stock": 500}]
    assert request(url + "/items/c3").json()["detail"] == "no item c3"
    crate = {"sku": "c3", "name": "crate", "stock": 4}
    assert request(url + "/items", "POST", crate).status == 403
    added = request(url + "/items", "POST", crate, X_Role="clerk")
    assert (added.status, added.json()) == (201, crate)
    assert request(url + "/items/c3").json() == crate
    assert request(url + "/items/c3", "DELETE", X_Role="clerk").status == 204
    assert request(url + "/items/c3").status == 404
    assert request(url + "/items", "POST", {"sku": 1}, X_Role="clerk").status == 400
    assert request(url + "/items?least=-1").status == 400
    assert request(url + "/health").json() == {"status": "ok", "probe": None}
    assert "/items/{sku}" in request(url + "/schema/openapi.json").json()["paths"]


def timing(urls: Urls) -> None:
    url = urls["web"]
    assert request(url + "/orders").headers["x-request-number"] == "no. 1"
    accepted = request(url + "/orders", "POST", {"id": "o-1"})
    assert (accepted.status, accepted.json()) == (202, {"accepted": "o-1"})
    # The task runs after the answer has gone out.
    wait_until(lambda: request(url + "/orders").json() == {"finished": ["o-1"]})
    assert request(url + "/orders", "DELETE").status == 405
    long = request(url + "/long/100", Accept_Encoding="gzip")
    assert long.headers["content-encoding"] == "gzip"
    assert gzip.decompress(long.body) == b"long " * 100
    teapot = request(url + "/teapot")
    assert (teapot.status, teapot.text, teapot.headers["x-spout"]) == (418, "short and stout", "yes")
    broken = request(url + "/broken")
    assert (broken.status, broken.json()) == (503, {"error": "LookupError of the program"})
    odd = request(url + "/any/%C3%BC/b%20c?x=1&x=&y=%2B", "PATCH")
    assert odd.text == "PATCH /any/ü/b c [('x', '1'), ('x', ''), ('y', '+')]"
    assert odd.headers["x-root"] == "/any"
    head = request(url + "/any/thing", "HEAD")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", "18")


def classifier(urls: Urls) -> None:
    answer = request(urls["Classifier.classify"], "POST", ["a great day", "awful", "so so"])
    scores = {line["text"]: line["positive"] for line in answer.json()}
    assert scores == {"a great day": 0.881, "awful": 0.076, "so so": 0.5}
    assert request(urls["Classifier.classify"], "POST", {"texts": []}).status == 422
    status = {"model": "words-1", "steps": ["load", "warm up"], "language": "en"}
    assert request(urls["Classifier.admin"] + "/status").json() == status


def settings_page(urls: Urls) -> None:
    assert request(urls["page"]).json() == {
        "TITLE": "Settings & more",
        "COLOUR": "teal",
        "GREETING": 'Hello, "you"',
        "REGION": "north",
        "OWNER": "the app",
        "SHAPE": "round",
    }
    assert request(urls["page"] + "?names=STAGE").json() == {"STAGE": None}
    answer = request(urls["overridden"])
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.text == "Settings & more / blue / the function / tests"


def shop(urls: Urls) -> None:
    assert request(urls["front"]).json() == {"shop": "shop.main", "goods": ["cup", "tea"]}
    assert request(urls["front"] + "/docs").status == 200
    assert request(urls["goods"] + "?country=fr").json() == {"tea": 4.8, "cup": 9.0}
    ordered = request(urls["order"], "POST", {"tea": 2, "cup": 1})
    assert (ordered.status, ordered.json()) == (200, {"total": 18.44})
    missing = request(urls["order"] + "?country=fr", "POST", {"pot": 1})
    assert (missing.status, missing.json()) == (409, {"detail": "not for sale: pot"})


def greetings(urls: Urls) -> None:
    assert request(urls["greet-en"] + "?name=Ada").json() == {"text": "Hello, Ada!", "calls": 1}
    assert request(urls["greet-en"] + "?name=Alan").json() == {"text": "Hello, Alan!", "calls": 2}
    assert request(urls["greet-fr"] + "?name=Ada&shout=1").json() == {"text": "BONJOUR, ADA!", "calls": 1}
    assert request(urls["greet-pl"] + "?name=Ada").json()["text"] == "Cześć, Ada!"
    assert request(urls["greet-pl"]).status == 422


def tenants(urls: Urls) -> None:
    url = urls["portal"]
    assert request(url).json() == {"tenant": "everyone"}
    assert request(url, Host="acme.tenants.example.test").json() == {"tenant": "acme"}
    # A domain leads to its endpoint at whichever of the app's addresses it arrives.
    assert request(url, Host="STATUS.example.test").json() == "all is well"
    assert request(urls["status"], Host="tenants.example.test").json() == {"tenant": "everyone"}
    with WebSocket(url + "/echo") as socket:
        for text in ("hello", "grüße"):
            socket.send(text)
            assert socket.receive() == text.upper()


def digest(urls: Urls) -> None:
    url = urls["web"]
    large = bytes(range(256)) * 4096 * 3
    answer = request(url + "/digest/sha1", "PUT", large).json()
    assert (answer["digest"], answer["bytes"]) == (hashlib.sha1(large).hexdigest(), len(large))
    assert answer["pieces"] > 1
    assert request(url + "/digest/sha0", "PUT", b"").json() == {"detail": "no algorithm sha0"}
    body, kind = uploaded({"files": ("a.txt", b"A")}, {"files": ("b.bin", large)})
    files = request(url + "/files", "POST", body, content_type=kind, X_Salt="salt")
    assert files.headers["x-files"] == "2"
    assert files.json() == {
        "a.txt": hashlib.sha256(b"saltA").hexdigest(),
        "b.bin": hashlib.sha256(b"salt" + large).hexdigest(),
    }
    stream = request(url + "/stream/4")
    assert "content-length" not in stream.headers
    assert stream.body == bytes(range(256)) * 256 * 64


def mandelbrot(urls: Urls) -> None:
    image = request(urls["draw"] + "?width=30&height=20")
    assert image.headers["content-type"] == "image/png"
    assert image.headers["cache-control"] == "max-age=3600"
    assert image.body.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", image.body[16:24]) == (30, 20)
    size = struct.unpack(">I", image.body[33:37])[0]
    rows = zlib.decompress(image.body[41 : 41 + size])
    # The middle of the picture lies inside the set, the corner far outside.
    assert rows[31 * 10 + 1 + 22] < rows[1]
    assert request(urls["draw"] + "?width=9999&height=9999").status == 413


CHECKS: dict[str, Callable[[Urls], None]] = {
    "now/dice.py": dice,
    "now/notes.py": notes,
    "now/gallery/gallery.py": gallery,
    "now/contact_form.py": contact_form,
    "now/bookshelf/serve.py": bookshelf,
    "now/chat_log.py": chat_log,
    "now/inventory.py": inventory,
    "now/timing.py": timing,
    "now/classifier.py": classifier,
    "now/settings_page/settings_page.py": settings_page,
    "now/shop/shop.main": shop,
    "now/greetings.py": greetings,
    "now/tenants.py": tenants,
    "now/digest.py": digest,
    "now/mandelbrot.py": mandelbrot,
}
