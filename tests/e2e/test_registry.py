"""Images of an OCI registry as bases, from a real registry on loopback."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator

import pytest
from images import Image, Registry, archive, entry, file, small_python
from tools import request

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
            "variables": {{name: os.environ.get(name) for name in ["GREETING", "PATH"]}},
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
    settings = {"Env": ["PATH=/usr/bin:/bin", "GREETING=hello"], "WorkingDir": "/data"}
    reference = registry.push("tests/whole", "1", Image(layers, settings))
    options = ', setup_dockerfile_commands=["ENV MORE=$GREETING"]'
    command = serve(program(PROGRAM.format(reference=reference, options=options)))
    answer = request(command.url()).json()
    path = answer["variables"].pop("PATH")
    assert path == "/opt/venv/bin:/opt/python/bin:/usr/bin:/bin"
    assert answer["variables"] == {"GREETING": "hello"}
    assert (answer["prefix"], answer["cwd"]) == ("/opt/python", "/data")
    assert answer["data"] == {
        "/data/kept": "kept",
        "/data/link": "kept",
        "/data/replaced": "new",
        "/data/twin": "new",
        "/data/hidden/above": "above",
    }
    assert command.interrupt() == 0
