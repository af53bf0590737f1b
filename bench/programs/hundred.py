"""An app that imports 100 packages, with modules, classes and expressions, as libraries have."""

import importlib
import os

import pilotlight

app = pilotlight.App("bench-hundred")

# Written beside this file by the bench.
PACKAGES = [importlib.import_module(f"packages.package_{number:03}") for number in range(100)]


@app.function(scaledown_window=2)
@pilotlight.fastapi_endpoint()
def hello_0():
    return "Hello world! " + os.environ["MODAL_TASK_ID"]


@app.function(scaledown_window=2)
@pilotlight.fastapi_endpoint()
def hello_1():
    return "Hello world! " + os.environ["MODAL_TASK_ID"]
