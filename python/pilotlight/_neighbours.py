"""Finds out whether Modal's own client is installed beside us, and says so. Reads directory names only.

pip sees no conflict when two distributions have a module of one name, so we look for it. A listing of
`sys.path` answers the question; `importlib.metadata` would cost half of what `import modal` may take.
"""

from __future__ import annotations

import os
import sys
import warnings
from typing import NamedTuple

from . import config

PACKAGE_DIR = os.path.dirname(os.path.abspath(__file__))
#: The folder that holds both our packages.
SDK_DIR = os.path.dirname(PACKAGE_DIR)


class Client(NamedTuple):
    """An installed distribution of Modal's client."""

    name: str
    """`modal` or `modal-client`."""
    version: str
    folder: str
    """The directory (site-packages) it is installed in."""


def installed_client() -> Client | None:
    """The first distribution `modal` or `modal-client` on `sys.path`, or None."""
    for folder in sys.path:
        try:
            names = os.listdir(folder or os.curdir)
        except OSError:
            continue
        for name in names:
            if name.startswith(("modal-", "modal_client-")) and name.endswith(".dist-info"):
                distribution, _, version = name[: -len(".dist-info")].partition("-")
                return Client(distribution.replace("_", "-"), version, os.path.abspath(folder or os.curdir))
    return None


def warn_if_client_is_hidden() -> None:
    """Warns, with the way out, when `import modal` finds pilotlight although the client is installed as well.

    In one folder the client's package goes before our module, and this is never called; a virtual environment
    that sees the system's packages is where ours goes first.
    """
    if not config.is_local():
        return  # In a container ours always goes first, and `pilotlight serve` has said so.
    client = installed_client()
    if client:
        warnings.warn(
            f"{client.name} {client.version} is installed in {client.folder} as well; it is not changed, but "
            f"`import modal` is pilotlight here. To use Modal's client, run `pip uninstall pilotlight` or "
            f"give it an environment of its own; to end this warning, run `pip uninstall {client.name}` "
            f"or write `import pilotlight`",
            stacklevel=3,
        )
