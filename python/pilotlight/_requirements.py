"""Reads requirements.txt and pyproject.toml into package lists. Touches only the files it is told of."""

from __future__ import annotations

import importlib
import os
from typing import Any, NamedTuple, cast

from .exception import InvalidError, NotFoundError

_VALUE_OPTIONS = {
    "-i": "index_url",
    "--index-url": "index_url",
    "--extra-index-url": "extra_index_url",
    "-f": "find_links",
    "--find-links": "find_links",
}


class Requirements(NamedTuple):
    """What a requirements file asks for."""

    packages: list[str]
    """PEP 508 requirements in the file's order."""
    options: dict[str, Any]
    """Keywords of `Image.pip_install` that the file sets."""
    files: list[str]
    """Absolute paths of the files that were read."""


def read_requirements(path: str | os.PathLike[str]) -> Requirements:
    """Reads a requirements file and those it names with `-r` (pip's requirements file format).

    Raises `NotFoundError`, and `InvalidError` for an option that cannot be honoured.
    """
    found = Requirements([], {}, [])
    _read_into(os.path.abspath(os.path.expanduser(os.fspath(path))), found)
    return found


def read_pyproject(path: str | os.PathLike[str], groups: list[str]) -> Requirements:
    """Reads `project.dependencies` and the named `project.optional-dependencies`.

    Raises `NotFoundError` for a missing file, `InvalidError` for one without dependencies or the group.
    """
    path = os.path.abspath(os.path.expanduser(os.fspath(path)))
    _check_file(path)
    with open(path, "rb") as file:
        project = _load_toml(path, file.read()).get("project", {})
    if "dependencies" not in project:
        raise InvalidError(f"{path} has no project.dependencies")
    packages: list[str] = list(project["dependencies"])
    optional = project.get("optional-dependencies", {})
    for group in groups:
        if group not in optional:
            known = ", ".join(optional) or "none"
            raise InvalidError(f"{path} has no optional dependencies {group!r} (it has: {known})")
        packages += optional[group]
    return Requirements(packages, {}, [path])


def _read_into(path: str, found: Requirements) -> None:
    if path in found.files:
        return
    _check_file(path)
    found.files.append(path)
    with open(path, encoding="utf-8") as file:
        text = file.read().replace("\\\n", " ")
    for number, raw_line in enumerate(text.splitlines(), 1):
        line = raw_line.partition(" #")[0].strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("-"):
            _read_option(path, number, line, found)
        elif " --hash" in line:
            raise InvalidError(f"{path}:{number}: --hash is not built yet; leave the hashes out")
        else:
            found.packages.append(line)


def _read_option(path: str, number: int, line: str, found: Requirements) -> None:
    name, _, value = (
        line.replace("=", " ", 1).partition(" ") if line.startswith("--") else line.partition(" ")
    )
    value = value.strip()
    if name in ("-r", "--requirement"):
        _read_into(os.path.join(os.path.dirname(path), value), found)
    elif name == "--pre":
        found.options["pre"] = True
    elif name in _VALUE_OPTIONS:
        found.options[_VALUE_OPTIONS[name]] = value
    else:
        raise InvalidError(f"{path}:{number}: the option {name} of requirements files is not built yet")


def _check_file(path: str) -> None:
    if not os.path.isfile(path):
        raise NotFoundError(f"there is no file {path}")


def _load_toml(path: str, data: bytes) -> dict[str, Any]:
    # `tomllib` came with Python 3.11; before it, whichever copy of the same parser is at hand.
    for name in ("tomllib", "tomli", "pip._vendor.tomli"):
        try:
            parser = importlib.import_module(name)
        except ImportError:
            continue
        try:
            return cast("dict[str, Any]", parser.loads(data.decode()))
        except ValueError as error:
            raise InvalidError(f"{path}: {error}") from None
    raise InvalidError(f"reading {path} needs Python 3.11 or newer, or `pip install tomli`")
