"""What every container must have of its own though it is a fork: random streams, and what tells it apart.

The kernel's source, which `secrets`, `os.urandom`, `uuid4` and OpenSSL's seed come from, knows forks. What a
process keeps in its own memory does not, and the process id, by which many libraries know a fork, is the same
number in many containers. What cannot be renewed is the seed of `hash(str)`: it is the interpreter's, and of
all forks of one (docs/design/0013-after-the-fork.md).
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from typing import Any, Callable


def generators() -> list[str]:
    """Random generators that the program holds, which every fork would go on with at the same place.

    The ones of the modules themselves are made anew by `renew`. These are not: one that was seeded on purpose
    must keep its stream, and nothing tells it from one that was not.
    """
    kinds = _kinds()
    renewed = _renewed()
    found: dict[str, None] = {}
    for held in gc.get_objects():
        # By its type: asking the object for its class may run code of the user's.
        kind = type(held)
        if issubclass(kind, kinds) and not issubclass(kind, _system()) and id(held) not in renewed:
            found[f"the random generator {_name(held)}"] = None
    return list(found)


def renew(same_process_id: bool = True) -> None:
    """Give this fork random streams and an identity of its own. `random` itself does it at every fork.

    With another process id than the zygote's, what knows a fork by that is left to itself.
    """
    for module, work in _WORK.items():
        loaded = sys.modules.get(module)
        if loaded is not None and (same_process_id or work is not _ssl):
            # The user may have put something else in its place.
            with contextlib.suppress(Exception):
                work(loaded)


def _numpy(module: Any) -> None:
    # The global `RandomState`, which `numpy.random.random()` and its kin draw from.
    try:
        module.seed()
    except TypeError:
        # The program gave it another source, which has no seed of this kind.
        source = module.get_bit_generator()
        source.state = type(source)().state


def _uuid(module: Any) -> None:
    # A MAC address that another container has, or libuuid's own memory of the last time, would make equal
    # version 1 ids: the node is random instead (RFC 9562, section 6.10).
    module._generate_time_safe = None
    module._node = int.from_bytes(os.urandom(6), "big") | (1 << 40)
    for name in ("_last_timestamp", "_last_timestamp_v6", "_last_timestamp_v7"):
        if hasattr(module, name):
            setattr(module, name, None)
    if hasattr(module, "_last_counter_v7"):
        module._last_counter_v7 = 0


def _tempfile(module: Any) -> None:
    module._name_sequence = None


def _platform(module: Any) -> None:
    # It remembers the host's name.
    module._uname_cache = None


def _ssl(module: Any) -> None:
    # It mixes with the kernel's anew, as OpenSSL does by itself where the process id is another. Not always:
    # a process that never drew from it would make the whole generator here, 1 MiB of memory that is its own.
    module.RAND_add(os.urandom(32), 32.0)


def _multiprocessing(module: Any) -> None:
    config = module.current_process()._config
    config["authkey"] = module.AuthenticationString(os.urandom(32))


def _semaphores(module: Any) -> None:
    tempfile = sys.modules["tempfile"]
    module.SemLock._rand = tempfile._RandomNameSequence()  # type: ignore[attr-defined]


_WORK: dict[str, Callable[[Any], None]] = {
    "numpy.random": _numpy,
    "uuid": _uuid,
    "tempfile": _tempfile,
    "platform": _platform,
    "_ssl": _ssl,
    "multiprocessing.process": _multiprocessing,
    "multiprocessing.synchronize": _semaphores,
}


def _kinds() -> tuple[type, ...]:
    places = (("_random", "Random"), ("numpy.random", "Generator"), ("numpy.random", "RandomState"))
    found = (getattr(sys.modules.get(module), name, None) for module, name in places)
    return tuple(kind for kind in found if isinstance(kind, type))


def _system() -> tuple[type, ...]:
    """Those without a state of their own: they ask the kernel each time."""
    kind = getattr(sys.modules.get("random"), "SystemRandom", None)
    return (kind,) if isinstance(kind, type) else ()


def _renewed() -> set[int]:
    """The generators that are new in every fork."""
    found = {id(getattr(sys.modules.get("random"), "_inst", None))}
    numpy = sys.modules.get("numpy.random")
    for holder in (numpy, sys.modules.get("numpy.random.mtrand")):
        found.add(id(getattr(holder, "_rand", None)))
    tempfile = sys.modules.get("tempfile")
    kind = getattr(tempfile, "_RandomNameSequence", None)
    if isinstance(kind, type):
        # They look at the process id, which is another than the zygote's.
        found |= {id(getattr(one, "_rng", None)) for one in gc.get_objects() if type(one) is kind}
    return found


def _name(held: Any) -> str:
    for module, loaded in list(sys.modules.items()):
        for name, value in list(getattr(loaded, "__dict__", {}).items()):
            if value is held:
                return f"`{name}` of {module}"
    return f"of type {type(held).__module__}.{type(held).__qualname__}"
