"""Fixtures of the SDK's tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from sdk_project import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    folder = tmp_path / "project"
    folder.mkdir()
    return Project(folder)


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unsets what would place this process in a container or change the SDK's defaults."""
    for name in list(os.environ):
        if name.startswith(("PILOTLIGHT_", "MODAL_")):
            monkeypatch.delenv(name)
