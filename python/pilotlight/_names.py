"""The rules for names and tags of apps. Source: Modal's client."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

from .exception import InvalidError

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = re.compile(r"[a-zA-Z0-9-_.]{1,64}")
_APP_ID = re.compile(r"ap-[a-zA-Z0-9]{22}")
_TAG = re.compile(r"[a-zA-Z0-9._-]{1,63}")
_DEPLOYMENT_TAG = re.compile(r"[a-zA-Z0-9._-]{1,50}")


def check_name(name: object, what: str = "an app") -> None:
    """Raises `InvalidError` for a name that is not 1 to 64 letters, digits, `-`, `_`, `.` (Modal's rule)."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidError(
            f"{name!r} cannot be the name of {what}: use 1 to 64 letters, digits, dashes, underscores, dots"
        )
    if _APP_ID.fullmatch(name):
        raise InvalidError(f"{name!r} cannot be the name of {what}: it looks like the id of an app")


def check_reference(kind: str, what: str, app_name: object, name: object) -> None:
    """Raises `InvalidError` unless `kind.from_name` was given names: of an app, and of `what` in it."""
    for needed, value in (("the name of an app", app_name), (f"the name of {what}", name)):
        if not isinstance(value, str) or not value:
            own = "C" if kind == "Cls" else "f"
            example = f'{kind}.from_name("my-app", "{own}")'
            raise InvalidError(f"{kind}.from_name needs {needed}, not {value!r}: write {example}")


def check_tags(where: str, tags: object) -> dict[str, str]:
    """Tags of an app as a dict; `InvalidError` for keys or values that cannot be."""
    if tags is None:
        return {}
    if not isinstance(tags, dict):
        raise InvalidError(f'{where}: tags= takes a dict of strings: tags={{"team": "web"}}, not {tags!r}')
    for key, value in cast("Mapping[object, object]", tags).items():
        for part in (key, value):
            if not isinstance(part, str) or not _TAG.fullmatch(part):
                raise InvalidError(
                    f"{where}: {part!r} cannot be part of a tag: use 1 to 63 letters, digits, dashes, "
                    "underscores, dots"
                )
    return dict(cast("Mapping[str, str]", tags))


def check_deployment_tag(tag: object) -> None:
    """Raises `InvalidError` for a deployment's tag that is not at most 50 of the same characters."""
    if not isinstance(tag, str) or (tag and not _DEPLOYMENT_TAG.fullmatch(tag)):
        raise InvalidError(
            f"deploy: {tag!r} cannot be a tag: use at most 50 letters, digits, dashes, underscores, dots"
        )
