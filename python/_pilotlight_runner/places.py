"""Where things are inside a container, and which of these places each kind of code may import from."""

from __future__ import annotations

import os
import sys

#: The user's files. The environment variables of this module exist for tests; no container sets them.
ROOT = os.environ.get("PILOTLIGHT_ROOT", "/root")
#: The SDK: what `import pilotlight` and `import modal` give inside a container.
SDK = os.environ.get("PILOTLIGHT_SDK", "/opt/pilotlight/sdk")
#: The server's libraries, hidden from user code once they are imported.
DEPS = os.environ.get("PILOTLIGHT_DEPS", "/opt/pilotlight/deps")
#: The directory that holds this package.
LIB = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
#: The standard library.
STDLIB = os.path.dirname(os.path.abspath(os.__file__))


def isolated_path() -> list[str]:
    """The path of our own imports: the server's libraries and the standard library, nothing else.

    A user's `queue.py` or the image's old `h11` must not end up inside the server.
    """
    standard = [entry for entry in sys.path if _is_standard(entry)]
    return [DEPS, *standard]


def user_path(start: list[str]) -> list[str]:
    """The path user code sees, made from the interpreter's own `start`.

    The user's files come first, as for a script; then the working directory when an image moved it, the SDK,
    and what the interpreter had: PYTHONPATH of the user, standard library, the image's site-packages. Our own
    directory is not in it, and neither is the place of the server's libraries.
    """
    own = {"", LIB, DEPS, ROOT, SDK}
    here = os.getcwd()
    first = [ROOT] if here == ROOT else [ROOT, here]
    return [*first, SDK, *(entry for entry in start if entry not in own and entry != here)]


def enter_user_world(start: list[str]) -> None:
    """Make this process look to user code like one that was started for it.

    `__main__` loses its origin: `multiprocessing` would otherwise import the runner again in each child it
    spawns. Child processes find the SDK through PYTHONPATH, and no longer this package.
    """
    sys.path[:] = user_path(start)
    sys.path_importer_cache.pop(DEPS, None)
    main = sys.modules["__main__"]
    main.__spec__ = None
    main.__dict__.pop("__file__", None)
    inherit_path()


def inherit_path() -> None:
    """Let child processes find the SDK, and what the user named, but not the runner."""
    inherited = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    os.environ["PYTHONPATH"] = os.pathsep.join(
        [SDK, *(entry for entry in inherited if entry not in ("", LIB, SDK))]
    )


def is_library(filename: str) -> bool:
    """Whether a file is of the standard library or an installed package: code the user did not write."""
    return (
        filename.startswith((STDLIB + os.sep, "<frozen "))
        or "/site-packages/" in filename
        or ("/dist-packages/" in filename)
    )


def is_hidden(filename: str) -> bool:
    """Whether a file is the runner's machinery, which a user's traceback leaves out."""
    ours = (os.path.join(LIB, "_pilotlight_runner") + os.sep, DEPS + os.sep)
    machinery = ("<frozen importlib", "<frozen runpy", os.path.join(STDLIB, "importlib") + os.sep)
    return filename.startswith(ours + machinery)


def _is_standard(entry: str) -> bool:
    return entry == STDLIB or entry.endswith(("/lib-dynload", ".zip")) or os.path.abspath(entry) == STDLIB
