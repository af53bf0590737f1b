"""A user's project in a folder, and discovery run on it in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[3]
SDK_DIR = REPOSITORY / "python"


def sdk_environment(**extra: str) -> dict[str, str]:
    """This process's environment with the SDK of the repository, and nothing that would change discovery."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PILOTLIGHT_", "MODAL_")) and name != "PYTHONPATH"
    }
    return {**kept, "PYTHONPATH": str(SDK_DIR), **extra}


class Project:
    """A folder with a user's program, and the ways to look at it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str, text: str = "") -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    def run(
        self, *arguments: str, cwd: Path | None = None, python: str = sys.executable, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [python, *arguments],
            cwd=cwd or self.folder,
            env=sdk_environment(**environment),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def discover(self, *arguments: str, cwd: Path | None = None, **environment: str) -> dict[str, Any]:
        """The manifest, or the object with `error` in it; checks the exit code against it."""
        output = self.folder.parent / "manifest.json"
        run = self.run(
            "-m", "pilotlight._discover", "--output", str(output), *arguments, cwd=cwd, **environment
        )
        assert output.exists(), run.stderr
        result: dict[str, Any] = json.loads(output.read_text(encoding="utf-8"))
        assert run.returncode == (1 if "error" in result else 0), run.stderr
        return {**result, "stdout": run.stdout, "stderr": run.stderr}

    def manifest(self, text: str, name: str = "program.py") -> dict[str, Any]:
        """Writes a program and returns its manifest; fails with the error when there is one."""
        self.write(name, text)
        result = self.discover(name)
        assert "error" not in result, result
        return result

    def error(self, text: str, name: str = "program.py") -> dict[str, Any]:
        """Writes a program and returns what discovery says is wrong with it."""
        self.write(name, text)
        result = self.discover(name)
        assert "error" in result, result
        found: dict[str, Any] = result["error"]
        return found
