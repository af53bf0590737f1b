"""Who holds what: the server is of a user without rights."""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
from pathlib import Path

from tools import Server, children, request

TEXT = """
    import modal

    stub = modal.Stub()

    @stub.webhook
    def f():
        return "one"
"""

# Right below the ids of containers; the machine may have a user of the name instead.
OWN_ID = 0x6FFF0000


def status(pid: int) -> dict[str, str]:
    """The fields of a process's status."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def as_server(pid: int, *command: str) -> subprocess.CompletedProcess[str]:
    """Runs a command with the rights that the process has, and in its view of the machine."""
    uid, gid = (status(pid)[field].split()[0] for field in ("Uid", "Gid"))
    rights = ["--reuid", uid, "--regid", gid, "--clear-groups", "--bounding-set=-all", "--no-new-privs"]
    whole = ["nsenter", f"--mount=/proc/{pid}/ns/mnt", "--", "setpriv", *rights, "--", *command]
    return subprocess.run(whole, capture_output=True, text=True, errors="replace", timeout=60)


def test_the_server_has_a_user_of_its_own_and_no_rights(program, server: Server) -> None:
    urls = server.deploy(program(TEXT), "rights")
    assert request(urls["f"]).json() == "one"
    fields = status(server.process())
    ids = {int(number) for name in ("Uid", "Gid") for number in fields[name].split()}
    assert 0 not in ids and len(ids) <= 2
    assert fields["Groups"].strip() == ""
    assert all(set(fields[name]) == {"0"} for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"))
    assert fields["NoNewPrivs"] == "1"
    # Not dumpable: its files in /proc are root's.
    assert os.stat(f"/proc/{server.process()}/environ").st_uid == 0
    # Every thread of it, and nothing else of the server's is there but the two that need to be root's.
    for task in Path(f"/proc/{server.process()}/task").iterdir():
        # A thread may end while it is looked at.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            assert set(status(int(task.name))["CapEff"]) == {"0"}, task
    parents = {}
    for pid in children(server.pid()):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            parents[pid] = status(pid)["PPid"]
    direct = [pid for pid, parent in parents.items() if parent == str(server.pid())]
    assert sorted(direct) == sorted([server.process(), server.helper()])
    assert len(list(Path(f"/proc/{server.pid()}/task").iterdir())) == 1


def test_the_server_reads_no_file_of_others(server: Server, tmp_path: Path) -> None:
    pid = server.process()
    others = Path("/tmp") / f"pl-others-{os.getpid()}"
    others.write_text("of another user")
    try:
        os.chown(others, 12345, 12345)
        others.chmod(0o600)
        for path in (Path("/etc/shadow"), others):
            # It is there to be read, by who may.
            assert path.read_bytes()
            refused = as_server(pid, "cat", str(path))
            assert refused.returncode != 0 and "denied" in refused.stderr, refused
        # What it may read is found by the same means.
        assert as_server(pid, "cat", "/etc/passwd").returncode == 0
        key = server.environment.state / "pilotlight.db"
        assert as_server(pid, "cat", str(key)).returncode == 0, "its own"
        # And of a directory that it is shown something in, nothing else.
        (tmp_path / "beside").write_text("not the server's")
        assert as_server(pid, "cat", str(tmp_path / "beside")).returncode != 0
    finally:
        others.unlink()


def test_only_the_invoking_user_gives_orders(server: Server) -> None:
    said = server.environment.run("server", "status").stderr
    socket = Path(said.split("Control socket: ", 1)[1].splitlines()[0])
    about = socket.stat()
    assert (stat.S_IMODE(about.st_mode), about.st_uid) == (0o600, os.geteuid())
    script = f"import socket; socket.socket(socket.AF_UNIX).connect({str(socket)!r})"
    refused = as_server(server.process(), "/usr/bin/python3", "-c", script)
    assert "PermissionError" in refused.stderr, refused


def test_what_a_server_leaves_on_disk_is_nobody_elses(program, server: Server) -> None:
    urls = server.deploy(program(TEXT), "owners")
    assert request(urls["f"]).json() == "one"
    uid = int(status(server.process())["Uid"].split()[0])
    state = server.environment.state
    assert state.stat().st_uid == uid
    layers = Path(os.path.realpath(state / "layers"))
    owners = {path.lstat().st_uid for path in layers.rglob("*")}
    assert owners and all(owner == uid or OWN_ID <= owner < OWN_ID + 65536 for owner in owners), owners
