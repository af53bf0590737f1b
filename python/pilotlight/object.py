"""`Object`: what Dict, Queue, Volume and the like share. They can be declared; using one is not built yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import _later
from ._aio import dual_class
from ._later import unbuilt
from ._names import check_name
from ._public import public
from .exception import InvalidError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Self

__all__ = ["Object"]


@public
class Object:
    """Something with a name and an id: declared as a reference (`from_name`), or as new with its app.

    Nothing is created or asked for by declaring it.
    """

    #: As users know the class, also below the classes of `modal.aio`.
    _shown = "Object"

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        public(cls)

    def __init__(self) -> None:
        self._declare(f"{self._shown}()")

    @classmethod
    def from_name(
        cls,
        name: str | None = None,
        tag: str | None = None,
        namespace: Any = None,
        client: Any = None,
        *,
        app_name: str | None = None,
        environment_name: str | None = None,
        create_if_missing: bool = False,
    ) -> Self:
        """Refers to the deployed object of this name. Raises `InvalidError` for a name that cannot be.

        `app_name` and `tag` are the words of 2022, when objects were parts of deployed apps.
        """
        return cls._reference("from_name", name if app_name is None else app_name, tag)

    @dual_class
    @classmethod
    def lookup(
        cls,
        name: str | None = None,
        tag: str | None = None,
        namespace: Any = None,
        client: Any = None,
        *,
        app_name: str | None = None,
        label: str | None = None,
        environment_name: str | None = None,
        create_if_missing: bool = False,
    ) -> Self:
        """`from_name` that asks at once (Modal, to 2025).

        Raises `NotFoundError` unless `create_if_missing`: nothing of the kind can have been deployed.
        """
        wanted = next((one for one in (name, app_name, label) if one is not None), None)
        found = cls._reference("lookup", wanted, tag)
        if not create_if_missing:
            raise cls._missing("named", wanted)
        return found

    @dual_class
    @classmethod
    def from_app(
        cls, app_name: str, tag: str | None = None, namespace: Any = None, client: Any = None
    ) -> Self:
        """`lookup` as it was called in 2022. Raises `NotFoundError`."""
        cls._reference("from_app", app_name, tag)
        raise cls._missing("named", app_name)

    @dual_class
    @classmethod
    def from_id(cls, object_id: str, client: Any = None) -> Self:
        """The object with this id. Raises `NotFoundError`: none has been given one."""
        if not isinstance(object_id, str) or not object_id:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidError(f"{cls._shown}.from_id: {object_id!r} is not an id")
        raise cls._missing("with the id", object_id)

    @classmethod
    def persisted(cls, label: str, namespace: Any = None, environment_name: str | None = None) -> Self:
        """`from_name(label, create_if_missing=True)` as it was called in 2023."""
        return cls._reference("persisted", label, None)

    @classmethod
    def new(cls, *args: Any, **kwargs: Any) -> Self:
        """A new object, as it was declared in 2023."""
        return cls(*args, **kwargs)

    def persist(self, label: str, namespace: Any = None, environment_name: str | None = None) -> Self:
        """The object, kept under the name `label` (Modal 2022)."""
        _later.withdraw(self._declared)
        return self._reference("persist", label, None)

    @property
    def object_id(self) -> None:
        """Nothing has been created: always None."""
        return

    @unbuilt
    def hydrate(self, client: Any = None) -> Any:
        """Not built yet: raises `NotBuiltError`."""

    @classmethod
    def _reference(cls, verb: str, name: object, tag: str | None) -> Self:
        if name is None:
            raise InvalidError(f'{cls._shown}.{verb} needs a name: write {cls._shown}.{verb}("my-name")')
        check_name(name, f"a {cls._shown}")
        made = cls.__new__(cls)
        made._declare(f"{cls._shown}.{verb}({name!r}{f', {tag!r}' if tag is not None else ''})")
        return made

    @classmethod
    def _missing(cls, how: str, name: object) -> NotFoundError:
        return NotFoundError(
            f"there is no {cls._shown} {how} {name!r}: this version of pilotlight does not have such objects "
            "yet, so that none can be deployed"
        )

    def _declare(self, declared: str) -> None:
        self._declared = declared
        _later.declare(declared)

    def __repr__(self) -> str:
        return f"<{self._declared}>"


class Mountable(Object):
    """What a function can have at a path: `volumes={"/data": …}`."""


@public
class Manager:
    """`Dict.objects` and its like: the named objects of a kind."""

    def __init__(self, kind: str) -> None:
        self._shown = f"{kind}.objects"

    @unbuilt
    def create(
        self,
        name: str,
        env_dict: Mapping[str, str] | None = None,
        *,
        allow_existing: bool = False,
        environment_name: str | None = None,
        client: Any = None,
    ) -> Any:
        """Not built yet: raises `NotBuiltError`."""

    @unbuilt
    def list(
        self,
        *,
        max_objects: int | None = None,
        created_before: Any = None,
        environment_name: str = "",
        client: Any = None,
    ) -> Any:
        """Not built yet: raises `NotBuiltError`."""

    @unbuilt
    def delete(
        self,
        name: str,
        *,
        allow_missing: bool = False,
        environment_name: str | None = None,
        client: Any = None,
    ) -> Any:
        """Not built yet: raises `NotBuiltError`."""
