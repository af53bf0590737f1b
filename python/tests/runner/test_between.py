"""A fork by a process that has no memory of its own."""

from __future__ import annotations

import subprocess
import sys
import textwrap


def run(program: str) -> subprocess.CompletedProcess[str]:
    text = "from _pilotlight_runner import between\n" + textwrap.dedent(program)
    return subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, stdin=subprocess.DEVNULL
    )


def test_the_fork_has_the_memory_and_ends_as_a_program_does() -> None:
    done = run("""
        import atexit, os, sys, threading

        assert between.is_possible()
        kept = ["before"]

        def is_running(pid):
            try:
                return open(f"/proc/{pid}/stat").read().split()[2] != "Z"
            except OSError:
                return False

        def say(*words):
            os.write(1, (" ".join(map(str, words)) + "\\n").encode())

        def deep(depth):
            return depth and deep(depth - 1)

        def be(turn):
            atexit.register(say, "at exit", turn)
            threading.Thread(target=say, args=("thread", turn)).start()
            kept.append("of the fork")
            deep(900)
            say(kept, turn)
            return 3

        for turn in range(50):
            reader, writer = os.pipe()

            def fork():
                pid = os.fork()
                if pid:
                    os.write(writer, str(pid).encode())
                return pid == 0

            between.run(fork, lambda: be(turn))
            pid = int(os.read(reader, 10))
            # It is a child of a process that is gone, as the container's is.
            while is_running(pid):
                pass
            assert kept == ["before"]
        say("left as it was")
    """)
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[-1] == "left as it was"
    for turn in range(50):
        told = [f"at exit {turn}", f"thread {turn}", f"['before', 'of the fork'] {turn}"]
        assert all(lines.count(line) == 1 for line in told)


def test_a_fork_may_fork_the_same_way() -> None:
    done = run("""
        import os

        def fork():
            return os.fork() == 0

        def be(depth):
            words = [str(number) for number in range(depth, 100)]
            if depth < 3:
                assert between.is_possible()
                between.run(fork, lambda: be(depth + 1))
            assert words == [str(number) for number in range(depth, 100)]
            os.write(1, f"{depth}\\n".encode())
            return 0

        be(0)
    """)
    assert sorted(done.stdout.split()) == ["0", "1", "2", "3"], done.stderr


def test_what_goes_wrong_between_leaves_the_process_as_it_was() -> None:
    done = run("""
        def fork():
            raise OSError("not this time")

        for _ in range(3):
            between.run(fork, lambda: 0)
        print("still here")
    """)
    assert done.stdout == "still here\n"
    assert done.stderr.count("OSError: not this time") == 3


def test_a_fork_that_raises_says_so_and_ends_with_1() -> None:
    done = run("""
        import os, sys

        def status(be):
            reader, writer = os.pipe()

            def fork():
                # The fork's own child tells how it ended: it is nobody's else to wait for.
                if os.fork():
                    return False
                pid = os.fork()
                if pid:
                    os.write(writer, str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])).encode())
                    os._exit(0)
                return True

            between.run(fork, be)
            return int(os.read(reader, 10))

        def fail():
            raise ValueError("of the fork")

        print(status(fail), status(lambda: 5), status(lambda: sys.exit(6)), status(lambda: sys.exit("word")))
    """)
    assert done.stdout == "1 5 6 1\n", done.stderr
    assert "ValueError: of the fork" in done.stderr and "word" in done.stderr
