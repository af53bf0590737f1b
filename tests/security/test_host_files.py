"""A container cannot read or change a file of the host that it was not given.

Held by: a root of its own (an overlay, after pivot_root nothing of the host's is mounted any more), a user id
that owns nothing on the host, and no descriptor or process of the host's to go through.
"""

from __future__ import annotations

import pytest

READ = """
    import glob, os
    target = {target!r}
    ways = [target, "/proc/self/root" + target, "/proc/1/root" + target, "../" * 40 + target.lstrip("/")]
    ways += [f"{{link}}/{{'../' * 40}}{{target.lstrip('/')}}" for link in glob.glob("/proc/[0-9]*/cwd")]
    ways += [link + target for link in glob.glob("/proc/[0-9]*/root") + glob.glob("/proc/[0-9]*/fd/[0-9]*")]
    got = [outcome(lambda: open(way).read()) for way in ways]
    result = [text for text in got if "hush" in text]
"""


@pytest.fixture
def secret(tmp_path) -> str:
    """A file of the host's that anybody on the host may read, and change."""
    for folder in (tmp_path, *tmp_path.parents):
        if str(folder).startswith("/tmp/"):
            folder.chmod(0o777)
    file = tmp_path / "secret"
    file.write_text("hush")
    file.chmod(0o666)
    return str(file)


def test_no_path_leads_to_a_file_of_the_hosts(inside, outside, secret) -> None:
    assert "hush" in outside(READ.format(target=secret))
    assert inside(READ.format(target=secret)) == []
    assert inside(READ.format(target=secret), own=True) == []


def test_the_files_of_the_server_and_of_accounts_are_not_there(inside, outside, server) -> None:
    places = ["/etc/shadow", "/proc/1/environ", str(server.environment.state), "/run/pilotlight"]
    code = f"""
        import os
        result = [place for place in {places} if os.access(place, os.R_OK)]
    """
    assert outside(code) == places
    assert inside(code) == []


def test_what_a_container_sees_of_the_hosts_files_is_read_only(inside, outside, tmp_path) -> None:
    code = """
        import os
        result = {}
        for mount in open("/proc/self/mountinfo"):
            fields = mount.split()
            place, options, kind = fields[4], fields[5], mount.split(" - ")[1].split()[0]
            if kind not in ("proc", "devpts", "tmpfs", "overlay", "devtmpfs", "mqueue") and place != "/":
                result[place] = "rw" in options.split(",")
    """
    found = inside(code)
    # The host's userland, as the host base has it: one bind or more, and none of them writable.
    assert not any(found.values()), found
    write = """
        import os
        result = type(outcome(os.open, {place!r}, os.O_WRONLY | os.O_CREAT)).__name__
    """
    assert outside(write.format(place=str(tmp_path / "file"))) == "int"
    for place in found:
        assert inside(write.format(place=place if place.endswith(".conf") else f"{place}/attempt")) == "str"


HANDLE = """
    import ctypes, os

    class Handle(ctypes.Structure):
        _fields_ = [("size", ctypes.c_uint), ("kind", ctypes.c_int), ("bytes", ctypes.c_ubyte * 128)]

    handle, mount = Handle(128), ctypes.c_int()
    named = syscall("name_to_handle_at", -100, b"/", ctypes.byref(handle), ctypes.byref(mount), 0)
    if named != 0:
        # This file system numbers nothing: the root of most others has this handle.
        handle.size, handle.kind = 8, 1
        handle.bytes[0] = 2
    root = os.open("/", os.O_RDONLY)
    opened = syscall("open_by_handle_at", root, ctypes.byref(handle), os.O_RDONLY)
    result = opened if isinstance(opened, str) else "opened"
"""


def test_no_file_is_opened_by_its_number(inside, outside) -> None:
    assert outside(HANDLE) == "opened"
    assert inside(HANDLE) == "EPERM"


def test_the_files_of_pid_1_are_closed(inside, outside) -> None:
    # The links of /proc/PID/map_files and of pid 1 go past every mount.
    code = """
        import os
        result = {
            "exe": outcome(os.readlink, "/proc/1/exe"),
            "root": outcome(os.listdir, "/proc/1/root/."),
            "cwd": outcome(os.listdir, "/proc/1/cwd/."),
            "files": outcome(os.listdir, "/proc/1/fd"),
            "maps": outcome(lambda: open("/proc/1/maps").read()),
            "mem": outcome(lambda: open("/proc/1/mem").fileno()),
            "environ": outcome(lambda: open("/proc/1/environ").read()),
        }
        result = {name: value for name, value in result.items() if value not in ("EACCES", "EPERM")}
    """
    assert len(outside(code)) == 7
    assert inside(code) == {}
