"""Turns a declared application into the manifest: plain data, the only thing the command reads of a program.

Its shape is the wire type `api::manifest::Manifest`. Reads file modes; decides nothing about containers.
"""

from __future__ import annotations

import json
import os
import platform
import stat
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from . import config
from ._files import File
from .exception import InvalidError
from .image import Image

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .app import Application
    from .functions import Function

MANIFEST_VERSION = 1


class Program(NamedTuple):
    """What discovery found."""

    app: Application
    description: str
    files: list[File]
    notices: list[str]


def build(program: Program) -> dict[str, Any]:
    """The manifest of `program`.

    Raises `NotBuiltError` and `InvalidError` for functions that ask for what cannot be given.
    """
    images = _Images()
    files = {file.remote: file.local for file in program.files}
    watch = [file.local for file in program.files]
    notices = [*program.notices, *program.app._notices]
    described: list[dict[str, Any]] = []
    for function in program.app.registered_functions.values():
        image = function._spec.settings.image or program.app._settings.image or Image.debian_slim()
        described.append(_function(program.app, function, images.key(function, image)))
        notices += _notices(function, image)
        mounts = (*image._mounts, *program.app._settings.mounts, *function._spec.settings.mounts)
        for file in (file for mount in mounts for file in mount._files()):
            files[file.remote] = file.local
            watch.append(file.local)
        watch += image._watch
    return {
        "manifest": MANIFEST_VERSION,
        "sdk": config.__version__,
        "era": program.app._era,
        "python": python(),
        "app": {"name": program.app.name, "description": program.description},
        "images": images.described,
        "files": [_file(local, remote) for remote, local in files.items()],
        "functions": described,
        "watch": _unique(watch),
        "notices": _unique(notices),
    }


def python() -> dict[str, str]:
    """This interpreter, past virtual environments and shims: version, executable, and its prefix."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    own = os.path.join(sys.base_prefix, "bin", name)
    executable = own if os.path.exists(own) else os.path.realpath(sys.executable)
    return {
        "version": platform.python_version(),
        "executable": executable,
        "base_prefix": sys.base_prefix,
    }


class _Images:
    """Numbers the distinct images; images that say the same are the same."""

    def __init__(self) -> None:
        self.described: dict[str, dict[str, Any]] = {}
        self._keys: dict[str, str] = {}

    def key(self, function: Function, image: Image) -> str:
        try:
            image._check_built()
        except InvalidError as error:
            raise type(error)(f"{function._spec.name}: {error}") from None
        described = image._manifest()
        content = json.dumps(described, sort_keys=True)
        key = self._keys.setdefault(content, f"im-{len(self._keys)}")
        self.described.setdefault(key, described)
        return key


def _function(app: Application, function: Function, image: str) -> dict[str, Any]:
    spec, settings = function._spec, function._spec.settings
    env: dict[str, str] = {}
    try:
        for secret in (*app._settings.secrets, *settings.secrets):
            env.update(secret._variables())
    except InvalidError as error:
        raise type(error)(f"{spec.name}: {error}") from None
    return {
        "name": spec.name,
        "module": spec.module,
        "qualname": spec.qualname,
        "image": image,
        "web": _web(app, function),
        "label": spec.web.label if spec.web else None,
        "min_containers": settings.min_containers,
        "max_containers": settings.max_containers,
        "scaledown_window": settings.scaledown_window,
        "timeout": settings.timeout,
        "startup_timeout": settings.startup_timeout,
        "max_inputs": settings.max_inputs,
        "cpu": settings.cpu,
        "memory": settings.memory,
        "env": env,
    }


def _web(app: Application, function: Function) -> dict[str, Any] | None:
    web = function._spec.web
    if web is None:
        return None
    if web.kind != "endpoint":
        return {"kind": web.kind}
    # `/docs` was on for every webhook until June 2024, and is off today unless asked for (Modal A8, B6).
    docs = app._era == "stub" if web.docs is None else web.docs
    return {"kind": "endpoint", "method": web.method, "docs": docs, "cors": True}


def _notices(function: Function, image: Image) -> list[str]:
    name = function._spec.name
    if function._spec.web is None:
        return [f"{name}: is not a web endpoint; calling functions is not built yet"]
    ignored = [*function._spec.unbuilt, *image._ignored]
    return [f"{name}: {what} is accepted but not built yet, and has no effect" for what in ignored]


def _file(local: str, remote: str) -> dict[str, Any]:
    # Digest and size are added by the command, which reads the file anyway.
    mode = stat.S_IMODE(os.stat(local).st_mode) & 0o777
    return {"remote": remote, "local": local, "mode": mode, "digest": None, "size": None}


def _unique(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))
