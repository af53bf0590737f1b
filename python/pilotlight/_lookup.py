"""`modal.lookup` and `modal.ref` of 2022: deployed things by name, whatever their kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from . import _later
from ._aio import dual_static
from ._names import check_name
from ._public import public
from .exception import NotFoundError
from .object import Mountable
from .secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .functions import Function

__all__ = ["Reference", "lookup", "ref"]


@public
@dual_static
def lookup(app_name: str, tag: str | None = None, namespace: Any = None, client: Any = None) -> Any:
    """The function `tag` of a deployed app, asked for at once.

    Raises `NotFoundError` when there is none, and without a tag: secrets, volumes and the like, which were
    looked up so, cannot be deployed yet.
    """
    check_name(app_name)
    if tag is not None:
        from .functions import Function

        return Function.lookup(app_name, tag)
    from . import _deployed

    app = _deployed.find(app_name)
    if app is None:
        raise NotFoundError(
            f"nothing is deployed under the name {app_name!r}: `pilotlight app list` shows what is. Secrets, "
            "volumes, dicts and queues are not built yet in this version of pilotlight"
        )
    functions = cast("list[Mapping[str, Any]]", app.get("functions") or [])
    names = " or ".join(f"lookup({app_name!r}, {one.get('name')!r})" for one in functions)
    raise NotFoundError(f"{app_name!r} is an app, of which a function is looked up: write {names}")


@public
class Reference(Mountable):
    """What `modal.ref("name")` gives: a deployed secret, volume, dict or queue; which, is not known yet."""

    _shown = "ref"

    def __init__(self, name: str) -> None:
        check_name(name, "a deployed object")
        self.name = name
        self._declare(f"ref({name!r})")

    def as_secret(self) -> Secret:
        """The secret of this name: what `secret=modal.ref("…")` means."""
        _later.withdraw(self._declared)
        return Secret.from_name(self.name)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise _later.not_built(f"ref({self.name!r}).{name}")


@public
def ref(app_name: str, tag: str | None = None, namespace: Any = None) -> Reference | Function[..., Any]:
    """Refers to the function `tag` of a deployed app, or without a tag to a deployed object of any kind.

    Nothing is asked. Raises `InvalidError` for a name that cannot be.
    """
    if tag is None:
        return Reference(app_name)
    from .functions import Function

    return Function.from_name(app_name, tag)
