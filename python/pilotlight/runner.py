"""`modal.runner` (2023 to today): running, serving and deploying by functions in place of methods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._aio import dual_static
from ._later import not_built
from ._public import public

if TYPE_CHECKING:
    from ._running import Run, RunningApp
    from .app import App
    from .stub import Stub

__all__ = ["deploy_app", "deploy_stub", "interactive_shell", "run_app", "run_stub", "serve_stub"]


@public
def run_app(
    app: App,
    *,
    client: Any = None,
    detach: bool = False,
    environment_name: str | None = None,
    interactive: bool = False,
) -> Run:
    """`app.run()`: serves the app while a `with` block lasts."""
    return app.run(client=client, detach=detach, environment_name=environment_name, interactive=interactive)


@public
def run_stub(
    stub: Stub,
    client: Any = None,
    stdout: Any = None,
    show_progress: bool | None = None,
    detach: bool = False,
    environment_name: str | None = None,
) -> Run:
    """`stub.run()`: serves the app while a `with` block lasts."""
    return stub.run(client, stdout, show_progress, detach, environment_name)


@public
@dual_static
def deploy_app(
    app: App,
    name: str | None = None,
    namespace: Any = None,
    client: Any = None,
    environment_name: str | None = None,
    tag: str = "",
) -> App:
    """`app.deploy()`."""
    return app.deploy(name=name, environment_name=environment_name, tag=tag, client=client)


@public
@dual_static
def deploy_stub(
    stub: Stub,
    name: str | None = None,
    namespace: Any = None,
    client: Any = None,
    stdout: Any = None,
    show_progress: bool | None = None,
    object_entity: str = "ap",
    environment_name: str | None = None,
) -> RunningApp:
    """`stub.deploy()`."""
    return stub.deploy(name, namespace, client, stdout, show_progress, environment_name=environment_name)


@public
@dual_static
def serve_stub(
    stub: Stub,
    stub_ref: Any = None,
    stdout: Any = None,
    show_progress: bool | None = None,
    timeout: float | None = None,
    environment_name: str | None = None,
) -> None:
    """`stub.serve()`; `stub_ref`, the file it is in, is the program that runs."""
    stub.serve(stdout=stdout, show_progress=show_progress, timeout=timeout)


def interactive_shell(*args: Any, **kwargs: Any) -> Any:
    """Not built yet: raises `NotBuiltError`."""
    raise not_built("modal.runner.interactive_shell")
