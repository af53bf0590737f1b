"""The errors a user's program can meet; one root, one leaf per cause.

    Error
    ├── AlreadyExistsError, AuthError, ClientClosed, ConflictError, ConnectionError, DataLossError,
    │   DeserializationError, ExecutionError, InternalError, NotFoundError, PermissionDeniedError,
    │   RemoteError, RequestSizeError, ResourceExhaustedError, SandboxTerminatedError, SerializationError,
    │   ServiceError, UnimplementedError, VersionError
    ├── TimeoutError
    │   └── FunctionTimeoutError, InteractiveTimeoutError, MountUploadTimeoutError, OutputExpiredError,
    │       SandboxTimeoutError, VolumeUploadTimeoutError
    └── InvalidError
        ├── LocalFunctionError
        └── NotBuiltError
    BaseException
    └── InputCancellation
    UserWarning
    ├── DeprecationError (raised, though it is a warning's class: Modal's own choice since 2022)
    └── PendingDeprecationError, ServerWarning

Source of the names: Modal's `modal.exception` (2022 to today). Every message says what to do about it.
Those that belong to what is not built yet are there for `except`.
"""

from __future__ import annotations


class Error(Exception):
    """Root of all errors of this package."""


class AlreadyExistsError(Error):
    """A named object was to be made that exists."""


class AuthError(Error):
    """The server refused the token."""


class ClientClosed(Error):
    """The connection to the server was closed."""


class ConflictError(Error):
    """Somebody else changed the same thing."""


class ConnectionError(Error):
    """The server could not be reached."""


class DataLossError(Error):
    """Data that should be there is gone."""


class DeserializationError(Error):
    """What was sent could not be read here."""


class ExecutionError(Error):
    """A function cannot be run as asked."""


class InternalError(Error):
    """Something failed within pilotlight."""


class InternalFailure(InternalError):
    """A call failed for a reason that is not the function's, and may be tried again."""


class InvalidError(Error):
    """The program declares something that cannot be; the message names it and the remedy."""


class LocalFunctionError(InvalidError):
    """A function in a local scope was decorated: the container could not import it by name."""


class NotBuiltError(InvalidError):
    """Part of Modal's interface that this version of pilotlight knows but does not have yet."""


class NotFoundError(Error):
    """A file or a named object does not exist."""


class PermissionDeniedError(Error):
    """The token does not allow this."""


class RemoteError(Error):
    """Something failed on the server's side."""


class RequestSizeError(Error):
    """What is to be sent is too large."""


class ResourceExhaustedError(Error):
    """A limit of the server was reached."""


#: The name before "Error" was put behind it.
ResourceExhausted = ResourceExhaustedError


class SerializationError(Error):
    """A value cannot be pickled, so that it cannot be sent."""


class ServiceError(Error):
    """The server failed in answering."""


class TimeoutError(Error):
    """Something took longer than it was allowed to."""


class FunctionTimeoutError(TimeoutError):
    """A function ran longer than its `timeout`."""


class InteractiveTimeoutError(TimeoutError):
    """Nobody connected to an interactive function in time."""


class MountUploadTimeoutError(TimeoutError):
    """Files could not be sent in time."""


class OutputExpiredError(TimeoutError):
    """The result of a call was not fetched in time, and is gone."""


class SandboxTerminatedError(Error):
    """A sandbox was ended from elsewhere."""


class SandboxTimeoutError(TimeoutError):
    """A sandbox ran longer than its `timeout`."""


class VolumeUploadTimeoutError(TimeoutError):
    """Files could not be put into a volume in time."""


class UnimplementedError(Error):
    """The server does not know this."""


class VersionError(Error):
    """Client and server are too far apart."""


class InputCancellation(BaseException):
    """A request was given up while a function worked on it: not an `Exception`, so that none swallows it."""


class DeprecationError(UserWarning):
    """A name that Modal has replaced was used; the message names its replacement."""


class PendingDeprecationError(UserWarning):
    """A name that Modal is about to replace was used."""


class ServerWarning(UserWarning):
    """The server has something to say."""
