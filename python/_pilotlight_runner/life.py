"""What a runner's process is, from its configuration on: a server of one function, or a zygote.

A zygote's fork goes on here with what the zygote has: the server's libraries, or the function as well.
"""

from __future__ import annotations

import importlib
import os
import signal
import socket
import sys
import time
import traceback
from typing import Any, Callable

from . import ahead, apps, between, deps, errors, forks, fresh, load, places, warm
from .classes import Instance, Plain
from .control import CONTROL_FD, LISTENER_FD, Control, Lit
from .descriptors import Descriptors, opened
from .serve import Server, Serving, closing
from .surroundings import Change, Surroundings
from .zygote import ORDERS_FD, Order, Zygote

#: What an image's zygote has imported if the image has it: most of what a FastAPI program needs.
_FRAMEWORK = (
    "fastapi",
    "fastapi.middleware.cors",
    "fastapi.responses",
    "starlette.staticfiles",
    "anyio._backends._asyncio",
    # For the names of other hosts, whatever a program asks them with.
    "encodings.idna",
)


class Life:
    """A process and what it has loaded so far."""

    def __init__(self, start_path: list[str]) -> None:
        self._start_path = start_path
        self._server: Server | None = None
        self._spare: list[Server] = []
        self._target: Plain | Instance | None = None
        self._app: Any = None
        #: What the import did to the zygote that this is a fork of.
        self._change: Change | None = None
        #: The process id of that zygote.
        self._zygote_id = 0
        self._order: Order | None = None
        #: Names of modules that this process or the zygote before it has imported ahead.
        self._ahead: frozenset[str] = frozenset()

    @property
    def loaded(self) -> bool:
        """Whether the user's module is imported."""
        return self._target is not None

    def live(self, configuration: dict[str, Any], control: Control, listener: int) -> Zygote | None:
        """Be what `configuration` says. Returns None at the end of a server, a zygote that is lit.

        Raises `StartError` where the user's program does not load or start.
        """
        role = configuration.get("role", "serve")
        if role == "serve":
            self._serve(configuration["function"], control, socket.socket(fileno=listener))
            return None
        orders = socket.socket(fileno=ORDERS_FD)
        if role == "image":
            lit = self._light_image()
        elif role == "session":
            lit = self._light_session(configuration["function"]["modules"])
        else:
            lit = self._light_function(configuration["function"])
        # The user's code may have taken the signal that puts zygotes out. A fork takes it again.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        # Tried before it is told: from then on a zygote has no child but for an order.
        through = not lit.obstacles and between.is_possible()
        control.lit(lit)
        self._zygote_id = os.getpid()
        return None if lit.obstacles else Zygote(orders, through)

    def move(self, order: Order) -> None:
        """Become the container that a fork joined: its environment, directory, module path.

        What the user's import made of environment, directory and open files stays made.
        """
        self._order = order
        zone = os.environ.get("TZ")
        for name, value in order.environment.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        os.chdir(order.directory)
        if self._target is None:
            # The files are others than the zygote saw. Those of a function's zygote are the same.
            importlib.invalidate_caches()
            self._enter(order)
        else:
            places.inherit_path()
        if self._change is not None:
            self._change.repeat()
            self._change = None
        if os.environ.get("TZ") != zone:
            time.tzset()

    def _light_image(self) -> Lit:
        """Have everything that is not the user's, and have used it."""
        self._prepare(spare=warm.SERVERS)
        import_ms = _timed(_import_framework)
        warm.warm(self._spare)
        self._spare.clear()
        # The one descriptor that is new is libuv's, which makes another in each fork.
        return Lit(import_ms, 0.0, forks.obstacles(Descriptors(opened())))

    def _light_session(self, names: list[str]) -> Lit:
        """Have what a function's containers have imported of the image, and nothing of the user's."""
        self._prepare()
        self._confirm()
        before, ours = Surroundings(), opened()
        began = time.perf_counter()
        try:
            self._ahead = ahead.load(names)
        except BaseException as error:
            # Without the user's files it may be so; then each version imports for itself.
            raise errors.StartError.of("import", error) from None
        obstacles = forks.obstacles(Descriptors(ours))
        if before.would_be_lost() or opened() != ours:
            obstacles.append("what the import made of the process")
        return Lit((time.perf_counter() - began) * 1000, 0.0, obstacles)

    def _light_function(self, function: dict[str, Any]) -> Lit:
        """Have the function, and its app if making that takes no part of a container's own life."""
        self._prepare()
        self._confirm()
        before, ours = Surroundings(), opened()
        asked_for = function.get("snapshot") is True
        import_ms = self._load(function)
        app_ms = _timed(lambda: self._build(function, asked_for))
        descriptors = Descriptors(ours)
        self._change = Change(before, descriptors)
        changes = before.changed() or ahead.is_patched()
        return Lit(import_ms, app_ms, forks.obstacles(descriptors, asked_for), changes)

    def _enter(self, order: Order) -> None:
        """See the user's files for the first time."""
        if _shadowed(self._ahead):
            # The user's own file has the name of a module that the zygote has: only a fresh interpreter is
            # right.
            self._confirm()
            for descriptor in (CONTROL_FD, ORDERS_FD if order.zygote else LISTENER_FD):
                os.set_inheritable(descriptor, True)
            os.execv(sys.executable, [sys.executable, "-m", "_pilotlight_runner"])
        own = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        self._start_path[:0] = [entry for entry in own if entry and entry not in self._start_path]
        places.enter_user_world(self._start_path)

    def _serve(self, function: dict[str, Any], control: Control, listener: socket.socket) -> None:
        # What runs of the user's before it is ready may take its time, and must not hide the host's death. A
        # zygote must not have the thread that watches, and where nothing of the user's runs it can wait.
        at_once = self._app is None or not apps.is_ours(function["web"])
        if at_once:
            control.watch()
        server = self._prepare()
        control.imported(self._load(function))
        target, built = self._target, self._app
        assert target is not None

        def build(raw: Callable[..., Any]) -> Any:
            return self._made(function, raw) if built is None else built

        serving = Serving(
            target,
            build,
            function["name"],
            function["max_inputs"],
            time.perf_counter(),
            lifespan=not apps.is_ours(function["web"]),
            confirm=self._confirm,
            ready=None if at_once else control.watch,
            after=ahead.Teller(control.modules).look if function.get("tells") else None,
        )
        server.run(serving, listener, control)

    def _confirm(self) -> None:
        """Of a fork: wait until the host has looked at it. Before anything of the user's, but once."""
        order, self._order = self._order, None
        if order is not None:
            order.confirm()
            fresh.renew(same_process_id=os.getpid() == self._zygote_id)

    def _prepare(self, spare: int = 0) -> Server:
        if self._server is None:
            try:
                made = deps.prepare(lambda libraries: [Server(libraries) for _ in range(1 + spare)])
            except Exception as error:
                sentence = f"the server's libraries in {places.DEPS} do not import: {errors.summary(error)}"
                raise errors.StartError("import", sentence, traceback.format_exc()) from None
            self._server, *self._spare = made
            places.enter_user_world(self._start_path)
        return self._server

    def _load(self, function: dict[str, Any]) -> float:
        """Import the user's module unless that was done before the fork; how long it took, milliseconds."""
        if self._target is not None:
            return 0.0
        self._prepare()
        self._confirm()
        began = time.perf_counter()
        self._target = load.load(function, deps.unpickle)
        return (time.perf_counter() - began) * 1000

    def _build(self, function: dict[str, Any], asked_for: bool) -> None:
        assert self._target is not None
        if asked_for:
            # What async hooks open on this loop ends with it: a loop is nothing that two processes can have.
            with closing(self._prepare().libraries.new_event_loop()) as loop:
                self._target.enter_early(loop)
        # An object of the user's makes its app, or is it, after its last hook.
        if isinstance(self._target, Plain) and not apps.is_running(function["web"]):
            self._app = self._made(function, self._target.function)

    def _made(self, function: dict[str, Any], raw: Callable[..., Any]) -> Any:
        return apps.build(raw, function["name"], function["web"], self._prepare().libraries)


def _shadowed(ahead: frozenset[str]) -> bool:
    try:
        entries = os.listdir(places.ROOT)
    except OSError:
        return False
    loaded = {
        name
        for name, module in sys.modules.items()
        if "." not in name and "site-packages" in (getattr(module, "__file__", None) or "")
    }
    return any(entry.partition(".")[0] in loaded | ahead for entry in entries)


def _import_framework() -> None:
    for name in _FRAMEWORK:
        try:
            importlib.import_module(name)
        except Exception:
            # The image has none, or one that is broken: whoever imports it will be told.
            continue


def _timed(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000
