"""Files and small secrets."""

from __future__ import annotations

from ..table import Area, works

FILES = Area(
    "Files and secrets",
    "",
    (
        works(
            "Secret.from_dict(env_dict)",
            does="assert repr(modal.Secret.from_dict({'A': 'b'})) == 'Secret(A)'",
        ),
    ),
)
