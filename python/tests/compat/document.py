"""Writes the table as `docs/reference/compatibility.md`.

    python -m compat.document [--check]

With `--check` nothing is written, and the exit code is 1 when the file is not what would be.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from .areas import AREAS
from .eras import ERAS, eras
from .table import Area, Row, split

PATH = Path(__file__).resolve().parents[3] / "docs" / "reference" / "compatibility.md"
STATUS = ("works", "notice", "refused")
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
    columns = ["name", *(ERAS if area.kind == "python" else ()), "", "proof, or what is said"]
    lines += ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for cells, rows in _merged(area).items():
        names = [name for row in rows for name in row.names()]
        names = _shown(names) if area.kind == "python" else names
        proof = "<br>".join(_proof(rows[0], whole=len(rows) == 1))
        shown = [", ".join(f"`{name}`" for name in names), *cells[:-1], proof]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in shown) + " |")
    return "\n".join(lines) + "\n"


def _merged(area: Area) -> dict[tuple[str, ...], list[Row]]:
    """Rows that say the same of other names, by what they have in common: eras, status and proof."""
    found: dict[tuple[str, ...], list[Row]] = {}
    for row in area.rows:
        known = eras(row)
        dated = ["●" if era in known else "" for era in ERAS] if area.kind == "python" else []
        proof = "<br>".join(_proof(row, whole=False))
        found.setdefault((*dated, row.status, proof), []).append(row)
    return found


def _shown(names: list[str]) -> list[str]:
    """`names`, where parameters of one callable stand together."""
    parameters: dict[str, list[str]] = {}
    for name in names:
        path, _, inside = name.partition("(")
        parameters.setdefault(path, []).extend([inside[:-1]] if inside else [])
    return [f"{path}({', '.join(inside)})" if inside else path for path, inside in parameters.items()]


def _proof(row: Row, whole: bool) -> Iterator[str]:
    if row.words:
        words = row.words.replace("NAME", "…") if whole else _template(row)
        said = re.sub("……+", "…", " ".join(words.split()))
        fence, pad = ("``", " ") if "`" in said else ("`", "")
        error = f"{row.error}: " if row.error and not row.error.isdigit() else ""
        yield f"{error}{fence}{pad}{said}{pad}{fence}"
    for test in row.tests:
        yield f"`{test}`"


def _template(row: Row) -> str:
    """The row's words, with `…` for the names that the row is about."""
    words = row.words.replace("NAME", "…")
    for name in row.names():
        path, parameters = split(name)
        for about in parameters or [path.rpartition(".")[2]]:
            words = re.sub(rf"(?<![\w.]){re.escape(about)}(?=[=(])|(?<=\.){re.escape(about)}\b", "…", words)
    return words


def _count() -> str:
    total: Counter[str] = Counter()
    lines = ["## Count", "", "| area | works | notice | refused |", "|---|---|---|---|"]
    for area in AREAS:
        count = Counter(dict.fromkeys(STATUS, 0))
        for row in area.rows:
            count[row.status] += sum(len(split(name)[1]) or 1 for name in row.names())
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
