"""`forward` and `Tunnel`: an address on the internet for a port of a container. Declared only."""

from __future__ import annotations

from typing import Any

from . import config
from ._aio import BothEnter
from ._later import not_built
from ._public import public
from .exception import InvalidError

__all__ = ["Tunnel", "forward"]

_PORT_MAX = 65_535


@public
class Tunnel:
    """What `with modal.forward(port) as tunnel:` gives: the addresses of a port. Not built yet."""

    def __init__(self, host: str, port: int, unencrypted_host: str = "", unencrypted_port: int = 0) -> None:
        self.host, self.port = host, port
        self.unencrypted_host, self.unencrypted_port = unencrypted_host, unencrypted_port

    @property
    def url(self) -> str:
        """The `https://` address."""
        return f"https://{self.host}" + ("" if self.port == 443 else f":{self.port}")

    @property
    def tls_socket(self) -> tuple[str, int]:
        """Host and port that speak TLS."""
        return self.host, self.port

    @property
    def tcp_socket(self) -> tuple[str, int]:
        """Host and port that speak plain TCP; `InvalidError` without `unencrypted=True`."""
        if not self.unencrypted_host:
            raise InvalidError("this tunnel has no tcp_socket: write modal.forward(port, unencrypted=True)")
        return self.unencrypted_host, self.unencrypted_port


@public
@BothEnter
def forward(port: int, *, unencrypted: bool = False, h2_enabled: bool = False, client: Any = None) -> Any:
    """`with modal.forward(8000) as tunnel:` in a container. Not built yet: raises `NotBuiltError`.

    Raises `InvalidError` outside of containers and for a port that cannot be.
    """
    if isinstance(port, bool) or not isinstance(port, int) or not 1 <= port <= _PORT_MAX:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidError(f"forward: port must be a whole number from 1 to {_PORT_MAX}, not {port!r}")
    if h2_enabled and unencrypted:
        raise InvalidError("forward: h2_enabled=True goes over TLS: drop it, or unencrypted=True")
    if config.is_local():
        raise InvalidError("forward: it forwards a port of a container: call it inside a function")
    raise not_built("forward", "a web endpoint has a URL of its own")
