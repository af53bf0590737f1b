"""What images take on disk: listed, built ahead, told about, removed, and kept within their budget."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tools import Environment, Server, ports, request, wait_until

PROGRAM = """
    import modal

    image = modal.Image.debian_slim().run_commands("echo this is {name}; head -c 3000000 /dev/zero > /{name}")
    app = modal.App()

    @app.function(image=image)
    @modal.fastapi_endpoint()
    def {name}():
        return open("/{name}", "rb").read(1).hex()
"""


@pytest.fixture
def own(shared: Environment, tmp_path: Path) -> Environment:
    """A state directory whose images are this test's alone."""
    return shared.fresh(tmp_path, next(ports), "tools", "discovery", "cache")


@pytest.fixture
def daemon(own: Environment) -> Iterator[Server]:
    """A daemon of that state directory."""
    server = Server(own)
    server.start()
    yield server
    server.stop()


def images(environment: Environment) -> dict[str, dict]:
    told = environment.run("image", "list", "--json")
    return {image["id"]: image for image in json.loads(told.stdout)}


def build(environment: Environment, program, name: str) -> str:
    """Builds the image of a program of this name; its id."""
    file = program(PROGRAM.format(name=name), f"{name}.py")
    return environment.run("image", "build", str(file)).stdout.strip()


def test_images_are_built_listed_and_removed_without_a_server(own, program) -> None:
    assert "No images" in own.run("image", "list").stderr
    first, second = build(own, program, "one"), build(own, program, "two")
    listed = images(own)
    assert set(listed) == {first, second}
    assert all(image["own_bytes"] >= 3_000_000 and not image["in_use"] for image in listed.values())
    assert listed[first]["bytes"] > listed[first]["own_bytes"], "they share what is below"
    table = own.run("image", "list")
    assert re.search(rf"^{first}  host userland.* just now$", table.stdout, re.MULTILINE), table.stdout
    assert "MiB are taken of the" in table.stderr
    removed = own.run("image", "rm", first)
    assert removed.stdout == f"{first}\n"
    assert set(images(own)) == {second}
    assert own.run("image", "prune", "--keep", "1TiB", "--yes").stdout == "", "that is enough for all"
    (known,) = json.loads(own.run("image", "build", str(own.cwd / "two.py"), "--json").stdout)
    assert (known["id"], known["cached"]) == (second, True)
    # What both had is still there, so that one step alone is done again.
    again = own.run("image", "build", "-m", "one", "--python", sys.executable)
    assert again.stdout == f"{first}\n"
    assert len(re.findall(r"^✓ (?!Built|Uploaded)(?!.*cached)", again.stderr, re.MULTILINE)) == 1, (
        again.stderr
    )


def test_downloads_are_told_of_and_removed_apart(own: Environment) -> None:
    own.run("image", "list")
    (own.state / "cache").unlink()
    packages = own.state / "cache/uv-users/wheels"
    packages.mkdir(parents=True)
    (packages / "a.whl").write_bytes(bytes(3 << 20))
    assert "3 MiB of downloaded packages are kept for later builds" in own.run("image", "list").stderr
    own.run("image", "prune", "--yes")
    assert packages.exists()
    refused = own.run("image", "prune", "--downloads")
    assert refused.returncode == 1 and "add `--yes`" in refused.stderr
    assert "3 MiB are free again" in own.run("image", "prune", "--downloads", "--yes").stderr
    assert not packages.parent.exists()


def test_what_steps_printed_is_kept_also_of_one_that_failed(own, program) -> None:
    image = build(own, program, "said")
    log = own.run("image", "logs", image)
    assert "this is said\n" in log.stdout
    assert re.search(r"^── [0-9a-f]{12} run echo this is said", log.stderr, re.MULTILINE), log.stderr
    file = program(
        """
        import modal

        secret = modal.Secret.from_dict({"TOKEN": "hush-hush-4712"})
        image = modal.Image.debian_slim().run_commands(
            "for i in $(seq 50); do echo line $i; done; echo it is $TOKEN; exit 3", secrets=[secret]
        )
        app = modal.App()

        @app.function(image=image)
        @modal.fastapi_endpoint()
        def f():
            return 1
        """
    )
    failed = own.command("image", "build", str(file))
    assert failed.wait() == 1
    layer = re.search(r"`pilotlight image logs ([0-9a-f]{12})`", failed.output)
    assert layer, failed.output
    log = own.run("image", "logs", layer[1]).stdout.splitlines()
    assert log == [*(f"line {number}" for number in range(1, 51)), "it is ***"]
    assert "hush-hush" not in failed.output


def test_an_image_is_in_use_for_as_long_as_an_app_may_start_containers(daemon: Server, own, program) -> None:
    file = program(PROGRAM.format(name="kept"), "kept.py")
    url = daemon.deploy(file, "keeper")["kept"]
    idle = build(own, program, "idle")
    assert request(url).json() == "00"
    (used,) = (image for image in images(own).values() if image["apps"])
    assert (used["apps"], used["in_use"]) == (["keeper"], True)
    refused = own.command("image", "rm", used["id"])
    assert refused.wait() == 1
    assert "is in use" in refused.output and "image list" in refused.output
    assert own.run("image", "prune", "--yes").stdout == f"{idle}\n"
    daemon.stop()
    daemon.start()
    assert request(url).json() == "00", "what it is made of is there after a restart"
    own.run("app", "stop", "keeper", "--yes")
    # Its containers and zygotes end first.
    wait_until(lambda: not images(own)[used["id"]]["in_use"])
    assert own.run("image", "rm", used["id"]).stdout == f"{used['id']}\n"


def test_the_least_recently_used_leave_when_the_budget_is_spent(own, program, monkeypatch) -> None:
    first = build(own, program, "first")
    mebibytes = images(own)[first]["bytes"] >> 20
    monkeypatch.setenv("PILOTLIGHT_IMAGE_DISK", str(mebibytes + 1))
    server = Server(own)
    server.start()
    try:
        second = build(own, program, "second")
        wait_until(lambda: set(images(own)) == {second})
        assert f"of the {mebibytes + 1} MiB that images may take" in own.run("image", "list").stderr
    finally:
        server.stop()
