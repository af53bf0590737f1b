"""What the programs of 2022 and 2023 answer: one check for each, by the program's file."""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Callable

from tools import request, wait_until
from wire import Urls, uploaded

FORM = "application/x-www-form-urlencoded"


def converter(urls: Urls) -> None:
    url = urls["convert"]
    answer = request(url + "?value=100&from=C&to=F")
    assert (answer.status, answer.json()) == (200, {"value": 212.0, "unit": "F"})
    assert request(url + "?value=0&from=F").json() == {"value": 0.0, "unit": "F"}
    assert request(url + "?value=1&to=K").json() == {"value": 274.15, "unit": "K"}
    cold = request(url + "?value=-1&from=K")
    assert (cold.status, cold.json()) == (400, {"detail": "-1.0 K is below absolute zero"})
    assert request(url + "?value=1&from=X").json()["detail"][0]["loc"] == ["query", "from"]
    assert request(url, "POST").status == 405
    assert request(url + "/docs").status == 200


def newsletter(urls: Urls) -> None:
    page = request(urls["page"])
    assert page.headers["content-type"].startswith("text/html")
    assert '<form action="https://news.example.com/join" method="post">' in page.text
    joined = request(
        urls["join"], "POST", b"name=Ada+L%26co&email=ada%40example.com&weekly=on", content_type=FORM
    )
    assert joined.status == 303
    assert joined.headers["location"] == "https://news.example.com/?welcome=Ada+L%26co"
    assert joined.headers["set-cookie"].startswith("rhythm=weekly; HttpOnly")
    assert "Welcome, Ada L&amp;co!" in request(urls["page"] + "/?welcome=Ada+L%26co").text
    refused = request(urls["join"], "POST", b"name=x&email=%3Cb%3E", content_type=FORM)
    assert refused.status == 400
    assert "&lt;b&gt; is no address" in refused.text
    assert request(urls["join"], "POST", b"name=x", content_type=FORM).status == 422


def csv_stats(urls: Urls) -> None:
    url = urls["stats"]
    body, kind = uploaded({"upload": ("heights.csv", b"\xef\xbb\xbfheight,weight\n1,10\n3,30\n")})
    report = request(url, "POST", body, content_type=kind).json()
    assert (report["filename"], report["rows"]) == ("heights.csv", 2)
    assert report["columns"] == [
        {"name": "height", "mean": 2.0, "deviation": 1.0, "largest": 3.0},
        {"name": "weight", "mean": 20.0, "deviation": 10.0, "largest": 30.0},
    ]
    body, kind = uploaded({"upload": ("bad.csv", b"a;b\n1;x\n")})
    bad = request(url + "?delimiter=;", "POST", body, content_type=kind)
    assert bad.status == 422
    assert bad.json()["detail"].startswith("bad.csv: could not convert string to float")
    assert request(url, "POST", {}).json()["detail"][0]["loc"] == ["body", "upload"]


def blog(urls: Urls) -> None:
    url = urls["web"]
    index = request(url).text
    assert '<a href="/posts/bread">Bread &amp; butter</a>' in index
    assert '<link rel="stylesheet" href="/static/style.css">' in index
    assert re.findall("/posts/([a-z-]+)", index) == ["bread", "walk"]
    post = request(url + "/posts/bread")
    assert "<h1>Bread &amp; butter</h1>\n\n<p>Bake it.</p>\n\n<p>Spread it.</p>" in post.text
    style = request(url + "/static/style.css")
    assert style.headers["content-type"].startswith("text/css")
    assert "max-width" in style.text
    assert request(url + "/static/style.css", If_None_Match=style.headers["etag"]).status == 304
    for missing in ("none", "draft-secret"):
        answer = request(f"{url}/posts/{missing}")
        assert answer.status == 404
        assert "<h1>No such post</h1>" in answer.text


def shortener(urls: Urls) -> None:
    url = urls["web"]
    made = request(url + "/links", "POST", {"url": "https://example.com/a?b=c"})
    code = made.json()["code"]
    assert (made.status, made.headers["location"]) == (201, f"/{code}")
    assert re.fullmatch("[b-df-hj-np-tv-z2-9]{6}", code)
    again = request(url + "/links", "POST", {"url": "https://example.com/a?b=c"})
    assert (again.status, again.json()) == (200, {"code": code})
    for _ in range(2):
        followed = request(f"{url}/{code}")
        assert (followed.status, followed.headers["location"]) == (307, "https://example.com/a?b=c")
    assert request(f"{url}/links/{code}").json() == {"url": "https://example.com/a?b=c", "hits": 2}
    assert request(url + "/nothing").json() == {"detail": "no such link"}
    assert request(url + "/links", "POST", {"url": "no address"}).status == 422
    assert request(url + "/openapi.json").json()["info"]["title"] == "Shortener"


def polls(urls: Urls) -> None:
    url = urls["site"]
    page = request(url)
    assert (page.status, "<li>no votes</li>" in page.text) == (200, True)
    token = re.search('name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
    assert token
    cookie = page.headers["set-cookie"].split(";")[0]
    for choice in ("apple", "pear", "pear"):
        body = f"choice={choice}&csrfmiddlewaretoken={token.group(1)}".encode()
        voted = request(url + "/vote/", "POST", body, content_type=FORM, Cookie=cookie)
        assert (voted.status, voted.headers["location"]) == (302, "/")
    assert "<li>pear: 2</li><li>apple: 1</li>" in request(url).text
    assert request(url + "/vote/", "POST", b"choice=plum", content_type=FORM).status == 403
    assert request(url + "/vote/").status == 405
    moved = request(url + "/vote", "GET")
    assert (moved.status, moved.headers["location"]) == (301, "/vote/")


def visits(urls: Urls) -> None:
    url = urls["counter"]
    first = request(url)
    assert first.text == "visit number 1"
    assert "HttpOnly; Max-Age=3600; Path=/; SameSite=lax" in first.headers["set-cookie"]
    cookie = first.headers["set-cookie"].split(";")[0]
    second = request(url + "/count", Cookie=cookie, User_Agent="browser")
    assert second.json() == {"visits": 2, "agent": "browser"}
    forged = cookie.replace("1.", "9.")
    assert request(url + "/count", Cookie=forged).json()["visits"] == 1
    assert request(url + "/forget", "POST").text == "forgotten"
    assert request(url + "/forget").status == 405


def ticker(urls: Urls) -> None:
    url = urls["feed"]
    assert request(url).json() == {"listed": ["ABC", "WXYZ"]}
    stream = request(url + "/stream/ABC?count=2")
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert stream.headers["cache-control"] == "no-cache"
    assert stream.text == (
        'id: 0\nevent: price\ndata: {"symbol": "ABC", "price": 101.0}\n\n'
        'id: 1\nevent: price\ndata: {"symbol": "ABC", "price": 102.01}\n\n'
    )
    assert request(url + "/stream/NEW").status == 404
    enlisted = request(url + "/listed/NEW", "PUT", {"price": 7})
    assert (enlisted.status, enlisted.json()) == (201, {"listed": ["ABC", "NEW", "WXYZ"]})


def slack_bot(urls: Urls) -> None:
    url = urls["command"]
    body, stamp = b"user_name=ada&text=good+morning", str(int(time.time()))
    digest = hmac.new(b"8f742231b10e8888abcd99yyyzzz85a5", f"v0:{stamp}:".encode() + body, hashlib.sha256)
    headers = {"X_Slack_Request_Timestamp": stamp, "X_Slack_Signature": "v0=" + digest.hexdigest()}
    answer = request(url, "POST", body, content_type=FORM, **headers)
    assert answer.json() == {
        "response_type": "in_channel",
        "username": "parrot",
        "channel": "general",
        "text": "good morning, ada!",
    }
    assert request(url, "POST", body + b"!", content_type=FORM, **headers).status == 401
    assert request(url, "POST", body).json() == {"detail": "bad signature"}


def two_images(urls: Urls) -> None:
    solved = request(urls["solve"] + "?a=1&b=-3&c=2").json()
    assert solved["place"] == "heavy"
    assert [round(root, 6) for root in solved["roots"]] == [1, 2]
    assert request(urls["solve"] + "?a=1&b=0&c=1").json() == {"place": "heavy", "roots": []}
    assert request(urls["place"]).json() == {"place": "light", "local": False, "numpy": False}


def directory(urls: Urls) -> None:
    assert request(urls["menu"] + "?meat=no").json() == ["soup", "salad"]
    found = {"hours": "9 to 17", "menu": ["soup", "stew"], "sunday": "closed"}
    assert request(urls["front"]).json() == found


def toolbox(urls: Urls) -> None:
    digest = request(urls["digest"] + "?text=abc&algorithm=md5", "POST", X_API_Key="ada")
    assert digest.json() == {"digest": "900150983cd24fb0d6963f7d28e17f72", "for": "ada"}
    assert request(urls["digest"] + "?text=abc", "POST").status == 403
    count = request(urls["count"] + "?text=To+be+or+not+to+be&top=2").json()
    assert count == {"words": 6, "top": {"to": 2, "be": 2}}
    assert request(urls["slug"] + "?text=%C3%9Cber+den+Wolken%21").json() == "uber-den-wolken"


def countdown(urls: Urls) -> None:
    streamed = request(urls["countdown"] + "?start=2")
    assert streamed.headers["content-type"] == "application/x-ndjson"
    assert streamed.text == '{"left": 2}\n{"left": 1}\n{"left": 0}\n'
    table = request(urls["table"], "POST", {"rows": 4})
    assert table.headers["content-type"].startswith("text/csv")
    assert table.headers["content-disposition"] == 'attachment; filename="squares.csv"'
    assert table.text.split() == ["n,square", "0,0", "1,1", "2,4", "3,9"]
    assert request(urls["table"], "POST", [1]).status == 422
    assert request(urls["table"]).status == 405


def todo(urls: Urls) -> None:
    url = urls["todo"]
    ada, alan = ({"Authorization": f"Bearer {token}"} for token in ("lovelace-1815", "turing-1912"))
    made = request(url + "/tasks", "POST", {"title": "Water the plants", "tags": ["Home"]}, **ada)
    assert made.status == 201
    assert made.json() == {
        "title": "Water the plants",
        "due": None,
        "tags": ["home"],
        "id": 1,
        "done": False,
    }
    dated = request(url + "/tasks", "POST", {"title": "Write", "due": "2023-02-01"}, **ada)
    assert dated.json()["due"] == "2023-02-01"
    assert [task["id"] for task in request(url + "/tasks?tag=home", **ada).json()] == [1]
    assert request(url + "/tasks/2/done", "POST", **ada).json()["done"] is True
    assert request(url + "/tasks", **alan).json() == []
    assert request(url + "/tasks/2/done", "POST", **alan).json() == {"detail": "alan has no task 2"}
    history = ["created Water the plants", "created Write", "finished Write"]
    # The journal is written after the answer has gone out.
    wait_until(lambda: request(url + "/history", **ada).json() == history)
    stranger = request(url + "/history", Authorization="Bearer guess")
    assert (stranger.status, stranger.headers["www-authenticate"]) == (401, "Bearer")
    assert request(url + "/history").status in (401, 403)
    assert request(url + "/tasks", "POST", {"title": "x" * 41}, **ada).status == 422


def palette(urls: Urls) -> None:
    url = urls["Palette.nearest"]
    assert request(url + "?colour=e01030").json() == {"nearest": "crimson", "asked": 1}
    assert request(url + "?colour=101010").json() == {"nearest": "black", "asked": 2}
    assert request(url + "?colour=fff").json() == {"detail": "write a colour as rrggbb"}


CHECKS: dict[str, Callable[[Urls], None]] = {
    "then/converter.py": converter,
    "then/newsletter.py": newsletter,
    "then/csv_stats.py": csv_stats,
    "then/blog/blog.py": blog,
    "then/shortener/shortener.py": shortener,
    "then/polls/polls.py": polls,
    "then/visits.py": visits,
    "then/ticker.py": ticker,
    "then/slack_bot.py": slack_bot,
    "then/two_images.py": two_images,
    "then/directory.py": directory,
    "then/toolbox/main.py": toolbox,
    "then/countdown.py": countdown,
    "then/todo/serve_todo.py": todo,
    "then/palette/palette.py": palette,
}
