"""What the import of a program did to its process outside of memory, and a fork of it must have too."""

from __future__ import annotations

import os

from .descriptors import Descriptors


class Surroundings:
    """Environment and working directory at a moment."""

    def __init__(self) -> None:
        self._environment = dict(os.environ)
        self._directory = os.getcwd()

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
