"""What a row of the table is, and how its name is read. Plain data.

A row's name is written as users write it: `@stub.webhook(method=…)`, `Image.apt_install(packages)`. One row
may hold several names, separated by commas. In words and snippets `NAME` stands for each of them in turn.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Row:
    """One line of the table and what proves it."""

    name: str
    status: str
    """`works`, `notice` or `refused`."""
    tests: tuple[str, ...] = ()
    """Ids of tests, below `python/tests` or `tests`: `sdk/test_mount.py::test_condition`."""
    snippet: str = ""
    expect: str = ""
    """Of a row that works: what holds of the manifest `m`, its first function `f` and its image `image`."""
    error: str = ""
    words: str = ""
    """What is said; `…` stands for anything."""
    how: str = "discover"
    """`discover` as the command does, or `script` as `python FILE` does."""
    environment: Mapping[str, str] = field(default_factory=dict)

    def names(self) -> list[str]:
        """The names of the row, one by one."""
        return re.split(r",\s*(?![^(]*\))", self.name)

    def checks(self) -> Iterator[tuple[str, Row]]:
        """The row once per name, `NAME` filled in."""
        for name in self.names():
            base = split(name)[0]
            filled = {
                attribute: getattr(self, attribute).replace("NAME", base.rpartition(".")[2])
                for attribute in ("snippet", "expect", "words")
            }
            yield name, Row(**{**self.__dict__, "name": name, **filled})
            if "NAME" not in self.snippet + self.words:
                return


@dataclass(frozen=True)
class Area:
    """A chapter of the document."""

    title: str
    about: str
    rows: tuple[Row, ...]
    kind: str = "python"
    """`python`: names are looked up in the package; `command`, `variable`, `free`: not Python's."""


def works(name: str, *tests: str, sees: str = "", expect: str = "", does: str = "") -> Row:
    """It takes effect: `tests` see it, or discovery of `sees` gives `expect`, or the script `does` passes."""
    if does:
        return Row(name, "works", tests, does, how="script")
    return Row(name, "works", tests, sees, expect)


def notice(name: str, words: str, snippet: str) -> Row:
    """It is accepted without effect, and the program's start says `words`."""
    return Row(name, "notice", (), snippet, words=words)


def refused(
    name: str,
    error: str,
    words: str,
    snippet: str = "",
    *tests: str,
    how: str = "discover",
    environment: Mapping[str, str] | None = None,
) -> Row:
    """It raises `error` with `words`: running the snippet shows it, or `tests` do."""
    return Row(name, "refused", tests, snippet, "", error, words, how, environment or {})


def split(name: str) -> tuple[str, list[str]]:
    """The dotted path below `modal` and the parameters of a row's name.

    >>> split("@stub.webhook(method=…, label=…)")
    ('Stub.webhook', ['method', 'label'])
    """
    path, _, inside = name.strip().lstrip("@").partition("(")
    for written, meant in (("modal.", ""), ("stub.", "Stub."), ("app.", "App.")):
        if path.startswith(written):
            path = meant + path[len(written) :]
            break
    parameters = [part.strip().lstrip("*") for part in inside.rstrip(")").split(",")]
    return path, [parameter.partition("=")[0] for parameter in parameters if parameter not in ("", "…", "/")]


def matches(words: str, said: str) -> bool:
    """Whether `said` is `words`, where `…` in `words` is anything; white space counts as one space."""
    pattern = ".*".join(re.escape(" ".join(part.split())) for part in words.split("…"))
    spaces = re.sub(r"(\\ )+", r"\\s*", pattern)
    return re.fullmatch(spaces, " ".join(said.split()), re.DOTALL) is not None
