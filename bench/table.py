"""The lines of the table, and what all that measure share."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from serving import Serve

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent


@dataclass
class Row:
    """One line of the table: what was measured, and every sample."""

    name: str
    unit: str
    samples: list[float]
    note: str = ""

    def at(self, share: float) -> float:
        """The sample below which `share` of all lie (nearest rank)."""
        ordered = sorted(self.samples)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def line(self) -> str:
        """As a line of a Markdown table."""
        middle = statistics.median(self.samples)
        numbers = f"{middle:.2f} | {self.at(0.99):.2f} | {max(self.samples):.2f}"
        return f"| {self.name} | {self.unit} | {numbers} | {len(self.samples)} | {self.note} |"


@dataclass
class Bench:
    """What the rows share: the binary, the folders, the CPUs, how often to measure."""

    binary: Path
    folder: Path
    uv: str
    client_cpus: set[int]
    server_cpus: set[int]
    cold: int
    warm: int
    saves: int
    soak: float
    python: str = ""
    image: dict[str, str] = field(default_factory=dict[str, str])
    runner: dict[str, str] = field(default_factory=dict[str, str])

    def learn_versions(self, told: dict[str, Any]) -> None:
        """What `/versions` of the program `warm` says: of Python, in the image, in the runner's layer."""
        self.python, self.image, self.runner = told["python"], told["image"], told["runner"]

    def serve(self, file: Path) -> Serve:
        """`pilotlight serve` with a state directory that later runs find again: images are built once."""
        environment = {"PILOTLIGHT_STATE_DIR": str(self.folder / "state"), "NO_COLOR": "1"}
        return Serve(self.binary, file, environment, self.server_cpus)

    def program(self, name: str) -> Path:
        """A copy of a program, in a folder of its own."""
        folder = self.folder / "programs" / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return Path(shutil.copy(HERE / "programs" / f"{name}.py", folder))


def same_python(bench: Bench) -> tuple[Path, list[str]]:
    """An environment with the very versions that the container runs, and uvicorn's options to match."""
    served = {
        n: bench.runner[n] for n in ("uvicorn", "uvloop", "httptools", "h11", "click") if n in bench.runner
    }
    app = {
        n: bench.image[n] for n in ("fastapi", "starlette", "pydantic", "pydantic-core") if n in bench.image
    }
    folder = bench.folder / "direct"
    packages = [f"{name}=={version}" for name, version in {**app, **served}.items()]
    uv = [bench.uv, "--quiet", "--no-config"]
    subprocess.run([*uv, "venv", "--clear", "--python", sys.executable, str(folder)], check=True)
    python = folder / "bin" / "python"
    subprocess.run([*uv, "pip", "install", "--python", str(python), *packages], check=True)
    loop = "uvloop" if "uvloop" in served else "asyncio"
    http = "httptools" if "httptools" in served else "h11"
    return python, ["--no-access-log", "--log-level", "warning", "--loop", loop, "--http", http]
