"""Save to first new answer, for every seed program and every example, under a constant load."""

from __future__ import annotations

import json
import os
import queue
import shutil
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from serving import Connection, Failed, Serve

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
#: Requests per second while a program is being saved, and their clients.
RATE = 100
CLIENTS = 64
ANSWER_SECONDS_MAX = 30.0
#: Between two saves: who saves reads the answer first.
PAUSE_SECONDS = 1.0
#: Before the first: what the first version imported is being imported ahead for the next.
FIRST_PAUSE_SECONDS = 3.0


@dataclass(frozen=True)
class Program:
    """A program, a request that it answers, and the part of its text that a save changes."""

    file: Path
    text: str
    method: str = "GET"
    path: str = "/"
    body: bytes = b""

    @property
    def name(self) -> str:
        """As the rows have it."""
        return str(self.file.relative_to(EXAMPLES))

    def head(self, host: str) -> bytes:
        """The bytes of the request."""
        kind = "content-type: application/json\r\n" if self.body else ""
        lines = f"{self.method} {self.path} HTTP/1.1\r\nhost: {host}\r\n{kind}"
        return f"{lines}content-length: {len(self.body)}\r\n\r\n".encode() + self.body


ITEM = json.dumps({"name": "Ada"}).encode()
PROGRAMS = (
    Program(EXAMPLES / "seed/hello.py", "Hello world!"),
    Program(EXAMPLES / "seed/item.py", "<html>Hello, ", "POST", body=ITEM),
    Program(EXAMPLES / "seed/item_html.py", "<html>Hello, ", "POST", body=ITEM),
    Program(EXAMPLES / "seed/fastapi_app.py", "Hello Fast World!", path="/bar"),
    Program(EXAMPLES / "seed/flask_app.py", "Hello Flask World!"),
    Program(EXAMPLES / "hello_world.py", "Hello world!"),
    Program(EXAMPLES / "item.py", "<html>", "POST", body=ITEM),
    Program(EXAMPLES / "fastapi_app.py", "Hello Fast World!", path="/bar"),
    Program(EXAMPLES / "flask_app.py", "Hello Flask World!"),
    Program(EXAMPLES / "scaling.py", "slept", path="/?seconds=0"),
)


class Load:
    """Requests at a constant rate, whether those before were answered or not; when one said what is new."""

    def __init__(self, program: Program, address: tuple[str, int]) -> None:
        self._program = program
        self._address = address
        self._due: queue.SimpleQueue[float | None] = queue.SimpleQueue()
        self._ended = threading.Event()
        self._news = threading.Condition()
        self._wanted = b""
        self._seen = 0.0
        self.sent = 0
        self.failures: list[str] = []
        self._threads = [threading.Thread(target=self._follow, daemon=True) for _ in range(CLIENTS)]
        self._pacer = threading.Thread(target=self._pace, daemon=True)

    @contextmanager
    def running(self) -> Generator[Load]:
        """Asks while the block lasts; every request is answered when it ends."""
        for thread in [*self._threads, self._pacer]:
            thread.start()
        try:
            yield self
        finally:
            self._ended.set()
            self._pacer.join()
            for _ in self._threads:
                self._due.put(None)
            for thread in self._threads:
                thread.join()

    def want(self, text: bytes) -> None:
        """From now on, watch for the first answer that has this in it."""
        with self._news:
            self._wanted, self._seen = text, 0.0

    def seen(self) -> float:
        """When the last byte of that answer came."""
        with self._news:
            if not self._news.wait_for(lambda: self._seen > 0, ANSWER_SECONDS_MAX):
                raise Failed(f"{self._program.name}: {self._wanted!r} was not served, {self.failures[-3:]}")
            return self._seen

    def _pace(self) -> None:
        due = time.perf_counter()
        while not self._ended.is_set():
            due += 1 / RATE
            time.sleep(max(0.0, due - time.perf_counter()))
            self.sent += 1
            self._due.put(due)

    def ask(self) -> None:
        """One request, and its answer."""
        try:
            with Connection(self._address) as connection:
                answer = connection.exchange(self._program.head(connection.host))
            if answer.status != 200:
                raise Failed(f"{answer.status} {answer.body[:200]!r}")
        except (OSError, ValueError, Failed) as error:
            self.failures.append(f"{type(error).__name__}: {error}")
            return
        with self._news:
            if self._wanted and self._wanted in answer.body and not self._seen:
                self._seen = time.perf_counter()
                self._news.notify_all()

    def _follow(self) -> None:
        while self._due.get() is not None:
            self.ask()


@dataclass
class Saves:
    """What saving one program gave."""

    name: str
    took: list[float]
    sent: int

    def note(self) -> str:
        """The conditions of the row."""
        return f"{self.sent} requests at {RATE}/s meanwhile, none failed"


def measure(program: Program, folder: Path, serve: Callable[[Path], Serve], saves: int) -> Saves:
    """Saves a copy of the program as editors do, by renaming, and waits for the new text each time."""
    place = folder / "reload" / program.file.stem
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    file = Path(shutil.copy(program.file, place))
    text = file.read_text()
    took: list[float] = []
    with serve(file) as server:
        (function,) = server.urls
        load = Load(program, server.address(function))
        # One container is warm, as for somebody at work on the program.
        load.ask()
        time.sleep(FIRST_PAUSE_SECONDS)
        with load.running():
            time.sleep(PAUSE_SECONDS)
            for turn in range(saves):
                mark = f"{program.text}<{turn}>"
                new = file.with_suffix(".new")
                new.write_text(text.replace(program.text, mark))
                load.want(mark.encode())
                begun = time.perf_counter()
                os.replace(new, file)
                took.append((load.seen() - begun) * 1000)
                time.sleep(PAUSE_SECONDS)
    if load.failures:
        told = f"{len(load.failures)} of {load.sent} requests failed: {load.failures[:3]}"
        raise Failed(f"{program.name}: {told}")
    return Saves(program.name, took, load.sent)
