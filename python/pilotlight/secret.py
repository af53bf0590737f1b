"""`Secret`: environment variables for a function's container."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from . import _files, config
from ._later import not_built
from .exception import InvalidError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping


class Secret:
    """Environment variables, given in the program. Values never appear in `repr`.

    `env_dict` maps names to strings; a value of None is left out (Modal's rule for `from_dict`).
    Raises `InvalidError` for names or values that are not strings.
    """

    def __init__(self, env_dict: Mapping[str, str | None] | None = None, template_type: str = "") -> None:
        self._env: dict[str, str] = {}
        self._unbuilt: str | None = None
        for name, value in (env_dict or {}).items():
            _check_name(name)
            if value is None:
                continue
            if not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise InvalidError(
                    f"Secret: the value of {name} is a {type(value).__name__}; variables hold strings"
                )
            self._env[name] = value

    @staticmethod
    def from_dict(env_dict: Mapping[str, str | None] | None = None) -> Secret:
        """Variables from a dictionary."""
        return Secret(env_dict)

    @staticmethod
    def from_local_environ(env_keys: list[str]) -> Secret:
        """Variables copied from this machine's environment; `InvalidError` for one that is not set."""
        if not config.is_local():
            return Secret()
        missing = [key for key in env_keys if key not in os.environ]
        if missing:
            raise InvalidError(f"Secret.from_local_environ: not set here: {', '.join(missing)}")
        return Secret({key: os.environ[key] for key in env_keys})

    @staticmethod
    def from_dotenv(path: str | os.PathLike[str] | None = None, *, filename: str = ".env") -> Secret:
        """Variables from a `NAME=value` file: `path` (a file, or a folder holding `filename`), else here."""
        if not config.is_local():
            return Secret()
        place = os.fspath(path) if path is not None else os.curdir
        found = os.path.join(place, filename) if os.path.isdir(place) else place
        _files.note_read(os.path.abspath(found))
        try:
            with open(found, encoding="utf-8") as file:
                return Secret(dict(filter(None, map(_parse_line, file))))
        except FileNotFoundError:
            raise NotFoundError(f"Secret.from_dotenv: there is no file {os.path.abspath(found)}") from None

    @staticmethod
    def from_name(*args: object, **kwargs: object) -> Secret:
        """A secret stored on the server: known, not built yet (`NotBuiltError` when a function uses it)."""
        secret = Secret()
        secret._unbuilt = f"Secret.from_name({', '.join(map(repr, args))})"
        return secret

    def _variables(self) -> dict[str, str]:
        if self._unbuilt:
            raise not_built(f"{self._unbuilt} (use Secret.from_dict or Secret.from_dotenv)")
        return dict(self._env)

    def __repr__(self) -> str:
        return f"Secret({', '.join(self._env) or self._unbuilt or ''})"


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not name or "=" in name or "\0" in name:
        raise InvalidError(f"Secret: {name!r} is not a name of an environment variable")


def _parse_line(line: str) -> tuple[str, str] | None:
    line = line.strip()
    if line.startswith("export "):
        line = line[len("export ") :].lstrip()
    name, equals, value = line.partition("=")
    if not equals or line.startswith("#"):
        return None
    value = value.strip()
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        value = value[1:-1]
    else:
        value = value.partition(" #")[0].rstrip()
    return name.strip(), value
