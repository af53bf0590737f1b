"""`Client`: a connection to Modal's server, which programs pass on as `client=`. Here it is nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._later import unbuilt
from ._public import public

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Client"]


@public
class Client:
    """Accepted wherever Modal takes `client=`, and without effect: the command finds its own server.

    Tokens are not kept.
    """

    _shown = "Client"

    def __init__(self, server_url: str = "", client_type: Any = None, credentials: Any = None) -> None:
        pass

    @classmethod
    def from_env(cls) -> Self:
        """The client of this environment."""
        return cls()

    @classmethod
    def from_credentials(cls, token_id: str, token_secret: str) -> Self:
        """A client with a token, which has no use here and is not kept."""
        return cls()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        pass

    @unbuilt
    def hello(self) -> Any:
        """Not built yet: raises `NotBuiltError`."""
