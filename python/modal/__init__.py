"""`modal`: pilotlight under Modal's name, so that programs written for Modal run unchanged.

`modal.x` and `pilotlight.x` are the same objects, modules included; see `pilotlight._alias`.
"""

from pilotlight import *  # noqa: F403 - what editors and type checkers see
from pilotlight import _alias, _neighbours

_neighbours.warn_if_client_shares_folder()
_alias.install()
