"""Hello world of 2022; the answer names its container."""

import os

import modal

stub = modal.Stub("bench-hello-stub")


@stub.webhook(container_idle_timeout=2)
def hello():
    return "Hello world! " + os.environ["MODAL_TASK_ID"]
