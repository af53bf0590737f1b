"""A container reaches no executable of the host's through the links of /proc, to read or to replace it.

The escape known as CVE-2019-5736: a process of the host's in the container shows its executable as
/proc/PID/exe, past every mount, and the container's root writes to it. Held by: pid 1, a fork of the helper,
is not dumpable, so that nobody inside may follow its links; the container's root is no user of the host's;
and what is executed inside lies on read-only mounts, or belongs to the container.
"""

from __future__ import annotations

REPLACE = """
    import glob, os
    opened = []
    for link in glob.glob("/proc/[0-9]*/exe") + glob.glob("/proc/[0-9]*/map_files/*"):
        for flags in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR):
            descriptor = outcome(os.open, link, flags)
            if isinstance(descriptor, int):
                opened.append((link, os.readlink(f"/proc/self/fd/{descriptor}"), flags & os.O_ACCMODE))
    result = opened
"""


def test_the_hosts_binary_is_not_shown(inside, outside, server) -> None:
    binary = str(server.environment.binary)
    # The server, as who may see it finds it.
    link = f"/proc/{server.pid()}/exe"
    assert outside(f"import os; result = os.path.samefile({link!r}, {binary!r})", apart=False)
    shown = {target for _, target, _ in inside(REPLACE)}
    assert not {target for target in shown if "pilotlight" in target.rpartition("/")[2]}, shown
    assert inside("import os; result = outcome(os.readlink, '/proc/1/exe')") == "EACCES"
    assert inside("import os; result = outcome(os.open, '/proc/1/exe', os.O_PATH)") == "EACCES"


BUSY = """
    import os, shutil, subprocess, sys
    program = os.path.join(here, "program")
    victim = subprocess.Popen([program, "600"])
    link = f"/proc/{victim.pid}/exe"
    kept = os.open(link, os.O_PATH)
    victim.kill()
    victim.wait()
    # Nobody executes it any more: what is reached by the link may be written now.
    descriptor = outcome(os.open, f"/proc/self/fd/{kept}", os.O_WRONLY)
    result = descriptor if isinstance(descriptor, str) else "opened"
"""


def test_the_interpreter_is_not_to_be_written(inside, outside, compiled) -> None:
    program = compiled("#include <unistd.h>\nint main() { pause(); }\n")
    assert outside(BUSY, program=program) == "opened"
    code = """
        import os, subprocess, sys
        kept = os.open("/proc/self/exe", os.O_PATH)
        result = outcome(os.open, f"/proc/self/fd/{kept}", os.O_WRONLY)
        result = [result if isinstance(result, str) else os.readlink(f"/proc/self/fd/{result}")]
        result.append(outcome(os.open, os.path.realpath(sys.executable), os.O_WRONLY))
    """
    # In use, on a read-only mount, or somebody else's.
    for own in (False, True):
        assert set(inside(code, own=own)) <= {"ETXTBSY", "EROFS", "EACCES"}
