"""`Image`: what a function's container holds, written as a chain of build steps.

Images are immutable values: each method returns a new one, and two chains that say the same are the same
image. Source of the methods: Modal's `Image`, 2022 to today; extra keywords of today's are accepted and named
in a notice.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import re
from typing import TYPE_CHECKING, Any, cast

from . import _files, _requirements, config
from ._later import not_built
from .exception import InvalidError
from .mount import Mount

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping


class Image:
    """A container image. Begin with `Image.debian_slim()`; `Image()` alone is an `InvalidError`."""

    _base: dict[str, Any]
    _steps: tuple[dict[str, Any], ...] = ()
    _mounts: tuple[Mount, ...] = ()
    _watch: tuple[str, ...] = ()
    _unbuilt: tuple[str, ...] = ()
    _ignored: tuple[str, ...] = ()

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
        version = python_version if python_version is not None else config.image_python_version()
        if version is not None:
            match = re.fullmatch(r"(3\.\d+)(\.\d+)?", version) if isinstance(version, str) else None  # pyright: ignore[reportUnnecessaryIsInstance]
            if not match:
                raise InvalidError(
                    f'debian_slim: python_version must be a string such as "3.11", not {python_version!r}'
                )
            version = match.group(1)
        image = _new_image({"kind": "debian_slim", "python_version": version})
        return image._noting("debian_slim", {"force_build": force_build})

    def pip_install(
        self,
        *packages: str | list[str],
        find_links: str | None = None,
        index_url: str | None = None,
        extra_index_url: str | None = None,
        pre: bool = False,
        **options: Any,
    ) -> Image:
        """Installs Python packages: strings, lists, or both. No package: this image unchanged.

        Raises `InvalidError` when something else than strings is given, `TypeError` for an unknown keyword.
        """
        return self._pip_install(
            "pip_install", packages, find_links, index_url, extra_index_url, pre, options
        )

    def uv_pip_install(
        self,
        *packages: str | list[str],
        find_links: str | None = None,
        index_url: str | None = None,
        extra_index_url: str | None = None,
        pre: bool = False,
        **options: Any,
    ) -> Image:
        """The same as `pip_install`, which uses uv here anyway."""
        return self._pip_install(
            "uv_pip_install", packages, find_links, index_url, extra_index_url, pre, options
        )

    def pip_install_from_requirements(
        self,
        requirements_txt: str | os.PathLike[str],
        find_links: str | None = None,
        *,
        index_url: str | None = None,
        extra_index_url: str | None = None,
        pre: bool = False,
        **options: Any,
    ) -> Image:
        """Installs what a local requirements file names. Raises `NotFoundError`, `InvalidError`."""
        if not config.is_local():
            return self
        read = _requirements.read_requirements(requirements_txt)
        return self._pip_install(
            "pip_install_from_requirements",
            (read.packages,),
            find_links or read.options.get("find_links"),
            index_url or read.options.get("index_url"),
            extra_index_url or read.options.get("extra_index_url"),
            pre or read.options.get("pre", False),
            options,
        )._with(_watch=self._watch + tuple(read.files))

    def pip_install_from_pyproject(
        self,
        pyproject_toml: str | os.PathLike[str],
        optional_dependencies: list[str] | None = None,
        *,
        find_links: str | None = None,
        index_url: str | None = None,
        extra_index_url: str | None = None,
        pre: bool = False,
        **options: Any,
    ) -> Image:
        """Installs `project.dependencies` and optional groups. Raises `NotFoundError`, `InvalidError`."""
        if not config.is_local():
            return self
        read = _requirements.read_pyproject(pyproject_toml, optional_dependencies or [])
        name = "pip_install_from_pyproject"
        image = self._pip_install(
            name, (read.packages,), find_links, index_url, extra_index_url, pre, options
        )
        return image._with(_watch=self._watch + tuple(read.files))

    def apt_install(self, *packages: str | list[str], **options: Any) -> Image:
        """Installs Debian packages: strings, lists, or both. Raises `InvalidError`, `TypeError`."""
        names = _flat("apt_install", "packages", packages)
        image = self._step({"kind": "apt_install", "packages": names}) if names else self
        return image._noting("apt_install", options)

    def run_commands(self, *commands: str | list[str], **options: Any) -> Image:
        """Runs shell commands while the image is built, one step each. Raises `InvalidError`, `TypeError`."""
        lines = _flat("run_commands", "commands", commands)
        image = self._step({"kind": "run_commands", "commands": lines}) if lines else self
        return image._noting("run_commands", options)

    def env(self, vars: Mapping[str, str]) -> Image:
        """Sets environment variables for the steps that follow and for the container."""
        for name, value in vars.items():
            if not isinstance(name, str) or not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise InvalidError(f"Image.env: {name!r}: names and values of variables must be strings")
        return self._step({"kind": "env", "vars": dict(vars)}) if vars else self

    def workdir(self, path: str | os.PathLike[str]) -> Image:
        """Sets the working directory for the steps that follow and for the container."""
        return self._step({"kind": "workdir", "path": posixpath.normpath(os.fspath(path))})

    def add_local_file(
        self, local_path: str | os.PathLike[str], remote_path: str, *, copy: bool = False
    ) -> Image:
        """Puts a local file into the container at an absolute path; one that ends in `/` is a folder."""
        _check_absolute("add_local_file", remote_path)
        if remote_path.endswith("/"):
            remote_path += _files.base_name(local_path)
        return self._mounted(Mount().add_local_file(local_path, remote_path), "add_local_file", copy)

    def add_local_dir(
        self, local_path: str | os.PathLike[str], remote_path: str, *, copy: bool = False, ignore: Any = ()
    ) -> Image:
        """Puts a local folder into the container at an absolute path. `ignore`: a function of the path."""
        _check_absolute("add_local_dir", remote_path)
        condition = None
        if callable(ignore):
            skip = cast("Callable[[str], bool]", ignore)
            condition = _negated(skip)
        mount = Mount().add_local_dir(local_path, remote_path=remote_path, condition=condition)
        patterns = () if condition else ignore
        return self._mounted(mount, "add_local_dir", copy)._noting("add_local_dir", {"ignore": patterns})

    def add_local_python_source(self, *modules: str, copy: bool = False, ignore: Any = ()) -> Image:
        """Puts local modules, by name, where the container can import them."""
        from .mount import create_package_mounts

        image = self
        for mount in create_package_mounts(modules):
            image = image._mounted(mount, "add_local_python_source", copy)
        return image._noting("add_local_python_source", {"ignore": ignore})

    @contextlib.contextmanager
    def imports(self) -> Generator[None, None, None]:
        """Imports in this block may fail on the user's machine; in the container they must succeed."""
        try:
            yield
        except ImportError:
            if not config.is_local():
                raise

    def pipe(self, func: Callable[..., Image], *args: Any, **kwargs: Any) -> Image:
        """`func(self, *args, **kwargs)`, for chains."""
        return func(self, *args, **kwargs)

    def _pip_install(
        self,
        method: str,
        packages: tuple[str | list[str], ...],
        find_links: str | None,
        index_url: str | None,
        extra_index_url: str | None,
        pre: bool,
        options: dict[str, Any],
    ) -> Image:
        names = _flat(method, "packages", packages)
        image = self._noting(method, options)
        if not names:
            return image
        return image._step(
            {
                "kind": "pip_install",
                "packages": names,
                "find_links": find_links,
                "index_url": index_url,
                "extra_index_url": extra_index_url,
                "pre": bool(pre),
            }
        )

    def _with(self, **fields: Any) -> Image:
        image = _new_image(self._base)
        image.__dict__.update(self.__dict__, **fields)
        return image

    def _step(self, step: dict[str, Any]) -> Image:
        return self._with(_steps=(*self._steps, step))

    def _mounted(self, mount: Mount, method: str, copy: bool) -> Image:
        # With `copy=True` the files are part of the image, for the build steps that follow.
        image = self._with(_mounts=(*self._mounts, mount))
        return image._later(f"Image.{method}(copy=True)") if copy else image

    def _later(self, what: str) -> Image:
        return self._with(_unbuilt=(*self._unbuilt, what))

    def _noting(self, method: str, options: Mapping[str, Any]) -> Image:
        known = _METHOD_OPTIONS
        for name in options:
            if name not in known:
                raise TypeError(f"Image.{method}() got an unexpected keyword argument {name!r}")
        used = [f"Image.{method}({name}=…)" for name, value in options.items() if value]
        return self._with(_ignored=(*self._ignored, *used)) if used else self

    def _check_built(self) -> None:
        """Raises `NotBuiltError` when a step of this image is not built yet."""
        if self._unbuilt:
            raise not_built(self._unbuilt[0])

    def _manifest(self) -> dict[str, Any]:
        return {"base": dict(self._base), "steps": [dict(step) for step in self._steps]}


_METHOD_OPTIONS = frozenset(
    {
        "env",
        "extra_options",
        "force_build",
        "gpu",
        "ignore",
        "requirements",
        "secrets",
        "uv_version",
        "volumes",
    }
)

# The other starting points and steps of both eras: part of a chain at once, an error when a function uses it.
_LATER_BASES = (
    "conda from_aws_ecr from_dockerfile from_dockerhub from_gcp_artifact_registry from_id from_name "
    "from_registry from_scratch micromamba"
).split()
_LATER_STEPS = (
    "cmd conda_install conda_update_from_environment copy copy_local_dir copy_local_file copy_mount "
    "dockerfile_commands entrypoint extend micromamba_install pip_install_private_repos "
    "poetry_install_from_file run_function shell uv_sync"
).split()


def _new_image(base: dict[str, Any]) -> Image:
    image = object.__new__(Image)
    image._base = base
    return image


def _later_base(name: str) -> Any:
    def base(*args: Any, **kwargs: Any) -> Image:
        return _new_image({"kind": "debian_slim", "python_version": None})._later(f"Image.{name}")

    return staticmethod(base)


def _later_step(name: str) -> Any:
    def step(self: Image, *args: Any, **kwargs: Any) -> Image:
        return self._later(f"Image.{name}")

    return step


for _name in _LATER_BASES:
    setattr(Image, _name, _later_base(_name))
for _name in _LATER_STEPS:
    setattr(Image, _name, _later_step(_name))


def _negated(skip: Callable[[Any], bool]) -> Callable[[str], bool]:
    from pathlib import Path

    return lambda path: not skip(Path(path))


def _flat(method: str, argument: str, values: tuple[Any, ...]) -> list[str]:
    """The strings of `values`, lists among them opened (Modal's rule since December 2022)."""
    found: list[str] = []
    for value in values:
        for item in cast("list[Any]", value) if isinstance(value, (list, tuple)) else [value]:
            if not isinstance(item, str):
                raise InvalidError(f"{method}: {argument} must only contain strings, not {item!r}")
            found.append(item)
    return found


def _check_absolute(method: str, path: str) -> None:
    if not posixpath.isabs(path):
        raise InvalidError(f"Image.{method}: remote_path must be absolute, not {path!r}")
