"""Runs snippets of Python, inside a container and outside alike, and brings what they call.

The served program imports this module, so that it is in every container of the suite; the tests run it on
the host. A snippet is the text of a program that leaves its outcome in `result`. It finds this module's
names, and `here`, a folder with the files that it was given.
"""

from __future__ import annotations

import base64
import ctypes
import errno
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

#: How long a snippet may take that does not say otherwise.
SECONDS = 30

#: System calls by name: their numbers on x86_64 and on aarch64, None where the machine has no such call.
NUMBERS = {
    "acct": (163, 89),
    "add_key": (248, 217),
    "adjtimex": (159, 171),
    "bpf": (321, 280),
    "chmod": (90, None),
    "chroot": (161, 51),
    "clock_adjtime": (305, 266),
    "clock_settime": (227, 112),
    "clone": (56, 220),
    "clone3": (435, 435),
    "create_module": (174, None),
    "delete_module": (176, 106),
    "execveat": (322, 281),
    "fanotify_init": (300, 262),
    "finit_module": (313, 273),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "init_module": (175, 105),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "ioperm": (173, None),
    "iopl": (172, None),
    "kcmp": (312, 272),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "kill": (62, 129),
    "lookup_dcookie": (212, 18),
    "mknodat": (259, 33),
    "modify_ldt": (154, None),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "personality": (135, 92),
    "pidfd_getfd": (438, 438),
    "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424),
    "pivot_root": (155, 41),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "setdomainname": (171, 162),
    "setns": (308, 268),
    "settimeofday": (164, 170),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
    "vhangup": (153, 58),
}

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
libc.ptrace.restype = ctypes.c_long


def number(name: str) -> int | None:
    """The number of a system call on this machine."""
    return NUMBERS[name][0 if platform.machine() == "x86_64" else 1]


def syscall(call: str | int, *arguments) -> int | str:
    """Makes a system call, past the C library: what it gives, or the name of its error."""
    which = number(call) if isinstance(call, str) else call
    if which is None:
        return "ENOSYS"
    wide = [ctypes.c_long(argument) if isinstance(argument, int) else argument for argument in arguments]
    ctypes.set_errno(0)
    given = libc.syscall(ctypes.c_long(which), *wide)
    return given if given != -1 else errno.errorcode[ctypes.get_errno()]


def outcome(attempt, *arguments) -> object:
    """What a function gives, or the name of its error."""
    try:
        return attempt(*arguments)
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))


def write(path: str, text: str) -> int | str:
    """Writes to a file that exists: how much, or the name of the error."""

    def attempt() -> int:
        descriptor = os.open(path, os.O_WRONLY)
        try:
            return os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)

    return outcome(attempt)


def read(path: str) -> str:
    """Reads a file: its text, or the name of the error."""
    return outcome(lambda: Path(path).read_text(errors="replace"))


def forked(work) -> object:
    """Runs a function in a fork, which may lose its root, its rights or its life by it: what it returns."""
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        with os.fdopen(writing, "w") as pipe:
            pipe.write(json.dumps(outcome(work)))
            pipe.flush()
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        told = pipe.read()
    status = os.waitpid(child, 0)[1]
    return signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else json.loads(told)


def background(work) -> int:
    """Runs a function in a process that goes on when the snippet has ended; its process id."""
    ready, told = os.pipe()
    if (middle := os.fork()) == 0:
        os.setsid()
        if (child := os.fork()) == 0:
            os.close(ready)
            os.close(told)
            try:
                work()
            finally:
                os._exit(0)
        os.write(told, str(child).encode())
        os._exit(0)
    os.waitpid(middle, 0)
    os.close(told)
    with os.fdopen(ready, "rb") as pipe:
        return int(pipe.read())


def answer(body: dict, *, before: tuple[str, ...] = ()) -> dict:
    """Runs a snippet in a process of its own, or in this one, and gives `{"result": …}` or what went wrong.

    `before` are words that are put before the command, say `unshare`.
    """
    with tempfile.TemporaryDirectory(prefix="attempt-", ignore_cleanup_errors=True) as folder:
        for name, content in body.get("files", {}).items():
            file = Path(folder, name)
            file.write_bytes(base64.b64decode(content))
            file.chmod(0o755)
        if body.get("own"):
            return _here(body["code"], folder)
        Path(folder, "snippet.py").write_text(body["code"])
        return _apart(folder, before, body.get("seconds", SECONDS))


def _here(code: str, folder: str) -> dict:
    scope = {**globals(), "here": folder}
    try:
        exec(compile(code, "snippet", "exec"), scope)
    except BaseException:
        return {"failed": traceback.format_exc()}
    return {"result": scope["result"]}


def _apart(folder: str, before: tuple[str, ...], seconds: float) -> dict:
    # Files and no pipes: what a snippet leaves in the background would hold them open.
    with open(Path(folder, "output"), "w+") as output:
        process = subprocess.Popen(
            [*before, sys.executable, os.path.abspath(__file__), folder],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            status = process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            output.seek(0)
            return {"failed": f"it took longer than {seconds} seconds\n{output.read()}"}
        output.seek(0)
        told = Path(folder, "result.json")
        if status == 0:
            return {"result": json.loads(told.read_text())}
        if status < 0:
            return {"result": signal.Signals(-status).name}
        return {"failed": output.read()}


def _main(folder: str) -> None:
    # Open before the snippet may change the root.
    with open(Path(folder, "result.json"), "w") as told:
        given = _here(Path(folder, "snippet.py").read_text(), folder)
        if "failed" in given:
            sys.exit(given["failed"])
        json.dump(given["result"], told)


if __name__ == "__main__":
    _main(sys.argv[1])
