"""What every image is: a base and a chain of declarations, none of which is ever changed. Reads no files.

The chain is kept twice. The steps go into the manifest; the declarations, without what depends on this
machine, are the image's identity, which is the same here and in the container.
"""

from __future__ import annotations

import functools
import posixpath
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

from . import config
from ._later import not_built
from ._public import FORMER_NAME
from .exception import InvalidError
from .secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from typing_extensions import Self

    from ._files import File
    from .mount import Mount

_Method = TypeVar("_Method", bound="Callable[..., Any]")

# The declarations that change no file of the image: local files may go into the container after them.
_SETTINGS = frozenset({"env", "workdir", "entrypoint", "cmd", "shell"})


class Building(NamedTuple):
    """The keywords that all build steps take."""

    force_build: bool
    env: Mapping[str, str | None] | None
    secrets: Sequence[Secret] | None
    gpu: Any
    volumes: Mapping[str, Any] | None = None


class Chain:
    """State of an image. Each method that says something returns a new one."""

    _base: dict[str, Any]
    #: Build steps as in the manifest, but with Mount and Secret objects in them.
    _steps: tuple[dict[str, Any], ...] = ()
    #: Local files that no build step needs: they are put in place when a container starts.
    _mounts: tuple[Mount, ...] = ()
    _unbuilt: tuple[str, ...] = ()
    _ignored: tuple[str, ...] = ()
    _declared: tuple[str, ...] = ()
    # The method by which local files were added that may not become part of the image.
    _mounted: str | None = None
    # Whether the last declaration is a build step.
    _stepped: bool = False
    # The first build step that is made anew, whatever was built before, with all after it.
    _forced: int | None = None

    def _with(self, **fields: Any) -> Self:
        image = object.__new__(type(self))
        image.__dict__.update(self.__dict__, **fields)
        return image

    def _declare(
        self,
        method: str,
        said: object = None,
        step: Mapping[str, Any] | None = None,
        unbuilt: str | None = None,
    ) -> Self:
        """This image and one more build step; with `unbuilt`, one that a function cannot be served with.

        `said` are the plain arguments, alike on every machine. Raises `InvalidError` when files that are
        mounted at the start came before.
        """
        self._refuse_after_mounted(method)
        steps, mounts = self._steps, self._mounts
        if method not in _SETTINGS:
            # This step may need the files that were copied so far.
            steps = (*steps, *({"kind": "copy_files", "files": (mount,)} for mount in mounts))
            mounts = ()
        return self._with(
            _steps=(*steps, dict(step)) if step else steps,
            _mounts=mounts,
            _stepped=bool(step),
            _unbuilt=(*self._unbuilt, f"Image.{unbuilt}") if unbuilt else self._unbuilt,
            _declared=(*self._declared, digest(method, said)),
        )

    def _add_files(self, method: str, said: object, mount: Mount, copied: bool) -> Self:
        """This image and local files; `copied` when they are part of the image."""
        if copied:
            self._refuse_after_mounted(method)
        image = self._with(_mounts=(*self._mounts, mount), _declared=(*self._declared, digest(method, said)))
        return image if copied else image._with(_mounted=method)

    def _refuse_after_mounted(self, method: str) -> None:
        if self._mounted:
            raise InvalidError(
                f"Image.{method} comes after Image.{self._mounted}, whose files are put in place when a "
                f"container starts: move {self._mounted} to the end, or give it copy=True"
            )

    def _noting(self, method: str, **options: object) -> Self:
        """This image, with a notice for each keyword that was given and has no effect."""
        used = [f"Image.{method}({name}=…)" for name, value in options.items() if value]
        return self._with(_ignored=(*self._ignored, *used)) if used else self

    def _building(self, method: str, building: Building) -> Self:
        """This image, with what the keywords of all build steps ask for in its last step.

        What cannot be given (volumes) is refused when the image is used.
        """
        env, secrets = check_env(method, building.env), check_secrets(method, building.secrets)
        image = self
        if (env or secrets) and self._stepped:
            step = {"kind": "with", "env": env, "secrets": secrets, "step": self._steps[-1]}
            image = self._with(_steps=(*self._steps[:-1], step))
        if building.volumes:
            image = image._with(_unbuilt=(*image._unbuilt, f"Image.{method}(volumes=…)"))
        if building.force_build and self._stepped:
            image = image._force(len(self._steps) - 1)
        return image._noting(method, gpu=building.gpu)

    def _force(self, step: int) -> Self:
        """This image, with everything from that step on made anew by each command that builds it."""
        return self if self._forced is not None else self._with(_forced=step)

    def _directory(self) -> str:
        """The working directory that the chain has set; a build begins in `/`."""
        paths = [step["path"] for step in self._steps if step["kind"] == "workdir"]
        return paths[-1] if paths else "/"

    def _check_built(self) -> None:
        """Raises `NotBuiltError` when a step of this image is not built yet."""
        if self._unbuilt:
            raise not_built(self._unbuilt[0])

    def _identity(self) -> str:
        """A text that two images share when they were declared alike, here or in a container.

        It is made of the declarations' names and plain arguments, in order, and of no file: an image that
        begins as this one does has an identity that begins with this one's.
        """
        return ".".join(self._declared)

    def _is_inside(self) -> bool | None:
        """Whether this container's image is this one or begins with it; None where that is not known."""
        own = config.context().get("image")
        if not isinstance(own, str):
            return None
        return own == self._identity() or own.startswith(self._identity() + ".")

    def _built_of(self) -> Iterator[Mount]:
        """The local files that build steps need."""
        for step in self._steps:
            inner = step["step"] if step["kind"] == "with" else step
            for name in ("files", "context", "mounts"):
                yield from inner.get(name, ())

    def _manifest(self, program: Sequence[File] = ()) -> dict[str, Any]:
        """The image as plain data; `program` are the program's own files.

        Raises `NotBuiltError` for secrets and mounts of the server, `InvalidError` for a registry's secret
        that is no login.
        """
        from . import _registry

        forced = 0 if config.force_build() else self._forced
        return {
            "base": _registry.described(self._base),
            "steps": [_described(step, program) for step in self._steps],
            **({} if forced is None else {"force_build": forced}),
        }


def _described(step: Mapping[str, Any], program: Sequence[File]) -> dict[str, Any]:
    from ._payload import entries

    found = dict(step)
    if step["kind"] == "with":
        found["step"] = _described(step["step"], program)
        found["secrets"] = {
            name: value for secret in step["secrets"] for name, value in secret._variables().items()
        }
    elif "mounts" in step:
        own = program if found.pop("include_source") else ()
        found["files"] = entries(found.pop("mounts"), own)
    elif "files" in step:
        found["files"] = entries(step["files"])
    elif "context" in step:
        context = entries(step["context"])
        found["context"] = [{**file, "remote": file["remote"].lstrip("/")} for file in context]
    return found


def digest(method: str, said: object) -> str:
    """Eight hex digits for one declaration."""
    import json
    import zlib

    # The fallback is for objects of the user's: their type is the same everywhere, their address is not.
    text = json.dumps([method, said], sort_keys=True, default=lambda value: type(value).__qualname__)
    return f"{zlib.crc32(text.encode()):08x}"


def named(name: str) -> Callable[[_Method], _Method]:
    """Lets the first list be given by its name of 2022: `pip_install(packages=[…])`."""

    def decorate(method: _Method) -> _Method:
        @functools.wraps(method)
        def call(self: Any, *values: Any, **options: Any) -> Any:
            if name in options:
                values = (*values, options.pop(name))
            return method(self, *values, **options)

        setattr(call, FORMER_NAME, name)
        return cast("_Method", call)

    return decorate


def flat(method: str, argument: str, values: Sequence[Any]) -> list[str]:
    """The strings of `values`, lists among them opened (Modal's rule since December 2022)."""
    found: list[str] = []
    for value in values:
        for item in cast("list[Any]", value) if isinstance(value, (list, tuple)) else [value]:
            if not isinstance(item, str):
                raise InvalidError(f"{method}: {argument} must only contain strings, not {item!r}")
            found.append(item)
    return found


def listed(method: str, argument: str, values: object) -> list[str]:
    """`values`, a list of strings and not a string; `InvalidError` for anything else."""
    if isinstance(values, str) or not isinstance(values, (list, tuple)):
        raise InvalidError(f"{method}: {argument} takes a list of strings, not {values!r}")
    return flat(method, argument, [values])


def check_secrets(method: str, secrets: object) -> tuple[Secret, ...]:
    """`secrets` as a tuple; `InvalidError` when it is not a list of Secrets."""
    if isinstance(secrets, Secret):
        raise InvalidError(f"{method}: secrets= takes a list: secrets=[…]")
    if not isinstance(secrets, (list, tuple, type(None))):
        raise InvalidError(f"{method}: secrets= takes a list of modal.Secret objects, not {secrets!r}")
    for secret in cast("Sequence[Any]", secrets or ()):
        if not isinstance(secret, Secret):
            raise InvalidError(f"{method}: expected modal.Secret objects in secrets=, not {secret!r}")
    return tuple(cast("Sequence[Secret]", secrets or ()))


def check_env(method: str, variables: object) -> dict[str, str]:
    """`variables` with string names and values, those that are None left out; else `InvalidError`."""
    if variables is None:
        return {}
    if not isinstance(variables, dict) and not hasattr(variables, "items"):
        raise InvalidError(f"{method}: variables are given as a dict of strings, not {variables!r}")
    found: dict[str, str] = {}
    for name, value in cast("Mapping[Any, Any]", variables).items():
        if not isinstance(name, str) or not isinstance(value, (str, type(None))):
            raise InvalidError(f"{method}: {name!r}: names and values of variables must be strings")
        if value is not None:
            found[name] = value
    return found


def absolute(method: str, path: object) -> str:
    """A path in the container; `InvalidError` for one that is not absolute."""
    text = str(path)
    if not posixpath.isabs(text):
        raise InvalidError(f"Image.{method}: remote_path must be absolute, not {text!r}")
    return text
