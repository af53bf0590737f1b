"""Serves the to-do list of the package beside it, with tokens from a secret."""

import modal
from todo.api import api

stub = modal.Stub("todo")
tokens = modal.Secret({"TODO_TOKENS": "ada:lovelace-1815,alan:turing-1912"})


@stub.asgi(secret=tokens, concurrency_limit=1)
def todo():
    return api


if __name__ == "__main__":
    stub.serve()
