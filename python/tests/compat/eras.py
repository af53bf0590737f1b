"""When Modal had a name, from the reference."""

from __future__ import annotations

import functools

from . import reference, reference_today
from .table import Row, split

#: The columns of the document: August 2022 to May 2023, from then to May 2025, and since.
ERAS = ("2022", "2024", "1.x")


def eras(row: Row) -> set[str]:
    """The eras that have a name of the row, or one of its parameters where it names some."""
    found: set[str] = set()
    for name in row.names():
        path, parameters = split(name)
        given = {era for parameter in parameters for era in known().get(f"{path}({parameter})", set())}
        found |= given if parameters else known().get(path, set())
    return found


@functools.cache
def known() -> dict[str, set[str]]:
    """Paths, and paths with one parameter in brackets, to their eras."""
    found: dict[str, set[str]] = {}

    def note(era: str, name: str) -> None:
        found.setdefault(name, set()).add(era)

    for revision, text in reference.NAMES.items():
        for name in text.split():
            note({"1.6": "1.x", "2024": "2024"}.get(revision, "2022"), name)
    for era, text in zip(ERAS, (reference.OLD, reference.BRIDGE, reference_today.TODAY)):
        for path, parameters in reference.parse(text):
            note(era, path)
            for parameter in reference.parameter_names(parameters):
                note(era, f"{path}({parameter})")
    for (path, revision), text in reference.KEYWORDS.items():
        for name in text.split():
            note("2022" if revision <= "2023-05" else "2024", f"{path}({name})")
    for path, text in reference_today.KEYWORDS.items():
        for name in text.split():
            note("1.x", f"{path}({name})")
    for module, members in reference.MODULES.items():
        for name in ["", *members.split()]:
            era = "2024" if module == "runner" else "2022"
            note(era, f"{module}.{name}".rstrip("."))
    return found
