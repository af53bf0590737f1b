"""What a container is: its namespaces, its files, its rights, its network."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path

import pytest
from tools import request

PROBE = """
    import modal

    stub = modal.Stub("probe")

    @stub.webhook(method="POST")
    def probe(code: dict):
        scope = {}
        exec(code["code"], scope)
        return scope["result"]
"""


@pytest.fixture(scope="module")
def probe(shared, tmp_path_factory):
    """Runs Python in a container and gives back `result`."""
    from tools import ports

    folder = tmp_path_factory.mktemp("probe")
    (folder / "probe.py").write_text(textwrap.dedent(PROBE))
    (folder / "neighbour.py").write_text("VALUE = 1\n")
    command = shared.at(folder, next(ports)).command("serve", "probe.py")
    command.wait_serving()
    url = command.url()

    def run(code: str):
        answer = request(url, "POST", {"code": textwrap.dedent(code)})
        assert answer.status == 200, answer.text + command.output
        return answer.json()

    yield run
    command.end()


def test_namespaces_are_its_own(probe) -> None:
    kinds = ["user", "mnt", "pid", "net", "ipc", "uts"]
    inside = probe(f"import os; result = {{k: os.readlink(f'/proc/self/ns/{{k}}') for k in {kinds}}}")
    for kind in kinds:
        assert inside[kind] != os.readlink(f"/proc/self/ns/{kind}"), kind


def test_root_owns_its_home_and_may_write_there(probe) -> None:
    result = probe(
        """
        import os
        stat = os.stat("/root")
        with open("/root/new.txt", "w") as file:
            file.write("x")
        os.chmod("/root/probe.py", 0o600)
        os.chown("/root/probe.py", 0, 0)
        new = os.stat("/root/new.txt")
        result = [stat.st_uid, stat.st_gid, new.st_uid, new.st_gid, os.getuid(), os.getcwd()]
        """
    )
    assert result == [0, 0, 0, 0, 0, "/root"]


def test_it_has_no_capabilities_and_can_gain_none(probe) -> None:
    status = probe("result = open('/proc/self/status').read()")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(fields[kind], 16) == 0, kind
    assert fields["NoNewPrivs"] == "1"
    assert fields["Seccomp"] == "2"


def test_it_sees_only_itself(probe) -> None:
    result = probe(
        """
        import os, socket
        result = {
            "pids": [int(name) for name in os.listdir("/proc") if name.isdigit()],
            "links": sorted(name for _, name in socket.if_nameindex()),
            "fds": sorted(int(name) for name in os.listdir("/proc/self/fd")),
            "root": sorted(os.listdir("/root")),
            "host": [path for path in ("/etc/shadow", "/var/lib/dpkg", "/root/.ssh") if os.path.exists(path)],
            "name": socket.gethostname(),
        }
        """
    )
    assert max(result["pids"]) < 1000 and 1 in result["pids"]
    assert result["links"] == ["eth0", "lo"]
    assert "probe.py" in result["root"]
    assert "neighbour.py" not in result["root"], "only what the program imports is mounted"
    assert result["host"] == []
    assert result["name"].startswith("co-")


def test_a_child_process_inherits_none_of_our_descriptors(probe) -> None:
    listed = probe(
        """
        import subprocess
        result = subprocess.check_output(["ls", "/proc/self/fd"], close_fds=False, text=True)
        """
    )
    # 3 is the folder that `ls` itself reads.
    assert listed.split() == ["0", "1", "2", "3"]


def test_it_reaches_the_outside(probe) -> None:
    host = Path("/etc/resolv.conf").read_text()
    resolver = next(line.split()[1] for line in host.splitlines() if line.startswith("nameserver"))
    reached = probe(
        f"""
        import socket
        query = bytes.fromhex("123401000001000000000000") + b"\\x09localhost\\x00" + bytes.fromhex("00010001")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(10)
            asking.sendto(query, ("{resolver}", 53))
            result = asking.recv(512)[:2].hex()
        """
    )
    assert reached == "1234"


def test_local_imports_are_mounted(program, serve) -> None:
    program("TEXT = 'from a neighbour'\n", "neighbour.py")
    program("from .inner import deep\n", "package/__init__.py")
    program("deep = 'from a package'\n", "package/inner.py")
    file = program(
        """
        import modal
        import neighbour
        import package

        stub = modal.Stub()

        @stub.webhook
        def f():
            return [neighbour.TEXT, package.deep, neighbour.__file__]
        """
    )
    assert request(serve(file).url()).json() == ["from a neighbour", "from a package", "/root/neighbour.py"]


def test_an_image_has_its_packages_and_variables(program, serve) -> None:
    file = program(
        """
        import modal

        stub = modal.Stub()
        image = (
            modal.Image.debian_slim()
            .pip_install("six==1.16.0", ["tomli"])
            .run_commands("echo made > /made.txt && chown 1000:1001 /made.txt && chmod 640 /made.txt")
            .env({"COLOUR": "blue"})
        )

        @stub.webhook(image=image, secret=modal.Secret({"TOKEN": "t"}))
        def f():
            import os, six, tomli
            made = os.stat("/made.txt")
            return [six.__version__, made.st_uid, made.st_gid, os.environ["COLOUR"], os.environ["TOKEN"]]
        """
    )
    assert request(serve(file).url()).json() == ["1.16.0", 1000, 1001, "blue", "t"]


def test_a_true_debian_where_mmdebstrap_is(program, serve) -> None:
    file = program(
        """
        import modal

        stub = modal.Stub()

        @stub.webhook(image=modal.Image.debian_slim().apt_install("hello"))
        def f():
            import os, subprocess
            return [os.path.realpath("/opt/python"), subprocess.check_output(["hello"], text=True)]
        """
    )
    command = serve(file, PILOTLIGHT_BASE="debian")
    python, hello = request(command.url()).json()
    assert (python, hello) == ("/usr", "Hello, world!\n")
    assert "mmdebstrap" in command.output
    again = serve(file, PILOTLIGHT_BASE="debian")
    assert "(cached)" in again.output
