"""The table itself, a module per chapter of the document."""

from __future__ import annotations

from .apps import APP_OBJECT, DECLARED, STUB_OBJECT
from .classes import CLASSES
from .command import COMMAND, OWN
from .everywhere import EVERYWHERE
from .files import FILES, SECRETS
from .handles import HANDLES
from .image import IMAGE
from .keywords import APP, STUB
from .misuse import MISUSE
from .names import MODULES, REST
from .objects import ASKED, OBJECTS
from .settings import SETTINGS
from .web import WEB

AREAS = (
    WEB,
    STUB,
    APP,
    STUB_OBJECT,
    DECLARED,
    APP_OBJECT,
    CLASSES,
    HANDLES,
    IMAGE,
    FILES,
    SECRETS,
    OBJECTS,
    ASKED,
    MODULES,
    REST,
    EVERYWHERE,
    COMMAND,
    OWN,
    SETTINGS,
    MISUSE,
)
