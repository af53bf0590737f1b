"""Reads `~/.modal.toml`: sections, one a profile, of plain settings. Reads that one file, once.

The part of TOML (https://toml.io) that such a file is written in: Python before 3.11 has no reader for it.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from .exception import InvalidError

if TYPE_CHECKING:
    from collections.abc import Mapping

_SECTION = re.compile(r"\[\s*(?:\"([^\"]*)\"|'([^']*)'|([\w.-]+))\s*\]\s*(?:#.*)?")
_SETTING = re.compile(r"([\w-]+)\s*=\s*(?:\"((?:\\.|[^\"\\])*)\"|'([^']*)'|([^\s#\"']+))\s*(?:#.*)?")

_read: dict[str, dict[str, dict[str, str]]] = {}


def settings(path: str, profile: str | None) -> Mapping[str, str]:
    """The settings of `profile`, or of the one with `active = true`; empty when there is none.

    Raises `InvalidError` that names the line when the file cannot be read, and never what is in it.
    """
    profiles = _read.get(path)
    if profiles is None:
        try:
            with open(path, encoding="utf-8") as file:
                profiles = parse(file.read(), path)
        except FileNotFoundError:
            profiles = {}
        except OSError as error:
            raise InvalidError(f"{path}: it cannot be read: {os.strerror(error.errno or 0)}") from None
        _read[path] = profiles
    if profile is None:
        profile = next((name for name, values in profiles.items() if values.get("active") == "true"), None)
    return profiles.get(profile or "default", {})


def parse(text: str, path: str) -> dict[str, dict[str, str]]:
    """Sections of settings as text, such as `{"default": {"serve_timeout": "60"}}`."""
    profiles: dict[str, dict[str, str]] = {}
    current: dict[str, str] | None = None
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        section, setting = _SECTION.fullmatch(line), _SETTING.fullmatch(line)
        if section:
            current = profiles.setdefault(next(name for name in section.groups() if name is not None), {})
        elif setting and current is not None:
            name, *values = setting.groups()
            value = next(value for value in values if value is not None)
            current[name] = re.sub(r"\\(.)", r"\1", value) if values[0] is not None else value
        else:
            raise InvalidError(
                f'{path}:{number}: write `[profile]` and below it lines such as `name = "value"`'
            )
    return profiles
