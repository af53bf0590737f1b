"""`modal.config.config`: the environment, then the profile in `~/.modal.toml`, then the default."""

from __future__ import annotations

from pathlib import Path

import pytest
from modal.config import config
from pilotlight.exception import InvalidError
from sdk_project import Project

FILE = r"""
# Written by hand.
[default]
token_id = "ak-1"
serve_timeout = 60  # seconds
automount = false

["other one"]
active = true
loglevel = 'DEBUG'
token_secret = "as-\"2\""
image_python_version = "3.12"
"""


@pytest.fixture(autouse=True)
def config_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / ".modal.toml"
    path.write_text(FILE)
    monkeypatch.setenv("HOME", str(tmp_path))
    return path


def test_the_active_profile_unless_another_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert config.get("loglevel") == config["loglevel"] == "DEBUG"
    assert (config["token_secret"], config["image_python_version"]) == ('as-"2"', "3.12")
    assert (config["serve_timeout"], config["automount"]) == (None, True)
    assert config.get("serve_timeout", profile="default") == 60.0
    monkeypatch.setenv("MODAL_PROFILE", "default")
    assert (config["loglevel"], config["serve_timeout"], config["automount"]) == ("WARNING", 60.0, False)


def test_the_environment_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODAL_LOGLEVEL", "INFO")
    assert config["loglevel"] == "INFO"
    assert config.get("loglevel", use_env=False) == "DEBUG"
    monkeypatch.setenv("PILOTLIGHT_LOGLEVEL", "ERROR")
    assert config["loglevel"] == "ERROR"
    monkeypatch.setenv("MODAL_AUTOMOUNT", "0")
    assert config["automount"] is False


def test_another_file_and_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text("[default]\ndev_suffix = 'me'\n")
    monkeypatch.setenv("MODAL_CONFIG_PATH", str(other))
    assert config["dev_suffix"] == "me"
    monkeypatch.setenv("MODAL_CONFIG_PATH", str(tmp_path / "none.toml"))
    assert config["dev_suffix"] == ""
    monkeypatch.delenv("MODAL_CONFIG_PATH")
    monkeypatch.setenv("PILOTLIGHT_IS_REMOTE", "1")
    assert config["loglevel"] == "WARNING"


def test_mistakes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="there is no setting 'nonsense'"):
        config.get("nonsense")
    monkeypatch.setenv("MODAL_SERVE_TIMEOUT", "soon")
    with pytest.raises(InvalidError, match="MODAL_SERVE_TIMEOUT"):
        config.get("serve_timeout")
    broken = tmp_path / "broken.toml"
    broken.write_text("[default]\ntoken_secret = as 2\n")
    monkeypatch.setenv("MODAL_CONFIG_PATH", str(broken))
    with pytest.raises(InvalidError, match=r"broken\.toml:2: write") as error:
        config.get("loglevel")
    assert "as 2" not in str(error.value)


def test_tokens_are_not_shown() -> None:
    assert "DEBUG" in repr(config) and "as-" not in repr(config)


def test_settings_of_modals_file_are_in_the_manifest(project: Project) -> None:
    file = project.write("modal.toml", '[default]\ndev_suffix = "me"\nserve_timeout = 3\n')
    project.write("program.py", "import modal\nstub = modal.Stub()\n@stub.webhook\ndef f(): ...\n")
    found = project.discover("program.py", MODAL_CONFIG_PATH=str(file))
    assert found["settings"] == {"serve_timeout": 3.0, "dev_suffix": "me"}
    found = project.discover("program.py", HOME=str(project.folder))
    assert found["settings"] == {"serve_timeout": None, "dev_suffix": None}
