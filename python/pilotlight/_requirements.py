"""Reads requirements.txt and pyproject.toml into package lists. Touches only the files it is told of."""

from __future__ import annotations

import importlib
import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from . import _files
from .exception import InvalidError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping

_VALUE_OPTIONS = {
    "-i": "index_url",
    "--index-url": "index_url",
    "--extra-index-url": "extra_index_url",
    "-f": "find_links",
    "--find-links": "find_links",
}

# Options that say how pip reports or caches, not what it installs.
_HARMLESS_OPTIONS = frozenset(
    "-q --quiet -v --verbose --no-cache-dir --no-input --disable-pip-version-check --progress-bar=off "
    "--root-user-action=ignore --prefer-binary".split()
)

# Options that uv takes as pip does, and those of uv's own that programs name; the second have a value.
_PASSED = frozenset(
    "--no-deps --upgrade --reinstall --no-build --no-build-isolation --no-sources --exact --strict "
    "--require-hashes".split()
)
_PASSED_VALUES = frozenset(
    "--no-binary --only-binary --upgrade-package --reinstall-package --resolution --prerelease "
    "--index-strategy --exclude-newer --torch-backend --config-setting --no-build-isolation-package".split()
)
_OTHER_NAMES = {"-U": "--upgrade", "--force-reinstall": "--reinstall", "-C": "--config-setting"}

# The same of `uv sync`.
_SYNC = (_PASSED - {"--require-hashes"}) | frozenset(
    "--no-dev --only-dev --dev --all-groups --no-default-groups --all-extras --no-editable".split()
)
_SYNC_VALUES = _PASSED_VALUES | frozenset("--no-group --only-group --no-extra --no-install-package".split())


_BEFORE_HASH = re.compile(r"\s+--hash[=\s]\s*")


class Requirements(NamedTuple):
    """What a requirements file asks for."""

    packages: list[str]
    """PEP 508 requirements in the file's order."""
    options: dict[str, Any]
    """Keywords of `Image.pip_install` that the file sets."""
    files: list[str]
    """Absolute paths of the files that were read."""

    def joined(self, other: Requirements) -> Requirements:
        """Both; `InvalidError` when they set an option to different values."""
        options, clashing = merged(self.options, other.options)
        if clashing:
            raise InvalidError(f"requirements files with two values of {clashing} are not built yet")
        return Requirements(self.packages + other.packages, options, self.files + other.files)


def read_requirements(path: str | os.PathLike[str]) -> Requirements:
    """Reads a requirements file and those it names with `-r` (pip's requirements file format).

    Raises `NotFoundError`, and `InvalidError` for an option that cannot be honoured.
    """
    found = Requirements([], {}, [])
    _read_into(_files.absolute(path), found)
    return found


def read_pyproject(path: str | os.PathLike[str], groups: list[str]) -> Requirements:
    """Reads `project.dependencies` and the named `project.optional-dependencies`.

    Raises `NotFoundError` for a missing file, `InvalidError` for one without dependencies or the group.
    """
    path = _files.absolute(path)
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


class Options(NamedTuple):
    """What `extra_options=` of a method says."""

    keywords: dict[str, Any]
    """Those that are keywords of `Image.pip_install`."""
    passed: list[str]
    """Those that are handed on to uv, each `--name` or `--name=value`."""
    unknown: list[str]
    """Those that neither are nor can be left out."""


def read_options(method: str, text: str, sync: bool = False) -> Options:
    """Options of pip, or with `sync` of `uv sync`, as they are written on a command line.

    Raises `InvalidError` for what is no string or ends within a quotation.
    """
    import shlex

    if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidError(f"{method}: extra_options must be a string, not {text!r}")
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise InvalidError(f"{method}: extra_options={text!r}: {error}") from None
    flags, valued = (_SYNC, _SYNC_VALUES) if sync else (_PASSED, _PASSED_VALUES)
    found = Options({}, [], [])
    while words:
        name, equals, value = words.pop(0).partition("=")
        given = name + equals + value
        name = _OTHER_NAMES.get(name, name)
        keyword = None if sync else _VALUE_OPTIONS.get(name)
        if name == "--pre" and not equals and not sync:
            found.keywords["pre"] = True
        elif name in flags and not equals:
            found.passed.append(name)
        elif name in valued and (equals or words):
            found.passed.append(f"{name}={value if equals else words.pop(0)}")
        elif keyword and (equals or words) and keyword not in found.keywords:
            found.keywords[keyword] = value if equals else words.pop(0)
        elif given not in _HARMLESS_OPTIONS:
            found.unknown.append(given)
    return found


def merged(*given: Mapping[str, Any]) -> tuple[dict[str, Any], str | None]:
    """The options of all, and the name of one that has two values, or None."""
    found: dict[str, Any] = {}
    for options in given:
        for name, value in options.items():
            if found.setdefault(name, value) != value:
                return found, name
    return found, None


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
        else:
            # With one space before each hash, which is how the server finds them.
            found.packages.append(_BEFORE_HASH.sub(" --hash=", line))


def _read_option(path: str, number: int, line: str, found: Requirements) -> None:
    name, _, value = (
        line.replace("=", " ", 1).partition(" ") if line.startswith("--") else line.partition(" ")
    )
    value = value.strip()
    if name in ("-r", "--requirement"):
        _read_into(os.path.join(os.path.dirname(path), value), found)
    elif name == "--pre":
        found.options["pre"] = True
    elif line == "--require-hashes":
        found.options["require_hashes"] = True
    elif name in _VALUE_OPTIONS:
        option = _VALUE_OPTIONS[name]
        if found.options.setdefault(option, value) != value:
            raise InvalidError(f"{path}:{number}: a second {name} is not built yet")
    else:
        raise InvalidError(f"{path}:{number}: the option {name} of requirements files is not built yet")


def _check_file(path: str) -> None:
    _files.note_read(path)
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
