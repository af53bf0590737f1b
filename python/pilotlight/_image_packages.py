"""The methods of `Image` that install packages. What is local (requirements files) is read here and now."""

from __future__ import annotations

import os
import posixpath
import re
from typing import TYPE_CHECKING, Any

from . import _files, _requirements, config
from ._image_chain import Building, Chain, check_secrets, flat, listed, named
from ._public import public
from .exception import InvalidError, NotFoundError
from .mount import Mount

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from typing_extensions import Self

    from .secret import Secret


_REPOSITORY = re.compile(r"(github|gitlab)\.com/[\w.-]+(/[\w.-]+)+(@[\w./-]+)?")
_GIT_USER = re.compile(r"[\w.~%+-]+")
# A date, or a moment of RFC 3339.
_DATE = re.compile(r"\d{4}-\d\d-\d\d(T[\d:.]+(Z|[+-]\d\d:\d\d))?")
_TOKENS = {"github": "GITHUB_TOKEN", "gitlab": "GITLAB_TOKEN"}


@public
class Packages(Chain):
    """Python packages by pip, uv, poetry and conda, and Debian's by apt."""

    @named("packages")
    def pip_install(
        self,
        *packages: str | list[str],
        find_links: str | None = None,
        index_url: str | None = None,
        extra_index_url: str | None = None,
        pre: bool = False,
        extra_options: str = "",
        force_build: bool = False,
        env: Mapping[str, str | None] | None = None,
        secrets: Sequence[Secret] | None = None,
        gpu: Any = None,
    ) -> Self:
        """Installs Python packages: strings, lists, or both. No package: this image unchanged.

        Options of pip go into `extra_options`. Raises `InvalidError` for what is no string or is an option.
        """
        names = flat("pip_install", "packages", packages)
        wanted = _requirements.Requirements(names, {}, [])
        options = _options(find_links, index_url, extra_index_url, pre)
        return self._pip(
            "pip_install", names, wanted, options, extra_options, Building(force_build, env, secrets, gpu)
        )

    @named("packages")
    def uv_pip_install(
        self,
        *packages: str | list[str],
        requirements: list[str] | None = None,
        find_links: str | None = None,
        index_url: str | None = None,
        extra_index_url: str | None = None,
        pre: bool = False,
        extra_options: str = "",
        uv_version: str | None = None,
        force_build: bool = False,
        env: Mapping[str, str | None] | None = None,
        secrets: Sequence[Secret] | None = None,
        gpu: Any = None,
    ) -> Self:
        """`pip_install`, which uses uv here anyway; `requirements` are local requirements files."""
        method = "uv_pip_install"
        names = flat(method, "packages", packages)
        files = listed(method, "requirements", requirements or [])
        wanted = _requirements.Requirements(names, {}, [])
        for path in files if config.is_local() else ():
            wanted = wanted.joined(_requirements.read_requirements(path))
        options = _options(find_links, index_url, extra_index_url, pre)
        said = [*names, *("a requirements file" for _ in files)]
        image = self._pip(
            method, said, wanted, options, extra_options, Building(force_build, env, secrets, gpu)
        )
        return image._noting(method, uv_version=uv_version)

    def pip_install_from_requirements(
        self,
        requirements_txt: str | os.PathLike[str],
        find_links: str | None = None,
        *,
        index_url: str | None = None,
        extra_index_url: str | None = None,
        pre: bool = False,
        extra_options: str = "",
        force_build: bool = False,
        env: Mapping[str, str | None] | None = None,
        secrets: Sequence[Secret] | None = None,
        gpu: Any = None,
    ) -> Self:
        """Installs what a local requirements file names. Raises `NotFoundError`, `InvalidError`."""
        method = "pip_install_from_requirements"
        wanted = _requirements.Requirements([], {}, [])
        if config.is_local():
            wanted = _requirements.read_requirements(requirements_txt)
        options = _options(find_links, index_url, extra_index_url, pre)
        return self._pip(
            method,
            ["a requirements file"],
            wanted,
            options,
            extra_options,
            Building(force_build, env, secrets, gpu),
        )

    def pip_install_from_pyproject(
        self,
        pyproject_toml: str | os.PathLike[str],
        optional_dependencies: list[str] | None = None,
        *,
        find_links: str | None = None,
        index_url: str | None = None,
        extra_index_url: str | None = None,
        pre: bool = False,
        extra_options: str = "",
        force_build: bool = False,
        env: Mapping[str, str | None] | None = None,
        secrets: Sequence[Secret] | None = None,
        gpu: Any = None,
    ) -> Self:
        """Installs `project.dependencies` and optional groups. Raises `NotFoundError`, `InvalidError`."""
        method = "pip_install_from_pyproject"
        groups = listed(method, "optional_dependencies", optional_dependencies or [])
        wanted = _requirements.Requirements([], {}, [])
        if config.is_local():
            wanted = _requirements.read_pyproject(pyproject_toml, groups)
        options = _options(find_links, index_url, extra_index_url, pre)
        return self._pip(
            method,
            ["a project", *groups],
            wanted,
            options,
            extra_options,
            Building(force_build, env, secrets, gpu),
        )

    def pip_install_private_repos(
        self,
        *repositories: str,
        git_user: str,
        find_links: str | None = None,
        index_url: str | None = None,
        extra_index_url: str | None = None,
        pre: bool = False,
        extra_options: str = "",
        force_build: bool = False,
        env: Mapping[str, str | None] | None = None,
        secrets: Sequence[Secret] | None = None,
        gpu: Any = None,
    ) -> Self:
        """Packages of private repositories, `github.com/owner/repo[@ref]`, brought by git as `git_user`.

        The token is `GITHUB_TOKEN` or `GITLAB_TOKEN` of `secrets`; it is in no layer and in no log. An image
        without git gets it. Raises `InvalidError` without `secrets=`, or without the token there that a
        repository needs.
        """
        method = "pip_install_private_repos"
        tokens = check_secrets(method, secrets)
        if not tokens:
            raise InvalidError(
                f"{method}: secrets= is missing; give one with GITHUB_TOKEN or GITLAB_TOKEN, for example "
                'secrets=[modal.Secret.from_local_environ(["GITHUB_TOKEN"])]'
            )
        names = flat(method, "repositories", repositories)
        known = {name for secret in tokens for name in secret._env}
        for repository in names:
            match = _REPOSITORY.fullmatch(repository)
            if match is None:
                raise InvalidError(
                    f"{method}: {repository!r} is no repository: write github.com/owner/name or "
                    "gitlab.com/owner/name, @ and a reference behind it if you like"
                )
            token = _TOKENS[match.group(1)]
            if config.is_local() and token not in known and not any(secret._unbuilt for secret in tokens):
                raise InvalidError(f"{method}: {repository} needs a secret with {token} in it")
        if not _GIT_USER.fullmatch(git_user):
            raise InvalidError(f"{method}: git_user={git_user!r} is no name of a user")
        wanted = _requirements.Requirements([f"git+https://{git_user}@{name}" for name in names], {}, [])
        options = _options(find_links, index_url, extra_index_url, pre)
        building = Building(force_build, env, secrets, gpu)
        said = [*names, git_user] if names else []
        return self._pip(method, said, wanted, options, extra_options, building, git=True)

    def uv_sync(
        self,
        uv_project_dir: str | os.PathLike[str] = "./",
        *,
        groups: list[str] | None = None,
        extras: list[str] | None = None,
        frozen: bool = True,
        extra_options: str = "",
        uv_version: str | None = None,
        force_build: bool = False,
        env: Mapping[str, str | None] | None = None,
        secrets: Sequence[Secret] | None = None,
        gpu: Any = None,
    ) -> Self:
        """Installs what a project's `uv.lock` says, without the project itself.

        With `frozen=False` a lock file that is missing or out of date is made again. `groups` and `extras`
        come beside the default ones. Raises `NotFoundError`, `InvalidError`.
        """
        method = "uv_sync"
        project = posixpath.join(os.fspath(uv_project_dir), "pyproject.toml")
        lock = posixpath.join(os.fspath(uv_project_dir), "uv.lock")
        mount = Mount()
        if config.is_local():
            mount = Mount().add_local_file(_needed(method, project), "/pyproject.toml")
            if frozen or os.path.isfile(lock):
                found = _needed(method, lock, "; run `uv lock`, or write frozen=False")
                mount = mount.add_local_file(found, "/uv.lock")
        options = _requirements.read_options(method, extra_options, sync=True)
        wanted = [
            listed(method, name, given or []) for name, given in (("groups", groups), ("extras", extras))
        ]
        step = {
            "kind": "uv_sync",
            "files": (mount,),
            "groups": wanted[0],
            "extras": wanted[1],
            "frozen": bool(frozen),
            "options": [*options.passed, *_dated()],
        }
        unbuilt = f"{method}(extra_options={' '.join(options.unknown)!r})" if options.unknown else None
        image = self._declare(method, [*wanted, bool(frozen), extra_options], step, unbuilt)
        image = image._noting(method, uv_version=uv_version)
        return image._building(method, Building(force_build, env, secrets, gpu))

    def poetry_install_from_file(
        self,
        poetry_pyproject_toml: str | os.PathLike[str],
        poetry_lockfile: str | os.PathLike[str] | None = None,
        ignore_lockfile: bool = False,
        old_installer: bool = False,
        *,
        with_: list[str] | None = None,
        without: list[str] | None = None,
        only: list[str] | None = None,
        poetry_version: str | None = "latest",
        force_build: bool = False,
        env: Mapping[str, str | None] | None = None,
        secrets: Sequence[Secret] | None = None,
        gpu: Any = None,
    ) -> Self:
        """Installs a Poetry project's dependencies, without the project itself, as its `poetry.lock` says.

        `ignore_lockfile` resolves them anew. Raises `NotFoundError` when a file is missing, `InvalidError`.
        """
        method = "poetry_install_from_file"
        mount = Mount()
        if config.is_local():
            project = _needed(method, os.fspath(poetry_pyproject_toml))
            mount = mount.add_local_file(project, "/pyproject.toml")
            if not ignore_lockfile:
                lock = os.fspath(poetry_lockfile or os.path.join(os.path.dirname(project), "poetry.lock"))
                lock = _needed(method, lock, "; run `poetry lock`, or write ignore_lockfile=True")
                mount = mount.add_local_file(lock, "/poetry.lock")
        sets = {"with": with_, "without": without, "only": only}
        sets = {name: listed(method, name, groups or []) for name, groups in sets.items()}
        version = None if poetry_version in (None, "latest") else poetry_version
        step = {"kind": "poetry_install", "files": (mount,), **sets, "version": version}
        image = self._declare(method, [bool(ignore_lockfile), poetry_version, sets], step)
        image = image._noting(method, old_installer=old_installer)
        return image._building(method, Building(force_build, env, secrets, gpu))

    @named("packages")
    def apt_install(
        self,
        *packages: str | list[str],
        force_build: bool = False,
        env: Mapping[str, str | None] | None = None,
        secrets: Sequence[Secret] | None = None,
        gpu: Any = None,
    ) -> Self:
        """Installs Debian packages: strings, lists, or both. Raises `InvalidError`."""
        names = flat("apt_install", "packages", packages)
        for name in names:
            if name.startswith("-"):
                raise InvalidError(f"apt_install: {name!r} is an option, not a package")
        if not names:
            return self
        step = {"kind": "apt_install", "packages": names}
        return self._declare("apt_install", names, step)._building(
            "apt_install", Building(force_build, env, secrets, gpu)
        )

    @named("packages")
    def conda_install(
        self,
        *packages: str | list[str],
        channels: list[str] | None = None,
        force_build: bool = False,
        env: Mapping[str, str | None] | None = None,
        secrets: Sequence[Secret] | None = None,
        gpu: Any = None,
    ) -> Self:
        """`micromamba_install` as it was called until 2024."""
        building = Building(force_build, env, secrets, gpu)
        return self._conda("conda_install", packages, channels, None, building)

    def conda_update_from_environment(
        self,
        environment_yml: str | os.PathLike[str],
        *,
        force_build: bool = False,
        env: Mapping[str, str | None] | None = None,
        secrets: Sequence[Secret] | None = None,
        gpu: Any = None,
    ) -> Self:
        """Installs what an environment file names, pip's packages in it as well.

        Raises `NotFoundError` when it is missing; what is wrong in it is told when the image is built.
        """
        building = Building(force_build, env, secrets, gpu)
        return self._conda("conda_update_from_environment", (), None, environment_yml, building)

    def micromamba_install(
        self,
        *packages: str | list[str],
        spec_file: str | None = None,
        channels: list[str] | None = None,
        force_build: bool = False,
        env: Mapping[str, str | None] | None = None,
        secrets: Sequence[Secret] | None = None,
        gpu: Any = None,
    ) -> Self:
        """Installs conda packages such as `"numpy=1.26"`, and those of the environment file `spec_file`.

        `channels` are asked before those of the machine. The image begins with `Image.micromamba()`. Raises
        `InvalidError`, `NotFoundError`.
        """
        building = Building(force_build, env, secrets, gpu)
        return self._conda("micromamba_install", packages, channels, spec_file, building)

    def _conda(
        self,
        method: str,
        packages: tuple[str | list[str], ...],
        channels: list[str] | None,
        spec_file: str | os.PathLike[str] | None,
        building: Building,
    ) -> Self:
        names, sources = flat(method, "packages", packages), listed(method, "channels", channels or [])
        for name in [*names, *sources]:
            if not name.strip() or name.lstrip().startswith("-"):
                raise InvalidError(
                    f"{method}: {name!r} is no conda package and no channel: write a package such as "
                    '"numpy=1.26", and channels=["conda-forge"]'
                )
        mount = Mount()
        if spec_file is not None and config.is_local():
            found = _needed(method, os.fspath(spec_file))
            mount = mount.add_local_file(found, f"/{os.path.basename(found)}")
        if not names and spec_file is None:
            return self
        if self._base["kind"] != "conda":
            raise InvalidError(
                f"Image.{method} needs an image that begins with Image.micromamba(); others take pip_install"
            )
        step = {"kind": "conda_install", "packages": names, "channels": sources, "files": (mount,)}
        date = _date()
        step = {**step, "exclude_newer": date} if date else step
        return self._declare(method, [names, sources], step)._building(method, building)

    def _pip(
        self,
        method: str,
        said: list[str],
        wanted: _requirements.Requirements,
        given: Mapping[str, Any],
        extra_options: str,
        building: Building,
        git: bool = False,
    ) -> Self:
        more, passed, unknown = _requirements.read_options(method, extra_options)
        for name in wanted.packages:
            _check_package(method, name)
        options, clashing = _requirements.merged(given, wanted.options, more)
        if not said:
            return self
        unbuilt = None
        if unknown:
            unbuilt = f"{method}(extra_options={' '.join(unknown)!r})"
        elif clashing:
            unbuilt = f"{method} with two values of {clashing}"
        if options.pop("require_hashes", False) and "--require-hashes" not in passed:
            passed.append("--require-hashes")
        step = None
        if wanted.packages:
            defaults = {"find_links": None, "index_url": None, "extra_index_url": None, "pre": False}
            step = {"kind": "pip_install", "packages": wanted.packages, **defaults, **options}
            step["options"] = [*passed, *_dated()]
            if git:
                step["git"] = True
        # What a requirements file says is not among what is said: a container does not have the file.
        declared = self._declare(method, [said, dict(given), extra_options], step, unbuilt)
        return declared._building(method, building)


def _options(
    find_links: str | None, index_url: str | None, extra_index_url: str | None, pre: bool
) -> dict[str, Any]:
    given = {"find_links": find_links, "index_url": index_url, "extra_index_url": extra_index_url}
    found: dict[str, Any] = {name: value for name, value in given.items() if value}
    return {**found, "pre": True} if pre else found


def _dated() -> list[str]:
    """What `PILOTLIGHT_EXCLUDE_NEWER` says: packages that were uploaded later do not count."""
    date = _date()
    return [f"--exclude-newer={date}"] if date else []


def _date() -> str | None:
    date = config.config["exclude_newer"]
    if not date:
        return None
    if not _DATE.fullmatch(date):
        raise InvalidError(f"PILOTLIGHT_EXCLUDE_NEWER is a date such as 2022-11-30, not {date!r}")
    return date


def _check_package(method: str, name: str) -> None:
    if name.lstrip().startswith("-"):
        raise InvalidError(
            f"{method}: {name!r} is an option of pip, not a package: write extra_options={name!r}, or one of "
            "index_url=, extra_index_url=, find_links=, pre="
        )
    if not name.strip():
        raise InvalidError(f"{method}: an empty string is no package")
    if name.startswith(("./", "../", "/", "~", "file:")):
        raise InvalidError(
            f"{method}: {name!r} is a path on this machine, which the build does not see: use "
            "add_local_python_source for a module of your own"
        )


def _needed(method: str, path: str, remedy: str = "") -> str:
    found = _files.absolute(path)
    _files.note_read(found)
    if not os.path.isfile(found):
        raise NotFoundError(f"{method}: there is no file {found}{remedy}")
    return found
