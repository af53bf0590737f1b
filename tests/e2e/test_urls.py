"""Labels, custom domains, concurrent sessions, and the URLs that containers see."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from tools import Command, Server, request

TEXT = """
    import modal

    stub = modal.Stub("{name}")

    @stub.webhook{options}
    def {function}():
        return "{text}"
"""


def text(name: str, function: str = "f", text: str = "one", options: str = "") -> str:
    """A program with one endpoint."""
    return TEXT.format(name=name, function=function, text=text, options=options)


@pytest.fixture
def session(server: Server) -> Iterator:
    """Starts `serve` commands that join the daemon."""
    running: list[Command] = []

    def start(file, *arguments: str, wait: bool = True, **environment: str) -> Command:
        command = server.environment.command("serve", str(file), *arguments, **environment)
        running.append(command)
        if wait:
            command.wait_serving()
        return command

    yield start
    for command in running:
        command.end()


def by_host(server: Server, host: str):
    """Asks the port that all endpoints share."""
    return request(f"http://localhost:{server.environment.port}", host=host)


SESSION = """
    import modal

    app = modal.App("twice")

    @app.function()
    @modal.fastapi_endpoint()
    def f():
        return ["{text}", f.get_web_url()]
"""


def test_a_second_session_has_urls_of_its_own(program, server: Server, session) -> None:
    first_file = program(SESSION.format(text="one"), "first.py")
    first = session(first_file)
    second = session(program(SESSION.format(text="two"), "second.py"))
    assert first.url() != second.url()
    (one, _), (two, inside) = request(first.url()).json(), request(second.url()).json()
    assert (one, two) == ("one", "two")
    # The plain label stays with the first; the second's has a part of its app's id.
    plain = "local--twice-f-dev.localhost"
    assert by_host(server, plain).json()[0] == "one"
    instance = re.search(r"local--twice-f-[a-z2-7]{8}-dev", inside)
    assert instance
    assert by_host(server, f"{instance.group()}.localhost").json()[0] == "two"
    # A save moves neither.
    before = first.url()
    mark = first.mark()
    first_file.write_text(first_file.read_text().replace('"one"', '"three"'))
    first.wait_for("Updated in", after=mark)
    assert request(before).json()[0] == "three"
    assert by_host(server, plain).json()[0] == "three"
    # When the first has ended its label is free again, for the next session and not for the second.
    first.interrupt()
    assert by_host(server, plain).status == 404
    assert by_host(server, f"{instance.group()}.localhost").json()[0] == "two"
    session(first_file)
    assert by_host(server, plain).json()[0] == "three"


def test_a_session_takes_over_when_it_is_told_to(program, server: Server, session) -> None:
    first = session(program(SESSION.format(text="one"), "first.py"))
    second = session(program(SESSION.format(text="two"), "second.py"), "--take-over")
    assert "(label stolen)" in second.output
    plain = "local--twice-f-dev.localhost"
    assert by_host(server, plain).json()[0] == "two"
    # The first is told, and goes on where it is.
    first.wait_for(rf"local--twice-f-dev now leads to .*\(label stolen\); this one goes on at {first.url()}")
    assert request(first.url()).json()[0] == "one"
    # What takes over takes nothing from what is deployed.
    server.deploy(
        program(SESSION.format(text="deployed").replace("endpoint()", 'endpoint(label="twice-f-dev")')),
        "twice",
    )
    second.wait_for(r"now leads to the deployed app `twice` \(label stolen\)")
    third = session(program(SESSION.format(text="three"), "third.py"), "--take-over")
    assert "stolen" not in third.output
    assert by_host(server, plain).json()[0] == "deployed"
    assert request(third.url()).json()[0] == "three"


def test_a_suffix_keeps_sessions_apart(program, session, server: Server) -> None:
    file = program(SESSION.format(text="ana"))
    session(file, MODAL_DEV_SUFFIX="ana7")
    assert by_host(server, "local--twice-f-ana7.localhost").json()[0] == "ana"
    assert by_host(server, "local--twice-f-dev.localhost").status == 404


def test_a_deployed_label_is_never_taken_by_a_session(program, server: Server, session) -> None:
    server.deploy(program(text("a", text="deployed", options='(label="hello-f-dev")'), "a.py"), "a")
    command = session(program(text("hello", text="session"), "b.py"))
    assert by_host(server, "local--hello-f-dev.localhost").json() == "deployed"
    assert request(command.url()).json() == "session"


def test_long_labels_are_cut_and_equal_ones_told_apart(program, server: Server) -> None:
    environment = server.environment
    long = "x" * 70
    done = environment.run("deploy", str(program(text("a", function=long))), "--name", "a")
    assert f"Deployed {long} => http://localhost:" in done.stdout, done.stderr
    assert "(label truncated)" in done.stdout
    file = program(text("a-b", function="c", text="first"))
    assert "(label" not in environment.run("deploy", str(file), "--name", "a-b").stdout
    file = program(text("a", function="b_c", text="second"))
    done = environment.run("deploy", str(file), "--name", "a")
    assert "(label includes conflict-avoidance hash)" in done.stdout, done.stderr
    assert by_host(server, "local--a-b-c.localhost").json() == "first"
    # A label of the user is not changed behind their back.
    for name, wanted in (("one", 0), ("two", 1)):
        file = program(text(name, options='(label="mine")'))
        done = environment.run("deploy", str(file), "--name", name)
        assert done.returncode == wanted, done
    assert "the label `mine` is used by the app `one`" in done.stderr
    server.stop()
    server.start()
    assert by_host(server, "local--a-b-c.localhost").json() == "first"
    assert by_host(server, "local--mine.localhost").json() == "one"


DOMAINS = """
    import modal

    app = modal.App("{name}")

    @app.function()
    @modal.fastapi_endpoint(custom_domains={domains})
    def f():
        return "{name}"

    @app.function()
    @modal.fastapi_endpoint()
    def g():
        return "plain"
"""


def test_a_custom_domain_is_answered_on_every_port(program, server: Server) -> None:
    environment = server.environment
    file = program(DOMAINS.format(name="shop", domains=["shop.example.com", "*.shop.example.com"]), "shop.py")
    done = environment.run("deploy", str(file))
    assert f"  Custom domain: http://shop.example.com:{environment.port}\n" in done.stdout, done.stderr
    by_label = f"  By label: http://local--shop-f.localhost:{environment.port}\n"
    assert by_label in done.stdout
    urls = dict(re.findall(r"Deployed (\S+) => (http://\S+)", done.stdout))
    for host in ("shop.example.com", "Shop.Example.com:443", "a.shop.example.com"):
        for url in (urls["f"], urls["g"], f"http://localhost:{environment.port}"):
            assert request(url, host=host).json() == "shop", (host, url)
    assert request(urls["g"], host="example.com").json() == "plain"
    assert by_host(server, "b.a.shop.example.com").status == 404

    # Whose it is it stays, and the version that cannot have it changes nothing.
    other = program(DOMAINS.format(name="other", domains=["other.example.com"]), "other.py")
    assert environment.run("deploy", str(other)).returncode == 0
    other.write_text(other.read_text().replace("other.example.com", "shop.example.com"))
    done = environment.run("deploy", str(other))
    assert done.returncode == 1
    assert "the custom domain `shop.example.com` is used by the app `shop`" in done.stderr
    assert by_host(server, "other.example.com").json() == "other"
    assert by_host(server, "shop.example.com").json() == "shop"
    # Until it lets go of it.
    assert environment.run("app", "stop", "shop").returncode == 0
    assert environment.run("deploy", str(other)).returncode == 0
    assert by_host(server, "shop.example.com").json() == "other"
    assert by_host(server, "other.example.com").status == 404


def test_serving_what_is_deployed_goes_without_its_domains(program, server: Server, session) -> None:
    file = program(DOMAINS.format(name="shop", domains=["shop.example.com"]), "shop.py")
    assert server.environment.run("deploy", str(file)).returncode == 0
    file.write_text(file.read_text().replace('return "shop"', 'return "edited"'))
    command = session(file)
    command.wait_for(r"\(shop.example.com stays where this app has it already\)")
    assert request(command.url("f")).json() == "edited"
    assert by_host(server, "shop.example.com").json() == "shop"


INSIDE = """
    import socket
    import urllib.request

    import modal

    app = modal.App("inner")

    @app.function()
    @modal.fastapi_endpoint()
    def a():
        return "from a"

    @app.function()
    @modal.fastapi_endpoint()
    def b():
        with urllib.request.urlopen(a.get_web_url(), timeout=30) as answer:
            return [a.get_web_url(), answer.read().decode()]

    @app.function()
    @modal.fastapi_endpoint()
    def reach(host: str, port: int):
        try:
            socket.create_connection((host, port), timeout=1).close()
        except OSError as error:
            return type(error).__name__
        return "reached"

    @app.function(block_network=True)
    @modal.fastapi_endpoint()
    def alone():
        return a.get_web_url()
"""


def test_an_endpoint_calls_another_by_its_url(program, serve) -> None:
    file = program(INSIDE)
    command = serve(file)
    url, answer = request(command.url("b")).json()
    found = re.fullmatch(r"http://(local--inner-a-dev\.[a-z2-7]{16}\.pilotlight\.internal):10213", url)
    assert found and answer == '"from a"', (url, answer)
    assert request(command.url("alone")).json() is None
    # Of the host there is that port alone, and there the host decides.
    reach = command.url("reach")

    def reached(host: str, port: int) -> str:
        return request(f"{reach}?host={host}&port={port}").json()

    with socket_on_all_addresses() as other:
        assert reached(found.group(1), 10213) == "reached"
        assert reached(found.group(1), other) == "TimeoutError"
        assert reached(found.group(1), int(reach.rsplit(":", 1)[1])) == "TimeoutError"
    # Nobody outside is answered by a name of inside.
    assert request(command.url("a"), host=found.group(1)).json() == "from a"
    # It holds over a reload, and what is new is there too.
    mark = command.mark()
    file.write_text(
        file.read_text().replace('"from a"', '"from the new a"').replace("def alone", "def lonely")
    )
    command.wait_for("Updated in", after=mark)
    assert request(command.url("b")).json() == [url, '"from the new a"']


def test_a_deployed_endpoint_calls_another_over_restarts(program, server: Server) -> None:
    urls = server.deploy(program(INSIDE), "inner")
    seen = set()
    for _ in range(2):
        url, answer = request(urls["b"]).json()
        assert re.fullmatch(r"http://local--inner-a\.[a-z2-7]{16}\.pilotlight\.internal:10213", url), url
        assert answer == '"from a"'
        seen.add(url)
        server.stop()
        server.start()
    # What one server's containers were told is nothing to another's.
    assert len(seen) == 2


class socket_on_all_addresses:
    """A listener of the host on every address it has; gives the port."""

    def __enter__(self) -> int:
        """Opens it."""
        import socket

        self.socket = socket.create_server(("0.0.0.0", 0))
        return self.socket.getsockname()[1]

    def __exit__(self, *_: object) -> None:
        """Closes it."""
        self.socket.close()
