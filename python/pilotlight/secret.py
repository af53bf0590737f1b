"""`Secret`: environment variables for a function's container."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from . import _files, config
from ._later import not_built, unbuilt
from ._names import check_name
from ._public import public
from .exception import InvalidError, NotFoundError
from .object import Manager

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Secret"]

_NAME_LENGTH_MAX = 16_384
_VALUE_LENGTH_MAX = 32_768


@public
class Secret:
    """Environment variables, given in the program. Values never appear in `repr`, nor in a pickle.

    `env_dict` maps names to strings; a value of None is left out (Modal's rule for `from_dict`).
    Raises `InvalidError` for names or values that are not strings, or too long.
    """

    _shown = "Secret"
    objects = Manager("Secret")

    def __init__(self, env_dict: Mapping[str, str | None] | None = None, template_type: str = "") -> None:
        self._env: dict[str, str] = {}
        #: The declaration of a secret that is stored on the server, which is not built yet.
        self._unbuilt: str | None = None
        given: Mapping[str, str | None] = {} if env_dict is None else env_dict
        if not hasattr(given, "items"):
            raise InvalidError(f"Secret takes a dict of strings, not a {type(given).__name__}")
        for name, value in given.items():
            _check_variable(name)
            if value is None:
                continue
            if not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise InvalidError(
                    f"Secret: the value of {name} is a {type(value).__name__}; variables hold strings"
                )
            if len(value) > _VALUE_LENGTH_MAX:
                raise InvalidError(
                    f"Secret: the value of {name} has {len(value)} characters; the most is "
                    f"{_VALUE_LENGTH_MAX}"
                )
            if "\0" in value:
                raise InvalidError(f"Secret: the value of {name} has a zero byte, which no variable can hold")
            self._env[name] = value

    @staticmethod
    def from_dict(env_dict: Mapping[str, str | None] | None = None) -> Secret:
        """Variables from a dictionary."""
        return Secret(env_dict)

    @staticmethod
    def from_local_environ(env_keys: Sequence[str]) -> Secret:
        """Variables copied from this machine's environment; `InvalidError` for one that is not set."""
        if isinstance(env_keys, str):
            raise InvalidError(f"Secret.from_local_environ takes a list of names: [{env_keys!r}]")
        for key in env_keys:
            _check_variable(key)
        if not config.is_local():
            return Secret()
        missing = [key for key in env_keys if key not in os.environ]
        if missing:
            raise InvalidError(f"Secret.from_local_environ: not set here: {', '.join(missing)}")
        return Secret({key: os.environ[key] for key in env_keys})

    @staticmethod
    def from_dotenv(path: str | os.PathLike[str] | None = None, *, filename: str = ".env") -> Secret:
        """Variables from the nearest file `filename`, in the current folder or one above it.

        `path` is where to begin in place of the current folder: a folder, or a file in it such as `__file__`;
        a file that is itself named like `filename`, or `….env`, is the one that is read. Raises
        `NotFoundError` when there is none and `InvalidError` for a line that cannot be read.
        """
        if not config.is_local():
            return Secret()
        from . import _dotenv

        start = os.path.abspath("." if path is None else path)
        found: str | None = start
        if not os.path.isfile(start) or not _is_dotenv(os.path.basename(start), filename):
            start = os.path.dirname(start) if os.path.isfile(start) else start
            found = _dotenv.find(start, filename)
        # Made or changed, it counts for `pilotlight serve`.
        _files.note_read(found or os.path.join(start, filename))
        if found is None:
            raise NotFoundError(
                f"Secret.from_dotenv: there is no file {os.path.join(start, filename)}, nor one in a folder "
                "above it: make it, or name it by path= and filename="
            )
        with open(found, encoding="utf-8") as file:
            return Secret(_dotenv.parse(file.read(), found))

    @staticmethod
    def from_name(
        name: str | None = None,
        tag: str | None = None,
        namespace: Any = None,
        client: Any = None,
        *,
        app_name: str | None = None,
        environment_name: str | None = None,
        required_keys: Sequence[str] = (),
    ) -> Secret:
        """A secret stored on the server: can be declared, and is not built yet.

        A function that uses it runs without its variables, and a notice says so. With `required_keys`, which
        say that it cannot, the function is refused: `NotBuiltError`.
        """
        wanted = name if app_name is None else app_name
        if wanted is None:
            raise InvalidError('Secret.from_name needs a name: write Secret.from_name("my-secret")')
        check_name(wanted, "a secret")
        secret = Secret()
        secret._unbuilt = f"Secret.from_name({wanted!r}{f', {tag!r}' if tag is not None else ''})"
        secret._required = tuple(required_keys)
        return secret

    @staticmethod
    def lookup(
        name: str,
        tag: str | None = None,
        namespace: Any = None,
        client: Any = None,
        environment_name: str | None = None,
        required_keys: Sequence[str] = (),
    ) -> Secret:
        """`from_name` that asks at once (Modal, to 2025). Raises `NotFoundError`: none can be stored yet."""
        check_name(name, "a secret")
        raise NotFoundError(
            f"there is no secret {name!r}: this version of pilotlight does not store secrets yet; use "
            "Secret.from_dotenv() or Secret.from_local_environ([…])"
        )

    @staticmethod
    def create_deployed(deployment_name: str, env_dict: Mapping[str, str], *args: Any, **kwargs: Any) -> Any:
        """Not built yet: raises `NotBuiltError`."""
        raise not_built("Secret.create_deployed")

    def persist(self, label: str, *args: Any, **kwargs: Any) -> Secret:
        """The secret itself: its variables are in the program, and need no name on the server."""
        check_name(label, "a secret")
        return self

    @unbuilt
    def update(self, env_dict: Mapping[str, str]) -> Any:
        """Not built yet: raises `NotBuiltError`."""

    @unbuilt
    def info(self) -> Any:
        """Not built yet: raises `NotBuiltError`."""

    #: Names that the program cannot do without.
    _required: tuple[str, ...] = ()

    def _variables(self) -> dict[str, str]:
        """The variables. Raises `NotBuiltError` for a secret of the server."""
        if self._unbuilt:
            raise not_built(self._unbuilt, "use Secret.from_dict or Secret.from_dotenv")
        return dict(self._env)

    def _variables_or_notice(self) -> tuple[dict[str, str], str | None]:
        """The variables, and what a notice says of those that are not there. Raises as `from_name` says."""
        if self._unbuilt is None:
            return dict(self._env), None
        if self._required:
            raise not_built(
                f"{self._unbuilt}, which must have {', '.join(self._required)},",
                f"use Secret.from_dotenv() or Secret.from_local_environ({list(self._required)!r})",
            )
        return {}, (
            f"{self._unbuilt} is accepted but not built yet: its variables are not set (use "
            "Secret.from_dotenv() or Secret.from_local_environ([…]))"
        )

    def __repr__(self) -> str:
        return f"Secret({', '.join(self._env) or self._unbuilt or ''})"

    def __reduce__(self) -> Any:
        # A pickled function may name it. Its variables are in the container's environment already.
        return Secret, ()


def _is_dotenv(name: str, filename: str) -> bool:
    return name == filename or name.endswith(".env") or name.startswith(".env")


def _check_variable(name: object) -> None:
    if not isinstance(name, str) or not name or "=" in name or "\0" in name:
        raise InvalidError(f"Secret: {name!r} is not a name of an environment variable")
    if len(name) > _NAME_LENGTH_MAX:
        raise InvalidError(
            f"Secret: the name {name[:20]}… has {len(name)} characters; the most is {_NAME_LENGTH_MAX}"
        )
