"""Images of an OCI registry as bases, from a real registry on loopback."""

from __future__ import annotations

import functools
import hashlib
import http.server
import json
import os
import platform
import socket
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from images import Image, Registry, archive, debian_python, entry, file, login, small_python, split_python
from tools import ports, request

# Of bcrypt, which is the only kind that this registry takes.
HTPASSWD = "me:$2b$05$abcdefghijklmnopqrstuuytUdDONscKfgoFg/VA/Ex24XapSEkgm\n"
PASSWORD = "hush-4711"

PROGRAM = """
    import os
    import pathlib
    import sys

    import modal

    app = modal.App()
    image = modal.Image.from_registry({reference!r}{options})

    @app.function(image=image)
    @modal.fastapi_endpoint()
    def f():
        return {{
            "version": list(sys.version_info[:2]),
            "prefix": sys.base_prefix,
            "cwd": os.getcwd(),
            "variables": {{name: os.environ.get(name) for name in ["GREETING", "MORE", "PATH", "ENTERED"]}},
            "data": {{str(p): p.read_text() for p in pathlib.Path("/data").rglob("*") if p.is_file()}},
            "etc": sorted(os.listdir("/etc")),
        }}
"""


@pytest.fixture(scope="module")
def registry(tmp_path_factory) -> Iterator[Registry]:
    with Registry(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


@pytest.fixture(scope="module")
def python() -> bytes:
    return small_python()


def test_an_image_is_built_on_one_of_a_registry(program, serve, registry, python) -> None:
    layers = [
        python,
        archive(
            entry("data", tarfile.DIRTYPE),
            file("data/kept", "kept"),
            file("data/removed", "removed"),
            file("data/replaced", "old"),
            file("data/hidden/below", "below"),
        ),
        archive(
            file("data/.wh.removed"),
            file("data/replaced", "new"),
            file("data/hidden/.wh..wh..opq"),
            file("data/hidden/above", "above"),
            entry("data/twin", tarfile.LNKTYPE, "data/replaced"),
            entry("data/link", tarfile.SYMTYPE, "/data/kept"),
            entry("dev/sda", tarfile.BLKTYPE),
        ),
    ]
    settings = {
        "Env": ["PATH=/usr/bin:/bin", "GREETING=hello"],
        "WorkingDir": "/data",
        "Entrypoint": ["env", "ENTERED=yes"],
        "User": "app:app",
    }
    reference = registry.push("tests/whole", "1", Image(layers, settings))
    options = ', setup_dockerfile_commands=["ENV MORE=$GREETING:$PWD"]'
    command = serve(program(PROGRAM.format(reference=reference, options=options)))
    answer = request(command.url()).json()
    path = answer["variables"].pop("PATH")
    assert path == "/opt/venv/bin:/opt/python/bin:/usr/bin:/bin"
    assert answer["variables"] == {"GREETING": "hello", "MORE": "hello:", "ENTERED": "yes"}
    assert "warning: its USER app:app is not taken" in command.output
    assert (answer["prefix"], answer["cwd"]) == ("/opt/python", "/data")
    assert answer["data"] == {
        "/data/kept": "kept",
        "/data/link": "kept",
        "/data/replaced": "new",
        "/data/twin": "new",
        "/data/hidden/above": "above",
    }
    assert command.interrupt() == 0


DOCKERFILE = """
ARG HOST
ARG TAG=none
FROM ${HOST}/tests/base:${TAG} AS base
ARG TAG
ENV SAID="$GREETING from $TAG"
COPY conf/*.txt sub/
FROM never.example/assets AS assets
COPY --from=base /x /y
FROM base AS last
RUN cat sub/a.txt > joined && echo "$SAID$TAG in $PWD" >> joined
"""

DOCKERFILE_PROGRAM = """
    import os
    import pathlib

    import modal

    app = modal.App()
    image = modal.Image.from_dockerfile("Dockerfile", build_args={args!r}, context_dir=".")

    @app.function(image=image.run_commands("echo later >> joined"))
    @modal.fastapi_endpoint()
    def f():
        return [os.getcwd(), os.environ["SAID"], pathlib.Path("joined").read_text()]
"""


def test_a_dockerfile_is_built_from_its_first_line_on(
    program, serve, home, tmp_path, registry, python
) -> None:
    settings = {"Env": ["GREETING=hello"], "WorkingDir": "/srv"}
    registry.push("tests/base", "2", Image([python, data("x")], settings))
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/a.txt").write_text("of a file\n")
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    args = {"HOST": registry.host, "TAG": "2"}
    path = program(DOCKERFILE_PROGRAM.format(args=args))
    command = serve(path)
    said = "of a file\nhello from 2 in /srv\nlater\n"
    assert request(command.url()).json() == ["/srv", "hello from 2", said]
    assert command.interrupt() == 0
    for text, told in [
        (
            f"FROM {registry.host}/tests/base:2 AS a\nFROM a\nCOPY --from=a /x /y",
            "from_dockerfile: line 3: COPY --from=a: files of another stage or image are not built yet",
        ),
        ("FROM UPPER", 'from_dockerfile: line 1: "UPPER" names no image of a registry'),
        (
            "FROM --platform=linux/s390x a",
            "from_dockerfile: line 1: it asks for linux/s390x, and this machine is",
        ),
    ]:
        (tmp_path / "Dockerfile").write_text(text)
        refused = home.run("serve", str(path))
        assert refused.returncode == 1
        assert told in refused.stderr


def data(content: str) -> bytes:
    return archive(file("data/file", content))


def test_an_image_that_is_here_asks_no_registry(program, serve, tmp_path, python) -> None:
    with Registry(tmp_path) as registry:
        reference = registry.push("tests/once", "1", Image([python, data("kept")], packing="+zstd"))
        path = program(PROGRAM.format(reference=reference, options=""))
        command = serve(path)
        assert request(command.url()).json()["data"] == {"/data/file": "kept"}
        assert command.interrupt() == 0
    command = serve(path)
    assert request(command.url()).json()["data"] == {"/data/file": "kept"}
    assert command.interrupt() == 0


def test_a_private_image_is_for_who_has_the_password(program, serve, home, tmp_path, python) -> None:
    (tmp_path / "htpasswd").write_text(HTPASSWD)
    secret = ', modal.Secret.from_dict({{"REGISTRY_USERNAME": "me", "REGISTRY_PASSWORD": "{}"}})'.format
    with Registry(tmp_path, tmp_path / "htpasswd") as registry:
        image = Image([python, data("private")])
        reference = registry.push("tests/private", "1", image, **login("me", PASSWORD))
        for options, told in [
            ("", "the registry wants a login; give secret="),
            (secret("wrong-4711"), "the registry wants a login and did not take the one it got"),
        ]:
            text = PROGRAM.format(reference=reference, options=options)
            refused = home.run("serve", str(program(text)))
            assert refused.returncode == 1
            assert f"cannot get {reference}: {told}" in refused.stderr
            assert "4711" not in refused.stderr
        text = PROGRAM.format(reference=reference, options=secret(PASSWORD))
        command = serve(program(text))
        assert request(command.url()).json()["data"] == {"/data/file": "private"}
        assert command.interrupt() == 0
    kept = [path for path in (home.state / "registry").rglob("*") if path.is_file()]
    assert kept
    assert not [path for path in kept if PASSWORD.encode() in path.read_bytes()]


class Cutter:
    """A way to the registry that breaks off each answer after so many bytes, for a number of times."""

    def __init__(self, port: int, bytes_max: int, times: int) -> None:
        self.to, self.bytes_max, self.left = port, bytes_max, times
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.ranges: list[bytes] = []
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with client, socket.create_connection(("127.0.0.1", self.to)) as registry:
                self._pass(client, registry)

    def _pass(self, client: socket.socket, registry: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            more = client.recv(1)
            if not more:
                return
            head += more
        self.ranges += [line for line in head.split(b"\r\n") if line.lower().startswith(b"range:")]
        registry.sendall(head.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"))
        room = self.bytes_max if b"/blobs/" in head and self.left else None
        while piece := registry.recv(65536):
            if room is not None and len(piece) >= room:
                self.left -= 1
                client.sendall(piece[:room])
                return
            room = None if room is None else room - len(piece)
            client.sendall(piece)

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()


def test_a_connection_that_breaks_costs_no_byte_twice(program, serve, registry, python) -> None:
    layers = [python, data("x" * 3_000_000)]
    registry.push("tests/cut", "1", Image(layers, packing=""))
    cutter = Cutter(registry.port, 1_000_000, 2)
    try:
        reference = f"127.0.0.1:{cutter.port}/tests/cut:1"
        command = serve(program(PROGRAM.format(reference=reference, options="")))
        assert len(request(command.url()).json()["data"]["/data/file"]) == 3_000_000
        assert command.interrupt() == 0
    finally:
        cutter.close()
    assert len(cutter.ranges) == 2, cutter.ranges


def refusal(home, program, reference: str) -> str:
    """What is said of an image that cannot be a base, of which nothing is left."""

    def layers() -> set[str]:
        return {path.name for path in (home.state / "layers").glob("*") if path.name != ".locks"}

    before = layers()
    refused = home.run("serve", str(program(PROGRAM.format(reference=reference, options=""))))
    assert refused.returncode == 1
    assert layers() == before
    assert not [path for path in (home.state / "registry/images").glob("*") if reference in path.read_text()]
    return refused.stderr


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (file("../outside", "x"), "'../outside' is absolute or leads out of the image"),
        (file("/etc/passwd", "x"), "'/etc/passwd' is absolute or leads out of the image"),
        (entry("x", tarfile.LNKTYPE, "../../etc/shadow"), "'../../etc/shadow' is absolute or leads out"),
        (file("x/.wh..", ""), "'x/.wh..' takes away nothing that there could be"),
        (file("x", "", uid=100_000), "its owner is none of the 65536 ids"),
        (file("x", "", type=b"V"), "is of a kind that is not unpacked"),
    ],
)
def test_a_layer_that_is_not_what_layers_are_is_refused(home, program, registry, bad, told) -> None:
    reference = registry.push("tests/bad", "1", Image([archive(bad)]))
    said = refusal(home, program, reference)
    assert "cannot unpack the layer sha256:" in said
    assert told.replace("'", '"') in said, said


def test_contents_that_are_not_what_they_are_called_are_refused(home, program, registry) -> None:
    image = Image([data("true")])
    reference = registry.push("tests/broken", "1", image)
    blob = registry.blob(image.blobs[0])
    blob.write_bytes(b"x" * blob.stat().st_size)
    assert "what the registry sent has the digest sha256:" in refusal(home, program, reference)
    image = Image([data("another")])
    image.config = image.config.replace(b'"diff_ids": ["sha256:', b'"diff_ids": ["sha256:' + b"0" * 64)
    image.config = image.config.replace(b"0" * 64 + image.config.split(b"0" * 64)[1][:64], b"0" * 64)
    reference = registry.push("tests/lies", "1", image)
    assert "and the image says sha256:0000" in refusal(home, program, reference)


def test_sizes_that_are_not_what_the_manifest_says_are_refused(home, program, registry) -> None:
    class Liar(Image):
        layer_by, config_by = 0, 0

        @property
        def manifest(self) -> bytes:
            told = json.loads(super().manifest)
            told["layers"][0]["size"] += self.layer_by
            told["config"]["size"] += self.config_by
            return json.dumps(told).encode()

    for number, (name, by, said) in enumerate(
        [
            ("layer_by", -1, "it is larger than the "),
            ("layer_by", 1, " bytes, and the manifest says "),
            ("config_by", -1, "the registry's answer is larger than "),
            ("config_by", 1, "its configuration is not what its digest or size says"),
        ]
    ):
        image = Liar([data(f"lie {number}")])
        setattr(image, name, by)
        reference = registry.push("tests/sizes", str(number), image)
        told = refusal(home, program, reference)
        assert said in told, told
        assert told.count(said) <= 2, told


def test_images_for_others_and_without_python_are_refused(home, program, registry, python) -> None:
    reference = registry.push("tests/other", "1", Image([data("x")], architecture="s390x"))
    assert f"cannot use {reference}: it is for linux/s390x, and this machine is" in refusal(
        home, program, reference
    )
    none = f"{registry.host}/tests/never:1"
    assert f"cannot get {none}: the registry has no such image" in refusal(home, program, none)
    reference = registry.push("tests/bare", "1", Image([data("x")]))
    refused = home.run("serve", str(program(PROGRAM.format(reference=reference, options=""))))
    assert f"{reference} has no Python that can be used: there is no python3 and no python" in refused.stderr
    assert 'let one be put into it with add_python="3.12"' in refused.stderr


PACKAGES = """
    import modal

    app = modal.App()
    image = modal.Image.from_registry({reference!r}).pip_install("toolz")

    @app.function(image=image)
    @modal.fastapi_endpoint()
    def f():
        import httpx
        import ours
        import toolz

        return [ours.WORD, httpx.WORD, toolz.__name__]
"""


def test_packages_of_an_image_are_there_and_win(program, serve, registry, python) -> None:
    place = f"usr/local/lib/python{'.'.join(str(part) for part in small_version())}/dist-packages"

    def package(name: str, version: str) -> list[tuple[tarfile.TarInfo, bytes]]:
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        return [
            file(f"{place}/{name}.py", f"WORD = 'the {name} of the image'"),
            file(f"{place}/{name}-{version}.dist-info/METADATA", metadata),
        ]

    # One that nobody else has, and one that images of today have as well.
    packages = archive(*package("ours", "1.0"), *package("httpx", "0.1"))
    reference = registry.push("tests/packages", "1", Image([python, packages]))
    command = serve(program(PACKAGES.format(reference=reference)))
    assert request(command.url()).json() == ["the ours of the image", "the httpx of the image", "toolz"]


@pytest.fixture
def releases(tmp_path, python) -> Iterator[tuple[str, str]]:
    """A stand-in for the releases of python-build-standalone, with one: the list's URL, and its version."""
    _, archive_ = split_python(python)
    version = debian_python()
    folder = tmp_path / "releases"
    folder.mkdir()
    (folder / "python.tar.gz").write_bytes(archive_)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        url = f"http://127.0.0.1:{server.server_port}"
        major, minor, patch = (int(number) for number in version.split("."))
        release = {
            "name": "cpython",
            "arch": {"family": platform.machine(), "variant": None},
            "os": "linux",
            "libc": "gnu",
            "major": major,
            "minor": minor,
            "patch": patch,
            "prerelease": "",
            "url": f"{url}/python.tar.gz",
            "sha256": hashlib.sha256(archive_).hexdigest(),
            "variant": None,
            "build": "20260101",
        }
        listed = {f"cpython-{version}-linux-{platform.machine()}-gnu": release}
        (folder / "list.json").write_text(json.dumps(listed))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"{url}/list.json", f"{major}.{minor}"
        server.shutdown()


def test_a_python_is_put_into_an_image_that_has_none(
    program, serve, home, registry, python, releases
) -> None:
    listed, version = releases
    rest, _ = split_python(python)
    reference = registry.push("tests/added", "1", Image([rest]))
    text = PROGRAM.format(reference=reference, options=f", add_python={version!r}")
    command = serve(program(text), UV_PYTHON_DOWNLOADS_JSON_URL=listed)
    answer = request(command.url()).json()
    assert (answer["version"], answer["prefix"]) == (
        [int(part) for part in version.split(".")],
        "/opt/python",
    )
    assert command.interrupt() == 0
    # It is here: nobody is asked again.
    again = serve(program(text), UV_PYTHON_DOWNLOADS_JSON_URL="http://127.0.0.1:9/")
    assert request(again.url()).status == 200
    # One that is not among them.
    text = PROGRAM.format(reference=reference, options=', add_python="3.14"')
    refused = home.run("serve", str(program(text)), UV_PYTHON_DOWNLOADS_JSON_URL=listed)
    assert refused.returncode == 1
    assert f"cannot put python 3.14 into {reference}: " in refused.stderr
    assert "UV_PYTHON_INSTALL_MIRROR" in refused.stderr


def test_a_python_that_an_image_has_is_not_added(program, serve, registry, python) -> None:
    version = ".".join(str(part) for part in small_version())
    reference = registry.push("tests/version", "1", Image([python]))
    text = PROGRAM.format(reference=reference, options=f", add_python={version!r}")
    command = serve(program(text), UV_PYTHON_DOWNLOADS_JSON_URL="http://127.0.0.1:9/")
    assert request(command.url()).json()["version"] == small_version()


SLIM = """
    import sys

    import modal

    app = modal.App(image=modal.Image.debian_slim(python_version={version!r}))

    @app.function()
    @modal.fastapi_endpoint()
    def f():
        return list(sys.version_info[:2])
"""


def test_a_debian_that_this_machine_cannot_make_is_pythons_own_image(
    program, shared, tmp_path, registry, python
) -> None:
    environment = shared.fresh(tmp_path, next(ports), "tools", "discovery", "cache")
    version = ".".join(str(part) for part in small_version())
    # A machine without mmdebstrap, and with everything else.
    programs = tmp_path / "bin"
    programs.mkdir()
    for folder in os.environ["PATH"].split(":"):
        for path in Path(folder).iterdir() if Path(folder).is_dir() else ():
            if path.name != "mmdebstrap" and not (programs / path.name).is_symlink():
                (programs / path.name).symlink_to(path)
    settings = {
        "PATH": str(programs),
        "PILOTLIGHT_BASE": "debian",
        "PILOTLIGHT_PYTHON_IMAGE": f"{registry.host}/tests/python:{{version}}",
    }
    file = program(SLIM.format(version=version))
    refused = environment.run("serve", str(file), **settings)
    assert refused.returncode == 1
    assert f"no Debian base with python {version}: mmdebstrap is not installed" in refused.stderr
    image = f"{registry.host}/tests/python:{version}"
    assert (
        f"; {image} would do as well, but cannot get {image}: the registry has no such image"
        in refused.stderr
    )
    registry.push("tests/python", version, Image([python]))
    command = environment.command("serve", str(file), **settings)
    try:
        command.wait_serving()
        assert request(command.url()).json() == small_version()
        assert f"on {image}" in command.output
    finally:
        command.end()
    bad = environment.run("serve", str(file), **settings | {"PILOTLIGHT_PYTHON_IMAGE": "No Image"})
    assert "PILOTLIGHT_PYTHON_IMAGE names no image of a registry" in bad.stderr


def small_version() -> list[int]:
    """Of `small_python`."""
    real = Path("/usr/bin/python3").resolve().name
    return [int(part) for part in real.removeprefix("python").split(".")]
