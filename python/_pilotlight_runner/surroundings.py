"""What the import of a program did to its process outside of memory, and a fork of it must have too."""

from __future__ import annotations

import os
import sys

from .descriptors import Descriptors


class Surroundings:
    """Environment, working directory, and where imports look, at a moment."""

    def __init__(self) -> None:
        self.environment = dict(os.environ)
        self.directory = os.getcwd()
        # The SDK's own finder comes with `import modal`, and finds nothing but the SDK.
        finders = [finder for finder in sys.meta_path if not type(finder).__module__.startswith("pilotlight")]
        self._path = [*sys.path]
        self._finders = finders, [*sys.path_hooks]

    def changed(self) -> bool:
        """Whether they are not as they were when this was made."""
        return Surroundings().__dict__ != self.__dict__

    def would_be_lost(self) -> bool:
        """Whether something changed that a fork has anew, and not from memory."""
        now = Surroundings()
        mine, theirs = ((one.environment, one.directory, one._path) for one in (self, now))
        return mine != theirs


class Change:
    """What was changed between two moments, and the files that are open since."""

    def __init__(self, before: Surroundings, descriptors: Descriptors) -> None:
        after = Surroundings()
        old, new = before.environment, after.environment
        self._unset = [name for name in old if name not in new]
        self._set = {name: value for name, value in new.items() if old.get(name) != value}
        # Joining another container changes the directory.
        self._directory = after.directory if after.directory != before.directory else None
        self._descriptors = descriptors

    def repeat(self) -> None:
        """Make the same changes to this process, which has an environment and a directory of its own."""
        self._descriptors.renew()
        for name in self._unset:
            os.environ.pop(name, None)
        os.environ.update(self._set)
        if self._directory is not None:
            os.chdir(self._directory)
