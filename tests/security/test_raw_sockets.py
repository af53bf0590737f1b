"""A container sees and forges no packets, and asks the kernel of its network the addresses alone.

Held by: the system call filter, which knows the few kinds of sockets that programs need; no CAP_NET_RAW and
no CAP_NET_ADMIN over its network; and that the network is the container's own.
"""

from __future__ import annotations

SOCKETS = """
    import socket
    kinds = {
        "packet": (socket.AF_PACKET, socket.SOCK_RAW, 0x300),
        "packets without heads": (socket.AF_PACKET, socket.SOCK_DGRAM, 0x300),
        "icmp": (socket.AF_INET, socket.SOCK_RAW, 1),
        "tcp": (socket.AF_INET, socket.SOCK_RAW, 6),
        "any": (socket.AF_INET, socket.SOCK_RAW, 255),
        "icmp6": (socket.AF_INET6, socket.SOCK_RAW, 58),
        "packet filter": (socket.AF_NETLINK, socket.SOCK_RAW, 12),
        "audit": (socket.AF_NETLINK, socket.SOCK_RAW, 9),
        "events": (socket.AF_NETLINK, socket.SOCK_DGRAM, 15),
        "generic": (socket.AF_NETLINK, socket.SOCK_RAW, 16),
    }
    result = {name: outcome(lambda: socket.socket(*kind).close()) for name, kind in kinds.items()}
"""


def test_such_sockets_are_not_to_be_had(inside, outside) -> None:
    assert set(outside(SOCKETS).values()) == {None}
    refused = inside(SOCKETS)
    assert set(refused.values()) == {"EAFNOSUPPORT"}, refused


def test_packet_filters_are_not_written_the_old_way(inside, outside) -> None:
    # IPT_SO_GET_INFO, and IPT_SO_SET_REPLACE with nothing: the kernel reads it, or has no such tables.
    code = """
        import socket
        with socket.socket() as one:
            result = outcome(one.setsockopt, socket.SOL_IP, 64, b"")
    """
    assert outside(code) in ("EINVAL", "ENOPROTOOPT")
    assert inside(code) == "EPERM"


LINKS = """
    import socket, struct
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as route:
        route.bind((0, 0))
        # RTM_NEWLINK: a bridge.
        kind = struct.pack("HH6s2x", 10, 1, b"bridge")
        info = struct.pack("HH", 4 + len(kind), 18) + kind
        name = struct.pack("HH8s", 12, 3, b"attempt")
        body = struct.pack("BxHiII", 0, 0, 0, 0, 0) + name + info
        route.send(struct.pack("IHHII", 16 + len(body), 16, 0x605, 1, 0) + body)
        answer = route.recv(4096)
        result = -struct.unpack_from("i", answer, 16)[0]
"""


def test_no_link_is_made(inside, outside) -> None:
    assert outside(LINKS) == 0
    assert inside(LINKS) == 1
