"""Where this process runs and what its environment sets. Reads environment variables only."""

from __future__ import annotations

import os
from typing import Any, cast

__version__ = "0.1.0"

#: True while `pilotlight._discover` imports the user's file.
discovering = False


def is_local() -> bool:
    """False inside a container, True everywhere else (Modal: `modal.is_local`)."""
    return not any(os.environ.get(name) == "1" for name in ("PILOTLIGHT_IS_REMOTE", "MODAL_IS_REMOTE"))


def context() -> dict[str, Any]:
    """What the manifest said about this container's function: `app`, `function`, `image`; empty elsewhere."""
    text = "" if is_local() else os.environ.get("PILOTLIGHT_CONTEXT", "")
    if not text:
        return {}
    import json

    found: object = json.loads(text)
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def automount() -> bool:
    """Whether imported local modules go with the program; off only for `""` or `"0"` (MODAL_AUTOMOUNT)."""
    return _setting("AUTOMOUNT", "1") not in ("", "0")


def image_python_version() -> str | None:
    """The Python version of images that name none, such as `"3.11"`; None means the local interpreter's."""
    return _setting("IMAGE_PYTHON_VERSION", "") or None


def serve_timeout() -> float | None:
    """Seconds after which `serve()` ends by itself; None means never (Modal: MODAL_SERVE_TIMEOUT)."""
    value = _setting("SERVE_TIMEOUT", "")
    return float(value) if value else None


def _setting(name: str, default: str) -> str:
    return os.environ.get("PILOTLIGHT_" + name, os.environ.get("MODAL_" + name, default))
