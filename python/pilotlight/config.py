"""Where this process runs, and the settings: from the environment, then from `~/.modal.toml`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, cast

from ._public import public

if TYPE_CHECKING:
    from collections.abc import Mapping

__version__ = "0.1.0"

#: True while `pilotlight._discover` imports the user's file.
discovering = False


@public
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


def force_build() -> bool:
    """Whether every image is built anew, as `MODAL_FORCE_BUILD=1` asks."""
    return config["force_build"]


def automount() -> bool:
    """Whether imported local modules go with the program; off only for `""` or `"0"` (MODAL_AUTOMOUNT)."""
    return config["automount"]


def image_python_version() -> str | None:
    """The Python version of images that name none, such as `"3.11"`; None means the local interpreter's."""
    return config["image_python_version"] or None


def serve_timeout() -> float | None:
    """Seconds after which `serve()` ends by itself; None means never (Modal: MODAL_SERVE_TIMEOUT)."""
    return config["serve_timeout"]


@public
class Config:
    """`modal.config.config`: the settings by name, `config["serve_timeout"]` and `config.get("loglevel")`.

    A setting is what the environment has (`PILOTLIGHT_…`, else `MODAL_…`), else the profile in
    `~/.modal.toml` (another file: MODAL_CONFIG_PATH; another profile: MODAL_PROFILE), else its default.
    Some, such as tokens, have no use here; they are told all the same.
    """

    def get(self, key: str, profile: str | None = None, use_env: bool = True) -> Any:
        """The setting `key`. Raises `KeyError` for one that there is not, `InvalidError` for a bad value."""
        if key not in _DEFAULTS:
            raise KeyError(f"there is no setting {key!r}: there are {', '.join(_DEFAULTS)}")
        default, text = _DEFAULTS[key], None
        if use_env:
            text = _environment(key.upper())
        if text is None:
            text = self._profile(profile).get(key)
        if text is None:
            return default
        if key in _FLAGS:
            return text not in ("", "0", "false", "False")
        if key in _SECONDS:
            return _seconds(key, text)
        return text

    def override_locally(self, key: str, value: str) -> None:
        """Sets `key` for this process and those that it starts."""
        os.environ["PILOTLIGHT_" + key.upper()] = value

    def to_dict(self) -> dict[str, Any]:
        """All settings."""
        return {key: self.get(key) for key in _DEFAULTS}

    def __getitem__(self, key: str) -> Any:
        return self.get(key)

    def __repr__(self) -> str:
        # Tokens are not for logs.
        shown = {key: value for key, value in self.to_dict().items() if not key.startswith("token_")}
        return repr(shown)

    def _profile(self, profile: str | None) -> Mapping[str, str]:
        path = _environment("CONFIG_PATH") or os.path.join(os.path.expanduser("~"), ".modal.toml")
        if not is_local() or not os.path.exists(path):
            return {}
        from . import _profile

        return _profile.settings(path, profile or _environment("PROFILE") or _environment("ENV"))


#: The one there is.
config = Config()

#: The settings of Modal's client, 2022 to today, with their defaults; `exclude_newer` is ours.
_DEFAULTS: dict[str, Any] = {
    "automount": True,
    "dev_suffix": "",
    "environment": None,
    "exclude_newer": None,
    "force_build": False,
    "image_builder_version": None,
    "image_python_version": None,
    "log_format": "STRING",
    "loglevel": "WARNING",
    "logs_timeout": 10.0,
    "serve_timeout": None,
    "server_url": "https://api.modal.com",
    "token_id": None,
    "token_secret": None,
    "traceback": False,
}
_FLAGS = ("automount", "force_build", "traceback")
_SECONDS = ("logs_timeout", "serve_timeout")


def _environment(name: str) -> str | None:
    return os.environ.get("PILOTLIGHT_" + name, os.environ.get("MODAL_" + name))


def _seconds(key: str, text: str) -> float | None:
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    # Written so that `nan` fails too.
    if not 0 <= seconds < float("inf"):
        from .exception import InvalidError

        raise InvalidError(f"the setting {key} (MODAL_{key.upper()}) is a number of seconds, not {text!r}")
    return seconds
