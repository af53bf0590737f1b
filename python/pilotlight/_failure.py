"""`Failure`: a user's mistake as the command shows it. Plain data."""

from __future__ import annotations

from typing import Any


class Failure(Exception):
    """A user's mistake: what is wrong, what to do, their traceback, and the files whose change may mend it.

    `kind` is one of `syntax`, `import`, `no_stub`, `not_found`, `invalid`.
    """

    def __init__(
        self,
        kind: str,
        message: str,
        hint: str | None = None,
        traceback: str | None = None,
        files: list[str] | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.hint = hint
        self.traceback = traceback
        self.files = list(files or [])

    def described(self) -> dict[str, Any]:
        """The error object of the discovery protocol."""
        return {
            "kind": self.kind,
            "message": self.message,
            "hint": self.hint,
            "traceback": self.traceback,
            "files": list(dict.fromkeys(self.files)),
        }
