"""An ordinary user's account, for tests of what works without root.

The tests run as root, and so set up the user: an account that exists only in a mount namespace of theirs,
with subordinate ids or without. Nothing of it is ever in the machine's own files.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tools import Command, Environment, binary, ports, wait_until

#: An account and a range of ids that nobody has, nor another run of these tests.
NUMBER = os.getpid() % 2000
ACCOUNT = 0x6EEE0000 + NUMBER
SUBORDINATE = 0x60000000 + NUMBER * 65536

#: Makes the account and becomes it. `/dev/net/tun` is everybody's on machines with udev, and so it is here.
BECOME = """
set -e
at=$1 user=$2 hidden=$3; shift 3
for file in passwd group subuid subgid; do mount --bind "$at/$file" /etc/$file; done
[ -z "$RESOLV" ] || mount --bind "$RESOLV" /etc/resolv.conf
mount --bind "$BINARY" "$at/pilotlight"
mkdir -p /dev/net && mount -t tmpfs -o mode=0755 none /dev/net && mknod -m 0666 /dev/net/tun c 10 200
for program in $FAILING; do mount --bind /bin/false "$program"; done
for program in $hidden; do [ ! -e "$program" ] || mount --bind /dev/null "$program"; done
exec setpriv --reuid "$user" --regid "$user" --clear-groups -- "$at/pilotlight" "$@"
"""


@dataclass
class User(Environment):
    """An ordinary user's account, and commands that run as that user."""

    account: Path = Path()
    hidden: str = ""
    #: Programs that are there and fail at once.
    failing: str = ""
    #: What the machine's resolv.conf says, if not what it does.
    resolv: str = ""

    def line(self, *arguments: str) -> list[str]:
        """The command line that runs `pilotlight` as the user."""
        become = ["unshare", "--mount", "--propagation", "private", "sh", "-c", BECOME, "sh"]
        return [*become, str(self.account), str(ACCOUNT), self.hidden, *arguments]

    def variables(self, **extra: str) -> dict[str, str]:
        """The environment of the user's commands: the state directory is the user's own."""
        kept = super().variables(**extra)
        del kept["PILOTLIGHT_STATE_DIR"]
        mine = {
            "BINARY": str(self.binary),
            "RESOLV": self.resolv,
            "FAILING": self.failing,
            "XDG_RUNTIME_DIR": str(self.home / "run"),
            "USER": "tester",
        }
        return kept | mine | {"PILOTLIGHT_BINARY": str(self.account / "pilotlight")} | extra

    def command(self, *arguments: str, **extra: str) -> Command:
        """Starts a command as the user."""
        return Command(self.line(*arguments), self.variables(**extra), self.home)

    def run(self, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
        """Runs a command as the user to its end."""
        return subprocess.run(
            self.line(*arguments),
            env=self.variables(**extra),
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=300,
            stdin=subprocess.DEVNULL,
        )

    def program(self, text: str, name: str = "program.py") -> str:
        """Writes a program where the user can read it."""
        path = self.home / name
        path.write_text(textwrap.dedent(text))
        return str(path)

    def pids(self) -> list[int]:
        """Every process of the user, and of the users inside the user's containers."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    status = (entry / "status").read_text()
                except OSError:
                    continue
                uid = int(re.search(r"^Uid:\s+(\d+)", status, re.MULTILINE).group(1))
                dead = re.search(r"^State:\s+Z", status, re.MULTILINE)
                if not dead and (uid == ACCOUNT or SUBORDINATE <= uid < SUBORDINATE + 65536):
                    found.append(int(entry.name))
        return found


@contextlib.contextmanager
def account(*, subordinate: bool) -> Iterator[User]:
    """An account with a home of its own."""
    folder = Path(tempfile.mkdtemp(prefix="pl-user-"))
    folder.chmod(0o755)
    home = folder / "home"
    home.mkdir()
    made: list[Path] = []
    for name in ("passwd", "group", "subuid", "subgid"):
        source = Path("/etc") / name
        made = [*made, source] if not source.exists() else made
        # Something must be there to mount over.
        text = source.read_text() if source.exists() else source.touch() or ""
        if name == "passwd":
            text += f"tester:x:{ACCOUNT}:{ACCOUNT}::{home}:/bin/sh\n"
        elif name == "group":
            text += f"tester:x:{ACCOUNT}:\n"
        elif subordinate:
            text += f"tester:{SUBORDINATE}:65536\n"
        (folder / name).write_text(text)
    (folder / "pilotlight").touch()
    os.chown(home, ACCOUNT, ACCOUNT)
    user = User(binary(), home / ".local/state/pilotlight", home, next(ports), home, folder)
    yield user
    wait_until(lambda: not user.pids())
    shutil.rmtree(folder)
    for source in made:
        source.unlink()
