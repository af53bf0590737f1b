"""A container changes no setting of the machine, the handler of core dumps above all.

Held by: `/proc/sys` and the other folders of settings are read-only or covered, the files belong to the
host's root, which is nobody inside, and the container's `/sys` has nothing to write to.
"""

from __future__ import annotations

SETTINGS = [
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/modprobe",
    "/proc/sys/kernel/hostname",
    "/proc/sys/kernel/randomize_va_space",
    "/proc/sys/vm/overcommit_memory",
    "/proc/sys/net/ipv4/ip_forward",
    "/proc/sys/fs/file-max",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/sysrq-trigger",
    "/sys/kernel/uevent_helper",
    "/sys/kernel/mm/transparent_hugepage/enabled",
    "/sys/power/state",
    "/sys/class/net/lo/mtu",
]


OPEN = f"""
    import os
    result = {{}}
    for setting in {SETTINGS}:
        descriptor = outcome(os.open, setting, os.O_WRONLY)
        # What is covered by /dev/null can be opened, and swallows.
        covered = isinstance(descriptor, int) and os.fstat(descriptor).st_rdev == os.makedev(1, 3)
        result[setting] = "covered" if covered else "opened" if isinstance(descriptor, int) else descriptor
"""


def test_no_setting_is_written(inside, outside) -> None:
    there = outside(OPEN)
    # A kernel may have been built without a file; most are there.
    assert set(there.values()) <= {"opened", "ENOENT"}, there
    assert sum(answer == "opened" for answer in there.values()) > len(SETTINGS) / 2
    refused = inside(OPEN)
    assert set(refused.values()) <= {"covered", "EROFS", "EACCES", "ENOENT"}, refused


EVERY = """
    import os
    result = []
    for top in ["/sys", *("/proc/" + name for name in ("sys", "irq", "bus", "fs", "acpi", "scsi", "asound"))]:
        for folder, folders, files in os.walk(top):
            for name in files:
                path = os.path.join(folder, name)
                if os.path.islink(path) or not os.path.isfile(path):
                    continue
                descriptor = outcome(os.open, path, os.O_WRONLY | os.O_NONBLOCK)
                if isinstance(descriptor, int):
                    os.close(descriptor)
                    result.append(path)
            if len(result) > 1000:
                break
"""


def test_nothing_there_can_be_written(inside, outside) -> None:
    assert len(outside(EVERY)) > 100
    assert inside(EVERY) == []


TOLD = """
    import os
    result = []
    for name in ("kcore", "keys", "key-users", "kmsg", "timer_list", "kallsyms", "interrupts", "sched_debug"):
        opened = outcome(os.open, "/proc/" + name, os.O_RDONLY | os.O_NONBLOCK)
        if isinstance(opened, int) and outcome(os.read, opened, 10) not in (b"", "EAGAIN"):
            result.append(name)
"""


def test_what_tells_of_the_machine_is_covered(inside, outside) -> None:
    assert {"kallsyms", "interrupts", "timer_list"} <= set(outside(TOLD))
    assert inside(TOLD) == []


CORE = """
    import os, resource, signal
    folder = os.path.join(here, "dump")
    os.mkdir(folder)
    os.chdir(folder)

    def crash():
        if {raises}:
            resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        os.kill(os.getpid(), signal.SIGQUIT)

    child = os.fork()
    if child == 0:
        error = outcome(lambda: crash())
        os._exit(1)
    status = os.waitpid(child, 0)[1]
    result = os.WCOREDUMP(status), resource.getrlimit(resource.RLIMIT_CORE)
"""


def test_no_core_is_dumped(inside, outside) -> None:
    dumped, _ = outside(CORE.format(raises=True))
    assert dumped, "where the limit allows it, this kernel dumps"
    assert inside(CORE.format(raises=False)) == [False, [0, 0]]
    # The limit cannot be raised again.
    raised = """
        import resource
        attempt = lambda: resource.setrlimit(resource.RLIMIT_CORE, (1 << 30, 1 << 30))
        try:
            attempt()
            result = "raised"
        except ValueError:
            result = "refused"
    """
    assert outside(raised) == "raised"
    assert inside(raised) == "refused"
