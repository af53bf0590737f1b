"""Measures what SPECIFICATION.md promises, through the command line alone. Run by `cargo xtask bench`.

Nothing is discarded: the raw numbers go to a JSON file, the table to standard output.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path

import crowd
import image
import reload
import serving
import traffic
from cold import cold_start, daemon, deploy, to_zero
from serving import Connection, Failed, get, imports
from table import HERE, ROOT, Bench, Row, same_python

OWN_START = "the app's own start: `python -c` with its imports"
MARKS = ("<!-- bench: begin -->", "<!-- bench: end -->")


def warm(bench: Bench) -> Iterable[Row]:
    """The same request through the gateway and to a plain uvicorn, in turns; then the image's import time."""
    with bench.serve(bench.program("warm")) as server:
        address = server.address("web")
        bench.learn_versions(json.loads(get(address, "/versions")[1].body))
        python, options = same_python(bench)
        with serving.uvicorn(python, "direct", HERE / "programs", options, bench.server_cpus) as direct:
            through, plain = in_turns(bench, address, direct)
        added = [a - b for a, b in zip(through, plain)]
        yield Row("warm request through pilotlight", "ms", through)
        yield Row("the same to uvicorn directly", "ms", plain, " ".join(options))
        yield Row("added by pilotlight (pairwise)", "ms", added)

        statement = "import fastapi, pydantic, warm"
        measured = imports(address, statement, max(10, bench.cold // 2))
        yield Row(
            OWN_START,
            "ms",
            measured["process_ms"],
            "in a container",
        )
        yield Row("of that, the imports alone", "ms", measured["statement_ms"], f"`{statement}`")


def in_turns(bench: Bench, one: tuple[str, int], other: tuple[str, int]) -> tuple[list[float], list[float]]:
    """Milliseconds of each request, A B A B, each on one kept connection."""
    took: tuple[list[float], list[float]] = ([], [])
    with Connection(one) as first, Connection(other) as second:
        pair = [(first, first.head()), (second, second.head())]
        for turn in range(bench.warm + 200):
            for place, (connection, request) in enumerate(pair):
                begun = time.perf_counter()
                answer = connection.exchange(request)
                ms = (time.perf_counter() - begun) * 1000
                if answer.status != 200:
                    raise Failed(f"a warm request was answered {answer.status}: {answer.body[:200]!r}")
                if turn >= 200:
                    took[place].append(ms)
    return took


def reloads(bench: Bench) -> Iterable[Row]:
    """From each save to the first answer of the new code: every seed program and example, under load."""
    for program in reload.PROGRAMS:
        measured = reload.measure(program, bench.folder, bench.serve, bench.saves)
        yield Row(f"save to first new answer, {measured.name}", "ms", measured.took, measured.note())


def memory(bench: Bench) -> Iterable[Row]:
    """Memory of four warm containers, forks of their function's zygote, after a request each; of zygotes."""
    with daemon(bench) as environment:
        address = deploy(bench, bench.program("hello_app"), environment, "held")
        to_zero(address)
        answers: list[str] = []
        threads = [
            threading.Thread(target=lambda: answers.append(json.loads(get(address)[1].body)))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        containers = sorted(set(answers))
        if len(containers) < 2:
            raise Failed(f"expected several containers, found {answers}")
        both = [serving.memory_kib(serving.processes(container)) for container in containers]
        kernel = [serving.kernel_kib(container) for container in containers]
        lit = [serving.memory_kib([pid]) for pid in serving.zygotes()]
    note = f"{len(containers)} containers side by side, deployed, all processes"
    whole = [(own + kept) / 1024 for (_, own), kept in zip(both, kernel)]
    yield Row("memory per warm container, private and the kernel's", "MiB", whole, note)
    yield Row("of that, private", "MiB", [own / 1024 for _, own in both])
    yield Row("of that, the kernel's", "MiB", [kept / 1024 for kept in kernel])
    yield Row("memory per warm container, proportional", "MiB", [pss / 1024 for pss, _ in both], note)
    yield Row("memory per zygote, proportional", "MiB", [pss / 1024 for pss, _ in lit], f"{len(lit)} lit")


def sdk_import(bench: Bench) -> Iterable[Row]:
    """`import modal` in a fresh interpreter, by `-X importtime`, with byte code that was written before."""
    command = [sys.executable, "-X", "importtime", "-c", "import modal"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "python")}
    environment["PYTHONPYCACHEPREFIX"] = str(bench.folder / "byte-code")
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    took: list[float] = []
    for _ in range(1 + bench.cold):
        told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stderr
        name, microseconds = told.splitlines()[-1].split("|")[2], told.splitlines()[-1].split("|")[1]
        if name.strip() != "modal":
            raise Failed(f"expected the time of modal, found {told.splitlines()[-1]!r}")
        took.append(int(microseconds) / 1000)
    note = f"Python {platform.python_version()}, best {min(took[1:]):.1f}"
    yield Row("import modal", "ms", took[1:], note)


ROWS: dict[str, Callable[[Bench], Iterable[Row]]] = {
    "cold-start": cold_start,
    "warm": warm,
    "reload": reloads,
    "memory": memory,
    "import": sdk_import,
    "pool": crowd.decisions,
    "image": image.builds,
    **traffic.ROWS,
}


def conditions(bench: Bench) -> list[str]:
    """What a reader needs to know to compare these numbers with others."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    named = {**bench.image, **bench.runner}
    versions = [
        f"{name} {named[name]}" for name in ("fastapi", "pydantic", "starlette", "uvicorn") if name in named
    ]
    load = "{:.2f} {:.2f} {:.2f}".format(*os.getloadavg())
    return [
        f"{time.strftime('%Y-%m-%d')}, commit {commit.stdout.strip() or 'unknown'}, release build",
        f"{os.cpu_count()} CPUs ({processor()}), Linux {platform.release()}, load {load} at the end",
        f"client on CPU {sorted(bench.client_cpus)}, servers on CPU {sorted(bench.server_cpus)}",
        f"Python {bench.python or platform.python_version()}, {', '.join(versions) or 'versions not asked'}",
        "page cache warm; every sample counted; from connect (kept connections: from send) to last byte",
    ]


def processor() -> str:
    """The CPU's name as the kernel knows it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def table(rows: list[Row], bench: Bench) -> str:
    """The rows as Markdown, their conditions below."""
    head = ["| what | unit | p50 | p99 | max | n | note |", "|---|---|--:|--:|--:|--:|---|"]
    below = [f"* {line}" for line in conditions(bench)]
    return "\n".join([*head, *(row.line() for row in rows), "", *below])


def write_into(page: Path, text: str) -> None:
    """Replaces what stands between the marks of a page."""
    content = page.read_text()
    before, begin, rest = content.partition(MARKS[0])
    _, end, after = rest.partition(MARKS[1])
    if not begin or not end:
        raise Failed(f"{page} has no marks {MARKS}")
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}")


def group(name: str) -> list[str]:
    """The rows whose names begin with this one."""
    return [row for row in ROWS if row.startswith(f"{name}-")]


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="cargo xtask bench", description=__doc__)
    parser.add_argument(
        "rows", nargs="*", metavar="ROW", help=f"measure these alone: {', '.join(ROWS)} (default all)"
    )
    parser.add_argument("--cold", type=int, default=200, metavar="N", help="cold starts (default 200)")
    parser.add_argument(
        "--warm", type=int, default=2000, metavar="N", help="warm requests each way (default 2000)"
    )
    parser.add_argument("--saves", type=int, default=50, metavar="N", help="saves per program (default 50)")
    parser.add_argument(
        "--soak", type=float, default=60, metavar="SECONDS", help="how long load is kept up (default 60)"
    )
    parser.add_argument("--write", action="store_true", help="put the table into SPECIFICATION.md")
    asked = parser.parse_args()
    # `gateway` is all of `gateway-…`.
    asked.rows = [name for row in asked.rows for name in ([row] if row in ROWS else group(row) or [row])]
    if unknown := set(asked.rows) - set(ROWS):
        parser.error(f"no row {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
    return asked


def main() -> int:
    """Measures the rows that were asked for, prints them, and fails if one could not be measured."""
    asked = arguments()
    cpus = sorted(os.sched_getaffinity(0))
    client, servers = ({cpus[0]}, set(cpus[1:])) if len(cpus) > 1 else (set(cpus), set(cpus))
    os.sched_setaffinity(0, client)
    bench = Bench(
        binary=Path(os.environ.get("PILOTLIGHT_BINARY") or ROOT / "target/release/pilotlight"),
        folder=Path(os.environ.get("PILOTLIGHT_BENCH_DIR") or ROOT / "target/bench"),
        uv=os.environ.get("UV") or "uv",
        client_cpus=client,
        server_cpus=servers,
        cold=asked.cold,
        warm=asked.warm,
        saves=asked.saves,
        soak=asked.soak,
    )
    rows: list[Row] = []
    failed = 0
    for name in asked.rows or ROWS:
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        try:
            rows.extend(ROWS[name](bench))
        except (Failed, OSError, ValueError, subprocess.CalledProcessError) as error:
            failed += 1
            print(f"{name}: {error}", file=sys.stderr)
    text = table(rows, bench)
    print(text)
    bench.folder.mkdir(parents=True, exist_ok=True)
    raw = bench.folder / time.strftime("%Y%m%d-%H%M%S.json")
    raw.write_text(
        json.dumps({"conditions": conditions(bench), "rows": [asdict(row) for row in rows]}, indent=1)
    )
    print(f"every sample: {raw}", file=sys.stderr)
    if asked.write and not failed:
        write_into(ROOT / "SPECIFICATION.md", text)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
