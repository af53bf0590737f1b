"""Requests that go on without their client: `wait_for_response=False`, and redirects as Modal's."""

from __future__ import annotations

import subprocess

from tools import request

PROGRAM = """
    import os, time
    import modal

    stub = modal.Stub("later")
    VERSION = 1

    @stub.webhook(method="POST", wait_for_response=False)
    def slow(body: dict):
        time.sleep(body["seconds"])
        return [VERSION, body["text"], os.urandom(8).hex()]
"""


def test_an_answer_that_nobody_waits_for_is_at_the_result_url(program, serve) -> None:
    command = serve(program(PROGRAM))
    promise = request(command.url(), "POST", {"seconds": 0, "text": "a"})
    assert promise.status == 202
    place = promise.json()["result_url"]
    assert place.startswith(command.url())
    answer = request(place)
    assert (answer.status, answer.json()[:2]) == (200, [1, "a"])
    assert request(place).json() == answer.json(), "it ran once"
    wrong = request(command.url() + "?__modal_function_call_id=fc-aaaaaaaaaaaaaaaa")
    assert (wrong.status, wrong.json()["error"]["code"]) == (404, "result_not_found")


def test_a_result_outlives_a_live_reload(program, serve) -> None:
    file = program(PROGRAM)
    command = serve(file)
    place = request(command.url(), "POST", {"seconds": 3, "text": "a"}).json()["result_url"]
    mark = command.mark()
    file.write_text(file.read_text().replace("VERSION = 1", "VERSION = 2"))
    command.wait_for("Updated", after=mark)
    answer = request(place)
    assert (answer.status, answer.json()[:2]) == (200, [1, "a"])
    assert request(place).json() == answer.json()
    again = request(command.url(), "POST", {"seconds": 0, "text": "b"}).json()["result_url"]
    assert request(again).json()[:2] == [2, "b"]


def test_a_long_request_is_redirected_where_that_is_set(program, serve) -> None:
    file = program(PROGRAM.replace(", wait_for_response=False", ""))
    command = serve(file, PILOTLIGHT_REDIRECT_AFTER="1")
    curl = ["curl", "--silent", "--show-error", "--location", "--json", '{"seconds": 3, "text": "a"}']
    told = subprocess.run(
        [*curl, "--write-out", "\n%{num_redirects} %{method} %{http_code}", command.url()],
        capture_output=True,
        text=True,
        check=True,
    )
    body, _, how = told.stdout.rpartition("\n")
    redirects, method, status = how.split()
    assert (method, status) == ("GET", "200")
    assert int(redirects) >= 1
    assert body.startswith('[1,"a",')
