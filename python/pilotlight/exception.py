"""The errors a user's program can meet; one root, one leaf per cause.

    Error
    ├── AuthError, ConnectionError, ExecutionError, NotFoundError, RemoteError, VersionError
    ├── TimeoutError
    │   └── FunctionTimeoutError
    └── InvalidError
        ├── LocalFunctionError
        └── NotBuiltError
    UserWarning
    └── DeprecationError (raised, though it is a warning's class: Modal's own choice since 2022)

Source of the names: Modal's `modal.exception` (2022 to today). Every message says what to do about it.
"""

from __future__ import annotations


class Error(Exception):
    """Root of all errors of this package."""


class AuthError(Error):
    """The server refused the token."""


class ConnectionError(Error):
    """The server could not be reached."""


class ExecutionError(Error):
    """A function cannot be run as asked."""


class InvalidError(Error):
    """The program declares something that cannot be; the message names it and the remedy."""


class LocalFunctionError(InvalidError):
    """A function in a local scope was decorated: the container could not import it by name."""


class NotBuiltError(InvalidError):
    """Part of Modal's interface that this version of pilotlight knows but does not have yet."""


class NotFoundError(Error):
    """A file or a named object does not exist."""


class RemoteError(Error):
    """Something failed on the server's side."""


class TimeoutError(Error):
    """Something took longer than it was allowed to."""


class FunctionTimeoutError(TimeoutError):
    """A function ran longer than its `timeout`."""


class VersionError(Error):
    """Client and server are too far apart."""


class DeprecationError(UserWarning):
    """A name that Modal has replaced was used; the message names its replacement."""
