"""Describes an image of a registry as a base: its name, who asks for it, the lines that come first."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ._image_chain import check_secrets, flat
from .exception import InvalidError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .secret import Secret

# How each method's secret names who asks; Modal's names.
_PLAIN = ("REGISTRY_USERNAME", "REGISTRY_PASSWORD")
_GOOGLE = "SERVICE_ACCOUNT_JSON"
_AMAZON = "AWS_ACCESS_KEY_ID"


def base(method: str, tag: object, secret: Secret | None, add_python: str | None) -> dict[str, Any]:
    """The base in the manifest's form, with the Secret itself in it. Raises `InvalidError`."""
    if not isinstance(tag, str):
        raise InvalidError(f"{method}: tag must be a string, not {tag!r}")
    return {"reference": tag, **_asked("registry", method, secret, add_python)}


def dockerfile(method: str, secret: Secret | None, add_python: str | None) -> dict[str, Any]:
    """The base that the first step's lines name. Raises `InvalidError`."""
    return _asked("dockerfile", method, secret, add_python)


def _asked(kind: str, method: str, secret: Secret | None, add_python: str | None) -> dict[str, Any]:
    check_secrets(method, [secret] if secret is not None else None)
    if add_python is not None and not re.fullmatch(r"3\.\d+(\.\d+)?", str(add_python)):
        raise InvalidError(f'{method}: add_python must be a string such as "3.11", not {add_python!r}')
    return {"kind": kind, "add_python": add_python, "secret": secret}


def described(base: dict[str, Any]) -> dict[str, Any]:
    """`base` as plain data. Raises `InvalidError` for a secret that is no login."""
    found = dict(base)
    secret = found.pop("secret", None)
    if secret is not None:
        found["login"] = _login(secret._variables())
    return found


def setup_lines(method: str, lines: str | Sequence[str], commands: Sequence[str] | None) -> list[str]:
    """Lines of a Dockerfile: `setup_dockerfile_commands`, and the shell commands of 2022."""
    found = flat(method, "setup_dockerfile_commands", [lines])
    for command in flat(method, "setup_commands", [commands or []]):
        found.append(command if re.match(r"\s*RUN\s", command) else f"RUN {command}")
    return [line for line in found if line.strip()]


def _login(variables: dict[str, str]) -> dict[str, str]:
    username, password = (variables.get(name, "") for name in _PLAIN)
    if username and password:
        return {"username": username, "password": password}
    if _GOOGLE in variables:
        # https://cloud.google.com/artifact-registry/docs/docker/authentication
        return {"username": "_json_key", "password": variables[_GOOGLE]}
    if _AMAZON in variables:
        raise InvalidError(
            "the registry's secret holds a key of AWS, which only its own tools turn into a password: give "
            "REGISTRY_USERNAME=AWS and, as REGISTRY_PASSWORD, what `aws ecr get-login-password` prints"
        )
    raise InvalidError("the registry's secret has no REGISTRY_USERNAME and REGISTRY_PASSWORD")
