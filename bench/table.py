"""The lines of the table, and what all that measure share."""

from __future__ import annotations

import shutil
import statistics
from dataclasses import dataclass, field
from pathlib import Path

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
    python: str = ""
    image: dict[str, str] = field(default_factory=dict[str, str])
    runner: dict[str, str] = field(default_factory=dict[str, str])

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
