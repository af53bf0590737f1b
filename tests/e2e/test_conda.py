"""Images of conda packages: the real solver and installer, against a stand-in for channels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import wheels
from channel import PLACEHOLDER, Channels
from images import small_python
from ordinary import User, account
from tools import Environment, request

PROGRAM = """
    import importlib
    import os
    import shutil
    import sys

    import modal

    app = modal.App()
    image = {image}

    @app.function(image=image)
    @modal.fastapi_endpoint()
    def f():
        found = {{}}
        for name in ["alpha", "beta", "gamma", "extra", "clash"]:
            try:
                module = importlib.import_module(name)
            except ImportError:
                continue
            found[name] = getattr(module, "VERSION", None) or module.FROM
        prefix = getattr(sys.modules.get("alpha"), "PREFIX", None)
        told = open("/told").read().split() if os.path.exists("/told") else []
        own = [sys.prefix, sys.base_prefix, os.path.realpath(shutil.which("python") or "")]
        version = list(sys.version_info[:2])
        return {{"found": found, "prefix": prefix, "own": own, "version": version, "told": told}}
"""


@pytest.fixture(scope="module")
def channels(tmp_path_factory) -> Iterator[Channels]:
    with Channels(tmp_path_factory.mktemp("channels")) as channels:
        channels.add_python(small_python())
        channels.add_module("alpha", "1.0")
        # Of December 2022.
        channels.add_module("alpha", "2.0", timestamp=1_670_000_000_000)
        channels.add_module("beta", "1.0", "alpha <2", packed=".tar.bz2")
        channels.add_module("clash", "1.0", "alpha >=2")
        channels.add_module("gamma", "1.0", channel="other")
        script = f"#!/bin/sh\necho hello from {PLACEHOLDER}\n".encode()
        linked = b"#!/bin/sh\necho $PKG_NAME > $PREFIX/linked\n"
        files = {"bin/tool": script, "bin/.tool-post-link.sh": linked}
        channels.add("tool", "1.0", files, noarch=False)
        yield channels


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    """A user with subordinate ids."""
    with account(subordinate=True) as user:
        yield user


def micromamba(channels: Channels) -> str:
    """The base of the channel's Python."""
    return f'modal.Image.micromamba(python_version="{channels.python}")'


def test_conda_packages_are_installed_and_pips_on_top(program, serve, channels, tmp_path: Path) -> None:
    # pip sees what conda has installed.
    wheels.wheel(tmp_path / "wheels", "extra", "1.0", "alpha<2")
    image = (
        f"{micromamba(channels)}.micromamba_install('beta', 'tool')"
        ".micromamba_install('gamma', channels=['other'])"
        ".add_local_dir('wheels', '/wheels', copy=True)"
        ".pip_install('extra', find_links='/wheels')"
        ".run_commands('tool > /told', 'cat /opt/venv/linked >> /told')"
        ".run_commands('pip --version | grep -o /opt/venv/lib >> /told')"
        ".run_commands('python -c \"import beta, extra; print(1)\" >> /told')"
    )
    file = program(PROGRAM.format(image=image))
    command = serve(file, CONDA_CHANNEL_ALIAS=channels.alias)
    answer = request(command.url()).json()
    assert answer["found"] == {"alpha": "1.0", "beta": "1.0", "gamma": "1.0", "extra": "wheel"}
    assert answer["version"] == [int(part) for part in channels.python.split(".")]
    # The image's Python is the prefix's, and what names the prefix in packages was replaced.
    assert answer["own"][:2] == ["/opt/venv", "/opt/venv"]
    assert answer["own"][2].startswith("/opt/venv/bin/python")
    assert answer["prefix"] == "/opt/venv"
    assert answer["told"] == ["hello", "from", "/opt/venv", "tool", "/opt/venv/lib", "1"]
    assert command.interrupt() == 0
    # It is here: no channel is asked again.
    again = serve(file, CONDA_CHANNEL_ALIAS="http://127.0.0.1:9")
    assert request(again.url()).json() == answer


def test_an_environment_file_is_installed_with_pips_part(program, serve, channels, tmp_path: Path) -> None:
    wheels.wheel(tmp_path / "wheels", "extra", "1.0")
    wheels.wheel(tmp_path / "wheels", "alpha", "3.0")
    file = tmp_path / "environment.yml"
    file.write_text(
        "name: mine\nchannels: [other, nodefaults, conda-forge]\n"
        "dependencies:\n  - gamma=1.0\n  - pip:\n    - --find-links /wheels\n    - extra\n    - alpha\n"
    )
    (tmp_path / "more.yml").write_text("dependencies:\n- beta\n")
    image = (
        f"{micromamba(channels)}.add_local_dir('wheels', '/wheels', copy=True)"
        ".micromamba_install(spec_file='environment.yml')"
    )
    command = serve(program(PROGRAM.format(image=image)), CONDA_CHANNEL_ALIAS=channels.alias)
    assert request(command.url()).json()["found"] == {"alpha": "wheel", "gamma": "1.0", "extra": "wheel"}
    assert command.interrupt() == 0
    # What a later step names wins, whoever installed it before.
    image += ".conda_update_from_environment('more.yml')"
    command = serve(program(PROGRAM.format(image=image)), CONDA_CHANNEL_ALIAS=channels.alias)
    found = {"gamma": "1.0", "extra": "wheel"}
    assert request(command.url()).json()["found"] == {**found, "alpha": "1.0", "beta": "1.0"}
    # The content of the file is what the layer is.
    (tmp_path / "more.yml").write_text("dependencies:\n- clash\n")
    assert command.interrupt() == 0
    command = serve(program(PROGRAM.format(image=image)), CONDA_CHANNEL_ALIAS=channels.alias)
    assert request(command.url()).json()["found"] == {**found, "alpha": "2.0", "clash": "1.0"}


def test_packages_are_those_of_a_day(program, serve, channels) -> None:
    image = f"{micromamba(channels)}.micromamba_install('alpha', 'gamma', channels=['other'])"
    dated = {"PILOTLIGHT_EXCLUDE_NEWER": "2022-11-30", "CONDA_CHANNEL_ALIAS": channels.alias}
    command = serve(program(PROGRAM.format(image=image)), **dated)
    assert request(command.url()).json()["found"] == {"alpha": "1.0", "gamma": "1.0"}
    assert command.interrupt() == 0
    command = serve(program(PROGRAM.format(image=image)), CONDA_CHANNEL_ALIAS=channels.alias)
    assert request(command.url()).json()["found"] == {"alpha": "2.0", "gamma": "1.0"}


@pytest.mark.parametrize(
    ("step", "file", "told"),
    [
        (".micromamba_install('nowhere')", "", "No candidates were found for nowhere *"),
        (".micromamba_install('beta', 'clash')", "", "The following packages are incompatible"),
        (".micromamba_install('alpha=')", "", "`alpha=` is no conda package: "),
        (".micromamba_install('python=3.8')", "", 'write micromamba(python_version="3.8")'),
        (".micromamba_install('alpha', channels=['none'])", "", "a conda channel gave no packages: "),
        (".conda_update_from_environment('e.yml')", "dependencies: [a\n", "e.yml, line 2: "),
        (".conda_update_from_environment('e.yml')", "- alpha\n", "e.yml is no conda environment"),
        (".conda_update_from_environment('e.yml')", "dependencies: [{a: b}]\n", "e.yml: a dependency is"),
        (".conda_update_from_environment('e.yml')", "dependencies: [pip: [-e .]]\n", "the option `-e .`"),
    ],
)
def test_mistakes_are_told_without_a_traceback(
    program, home: Environment, channels, tmp_path: Path, step: str, file: str, told: str
) -> None:
    (tmp_path / "e.yml").write_text(file)
    text = PROGRAM.format(image=micromamba(channels) + step)
    done = home.run("serve", str(program(text)), CONDA_CHANNEL_ALIAS=channels.alias)
    assert done.returncode == 1
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_channel_that_is_not_there_is_named(program, home: Environment) -> None:
    text = PROGRAM.format(image="modal.Image.conda()")
    alias = "http://me:hush@127.0.0.1:9/t/tk-4711"
    done = home.run("serve", str(program(text)), CONDA_CHANNEL_ALIAS=alias)
    assert done.returncode == 1
    assert "a conda channel gave no packages: " in done.stderr
    assert "asked: http://***@127.0.0.1:9/t/***/conda-forge/ " in done.stderr
    assert "hush" not in done.stderr and "4711" not in done.stderr
    assert "CONDA_CHANNEL_ALIAS" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_prefix_stands_on_a_debian_and_takes_its_packages(program, serve, channels) -> None:
    image = f"{micromamba(channels)}.apt_install('tree').micromamba_install('beta')"
    image += ".run_commands('command -v tree > /told')"
    here = {"PILOTLIGHT_BASE": "debian", "CONDA_CHANNEL_ALIAS": channels.alias}
    command = serve(program(PROGRAM.format(image=image)), **here)
    answer = request(command.url()).json()
    assert answer["told"] == ["/usr/bin/tree"]
    assert (answer["found"], answer["own"][0]) == ({"alpha": "1.0", "beta": "1.0"}, "/opt/venv")


def test_an_ordinary_user_has_packages_of_conda(user: User, channels) -> None:
    image = f"{micromamba(channels)}.micromamba_install('beta')"
    file = user.program(PROGRAM.format(image=image))
    command = user.command("serve", file, CONDA_CHANNEL_ALIAS=channels.alias)
    try:
        command.wait_serving()
        answer = request(command.url()).json()
        assert answer["found"] == {"alpha": "1.0", "beta": "1.0"}
    finally:
        command.end()
