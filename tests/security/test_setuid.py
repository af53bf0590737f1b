"""A setuid file, or one with capabilities, gives nothing: in the container or on the host.

Held by: `no_new_privs` inside; and on the host, where the layers and uppers lie with their modes, by folders
that nobody but the server may enter.
"""

from __future__ import annotations

import os
import stat

import pytest
from conftest import place
from tools import Answer, request

PROGRAM = """
    #include <stdio.h>
    #include <unistd.h>
    #include <sys/syscall.h>
    int main() {
        unsigned header[2] = {0x20080522, 0}, data[6] = {0};
        syscall(SYS_capget, header, data);
        printf("%d %d %x\\n", getuid(), geteuid(), data[0] | data[3]);
    }
"""

# VFS_CAP_REVISION_2 with the effective bit: all capabilities.
RUN = """
    import os, stat, struct, subprocess
    program = os.path.join(here, "program")
    os.chmod(here, 0o755)

    def as_user(command):
        return subprocess.check_output(command, text=True).split()

    result = []
    for owner in (1000, 0):
        changed = outcome(os.chown, program, owner, owner)
        os.chmod(program, 0o6755)
        assert os.stat(program).st_mode & stat.S_ISUID
        result.append(as_user([program]))
    capable = struct.pack("<IIIII", 0x02000001, 0xFFFFFFFF, 0, 0xFF, 0)
    result.append(outcome(os.setxattr, program, "security.capability", capable))
"""


def test_a_setuid_file_of_ones_own_gives_nothing(inside, outside, compiled) -> None:
    program = compiled(PROGRAM)
    [other, root, capable] = outside(RUN, program=program)
    assert other[:2] == ["0", "1000"] and root[1] == "0" and capable is None
    [other, root, capable] = inside(RUN, program=program)
    # It cannot even be given to another user, and nothing is gained by being root's.
    assert other == root == ["0", "0", "0"]
    assert capable == "EPERM"


APP = """
    import subprocess

    import modal

    image = (
        modal.Image.debian_slim()
        .run_commands(
            "cp /usr/bin/id /other && chown 1000:1000 /other && chmod 6755 /other",
            "cp /usr/bin/id /root-owned && chmod 4755 /root-owned",
        )
    )
    stub = modal.Stub("setuid")

    @stub.webhook(image=image)
    def f():
        import os
        found = {}
        for name in ("/other", "/root-owned"):
            found[name] = [oct(os.stat(name).st_mode), subprocess.check_output([name], text=True)]
        return found
"""


@pytest.fixture(scope="module")
def answer(server) -> Answer:
    """What a container finds of setuid files that a build step made."""
    from textwrap import dedent

    file = place(server, "setuid") / "setuid.py"
    file.write_text(dedent(APP))
    return request(server.deploy(file, "setuid")["f"])


def test_a_setuid_file_of_the_image_gives_nothing(answer, outside) -> None:
    proof = """
        import os, shutil, subprocess
        program = shutil.copy("/usr/bin/id", here + "/id")
        os.chmod(here, 0o755)
        os.chown(program, 1000, 1000)
        os.chmod(program, 0o6755)
        result = subprocess.check_output([program], text=True)
    """
    assert "euid=1000" in outside(proof)
    found = answer.json()
    for mode, printed in found.values():
        # The file is there as it was made.
        assert int(mode, 8) & stat.S_ISUID
        assert "uid=0" in printed and "euid" not in printed


def test_on_the_host_nobody_reaches_the_files_of_layers(answer, outside, server) -> None:
    state = server.environment.state
    made = [os.path.join(folder, name) for folder, _, names in os.walk(state / "layers") for name in names]
    setuid = [file for file in made if os.lstat(file).st_mode & stat.S_ISUID]
    assert any(file.endswith("/root-owned") for file in setuid), "the layer has it, with root as its owner"
    code = """
        import os, shutil, subprocess
        program = {program}
        os.chmod(here, 0o755)

        def attempt():
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            return subprocess.check_output([program], text=True)

        result = forked(attempt)
    """
    copy = "(shutil.copy('/usr/bin/id', here + '/id'), os.chmod(here + '/id', 0o4755), here + '/id')[2]"
    assert "euid=0" in outside(code.format(program=copy))
    for file in setuid:
        assert outside(code.format(program=repr(file))) == "EACCES"


def test_on_the_host_nobody_reads_the_files_of_containers(answer, outside, server) -> None:
    code = """
        import os

        def attempt():
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            walked = [os.path.join(folder, name) for folder, _, names in os.walk({place!r}) for name in names]
            return [path for path in walked if os.access(path, os.R_OK)][:20]

        result = forked(attempt)
    """
    assert outside(code.format(place="/etc"))
    assert outside(code.format(place=str(server.environment.state))) == []
