"""`Image`: what a function's container holds, written as a chain of build steps.

Images are immutable values: each method returns a new one, and two chains that say the same are the same
image. Source of the methods: Modal's `Image`, 2022 to today. A base or step that is not built yet is part of
the chain like any other, and refused when a function of that image is served.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import re
import warnings
from typing import TYPE_CHECKING, Any, cast

from . import _files, _registry, config
from ._dockerfile import Context
from ._image_chain import Building, check_env, flat, listed, named
from ._image_files import LocalFiles
from ._image_packages import Packages
from ._later import not_built
from ._public import public
from .exception import InvalidError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from .mount import Mount
    from .secret import Secret

# Keywords of `extend`, which older bases hand on to it.
_LOW_LEVEL = frozenset(
    "base_images build_function context_files context_mount context_mount_function dockerfile_commands "
    "dockerfile_function force_build gpu gpu_config ref secrets shared_volumes volumes workspace_id".split()
)
# Those of them that are Dockerfile lines and their files.
_EXTENDED = frozenset(
    {"dockerfile_commands", "context_files", "context_mount", "secrets", "force_build", "gpu"}
)
_CONDA_VERSIONS = ("3.7", "3.8", "3.9", "3.10")


@public
class Image(Packages, LocalFiles):
    """A container image. Begin with `Image.debian_slim()`; `Image()` alone is an `InvalidError`."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        raise InvalidError(
            "Image() builds nothing: begin with modal.Image.debian_slim() and add steps, "
            'such as .pip_install("boto3")'
        )

    @staticmethod
    def debian_slim(python_version: str | None = None, force_build: bool = False) -> Image:
        """Debian with Python `python_version` (`"3.11"`; a patch number is dropped), else the local version.

        Raises `InvalidError` for anything that is not a version in a string.
        """
        version = _version("debian_slim", python_version)
        image = _begun({"kind": "debian_slim", "python_version": version})
        image = image._declare("debian_slim", python_version)
        return image._force(0) if force_build else image

    @staticmethod
    def conda(python_version: str = "3.9", force_build: bool = False) -> Image:
        """`micromamba` as it was called until 2024. `InvalidError` for a version it never had."""
        if python_version not in _CONDA_VERSIONS:
            raise InvalidError(
                f"conda: python_version must be one of {', '.join(_CONDA_VERSIONS)}, not {python_version!r}"
            )
        return _conda("conda", python_version, force_build)

    @staticmethod
    def micromamba(python_version: str | None = None, force_build: bool = False) -> Image:
        """A small Linux with conda's Python `python_version` (`"3.11"`), else the local version.

        It comes from the channels of the machine, conda-forge unless `CONDA_CHANNELS` names others. Raises
        `InvalidError` for anything that is not a version in a string.
        """
        return _conda("micromamba", python_version, force_build)

    @staticmethod
    def from_registry(
        tag: str,
        secret: Secret | None = None,
        setup_dockerfile_commands: str | list[str] = (),  # pyright: ignore[reportArgumentType]
        *,
        setup_commands: list[str] | None = None,
        force_build: bool = False,
        add_python: str | None = None,
        **low_level: Any,
    ) -> Image:
        """An image of a registry, such as `python:3.11-slim` or `localhost:5000/mine@sha256:…`.

        Docker Hub is the registry that may be left out. A private one takes a `secret` with REGISTRY_USERNAME
        and REGISTRY_PASSWORD. The image has a Python of its own. Lines of a Dockerfile may be given that come
        before all other steps. Raises `InvalidError`.
        """
        setup = (setup_dockerfile_commands, setup_commands)
        return _from_registry("from_registry", tag, secret, setup, add_python, force_build, low_level)

    @staticmethod
    def from_dockerhub(
        tag: str,
        setup_dockerfile_commands: str | list[str] = (),  # pyright: ignore[reportArgumentType]
        setup_commands: list[str] | None = None,
        **low_level: Any,
    ) -> Image:
        """`from_registry` as it was called in 2022."""
        setup, force_build = (setup_dockerfile_commands, setup_commands), low_level.pop("force_build", False)
        add_python, secret = low_level.pop("add_python", None), low_level.pop("secret", None)
        return _from_registry("from_dockerhub", tag, secret, setup, add_python, force_build, low_level)

    @staticmethod
    def from_aws_ecr(
        tag: str,
        secret: Secret | None = None,
        setup_dockerfile_commands: str | list[str] = (),  # pyright: ignore[reportArgumentType]
        setup_commands: list[str] | None = None,
        *,
        force_build: bool = False,
        add_python: str | None = None,
        **low_level: Any,
    ) -> Image:
        """An image of a private registry of AWS.

        Its `secret` has REGISTRY_USERNAME=AWS and, as REGISTRY_PASSWORD, what `aws ecr get-login-password`
        prints; keys of AWS are refused when the image is used.
        """
        setup = (setup_dockerfile_commands, setup_commands)
        return _from_registry("from_aws_ecr", tag, secret, setup, add_python, force_build, low_level)

    @staticmethod
    def from_gcp_artifact_registry(
        tag: str,
        secret: Secret | None = None,
        setup_dockerfile_commands: str | list[str] = (),  # pyright: ignore[reportArgumentType]
        setup_commands: list[str] | None = None,
        *,
        force_build: bool = False,
        add_python: str | None = None,
        **low_level: Any,
    ) -> Image:
        """An image of a private registry of Google's; its `secret` has SERVICE_ACCOUNT_JSON."""
        method, setup = "from_gcp_artifact_registry", (setup_dockerfile_commands, setup_commands)
        return _from_registry(method, tag, secret, setup, add_python, force_build, low_level)

    @staticmethod
    def from_dockerfile(
        path: str | os.PathLike[str],
        context_mount: Mount | None = None,
        *,
        force_build: bool = False,
        context_dir: str | os.PathLike[str] | None = None,
        ignore: Sequence[str] | Callable[[Any], bool] | None = None,
        build_args: Mapping[str, str] | None = None,
        registry_secret: Secret | None = None,
        secrets: Sequence[Secret] | None = None,
        env: Mapping[str, str | None] | None = None,
        gpu: Any = None,
        add_python: str | None = None,
    ) -> Image:
        """An image described by a local Dockerfile, on the image that its `FROM` names.

        `COPY` finds files as in `dockerfile_commands`. A private registry takes a `registry_secret` as
        `from_registry` does. Raises `NotFoundError`, `InvalidError`; a line that cannot be built is told when
        the image is.
        """
        method, lines = "from_dockerfile", []
        if config.is_local():
            found = _files.absolute(path)
            _files.note_read(found)
            if not os.path.isfile(found):
                raise NotFoundError(f"{method}: there is no file {found}")
            with open(found, encoding="utf-8") as file:
                lines = file.read().splitlines()
        args = check_env(method, build_args)
        context = Context(None, context_mount, context_dir, ignore)
        step = {
            "kind": "dockerfile_commands",
            "commands": lines,
            "context": context.mounts(method, lines),
            "build_args": args,
        }
        image = _begun(_registry.dockerfile(method, registry_secret, add_python))
        image = image._declare(method, [args, add_python, check_env(method, env)], step)
        return image._building(method, Building(force_build, env, secrets, gpu))

    @staticmethod
    def from_scratch(force_build: bool = False) -> Image:
        """An empty image; not built yet."""
        return _unbuilt("from_scratch", [])

    @staticmethod
    def from_id(image_id: str, client: Any = None) -> Image:
        """An image that is stored on the server; not built yet."""
        return _unbuilt("from_id", [image_id])

    @staticmethod
    def from_name(
        name: str,
        tag: str | None = None,
        namespace: Any = None,
        *,
        environment_name: str | None = None,
        client: Any = None,
    ) -> Image:
        """An image that was published under a name; not built yet."""
        return _unbuilt("from_name", [name, tag, environment_name])

    @named("commands")
    def run_commands(
        self,
        *commands: str | list[str],
        env: Mapping[str, str | None] | None = None,
        secrets: Sequence[Secret] | None = None,
        volumes: Mapping[str, Any] | None = None,
        gpu: Any = None,
        force_build: bool = False,
    ) -> Image:
        """Runs shell commands while the image is built, one step each. Raises `InvalidError`."""
        lines = flat("run_commands", "commands", commands)
        if not lines:
            return self
        image = self._declare("run_commands", lines, {"kind": "run_commands", "commands": lines})
        return image._building("run_commands", Building(force_build, env, secrets, gpu, volumes))

    @named("dockerfile_commands")
    def dockerfile_commands(
        self,
        *dockerfile_commands: str | list[str],
        context_files: Mapping[str, str] | None = None,
        env: Mapping[str, str | None] | None = None,
        secrets: Sequence[Secret] | None = None,
        gpu: Any = None,
        context_mount: Mount | None = None,
        context_dir: str | os.PathLike[str] | None = None,
        force_build: bool = False,
        ignore: Sequence[str] | Callable[[Any], bool] | None = None,
        build_args: Mapping[str, str] | None = None,
    ) -> Image:
        """Lines of a Dockerfile that go on with this image: RUN, COPY, ENV, WORKDIR and their like, no FROM.

        `COPY` finds files in `context_dir` (the current folder; what its `.dockerignore` or `ignore` names is
        left out), and in `context_files` and `context_mount`. Raises `InvalidError`; a line that cannot be
        built is told when the image is.
        """
        method, given = "dockerfile_commands", list(dockerfile_commands)
        if len(given) > 1 and isinstance(given[1], dict):
            # `(commands, context_files, secrets, gpu)`, the form of 2022.
            context_files = given[1]
            if len(given) > 2:
                secrets = cast("Sequence[Secret]", given[2])
            del given[1:]
        lines = flat(method, "dockerfile_commands", given)
        if not lines:
            return self
        context = Context(context_files, context_mount, context_dir, ignore)
        args = check_env(method, build_args)
        step = {
            "kind": method,
            "commands": lines,
            "context": context.mounts(method, lines),
            "build_args": args,
        }
        image = self._declare(method, [lines, sorted(context_files or ()), args], step)
        return image._building(method, Building(force_build, env, secrets, gpu))

    def run_function(
        self,
        raw_f: Callable[..., Any],
        *,
        env: Mapping[str, str | None] | None = None,
        secret: Secret | None = None,
        secrets: Sequence[Secret] | None = None,
        volumes: Mapping[str, Any] | None = None,
        network_file_systems: Mapping[str, Any] | None = None,
        shared_volumes: Mapping[str, Any] | None = None,
        mounts: Sequence[Mount] = (),
        gpu: Any = None,
        cpu: float | tuple[float, float] | None = None,
        memory: int | tuple[int, int] | None = None,
        timeout: int | None = 3600,
        cloud: str | None = None,
        region: str | Sequence[str] | None = None,
        force_build: bool = False,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        include_source: bool = True,
    ) -> Image:
        """Runs a function of the program while the image is built, with `args` and `kwargs`.

        It is run again when its source, a plain global that it names or an argument changes; what it prints
        is the build's output. Raises `InvalidError` for a function that cannot be imported, and for arguments
        that cannot be pickled.
        """
        from . import _building

        method = "run_function"
        if not callable(raw_f) or hasattr(raw_f, "_pilotlight_raw"):
            raise InvalidError(f"{method}: takes a plain, undecorated function, not {raw_f!r}")
        given = [*(secrets or ()), *([secret] if secret is not None else [])]
        unused = {"cpu": cpu, "memory": memory, "cloud": cloud, "region": region}
        unused["timeout"] = timeout if timeout != 3600 else None
        missing = {"volumes": volumes, "network_file_systems": network_file_systems}
        missing["shared_volumes"] = shared_volumes
        called = _building.call(method, raw_f, args, kwargs or {})
        step = {"kind": method, **called, "mounts": tuple(mounts), "include_source": include_source}
        image = self._declare(method, called, step)._noting(method, **unused)
        image = image._building(method, Building(force_build, env, given, gpu))
        unbuilt = tuple(f"Image.{method}({name}=…)" for name, value in missing.items() if value)
        return image._with(_unbuilt=(*image._unbuilt, *unbuilt)) if unbuilt else image

    def env(self, vars: Mapping[str, str]) -> Image:
        """Sets environment variables for the steps that follow and for the container."""
        found = check_env("Image.env", vars)
        return self._declare("env", found, {"kind": "env", "vars": found}) if found else self

    def workdir(self, path: str | os.PathLike[str]) -> Image:
        """Sets the working directory for the steps that follow and for the container.

        A relative one counts from the one before, as in a Dockerfile.
        """
        found = posixpath.normpath(posixpath.join(self._directory(), os.fspath(path)))
        return self._declare("workdir", found, {"kind": "workdir", "path": found})

    def entrypoint(self, entrypoint_commands: list[str]) -> Image:
        """The program that each container begins with, in place of the base's own; `[]` is none.

        It gets the function's program as its arguments and has to run it: a script ends in `exec "$@"`. Build
        steps do without. No container is a fork then, so each imports the program itself. Raises
        `InvalidError`.
        """
        words = listed("entrypoint", "entrypoint_commands", entrypoint_commands)
        return self._declare("entrypoint", words, {"kind": "entrypoint", "command": words})

    def shell(self, shell_commands: list[str]) -> Image:
        """What runs the commands of the steps that follow, such as `["/bin/bash", "-c"]`.

        Raises `InvalidError`; an empty list is the usual shell again.
        """
        words = listed("shell", "shell_commands", shell_commands) or ["/bin/sh", "-c"]
        return self._declare("shell", words, {"kind": "shell", "command": words})

    def cmd(self, cmd: list[str]) -> Image:
        """What a container runs when nothing else is asked: never for a function. Raises `InvalidError`."""
        return self._declare("cmd", listed("cmd", "cmd", cmd))

    def extend(self, **low_level: Any) -> Image:
        """Parts of a Dockerfile in low-level keywords (Modal 2022 to 2024).

        Built are `dockerfile_commands=["FROM base", …]`, `context_files=`, `context_mount=`, `secrets=` and
        `force_build=`; an image that needs others is refused where it is used.
        """
        _check_low_level("extend", low_level)
        said = low_level.get("dockerfile_commands")
        if not low_level or low_level.keys() - _EXTENDED:
            return self._declare("extend", said, unbuilt="extend") if low_level else self
        lines = flat("extend", "dockerfile_commands", [said or []])
        # `base` is this image: in 2022 the first line said so.
        lines = lines[1:] if lines and re.fullmatch(r"\s*FROM\s+base\s*", lines[0], re.IGNORECASE) else lines
        given = {name: value for name, value in low_level.items() if name != "dockerfile_commands"}
        return self.dockerfile_commands(lines, **given)

    @contextlib.contextmanager
    def imports(self) -> Generator[None, None, None]:
        """Imports in this block may fail on the user's machine; in containers of this image they must not.

        The block is run everywhere. In a container of another image they may fail as well; one whose image
        begins as this one does counts as this one's.
        """
        try:
            yield
        except Exception as error:
            if not config.is_local() and self._is_inside() is not False:
                raise
            if not isinstance(error, ImportError):
                warnings.warn(f"Image.imports: an import failed here with {error!r}", stacklevel=3)

    def run_inside(self) -> contextlib.AbstractContextManager[None]:
        """`imports()` by its name of 2023."""
        return self.imports()

    def pipe(self, func: Callable[..., Image], *args: Any, **kwargs: Any) -> Image:
        """`func(self, *args, **kwargs)`, for chains. Raises `InvalidError` when that gives no image."""
        image = func(self, *args, **kwargs)
        if not isinstance(image, Image):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidError(f"pipe: {getattr(func, '__name__', func)} returned {image!r}, not an Image")
        return image

    def persist(self, label: str, *args: Any, **kwargs: Any) -> Image:
        """This image. It is kept for the functions that use it; nothing else can look it up by `label`."""
        return self._noting("persist", label=label)

    def build(self, app: Any = None) -> Image:
        """Builds at once; not built yet: an image is built when its function is served."""
        raise not_built("Image.build")

    def hydrate(self, client: Any = None) -> Image:
        """Builds at once; not built yet: an image is built when its function is served."""
        raise not_built("Image.hydrate")

    def publish(self, name: str, **options: Any) -> Image:
        """Stores the image under a name; not built yet."""
        raise not_built("Image.publish")

    def logs(self, **options: Any) -> Any:
        """What the build printed; not built yet: `pilotlight serve` prints it."""
        raise not_built("Image.logs")

    def __repr__(self) -> str:
        return f"<Image of {len(self._declared)} declarations>"


def _begun(base: dict[str, Any]) -> Image:
    image = object.__new__(Image)
    image._base = base
    return image


def _version(method: str, asked: object) -> str | None:
    """A version of Python without its patch number; `InvalidError` for anything else."""
    version = asked if asked is not None else config.image_python_version()
    if version is None:
        return None
    match = re.fullmatch(r"(3\.\d+)(\.\d+)?", version) if isinstance(version, str) else None
    if not match:
        raise InvalidError(f'{method}: python_version must be a string such as "3.11", not {asked!r}')
    return match.group(1)


def _conda(method: str, asked: str | None, force_build: bool) -> Image:
    image = _begun({"kind": "conda", "python_version": _version(method, asked)})
    image = image._declare(method, asked)
    return image._force(0) if force_build else image


def _unbuilt(method: str, said: list[object]) -> Image:
    image = _begun({"kind": "debian_slim", "python_version": None})
    return image._declare(method, said, unbuilt=method)


def _from_registry(
    method: str,
    tag: str,
    secret: Secret | None,
    setup: tuple[str | list[str], list[str] | None],
    add_python: str | None,
    force_build: bool,
    low_level: Mapping[str, Any],
) -> Image:
    _check_low_level(method, low_level)
    image = _begun(_registry.base(method, tag, secret, add_python))
    image = image._declare(method, [tag, add_python], unbuilt=method if low_level else None)
    lines = _registry.setup_lines(method, *setup)
    image = image._force(0) if force_build else image
    return image.dockerfile_commands(lines) if lines else image


def _check_low_level(method: str, options: Mapping[str, Any]) -> None:
    for name in options:
        if name not in _LOW_LEVEL:
            raise TypeError(f"Image.{method}() got an unexpected keyword argument {name!r}")
