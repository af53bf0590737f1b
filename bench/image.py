"""Builds of images beside what uv, pip and podman take to install the same, in turns.

A layer holds what `uv pip install` puts into a virtual environment, with byte code; uv alone does the same
here. Wheels come from the machine's package index, so the index is in both numbers.

Nothing is removed before all is measured: ext4 hands out no inode that was freed within minutes, and looks at
each of them whenever it needs one, which makes whoever comes after a removal three times slower.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from cold import all_cpus, daemon
from rivals import Podman
from serving import Failed
from table import Bench, Row

TURNS = 5
LISTS = {
    "boto3": ["boto3"],
    "fastapi[standard], numpy, pandas": ["fastapi[standard]", "numpy", "pandas"],
}
ONE_MORE = "toolz"
PROGRAM = """
import pilotlight

image = pilotlight.Image.debian_slim(){steps}
app = pilotlight.App(image=image)


@app.function()
@pilotlight.fastapi_endpoint()
def f():
    return 1
"""
#: Where a build's downloads are kept in a state directory.
DOWNLOADS = "cache/uv-users"
MIB = 1024 * 1024


@dataclass
class Turns:
    """What each of those that are compared took, milliseconds."""

    ours: list[float] = field(default_factory=list[float])
    uv: list[float] = field(default_factory=list[float])
    whole: list[float] = field(default_factory=list[float])

    def rows(self, what: str) -> Iterable[Row]:
        """The layer, uv, their ratio in each turn, and the whole command."""
        ratios = [ours / uv for ours, uv in zip(self.ours, self.uv)]
        yield Row(f"{what}: the layer", "ms", self.ours)
        yield Row(f"{what}: uv pip install", "ms", self.uv)
        yield Row(f"{what}: the layer to uv, each turn", "ratio", ratios)
        yield Row(f"{what}: `pilotlight image build`", "ms", self.whole, "from the command to its end")


class Images:
    """Images of one state directory, built through the command line."""

    def __init__(self, bench: Bench, environment: dict[str, str]) -> None:
        self.binary, self.environment = bench.binary, environment
        self.state = Path(environment["PILOTLIGHT_STATE_DIR"])
        self.folder = bench.folder / "programs" / "image"
        self.folder.mkdir(parents=True, exist_ok=True)
        #: What is to be removed at the end.
        self.aside = bench.folder / "image-aside"
        self.aside.mkdir(exist_ok=True)
        self._turn = time.time_ns()

    def run(self, *arguments: str) -> str:
        """What a command prints."""
        command = [str(self.binary), "image", *arguments]
        deadline = time.monotonic() + 60
        while True:
            done = subprocess.run(command, env=self.environment, capture_output=True, text=True)
            if done.returncode == 0:
                return done.stdout
            if time.monotonic() > deadline or arguments[0] != "list":
                raise Failed(f"`{' '.join(command)}` failed:\n{done.stdout}{done.stderr}")

    def build(self, steps: str) -> tuple[dict[str, float], float]:
        """Builds the image of these steps; what is told of it, and the milliseconds of the command."""
        file = self.folder / "program.py"
        file.write_text(PROGRAM.format(steps=steps))
        begun = time.perf_counter()
        (told,) = json.loads(self.run("build", str(file), "--json"))
        return told, (time.perf_counter() - begun) * 1000

    def layer_ms(self, text: str) -> float:
        """How long the newest layer with this text took."""
        found = [json.loads(path.read_text()) for path in self._newest() if path.is_file()]
        return next(meta["seconds"] * 1000 for meta in found if meta["text"] == text)

    def _newest(self) -> list[Path]:
        layers = [path / "meta.json" for path in (self.state / "layers").iterdir() if path.name[0] != "."]
        return sorted(layers, key=lambda path: -path.stat().st_mtime_ns)

    def place(self) -> Path:
        """A place that nothing has been at."""
        self._turn += 1
        return self.aside / str(self._turn)

    def never_built(self, packages: list[str]) -> str:
        """Steps that install them into an image that was never built."""
        self._turn += 1
        return f".env({{'TURN': '{self._turn}'}}){steps(packages)}"

    def forget_downloads(self) -> None:
        """Lets builds begin without the packages that others brought."""
        if (self.state / DOWNLOADS).exists():
            (self.state / DOWNLOADS).rename(self.place())

    def clean(self) -> None:
        """Removes what was built and put aside."""
        self.run("prune", "--yes")
        shutil.rmtree(self.aside)

    def uv(self, bench: Bench) -> list[str]:
        """uv with its cache, which `fresh_uv` begins anew."""
        return [bench.uv, "--quiet", "--no-config", "--cache-dir", str(self.uv_cache)]

    def fresh_uv(self) -> None:
        """Lets uv begin without what it has brought."""
        self.uv_cache = self.place()

    def venv(self, bench: Bench) -> str:
        """A new environment."""
        venv = str(self.place())
        subprocess.run([*self.uv(bench), "venv", "--python", sys.executable, venv], check=True)
        return venv

    def uv_alone(self, bench: Bench, venv: str, packages: list[str]) -> float:
        """Milliseconds of `uv pip install` into an environment."""
        install = ["pip", "install", "--compile-bytecode", "--python", venv]
        return timed([*self.uv(bench), *install, *packages])


def steps(packages: list[str]) -> str:
    """A step that installs them."""
    return f".pip_install({packages!r})"


def timed(command: list[str], **options: str) -> float:
    """Milliseconds of a command that must succeed."""
    begun = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **options})
    if done.returncode != 0:
        raise Failed(f"`{' '.join(command)}` failed:\n{done.stdout}{done.stderr}")
    return (time.perf_counter() - begun) * 1000


def builds(bench: Bench) -> Iterable[Row]:
    """Every row of images."""
    with all_cpus(bench), daemon(bench) as environment:
        images = Images(bench, environment)
        images.run("list")
        # The base, the era's packages and the runner's are there.
        images.build("")
        images.fresh_uv()
        for what, packages in LISTS.items():
            for cached in (False, True):
                yield from compared(bench, images, what, packages, cached).rows(
                    f"pip_install of {what}, {'wheels cached' if cached else 'nothing cached'}"
                )
        yield from one_more(bench, images)
        yield from unchanged(images)
        yield from shared(images)
        yield from for_the_record(bench)
        images.clean()


def compared(bench: Bench, images: Images, what: str, packages: list[str], cached: bool) -> Turns:
    """The layer and uv alone, in turns."""
    turns = Turns()
    if cached:
        # Whoever comes first fills the cache.
        images.build(images.never_built(packages))
        images.uv_alone(bench, images.venv(bench), packages)
    for turn in range(TURNS):
        # Who comes first in a turn changes, since the index may remember.
        for ours in (True, False) if turn % 2 else (False, True):
            if ours:
                if not cached:
                    images.forget_downloads()
                turns.whole.append(images.build(images.never_built(packages))[1])
                turns.ours.append(images.layer_ms("pip install " + " ".join(packages)))
            else:
                if not cached:
                    images.fresh_uv()
                turns.uv.append(images.uv_alone(bench, images.venv(bench), packages))
    return turns


def one_more(bench: Bench, images: Images) -> Iterable[Row]:
    """A package on top of an image that is there, and on top of the same environment."""
    packages = LISTS["boto3"]
    turns = Turns()
    for _ in range(TURNS):
        there = images.never_built(packages)
        images.build(there)
        turns.whole.append(images.build(there + steps([ONE_MORE]))[1])
        turns.ours.append(images.layer_ms(f"pip install {ONE_MORE}"))
        venv = images.venv(bench)
        images.uv_alone(bench, venv, packages)
        turns.uv.append(images.uv_alone(bench, venv, [ONE_MORE]))
    yield from turns.rows(f"{ONE_MORE} on top of an image that is there")


def unchanged(images: Images) -> Iterable[Row]:
    """An image that is there, as the server sees it, and the whole command."""
    took, whole = [], []
    images.build(steps(["boto3"]))
    for _ in range(10 * TURNS):
        told, ms = images.build(steps(["boto3"]))
        if not told["cached"]:
            raise Failed("an image that is there was built")
        took.append(told["seconds"] * 1000)
        whole.append(ms)
    yield Row("an unchanged image, in the server", "ms", took)
    yield Row(
        "an unchanged image, `pilotlight image build`", "ms", whole, "the program's import is most of it"
    )


def shared(images: Images) -> Iterable[Row]:
    """What twenty images with one base take on disk."""
    built = [images.build(f".run_commands('echo {count} > /{count}')")[0]["id"] for count in range(20)]
    listed = [image for image in json.loads(images.run("list", "--json")) if image["id"] in built]
    own, whole = sum(image["own_bytes"] for image in listed), listed[0]["bytes"]
    note = f"each is {whole / MIB:.0f} MiB with its base, of which it shares all but this"
    yield Row("of 20 images with one base, what each adds", "MiB", [own / 20 / MIB], note)


def for_the_record(bench: Bench) -> Iterable[Row]:
    """`pip install` and `podman build` of the same, without caches."""
    podman = Podman(bench)
    authorities = os.environ.get("SSL_CERT_FILE") or "/etc/ssl/certs/ca-certificates.crt"
    podman.make_image(
        "bench-pip",
        "python3,python3-pip,ca-certificates",
        f"cp {authorities} $1/etc/ssl/certs/ca-certificates.crt",
        'rm -f "$1"/usr/lib/python3*/EXTERNALLY-MANAGED',
    )
    context = bench.folder / "podman" / "context"
    context.mkdir(exist_ok=True)
    passed = [name for name in os.environ if name.lower().endswith("_proxy") or name == "PIP_INDEX_URL"]
    for what, packages in LISTS.items():
        pip, podmans = [], []
        lines = ["FROM localhost/bench-pip", *(f"ARG {name}" for name in passed)]
        words = " ".join(f"'{package}'" for package in packages)
        lines.append(f"RUN pip install --no-cache-dir --quiet {words}")
        (context / "Dockerfile").write_text("\n".join(lines))
        options = [f"--build-arg={name}={os.environ[name]}" for name in passed]
        build = podman.command(
            "build", "--no-cache", "--network=host", *options, "-t", "bench-built", str(context)
        )
        for _ in range(max(1, TURNS // 2)):
            venv = bench.folder / "pip-venv"
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(venv)], check=True)
            pip.append(timed([str(venv / "bin/pip"), "install", "--no-cache-dir", "--quiet", *packages]))
            podmans.append(timed(build))
        yield Row(f"{what}, nothing cached: pip install", "ms", pip)
        yield Row(f"{what}, nothing cached: podman build", "ms", podmans, "one RUN pip install")
