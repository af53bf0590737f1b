"""Turns a declared application into the manifest: plain data, the only thing the command reads of a program.

Its shape is the wire type `api::manifest::Manifest`. Decides nothing about containers.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from . import _context, _later, _pickle, config
from ._payload import Payload
from .exception import InvalidError
from .image import Image

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._application import Application
    from ._sources import Sources
    from .functions import Function

MANIFEST_VERSION = 1


class Program(NamedTuple):
    """What discovery found."""

    app: Application
    description: str
    sources: Sources
    notices: list[str]


def build(program: Program) -> dict[str, Any]:
    """The manifest of `program`.

    Raises `NotBuiltError` and `InvalidError` for functions that ask for what cannot be given.
    """
    images = _Images(program.sources)
    payload = Payload(program.sources)
    notices = [*program.notices, *_later.notices(), *program.app._notices]
    described: list[dict[str, Any]] = []
    pickles = _pickle.Pickles()
    labels: dict[str, str] = {}
    for function in program.app._functions.values():
        home = function._home or program.app
        _check_label(function, labels)
        image = function._spec.settings.image or home._settings.image or Image.debian_slim()
        entry = _function(program.app, home, function, images.key(function, image), image)
        entry["pickled"] = pickles.add(function, notices)
        described.append(entry)
        notices += _notices(home, function, image)
        mounts = (*image._mounts, *home._settings.mounts, *function._spec.settings.mounts)
        notices += payload.add(function._spec.name, mounts, _includes_source(home, function))
        for mount in image._built_of():
            payload.watch_mount(mount)
    return {
        "manifest": MANIFEST_VERSION,
        "sdk": config.__version__,
        "era": program.app._era,
        "python": python(),
        "app": {"name": program.app.name, "description": program.description},
        "images": images.described,
        "files": payload.files(),
        "pickles": pickles.described,
        "functions": described,
        "watch": payload.watch(),
        "notices": _unique(notices),
        "settings": {
            "serve_timeout": config.serve_timeout(),
            "dev_suffix": config.config["dev_suffix"] or None,
        },
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

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self.described: dict[str, dict[str, Any]] = {}
        self._keys: dict[str, str] = {}

    def key(self, function: Function[..., Any], image: Image) -> str:
        try:
            image._check_built()
            described = image._manifest(self._sources.files)
        except InvalidError as error:
            raise type(error)(f"{function._spec.name}: {error}") from None
        content = json.dumps(described, sort_keys=True)
        key = self._keys.setdefault(content, f"im-{len(self._keys)}")
        self.described.setdefault(key, described)
        return key


def _function(
    app: Application, home: Application, function: Function[..., Any], key: str, image: Image
) -> dict[str, Any]:
    spec, settings = function._spec, function._spec.settings
    env: dict[str, str] = {}
    try:
        for secret in (*home._settings.secrets, *settings.secrets):
            env.update(secret._variables_or_notice()[0])
    except InvalidError as error:
        raise type(error)(f"{spec.name}: {error}") from None
    web = spec.web
    return {
        "name": spec.name,
        "module": spec.module,
        "qualname": spec.qualname,
        "cls": spec.cls,
        "image": key,
        "web": _web(home, function),
        "label": web.label if web else None,
        "custom_domains": list(web.custom_domains) if web else [],
        "wait_for_response": web is None or web.waits,
        "context": _context.describe(app.name, spec.name, image),
        "min_containers": settings.min_containers,
        "max_containers": settings.max_containers,
        "buffer_containers": settings.buffer_containers,
        "scaledown_window": settings.scaledown_window,
        "timeout": settings.timeout,
        "total_timeout": settings.total_timeout,
        "startup_timeout": settings.startup_timeout,
        "max_inputs": settings.max_inputs,
        "target_inputs": settings.target_inputs,
        "single_use": settings.single_use,
        "cpu": settings.cpu,
        "memory": settings.memory,
        "ephemeral_disk": settings.ephemeral_disk,
        "rate_limit": settings.rate_limit._manifest() if settings.rate_limit else None,
        "block_network": settings.block_network,
        "snapshot": settings.snapshot,
        "env": env,
    }


def _check_label(function: Function[..., Any], labels: dict[str, str]) -> None:
    """Raises `InvalidError` for a label that a function before has."""
    spec = function._spec
    if spec.web is None or spec.web.label is None:
        return
    other = labels.setdefault(spec.web.label, spec.name)
    if other != spec.name:
        raise InvalidError(
            f"{spec.name}: the label {spec.web.label!r} is that of {other} already: "
            "give each endpoint its own"
        )


def _web(home: Application, function: Function[..., Any]) -> dict[str, Any] | None:
    web = function._spec.web
    if web is None:
        return None
    if web.server is not None:
        return {"kind": web.kind, **web.server._asdict()}
    if web.kind != "endpoint":
        return {"kind": web.kind}
    # `/docs` was on for every webhook until June 2024, and is off today unless asked for (Modal A8, B6).
    docs = home._era == "stub" if web.docs is None else web.docs
    return {"kind": "endpoint", "method": web.method, "docs": docs, "cors": True}


def _notices(home: Application, function: Function[..., Any], image: Image) -> list[str]:
    spec = function._spec
    found = list(spec.notes)
    if spec.web is None:
        found.insert(0, "is not a web endpoint; calling functions is not built yet")
    found += [f"{what} is accepted but not built yet, and has no effect" for what in image._ignored]
    secrets = (*home._settings.secrets, *spec.settings.secrets)
    found += [said for said in (secret._variables_or_notice()[1] for secret in secrets) if said]
    return [f"{spec.name}: {note}" for note in found]


def _includes_source(home: Application, function: Function[..., Any]) -> bool:
    wanted = function._spec.settings.include_source
    return (home._settings.include_source if wanted is None else wanted) is not False


def _unique(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))
