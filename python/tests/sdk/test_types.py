"""What a strict type checker says of programs: nothing about right ones, and the mistake in wrong ones."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from sdk_project import REPOSITORY, SDK_DIR

TYPED = """
from collections.abc import Iterator

import modal
from typing_extensions import assert_type

app = modal.App("x")
stub = modal.Stub("y", image=modal.Image.debian_slim(), anything=1)


@app.function(cpu=2, env={"A": "b"})
@modal.fastapi_endpoint(method="POST")
def f(a: int, b: str = "x") -> list[int]:
    return [a]


@app.function()
@modal.concurrent(max_inputs=2)
@modal.asgi_app()
def g() -> int:
    return 1


@stub.webhook
def bare(a: int) -> str:
    return "x"


@stub.webhook(method="POST", keep_warm=True)
def called(a: int) -> str:
    return "x"


@stub.asgi
def whole() -> bytes:
    return b""


@stub.function()
def gen() -> Iterator[int]:
    yield 1


@app.cls(min_containers=1)
@modal.concurrent(max_inputs=3)
class C:
    x: int = modal.parameter(default=3)
    y: str = modal.parameter()

    @modal.enter()
    def begin(self) -> None: ...

    @modal.method()
    def m(self, a: int) -> str:
        return "x"

    @modal.fastapi_endpoint()
    def web(self, a: int) -> str:
        return self.m.local(a)


class Era:
    @stub.webhook
    def web(self, a: int) -> str:
        return "x"


@app.local_entrypoint()
def main(a: int) -> str:
    return "x"


@stub.local_entrypoint
def era_main(a: int) -> str:
    return "x"


assert_type(f.local(1, b="y"), list[int])
assert_type(g.local(), int)
assert_type(bare(1), str)
assert_type(called.local(1), str)
assert_type(whole(), bytes)
assert_type(gen.get_raw_f()(), Iterator[int])
assert_type(C(y="").x, int)
assert_type(C(y="", x=2).m.local(1), str)
assert_type(C(y="").web.local(1), str)
assert_type(C(y="").web.get_web_url(), str | None)
assert_type(Era().web(1), str)
assert_type(main(1), str)
assert_type(era_main(1), str)


async def twins() -> None:
    assert_type(await f.get_web_url.aio(), str | None)
    async with app.run():
        pass
    await shared.get.aio("x")


shared = modal.Dict.from_name("x", create_if_missing=True)
assert_type(shared, modal.Dict)
assert_type(modal.Volume.from_name("x").read_only(), modal.Volume)
assert_type(modal.DebianSlim(), modal.Image)
modal.gpu.A100(count=2, memory=40)
modal.Cron("0 9 * * *")
assert_type(modal.Secret.from_dotenv(__file__), modal.Secret)

f.local("x")  # error
f(1)  # error
bare("x")  # error
C(z=1)  # error
app.function(cpus=1)  # error
app.function(keep_warm=1)  # error
app.function(f)  # error
modal.fastapi_endpoint(f)  # error
modal.Retries()  # error
shared.get()  # error
modal.NoSuchName  # error
"""


def checked(folder: Path) -> list[tuple[str, int, str]]:
    """The faults that pyright finds in the folder: file, line (from 1), words."""
    settings = {"include": ["."], "extraPaths": [str(SDK_DIR)], "typeCheckingMode": "strict"}
    (folder / "pyrightconfig.json").write_text(json.dumps({**settings, "pythonVersion": "3.11"}))
    command = [str(Path(sys.executable).parent / "pyright"), "--pythonpath", sys.executable, "--outputjson"]
    run = subprocess.run([*command, str(folder)], capture_output=True, text=True, check=False, cwd=folder)
    found: list[dict[str, Any]] = json.loads(run.stdout)["generalDiagnostics"]
    return [(Path(one["file"]).name, one["range"]["start"]["line"] + 1, one["message"]) for one in found]


def test_decorated_functions_keep_their_signatures_and_examples_are_clean(tmp_path: Path) -> None:
    for example in (REPOSITORY / "examples").glob("*.py"):
        shutil.copy(example, tmp_path)
    (tmp_path / "typed.py").write_text(TYPED)
    found = checked(tmp_path)
    wrong = [number for number, line in enumerate(TYPED.splitlines(), 1) if line.endswith("# error")]
    elsewhere = [fault for fault in found if fault[0] != "typed.py" or fault[1] not in wrong]
    assert elsewhere == []
    assert sorted({line for _, line, _ in found}) == wrong
