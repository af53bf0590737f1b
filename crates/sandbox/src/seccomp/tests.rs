//! The filter is run here as the kernel would run it.

use std::collections::BTreeSet;

use libc::c_long;

use super::table::PERSONALITY_QUERY;
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
            JUMP => at += k as usize,
            IF_EQUAL => at += usize::from(if value == k { jt } else { jf }),
            IF_AT_LEAST => at += usize::from(if value >= k { jt } else { jf }),
            IF_ANY_BIT => at += usize::from(if value & k != 0 { jt } else { jf }),
            code => panic!("no operation {code}"),
        }
    }
}

fn call<const N: usize>(number: c_long, arguments: [u32; N]) -> u32 {
    verdict(ARCHITECTURE, u32::try_from(number).unwrap(), arguments)
}

/// Every call of the tables, with how many times it is there.
fn named() -> Vec<c_long> {
    let groups = ALLOWED.iter().chain(REFUSED.iter().map(|refused| &refused.group)).chain([&JOINING.group]);
    let whole = groups.flat_map(|group| group.calls).copied();
    whole.chain(PARTLY.iter().map(|partly| partly.call)).collect()
}

#[test]
fn every_rule_has_a_reason() {
    let groups = ALLOWED.iter().chain(REFUSED.iter().map(|refused| &refused.group)).chain([&JOINING.group]);
    let mut reasons: Vec<(&str, usize)> = groups.map(|group| (group.why, group.calls.len())).collect();
    let cases = PARTLY.iter().flat_map(|partly| partly.cases);
    reasons.extend(cases.map(|case| (case.why, case.when.len())));
    for (why, size) in reasons {
        assert!(size > 0, "`{why}` is about nothing");
        let words = why.split_whitespace().count();
        assert!(words > 1 || why == "signals", "`{why}` is no reason");
    }
}

#[test]
fn no_call_is_in_two_places() {
    let named = named();
    let mut met = BTreeSet::new();
    for call in &named {
        assert!(met.insert(call), "call {call} is there twice");
    }
    assert!(named.len() > 300, "{} calls were reviewed", named.len());
}

#[test]
fn what_stands_nowhere_does_not_exist() {
    let named: BTreeSet<u32> = named().iter().map(|call| u32::try_from(*call).unwrap()).collect();
    for number in (0..2000).filter(|number| !named.contains(number)) {
        assert_eq!(verdict(ARCHITECTURE, number, [0, 0, 0]), errno(libc::ENOSYS), "call {number}");
    }
    assert_eq!(verdict(ARCHITECTURE, u32::MAX, [0, 0, 0]), errno(libc::ENOSYS));
}

#[test]
fn what_is_allowed_passes_with_any_arguments() {
    for call in ALLOWED.iter().flat_map(|group| group.calls) {
        for arguments in [[0; 3], [u32::MAX; 3]] {
            assert_eq!(self::call(*call, arguments), ALLOW, "call {call}");
        }
    }
}

#[test]
fn what_is_refused_is_refused_with_any_arguments() {
    for refused in REFUSED.iter().chain([&JOINING]) {
        for call in refused.group.calls {
            for arguments in [[0; 3], [u32::MAX; 3]] {
                assert_eq!(self::call(*call, arguments), errno(refused.errno), "call {call}");
            }
        }
    }
}

#[test]
fn arguments_decide_where_they_matter() {
    let thread = (libc::CLONE_VM | libc::CLONE_FS | libc::CLONE_FILES | libc::CLONE_THREAD).cast_unsigned();
    let refused = errno(libc::EPERM);
    let first = |number, argument| call(number, [argument, 0, 0]);
    assert_eq!(first(libc::SYS_clone, thread), ALLOW);
    for bit in [libc::CLONE_NEWNS, libc::CLONE_NEWUSER, libc::CLONE_NEWPID, libc::CLONE_NEWCGROUP] {
        assert_eq!(first(libc::SYS_clone, (bit | libc::SIGCHLD).cast_unsigned()), refused);
    }
    assert_eq!(first(libc::SYS_personality, PERSONALITY_QUERY), ALLOW);
    assert_eq!(first(libc::SYS_personality, 0), ALLOW);
    assert_eq!(first(libc::SYS_personality, 0x4_0000), refused);
    for (kind, verdict) in [
        (libc::S_IFCHR, refused),
        (libc::S_IFBLK, refused),
        (libc::S_IFIFO, ALLOW),
        (libc::S_IFREG, ALLOW),
        (libc::S_IFSOCK, ALLOW),
        (0, ALLOW),
    ] {
        assert_eq!(call(libc::SYS_mknodat, [0, 0, kind | 0o644]), verdict, "{kind:o}");
    }
    let control = |number: u64| call(libc::SYS_ioctl, [0, u32::try_from(number).unwrap(), 0]);
    assert_eq!(control(libc::TIOCGWINSZ), ALLOW);
    for number in [libc::TIOCSTI, libc::TIOCSETD, 0x541C] {
        assert_eq!(control(number), refused);
    }
}

#[test]
fn only_ordinary_sockets_are_to_be_had() {
    let flags = (libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK).cast_unsigned();
    let socket = |family: i32, kind: i32, protocol: i32| {
        let words = [family.cast_unsigned(), kind.cast_unsigned() | flags, protocol.cast_unsigned()];
        call(libc::SYS_socket, words)
    };
    for (family, kind, protocol) in [
        (libc::AF_INET, libc::SOCK_STREAM, 0),
        (libc::AF_INET6, libc::SOCK_STREAM, libc::IPPROTO_TCP),
        (libc::AF_INET6, libc::SOCK_DGRAM, libc::IPPROTO_UDP),
        (libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_ICMP),
        (libc::AF_UNIX, libc::SOCK_SEQPACKET, 0),
        (libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE),
    ] {
        assert_eq!(socket(family, kind, protocol), ALLOW, "{family} {kind} {protocol}");
    }
    for (family, kind, protocol) in [
        (libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP),
        (libc::AF_INET6, libc::SOCK_RAW, libc::IPPROTO_ICMP),
        (libc::AF_INET, libc::SOCK_SEQPACKET, 0),
        (libc::AF_PACKET, libc::SOCK_DGRAM, 0),
        (libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_NETFILTER),
        (libc::AF_VSOCK, libc::SOCK_STREAM, 0),
        (libc::AF_ALG, libc::SOCK_SEQPACKET, 0),
        (libc::AF_CAN, libc::SOCK_RAW, 1),
    ] {
        assert_eq!(socket(family, kind, protocol), errno(libc::EAFNOSUPPORT), "{family} {kind}");
    }
    let odd = socket(libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_SCTP);
    assert_eq!(odd, errno(libc::EPROTONOSUPPORT));
    assert_eq!(call(libc::SYS_socketpair, [libc::AF_UNIX.cast_unsigned(), 1, 0]), ALLOW);
    assert_eq!(call(libc::SYS_socketpair, [libc::AF_TIPC.cast_unsigned(), 1, 0]), errno(libc::EAFNOSUPPORT));
}

#[test]
fn packet_filters_and_kernel_protocols_are_no_options_of_sockets() {
    let option =
        |level: i32, name: i32| call(libc::SYS_setsockopt, [0, level.cast_unsigned(), name.cast_unsigned()]);
    assert_eq!(option(libc::SOL_IP, 64), errno(libc::EPERM));
    assert_eq!(option(libc::SOL_IPV6, 65), errno(libc::EPERM));
    assert_eq!(option(libc::SOL_TCP, libc::TCP_ULP), errno(libc::ENOPROTOOPT));
    for (level, name) in [(libc::SOL_IP, 63), (libc::SOL_SOCKET, 64), (libc::SOL_TCP, libc::TCP_NODELAY)] {
        assert_eq!(option(level, name), ALLOW);
    }
}

#[test]
fn only_zygotes_may_join() {
    let differing = |zygote| {
        verdicts(zygote).into_iter().filter_map(|(number, verdict)| match verdict {
            Verdict::Return(ALLOW) => Some(number),
            _ => None,
        })
    };
    let zygotes: BTreeSet<u32> = differing(true).collect();
    let others: BTreeSet<u32> = differing(false).collect();
    let more: Vec<u32> = zygotes.difference(&others).copied().collect();
    assert_eq!(more, [u32::try_from(libc::SYS_setns).unwrap()]);
}

#[test]
fn other_architectures_are_killed() {
    assert_eq!(verdict(0x4000_0003, 3, [0, 0]), libc::SECCOMP_RET_KILL_PROCESS);
}

#[cfg(target_arch = "x86_64")]
#[test]
fn the_x32_numbers_of_calls_do_not_exist() {
    // __X32_SYSCALL_BIT of `<asm/unistd.h>`
    let number = 0x4000_0000 | u32::try_from(libc::SYS_getpid).unwrap();
    assert_eq!(verdict(ARCHITECTURE, number, [0, 0]), errno(libc::ENOSYS));
}

#[test]
fn filters_are_short() {
    // The kernel's bound is 4096; a start of a container pays for each step.
    for zygote in [false, true] {
        assert!(filter(zygote).len() < 350, "{} steps", filter(zygote).len());
    }
}
