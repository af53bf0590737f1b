"""Finds out whether Modal's own client is installed beside us, and says so. Reads directory names only.

The wheel holds a folder `modal`, as the client's does. pip does not see such a conflict, so we look for it.
`importlib.metadata` would cost half of what `import modal` may take; a listing of `sys.path` answers the same
question, and the metadata module is loaded only when there is something to say.
"""

from __future__ import annotations

import os
import sys
import warnings
from typing import NamedTuple

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


def warn_if_client_shares_folder() -> None:
    """Warns when the client's files and ours lie in one folder `modal`, with the way out."""
    client = installed_client()
    if client and os.path.realpath(client.folder) == os.path.realpath(SDK_DIR):
        warnings.warn(
            f"{client.name} {client.version} is installed in {client.folder} as well, and both it and "
            f"pilotlight own the folder `modal` there: `import modal` is pilotlight now. To keep both, give "
            f"each its own environment; to keep pilotlight, run `pip uninstall {client.name}` and then "
            f"`pip install --force-reinstall --no-deps pilotlight`; to keep Modal's client, run "
            f"`pip uninstall pilotlight` and then `pip install --force-reinstall --no-deps {client.name}`",
            stacklevel=3,
        )
