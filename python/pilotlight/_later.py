"""Stand-ins for the parts of Modal's interface that are declared but not built yet.

A program may *declare* them (so that it imports, and its endpoints are served); using one raises
`NotBuiltError`, and a function that names one adds a notice to the manifest.
"""

from __future__ import annotations

from typing import Any

from .exception import NotBuiltError


class Later:
    """Base of the stand-ins: remembers how it was declared and refuses everything else."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._declared = (args, kwargs)

    @classmethod
    def from_name(cls, *args: Any, **kwargs: Any) -> Any:
        """Declares the named object; nothing is looked up."""
        return cls(*args, **kwargs)

    @classmethod
    def persisted(cls, *args: Any, **kwargs: Any) -> Any:
        """Declares the named object; nothing is looked up."""
        return cls(*args, **kwargs)

    @classmethod
    def new(cls, *args: Any, **kwargs: Any) -> Any:
        """Declares a new object; nothing is created."""
        return cls(*args, **kwargs)

    def persist(self, *args: Any, **kwargs: Any) -> Any:
        """Returns itself; nothing is created."""
        return self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise not_built(f"{type(self).__name__}.{name}")


class Cron(Later):
    """A schedule as a cron line."""


class Dict(Later):
    """A shared dictionary."""


class NetworkFileSystem(Later):
    """A shared file system (2023)."""


class Period(Later):
    """A schedule as a length of time."""


class Proxy(Later):
    """A static outbound address."""


class Queue(Later):
    """A shared queue."""


class RateLimit(Later):
    """A limit of calls per time (2022)."""


class Retries(Later):
    """How often a failed call is tried again."""


class SharedVolume(Later):
    """A shared file system (2022)."""


class Volume(Later):
    """A file system that outlives its containers."""


#: Names that Modal's package has and this one will have; asking for one says so.
NAMES = frozenset(
    "Client CloudBucketMount Cluster Environment FilePatternMatcher Probe Sandbox "
    "SandboxSnapshot SchedulerPlacement Server Tunnel Workspace aio billing clustered "
    "current_function_call_id current_input_id enable_output experimental forward "
    "interact lookup ref runner sessioned types".split()
)


def not_built(what: str, instead: str = "") -> NotBuiltError:
    """The error for `what`, a name as the user wrote it; `instead` says what to do."""
    remedy = f": {instead}" if instead else ""
    return NotBuiltError(f"{what} is not built yet in this version of pilotlight{remedy}")
