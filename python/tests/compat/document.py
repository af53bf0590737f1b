"""Writes the table as `docs/reference/compatibility.md`.

    python -m compat.document [--check]

With `--check` nothing is written, and the exit code is 1 when the file is not what would be.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from .areas import AREAS
from .eras import ERAS, eras
from .table import Area, Row

PATH = Path(__file__).resolve().parents[3] / "docs" / "reference" / "compatibility.md"
STATUS = {"works": "works", "notice": "notice", "refused": "refused"}
INTRODUCTION = """\
# Compatibility

Every name of Modal's interface, of 2022 and of today, and what becomes of it here:

* **works**: it takes effect; the test named observes that; where none is named, the row's own does.
* **notice**: it is accepted without effect, and the program's start says these words.
* **refused**: it raises this error.

The dots tell when Modal had the name. `…` stands for anything. This page is made by `cargo xtask generate`
from the table in `python/tests/compat`, whose tests hold it to the code: each public name and parameter has
its row, and each row its proof.
"""


def document() -> str:
    """The whole page."""
    parts = [INTRODUCTION, *(_chapter(area) for area in AREAS), _count()]
    return "\n".join(parts)


def _chapter(area: Area) -> str:
    lines = [f"## {area.title}", ""]
    if area.about:
        lines += [area.about, ""]
    dated = area.kind == "python"
    columns = ["name", *(ERAS if dated else ()), "", "proof, or what is said"]
    lines += ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for row in area.rows:
        cells = [", ".join(f"`{name}`" for name in row.names())]
        if dated:
            known = eras(row)
            cells += ["●" if era in known else "" for era in ERAS]
        cells += [STATUS[row.status], "<br>".join(_proof(row))]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _proof(row: Row) -> Iterator[str]:
    if row.words:
        words = " ".join(row.words.replace("NAME", "…").split())
        said = words.replace("``", "` `")
        fence = "``" if "`" in said else "`"
        pad = " " if "`" in said else ""
        error = f"{row.error}: " if row.error and not row.error.isdigit() else ""
        yield f"{error}{fence}{pad}{said}{pad}{fence}"
    for test in row.tests:
        yield f"`{test}`"


def _count() -> str:
    total: Counter[str] = Counter()
    lines = ["## Count", "", "| area | works | notice | refused |", "|---|---|---|---|"]
    for area in AREAS:
        count = Counter(dict.fromkeys(STATUS, 0))
        for row in area.rows:
            count[row.status] += len(row.names())
        total += count
        lines.append(f"| {area.title} | " + " | ".join(str(count[status]) for status in STATUS) + " |")
    lines.append("| **all** | " + " | ".join(f"**{total[status]}**" for status in STATUS) + " |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    """Runs the command line above and returns its exit code."""
    text = document()
    if arguments == ["--check"]:
        if PATH.exists() and PATH.read_text(encoding="utf-8") == text:
            return 0
        print(f"{PATH} is out of date: run `cargo xtask generate`", file=sys.stderr)
        return 1
    PATH.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
