"""The application behind the warm rows, and questions about the image it runs in."""

import json
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import fastapi
import pilotlight

app = pilotlight.App("bench-warm")
api = fastapi.FastAPI()


@api.get("/")
async def root():
    return "Hello world!"


@api.get("/versions")
def versions():
    """Every distribution in the image, and those that the runner serves with."""
    deps = [str(path) for path in Path("/opt/pilotlight/deps").rglob("*.dist-info")]
    found = {"image": metadata.distributions(), "runner": metadata.distributions(path=_parents(deps))}
    named = {place: {d.metadata["Name"].lower(): d.version for d in each} for place, each in found.items()}
    return {"python": sys.version.split()[0], **named}


def _parents(paths):
    return sorted({path.rsplit("/", 1)[0] for path in paths})


@api.get("/imports")
def imports(statement: str, count: int = 10):
    """Milliseconds that a new interpreter of this image takes: the whole process, the statement alone."""
    code = f"import time; t = time.perf_counter(); {statement}; print(time.perf_counter() - t)"
    whole, alone = [], []
    for _ in range(count):
        begun = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=_environment()
        )
        whole.append((time.perf_counter() - begun) * 1000)
        if done.returncode != 0:
            return json.dumps({"error": done.stderr[-2000:]})
        alone.append(float(done.stdout) * 1000)
    return {"process_ms": whole, "statement_ms": alone}


def _environment():
    import os

    paths = [path for path in sys.path if path]
    return {**os.environ, "PYTHONPATH": ":".join(paths)}


@app.function(scaledown_window=600, timeout=600)
@pilotlight.asgi_app()
def web():
    return api
