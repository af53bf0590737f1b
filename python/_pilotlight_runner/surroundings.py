"""What the import of a program did to its process outside of memory, and a fork of it must have too."""

from __future__ import annotations

import os
import sys

from .descriptors import Descriptors


class Surroundings:
    """Environment, working directory, and where imports look, at a moment."""

    def __init__(self) -> None:
        self._environment = dict(os.environ)
        self._directory = os.getcwd()
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
        mine, theirs = ((one._environment, one._directory, one._path) for one in (self, now))
        return mine != theirs

    def differ_from(self, before: Surroundings) -> None:
        """Make the same changes to this process that were made since `before`."""
        for name in before._environment.keys() - self._environment.keys():
            os.environ.pop(name, None)
        for name, value in self._environment.items():
            if before._environment.get(name) != value:
                os.environ[name] = value
        if self._directory != before._directory:
            os.chdir(self._directory)


class Change:
    """What was changed between two moments, and the files that are open since."""

    def __init__(self, before: Surroundings, descriptors: Descriptors) -> None:
        self._before = before
        # Joining another container changes the directory.
        self._after = Surroundings()
        self._descriptors = descriptors

    def repeat(self) -> None:
        """Make the same changes to this process, which has an environment and a directory of its own."""
        self._descriptors.renew()
        self._after.differ_from(self._before)
