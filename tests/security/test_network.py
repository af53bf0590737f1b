"""A container reaches nothing of the host's network but one port of one network that is there for it.

Held by: the packet filter around all links of containers (`crates/sandbox/src/net/nat.rs`), which drops what
goes to the host, to other containers and to link-local addresses, and IPv6 altogether; no capability over the
container's own network, which could give it another address.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from conftest import ROOT_ONLY
from ordinary import User
from tools import wait_until

#: Which of the listeners answer, by TCP and by UDP. Nothing comes back where it is dropped.
ASK = """
    import socket
    def ask(kind, address, port):
        family, _, _, _, to = socket.getaddrinfo(address, port)[0]
        with socket.socket(family, kind) as asking:
            asking.settimeout(SECONDS)
            asking.connect(to)
            asking.send(b"?")
            return asking.recv(16) == b"here"
    KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
    result = [
        [name, address]
        for address, port in TARGETS
        for name, kind in KINDS.items()
        if outcome(ask, kind, address, port) is True
    ]
"""

#: The container's own address, its gateway's, and the IPv6 address that its gateway's link gave itself.
OWN = """
    import ipaddress, socket
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.connect(("198.51.100.1", 9))
        own = ipaddress.ip_address(asking.getsockname()[0])
    # Of its hardware address, 02:70 and then the IPv4 address (RFC 4291, appendix A).
    a, b, c, d = (own - 1).packed
    result = [str(own), str(own - 1), f"fe80::70:{a:x}ff:fe{b:02x}:{c:02x}{d:02x}"]
"""

LISTEN = """
    import builtins, socket, threading
    listener = socket.create_server(("0.0.0.0", 0))
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(("0.0.0.0", listener.getsockname()[1]))
    def tcp():
        while True:
            listener.accept()[0].send(b"here")
    def udp():
        while True:
            datagrams.sendto(b"here", datagrams.recvfrom(16)[1])
    for serve in (tcp, udp):
        threading.Thread(target=serve, daemon=True).start()
    builtins.listening = [listener, datagrams]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.connect(("198.51.100.1", 9))
        result = [asking.getsockname()[0], listener.getsockname()[1]]
"""

#: What takes another's place: its address as a sender, its address, its hardware address, the way to it.
POSE = """
    import fcntl, socket, struct
    link = b"eth0".ljust(16, b"\\0")
    hardware = struct.pack("H6s8x", 1, b"\\2pl\\0\\1\\1")
    def address(text):
        return struct.pack("HH4s8x", socket.AF_INET, 0, socket.inet_aton(text))
    def sender():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.setsockopt(socket.SOL_IP, 19, 1)  # IP_TRANSPARENT
            asking.bind(("10.213.77.2", 0))
    def change(number, argument):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
            fcntl.ioctl(door, number, argument)
    result = {
        "sender": outcome(sender),
        "address": outcome(change, 0x8916, link + address("10.213.77.2")),
        "hardware": outcome(change, 0x8924, link + hardware),
        "neighbour": outcome(
            change, 0x8955, address("10.213.77.6") + hardware + struct.pack("i", 4) + bytes(16) + link
        ),
        "listening to all": outcome(change, 0x8914, link + struct.pack("H14x", 0x1143)),
    }
"""

#: Outside there is a link to try it on, of a namespace that ends with the attempt.
LINK = """
    words = "ip link add eth0 type veth; ip addr add 10.213.76.2/16 dev eth0; ip link set eth0 up"
    subprocess.run(words, shell=True, check=True)
"""

#: IP_FREEBIND is everybody's.
FREE = """
    import socket
    def sender():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.setsockopt(socket.SOL_IP, OPTION, 1)
            asking.bind(("10.213.77.2", 0))
            return asking.sendto(b"?", ("10.213.76.9", 9))
    result = outcome(sender)
"""


def ask(targets: list[tuple[str, int]], seconds: float) -> str:
    """A snippet that tells which of the listeners answer."""
    return ASK.replace("TARGETS", repr(targets)).replace("SECONDS", str(seconds))


def both(addresses: list[str]) -> list[list[str]]:
    """What is told where all of them answer."""
    return [[kind, address] for address in addresses for kind in ("tcp", "udp")]


def answers(port: int) -> list[socket.socket]:
    """Listens on all addresses of this network namespace, and answers `here`."""
    listeners = []
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        listener = socket.socket(socket.AF_INET6, kind)
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("::", port))
        listeners.append(listener)
    stream, datagrams = listeners
    stream.listen()

    def tcp() -> None:
        with contextlib.suppress(OSError):
            while True:
                with stream.accept()[0] as connection:
                    connection.send(b"here")

    def udp() -> None:
        with contextlib.suppress(OSError):
            while True:
                # From the address that was asked, which one socket for all of them does not do by itself.
                _, more, _, to = datagrams.recvmsg(16, 128)
                datagrams.sendmsg([b"here"], [part for part in more if part[1] == socket.IPV6_PKTINFO], 0, to)

    datagrams.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    for serve in (tcp, udp):
        threading.Thread(target=serve, daemon=True).start()
    return listeners


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A port at which the host answers on every address that it has."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    listeners = answers(port)
    yield port
    for listener in listeners:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def ip(*words: str) -> str:
    """What ip(8) says."""
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=True).stdout


def addresses() -> list[tuple[str, str]]:
    """The IPv4 addresses of this machine that others may name: link and address."""
    lines = ip("-4", "-o", "addr", "show", "scope", "global").splitlines()
    return [(line.split()[1], line.split()[3].split("/")[0]) for line in lines]


@contextlib.contextmanager
def neighbour(outside: str, inside: str, port: int) -> Iterator[None]:
    """Another machine at the other end of a link, which has that address and answers at that port."""
    # Links of tests are named like this; a manager of the machine's network may be told to leave them alone.
    link = f"tn{os.getpid() % 100_000}s"
    serve = f"test_network.answers({port}); print('ready', flush=True)"
    code = f"import sys, test_network; {serve}; sys.stdin.read()"
    command = ["unshare", "--net", sys.executable, "-c", code]
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdin is not None and other.stdout is not None
        try:
            assert other.stdout.readline() == b"ready\n"
            there = ["nsenter", "--net", "--target", str(other.pid), "ip"]
            for words in (
                ["ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", str(other.pid)],
                ["ip", "addr", "add", outside, "peer", inside, "dev", link],
                ["ip", "link", "set", link, "up"],
                [*there, "addr", "add", inside, "peer", outside, "dev", "eth0"],
                [*there, "link", "set", "eth0", "up"],
            ):
                subprocess.run(words, check=True)
            yield
        finally:
            subprocess.run(["ip", "link", "del", link], check=False)
            other.stdin.close()


@ROOT_ONLY
def test_the_host_is_out_of_reach_by_a_containers_link(inside, outside, port) -> None:
    with inside.held(OWN, own=True) as (own, gateway, by_ipv6):
        link = ip("route", "get", own).split(" dev ")[1].split()[0]
        assert link.startswith("pl")
        # It has no address, so that nobody hears of one with every start.
        assert ip("-o", "addr", "show", "dev", link) == ""
        # Whoever manages the machine's network may give it some all the same.
        ip("addr", "add", f"{gateway}/30", "dev", link)
        ip("addr", "add", f"{by_ipv6}/64", "dev", link)
        assert outside(ask([(gateway, port)], 5), apart=False) == both([gateway])
        local = f"{by_ipv6}%{link}"
        # One of IPv6 is there a moment later.
        wait_until(lambda: outside(ask([(local, port)], 5), apart=False) == both([local]))
        targets = [(gateway, port), (local, port)]
        assert inside(ask(targets, 0.3)) == []
    # From the other end of the very link.
    near = f"[(result[1], {port}), (result[2] + '%eth0', {port})]"
    assert inside(OWN + ASK.replace("TARGETS", near).replace("SECONDS", "0.3")) == []


def test_the_host_is_out_of_reach(inside, outside, port) -> None:
    # All that the machine has, but those of containers' links, which come and go.
    every = [address for name, address in addresses() if not name.startswith("pl")]
    assert every and outside(ask([(address, port) for address in every], 5), apart=False) == both(every)
    # Of the addresses for containers one that is nobody's, and one at which a server of root's listens.
    reserved = ["10.213.255.200", "10.213.255.1"]
    targets = [(address, port) for address in [*every, *reserved, "127.0.0.1", "0.0.0.0", "::1"]]
    assert inside(ask(targets, 0.3), seconds=60) == []
    # What stands for the host at the other end of the link, whatever it is.
    near = f"[(result[1], {port})]"
    assert inside(OWN + ASK.replace("TARGETS", near).replace("SECONDS", "0.3")) == []


def test_other_containers_are_out_of_reach(app, inside, outside, server) -> None:
    itself = ASK.replace("TARGETS", "[tuple(result)]").replace("SECONDS", "5")
    for other in app.values():
        code = f"{LISTEN}    there = result\n{itself}    result = [*there, result]\n"
        with other.held(code, own=True) as (address, there, answered):
            assert answered == both([address]), "it answers who is in the same place"
            target = [(address, there)]
            # The links of an ordinary user's containers are in a network of the user's own.
            if not isinstance(server.environment, User):
                assert outside(ask(target, 5), apart=False) == both([address])
            # Of the same function another container, since this one is taken; of the other function any.
            assert inside(ask(target, 0.3)) == []


def test_metadata_services_are_out_of_reach(inside, outside) -> None:
    target = ("169.254.169.254", 80)
    with neighbour("169.254.169.253", *target):
        wait_until(lambda: outside(ask([target], 5), apart=False) == both([target[0]]))
        assert inside(ask([target, ("fd00:ec2::254", 80), ("fe80::a9fe:a9fe%eth0", 80)], 0.3)) == []


def test_what_is_beyond_the_host_is_reached(inside, outside) -> None:
    # So that the other tests cannot pass because nothing is reached at all.
    target = ("192.168.213.2", 80)
    with neighbour("192.168.213.1", *target):
        wait_until(lambda: outside(ask([target], 5), apart=False) == both([target[0]]))
        assert inside(ask([target], 5)) == both([target[0]])


def test_nobody_takes_anothers_place(inside, outside) -> None:
    assert set(outside(LINK + POSE).values()) == {None}
    refused = inside(POSE)
    assert set(refused.values()) == {"EPERM"}, refused


def test_no_packet_leaves_under_another_address(inside, outside) -> None:
    # Outside by IP_TRANSPARENT, which a container cannot have: see above.
    assert outside(LINK + FREE.replace("OPTION", "19")) == 1
    # The kernel finds no way for it; which of both it says depends on its version.
    assert inside(FREE.replace("OPTION", "15")) in ("EINVAL", "ENETUNREACH")
