"""`with app.run():`, and the handle of the running or deployed app that 2022's `Stub` gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from . import _launch, config
from ._aio import dual
from ._later import not_built
from ._public import public
from .exception import InvalidError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from ._application import Application


class State(NamedTuple):
    """What is known of an app that is served."""

    app_id: str | None
    urls: Mapping[str, str]
    stop: Callable[[], None] | None


@public
class RunningApp:
    """An app that runs: what `stub.run()` yields and `stub.deploy()` returns (`modal.App` until 2024).

    `app.f` and `app["f"]` give the handle of a function, or a declared object.
    """

    def __init__(self, home: Application, state: State) -> None:
        self._home = home
        self._state = state

    @property
    def app_id(self) -> str | None:
        """The app's id, `ap-…`."""
        return self._state.app_id

    @property
    def client(self) -> None:
        """There is no client object here: always None."""
        return

    def log_url(self) -> str:
        """Not built yet: raises `NotBuiltError`."""
        raise not_built("App.log_url", "the log is on the terminal, and in `pilotlight app logs`")

    @dual
    def stop(self) -> None:
        """Ends the app at once. Raises `InvalidError` for a deployed one."""
        if self._state.stop is None:
            raise InvalidError("a deployed app is stopped with `pilotlight app stop NAME`")
        self._state.stop()

    @dual
    def disconnect(self) -> None:
        """The same as `stop`."""
        self.stop()

    def __getitem__(self, tag: str) -> Any:
        return self._home._object(tag)

    def __getattr__(self, tag: str) -> Any:
        if tag.startswith("__"):
            raise AttributeError(tag)
        return self[tag]

    def __repr__(self) -> str:
        return f"<App {self._state.app_id}>"


class Run:
    """The context manager of `run()`, for `with` and `async with`: the app is served while the block "
    "lasts."""

    def __init__(self, home: Application, yields: Callable[[State], Any]) -> None:
        self._home = home
        self._yields = yields
        self._context: AbstractContextManager[Any] | None = None

    def __enter__(self) -> Any:
        refuse_here(self._home, "run")
        if self._home._state is not None:
            raise InvalidError(
                f"{self._home._variable}.run(): the app runs already ({self._home._state.app_id}): leave "
                "the first `with` block before the next"
            )
        self._context = _launch.run(self._home)
        report: Mapping[str, Any] = self._context.__enter__()
        about: Mapping[str, Any] = report.get("app") or {}
        state = State(about.get("id"), report.get("urls") or {}, self._end)
        self._home._begin(state)
        return self._yields(state)

    def __exit__(self, *error: Any) -> None:
        self._end(*error)

    async def __aenter__(self) -> Any:
        import asyncio

        return await asyncio.get_running_loop().run_in_executor(None, self.__enter__)

    async def __aexit__(self, *error: Any) -> None:
        import asyncio

        await asyncio.get_running_loop().run_in_executor(None, self.__exit__, *error)

    def _end(self, *error: Any) -> None:
        context, self._context = self._context, None
        if context is None:
            return
        try:
            context.__exit__(*(error or (None, None, None)))
        finally:
            self._home._end()


def refuse_here(app: Application, verb: str) -> None:
    """Raises `InvalidError` in a container, while a file is being imported, and inside `with app.run():`."""
    variable = app._variable
    if config.discovering or not config.is_local():
        where = "in a container" if not config.is_local() else "while the file was being imported"
        raise InvalidError(
            f"{variable}.{verb}() was called {where}: put it under\n\n"
            f'    if __name__ == "__main__":\n        {variable}.{verb}()'
        )
    if verb != "run" and app._state is not None:
        raise InvalidError(
            f"{variable}.{verb}() was called inside `with {variable}.run():`, where the app "
            f"{app._state.app_id} runs already: {verb} it outside of that block, or drop the block"
        )
