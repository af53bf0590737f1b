"""The table itself, a module per chapter of the document."""

from __future__ import annotations

from .files import FILES
from .image import IMAGE
from .keywords import APP, STUB
from .web import WEB

AREAS = (WEB, STUB, APP, IMAGE, FILES)
