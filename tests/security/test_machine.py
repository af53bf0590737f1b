"""A container does nothing to the machine as a whole: swap, accounts, quotas, terminals, logs, ports, rest.

Held by: the system call filter, and no capability.
"""

from __future__ import annotations

CALLS = """
    import os
    folder = here.encode()
    result = {
        "acct": syscall("acct", None),
        "swapon": syscall("swapon", folder, 0),
        "swapoff": syscall("swapoff", folder),
        "quotactl": syscall("quotactl", 0x800001 << 8 & 0xFFFFFFFF, None, 0, None),
        "quotactl_fd": syscall("quotactl_fd", os.open("/", os.O_RDONLY), 0x800001 << 8 & 0xFFFFFFFF, 0, None),
        "syslog": syscall("syslog", 10, None, 0),
        "ioperm": syscall("ioperm", 0x80, 1, 1),
        "iopl": syscall("iopl", 3),
        "vhangup": forked(lambda: (os.setsid(), syscall("vhangup"))[1]),
        "setdomainname": syscall("setdomainname", b"attempt", 7),
        "sethostname": outcome(lambda: __import__("socket").sethostname("attempt")) or 0,
        "fanotify": syscall("fanotify_init", 0, 0),
        "lookup_dcookie": syscall("lookup_dcookie", 0, None, 0),
    }
    # With a wrong magic number, which only a kernel that may look says.
    result["reboot"] = syscall("reboot", 1, 2, 3, None)
    result = {name: "done" if isinstance(value, int) else value for name, value in result.items()}
"""

#: How a kernel answers that looked at what it was asked, or was built without.
LOOKED = {"done", "EINVAL", "ENOSYS", "ENOTBLK", "EISDIR", "ENODEV", "ESRCH", "EOPNOTSUPP", "ENXIO"}


def test_the_machine_is_left_alone(inside, outside) -> None:
    looked = outside(CALLS)
    assert set(looked.values()) <= LOOKED, looked
    refused = inside(CALLS)
    assert refused.pop("lookup_dcookie") in ("EPERM", "ENOSYS")
    assert set(refused.values()) == {"EPERM"}, refused


TERMINAL = """
    import fcntl, os, termios

    def attempt(request, argument):
        master, slave = os.openpty()
        if os.fork() == 0:
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
            told = outcome(fcntl.ioctl, slave, request, argument)
            os.write(master, b"")
            os._exit(0 if not isinstance(told, str) else {"EPERM": 1}.get(told, 2))
        return os.waitstatus_to_exitcode(os.wait()[1])

    result = {
        "TIOCSTI": attempt(termios.TIOCSTI, b"x"),
        "TIOCSETD": attempt(termios.TIOCSETD, b"\\0\\0\\0\\0"),
        "TIOCGWINSZ": attempt(termios.TIOCGWINSZ, b"\\0" * 8),
    }
"""


def test_nothing_is_typed_into_a_terminal(inside, outside) -> None:
    done = outside(TERMINAL)
    # A newer kernel refuses the first to everybody, with another word.
    assert done["TIOCSTI"] in (0, 2) and done["TIOCSETD"] == done["TIOCGWINSZ"] == 0
    assert inside(TERMINAL) == {"TIOCSTI": 1, "TIOCSETD": 1, "TIOCGWINSZ": 0}
