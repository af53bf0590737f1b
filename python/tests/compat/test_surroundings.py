"""What holds of all names at once: keywords on every decorator, traces without our frames, settings."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import modal
import pytest
from pilotlight import _options

from . import reference, reference_today
from .areas.settings import SETTINGS, UNREAD
from .snippet import REPOSITORY, plain, program


@pytest.mark.parametrize("name", sorted(_options.StubOptions.__optional_keys__))
def test_every_decorator_of_a_stub_takes_every_keyword(name: str) -> None:
    stub = modal.Stub("x")
    for decorator in ("function", "webhook", "asgi", "wsgi", "generator"):
        handle = getattr(stub, decorator)(**{name: None})(handler)
        assert handle.get_raw_f() is handler


@pytest.mark.parametrize(
    ("decorator", "revision"), [key for key in reference.KEYWORDS if key[0] != "Stub.function"]
)
def test_the_keywords_of_a_revision_are_taken_together(decorator: str, revision: str) -> None:
    given = {"method": "GET", "wait_for_response": True}
    options = {name: given.get(name) for name in reference.KEYWORDS[decorator, revision].split()}
    stub = modal.Stub("x")
    getattr(stub, decorator.partition(".")[2])(**options)(handler)
    assert len(list(stub.registered_functions)) == 1


def test_classes_take_the_keywords_of_functions() -> None:
    given = dict.fromkeys(reference_today.KEYWORDS["App.cls"].split())
    given["timeout"] = 10
    made = modal.App("x").cls(**given)(type("C", (), {}))
    assert made.__name__ == "C"
    for name in ("schedule", "name", "is_generator"):
        with pytest.raises(TypeError, match=f"unexpected keyword argument '{name}'"):
            modal.App("x").cls(**{name: None})


def test_parameters_of_the_hosted_service_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr("pilotlight._launch.serve", lambda app, timeout: asked.append("serve"))
    monkeypatch.setattr(
        "pilotlight._launch.deploy", lambda app, name: asked.append(name) or {"app": {}, "urls": {}}
    )
    monkeypatch.setattr("pilotlight._deployed.find", lambda name: {"id": "ap-1", "name": name})
    stub, app, shown = (
        modal.Stub("s"),
        modal.App("a"),
        {"client": None, "stdout": None, "show_progress": True},
    )
    stub.serve(**shown)
    app.serve(**shown)
    stub.deploy(namespace=1, object_entity="ap", environment_name="main", **shown)
    app.deploy(environment_name="main", client=None)
    assert asked == ["serve", "serve", "s", "a"]
    assert modal.App.lookup("x", client=None, environment_name="main").app_id == "ap-1"
    stub.run(environment_name="main", **shown)
    app.run(client=None, environment_name="main")
    modal.Function.from_name("x", "f", client=None, namespace=1, environment_name="main")
    modal.Cls.from_name("x", "C", client=None, namespace=1, environment_name="main", workspace="w")


def handler() -> None:
    """An endpoint."""


MISTAKES = [
    "stub.deploy('my app')",
    "@stub.webhook(metod='POST')",
    "@app.function()\ndef f(): ...\nf()",
    "modal.Image()",
    "modal.Secret({'A': 1})",
    "@app.function()\n@modal.fastapi_endpoint\ndef f(): ...",
    "modal.Mount('/x', local_dir='nothing')",
    "modal.Cloud",
]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_python_file_shows_the_users_lines_and_none_of_ours(mistake: str, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(program(mistake), encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, "program.py"],
        cwd=tmp_path,
        env={**plain(), "PYTHONPATH": str(REPOSITORY / "python")},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode == 1
    assert 'program.py", line' in ran.stderr
    assert str(REPOSITORY / "python" / "pilotlight") not in ran.stderr


def test_every_setting_is_told() -> None:
    told = {name for row in SETTINGS.rows for name in row.names()}
    wanted = {*reference_today.SETTINGS.split(), *reference_today.CONTAINER_VARIABLES.split()}
    assert {f"MODAL_{name}" for name in wanted} == told | {f"MODAL_{name}" for name in UNREAD.split()}


def test_settings_without_a_meaning_are_not_in_the_code() -> None:
    code = "".join(
        path.read_text(encoding="utf-8")
        for folder, kind in (
            ("crates", "*.rs"),
            ("python/pilotlight", "*.py"),
            ("python/_pilotlight_runner", "*.py"),
        )
        for path in (REPOSITORY / folder).rglob(kind)
        if "tests" not in path.parts
    )
    assert [name for name in UNREAD.split() if re.search(rf"MODAL_{name}\b", code)] == []
