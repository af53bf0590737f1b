//! The filter is run here as the kernel would run it.

use super::*;

/// The verdict for one call with its first arguments.
fn verdict<const N: usize>(architecture: u32, number: u32, arguments: [u32; N]) -> u32 {
    let word = |at: u32| match at {
        NUMBER_AT => number,
        ARCHITECTURE_AT => architecture,
        16 | 24 | 32 => arguments[(at as usize - 16) / 8],
        _ => panic!("no word at {at}"),
    };
    let program = filter(false);
    let (mut at, mut value) = (0, 0);
    loop {
        let Instruction { code, jt, jf, k } = program[at];
        at += 1;
        match u32::from(code) {
            LOAD => value = word(k),
            AND => value &= k,
            RETURN => return k,
            IF_EQUAL => at += usize::from(if value == k { jt } else { jf }),
            IF_ANY_BIT => at += usize::from(if value & k != 0 { jt } else { jf }),
            code => panic!("no operation {code}"),
        }
    }
}

fn call<const N: usize>(number: libc::c_long, arguments: [u32; N]) -> u32 {
    verdict(ARCHITECTURE, u32::try_from(number).unwrap(), arguments)
}

#[test]
fn ordinary_calls_pass() {
    for number in [libc::SYS_read, libc::SYS_openat, libc::SYS_execve, libc::SYS_socket, libc::SYS_chown] {
        assert_eq!(call(number, [0, 0]), libc::SECCOMP_RET_ALLOW);
    }
}

#[test]
fn every_rule_of_the_table_refuses() {
    for rule in RULES {
        let (argument, values) = match rule.when {
            When::Always => (0, [0, 0]),
            When::AnyBit { argument, bits } => (argument, [1 << bits.trailing_zeros(), bits]),
            When::NoneOf { argument, .. } => (argument, [0x4_0000, 1]),
            When::OneOf { argument, values } => (argument, values),
            // Told below.
            When::BothOneOf { .. } | When::OddSocket => continue,
        };
        for value in values {
            let mut arguments = [0, 0];
            arguments[usize::from(argument)] = value;
            assert_eq!(call(rule.call, arguments), errno(rule.errno), "call {}", rule.call);
        }
    }
}

#[test]
fn conditions_let_the_harmless_uses_pass() {
    let thread = (libc::CLONE_VM | libc::CLONE_FS | libc::CLONE_FILES | libc::CLONE_THREAD).cast_unsigned();
    assert_eq!(call(libc::SYS_clone, [thread, 0]), libc::SECCOMP_RET_ALLOW);
    assert_eq!(call(libc::SYS_personality, [PERSONALITY_QUERY, 0]), libc::SECCOMP_RET_ALLOW);
    assert_eq!(call(libc::SYS_personality, [0, 0]), libc::SECCOMP_RET_ALLOW);
    assert_eq!(call(libc::SYS_socket, [libc::AF_INET6.cast_unsigned(), 1]), libc::SECCOMP_RET_ALLOW);
    assert_eq!(call(libc::SYS_ioctl, [0, u32::try_from(libc::TIOCGWINSZ).unwrap()]), libc::SECCOMP_RET_ALLOW);
}

#[test]
fn only_ordinary_sockets_are_to_be_had() {
    let flags = (libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK).cast_unsigned();
    let socket = |family: i32, kind: i32, protocol: u32| {
        call(libc::SYS_socket, [family.cast_unsigned(), kind.cast_unsigned() | flags, protocol])
    };
    let route = libc::NETLINK_ROUTE.cast_unsigned();
    let ping = libc::IPPROTO_ICMP.cast_unsigned();
    for (family, kind, protocol) in [
        (libc::AF_INET, libc::SOCK_STREAM, 0),
        (libc::AF_INET, libc::SOCK_DGRAM, ping),
        (libc::AF_UNIX, libc::SOCK_SEQPACKET, 0),
        (libc::AF_NETLINK, libc::SOCK_RAW, route),
    ] {
        assert_eq!(socket(family, kind, protocol), libc::SECCOMP_RET_ALLOW, "{family} {kind}");
    }
    for (family, kind, protocol) in [
        (libc::AF_INET, libc::SOCK_RAW, ping),
        (libc::AF_INET6, libc::SOCK_RAW, ping),
        (libc::AF_PACKET, libc::SOCK_DGRAM, 0),
        (libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_NETFILTER.cast_unsigned()),
        (libc::AF_VSOCK, libc::SOCK_STREAM, 0),
        (libc::AF_ALG, libc::SOCK_SEQPACKET, 0),
    ] {
        assert_eq!(socket(family, kind, protocol), errno(libc::EAFNOSUPPORT), "{family} {kind}");
    }
    let option = |level: i32, name: u32| call(libc::SYS_setsockopt, [0, level.cast_unsigned(), name]);
    assert_eq!(option(libc::SOL_IP, 64), errno(libc::EPERM));
    assert_eq!(option(libc::SOL_IPV6, 65), errno(libc::EPERM));
    assert_eq!(option(libc::SOL_IP, 1), libc::SECCOMP_RET_ALLOW);
    assert_eq!(option(libc::SOL_SOCKET, 64), libc::SECCOMP_RET_ALLOW);
}

#[test]
fn other_architectures_do_not_run() {
    assert_eq!(verdict(3, 0, [0, 0]), libc::SECCOMP_RET_KILL_PROCESS);
    #[cfg(target_arch = "x86_64")]
    assert_eq!(call(libc::SYS_mount | libc::c_long::from(X32), [0, 0]), errno(libc::ENOSYS));
}
