"""Brings the tools together: `modal app deploy toolbox/main.py`, or `python -m toolbox.main`."""

from . import hashing, words
from .common import stub

__all__ = ["hashing", "stub", "words"]

if __name__ == "__main__":
    stub.serve()
