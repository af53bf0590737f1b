"""`modal`: pilotlight under Modal's name, so that programs written for Modal run unchanged.

`modal.x` and `pilotlight.x` are the same objects, modules included; see `pilotlight._alias`. A file and not a
folder: where Modal's own client is installed, its folder `modal` goes first; see docs/design/0003.
"""

from typing import TYPE_CHECKING

from pilotlight import _alias, _neighbours

if TYPE_CHECKING:
    # What editors see. When it runs, `install` puts the package itself in this module's place.
    from pilotlight import *  # noqa: F403

_neighbours.warn_if_client_is_hidden()
_alias.install()
