//! Which system calls containers may not make, as data, and the filter made of it.
//!
//! Everything else is allowed: images run arbitrary programs. What is refused is what reaches far into the kernel and
//! has no use without capabilities, so that a bug there is out of reach too. Refusals are errors, not kills: programs
//! that probe for a feature carry on without it.

use crate::sys::seccomp::Instruction;

/// What is refused, and how.
struct Rule {
    call: libc::c_long,
    when: When,
    errno: i32,
}

/// Under which condition on the call's arguments.
#[derive(Clone, Copy)]
enum When {
    Always,
    /// Any of these bits is set in the low half of an argument.
    AnyBit {
        argument: u8,
        bits: u32,
    },
    /// The low half of an argument is none of these.
    NoneOf {
        argument: u8,
        values: [u32; 2],
    },
    /// The low half of an argument is one of these.
    OneOf {
        argument: u8,
        values: [u32; 2],
    },
    /// So are the low halves of two arguments.
    BothOneOf {
        first: (u8, [u32; 2]),
        second: (u8, [u32; 2]),
    },
    /// socket(2) asks for a kind that programs without capabilities have no use for.
    OddSocket,
}

/// A clone or unshare flag that makes a namespace, or CLONE_NEWTIME, which shares its bit with CSIGNAL in clone(2) and
/// can thus only be asked for through unshare and clone3.
const NAMESPACES: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWCGROUP)
    .cast_unsigned();

/// personality(2) with this only asks.
const PERSONALITY_QUERY: u32 = u32::MAX;

/// ioctl(2) numbers have 32 bits, whatever type the C library gives them.
#[expect(clippy::cast_possible_truncation, reason = "the kernel looks at 32 bits of it")]
const TIOCSTI: u32 = libc::TIOCSTI as u32;

/// Not in `libc`; <https://man7.org/linux/man-pages/man2/ioctl_console.2.html>
const TIOCLINUX: u32 = 0x541C;

const fn refuse(call: libc::c_long) -> Rule {
    Rule { call, when: When::Always, errno: libc::EPERM }
}

/// The table.
const RULES: &[Rule] = &[
    // Mounts: a container's are made for it. The old calls and the new family alike.
    refuse(libc::SYS_mount),
    refuse(libc::SYS_umount2),
    refuse(libc::SYS_pivot_root),
    refuse(libc::SYS_fsopen),
    refuse(libc::SYS_fsconfig),
    refuse(libc::SYS_fsmount),
    refuse(libc::SYS_fspick),
    refuse(libc::SYS_move_mount),
    refuse(libc::SYS_open_tree),
    refuse(libc::SYS_mount_setattr),
    // Namespaces: a user namespace gives capabilities over new ones, the root of many kernel exploits.
    refuse(libc::SYS_unshare),
    Rule { call: libc::SYS_clone, when: When::AnyBit { argument: 0, bits: NAMESPACES }, errno: libc::EPERM },
    // Its flags are in memory, where no filter can look. ENOSYS makes C libraries fall back to clone.
    Rule { call: libc::SYS_clone3, when: When::Always, errno: libc::ENOSYS },
    // Programs inside the kernel, and looking into it.
    refuse(libc::SYS_bpf),
    refuse(libc::SYS_perf_event_open),
    // Other kernels and parts of kernels.
    refuse(libc::SYS_kexec_load),
    refuse(libc::SYS_kexec_file_load),
    refuse(libc::SYS_init_module),
    refuse(libc::SYS_finit_module),
    refuse(libc::SYS_delete_module),
    // Key rings are shared between containers of one user namespace history; not namespaced as the rest is.
    refuse(libc::SYS_add_key),
    refuse(libc::SYS_request_key),
    refuse(libc::SYS_keyctl),
    // Stops the kernel in the middle of a copy: the tool of choice for winning its races.
    refuse(libc::SYS_userfaultfd),
    // Its operations go past this very filter. ENOSYS: libraries fall back to epoll.
    Rule { call: libc::SYS_io_uring_setup, when: When::Always, errno: libc::ENOSYS },
    Rule { call: libc::SYS_io_uring_enter, when: When::Always, errno: libc::ENOSYS },
    Rule { call: libc::SYS_io_uring_register, when: When::Always, errno: libc::ENOSYS },
    // Opens any file of a file system by number, past all directories: the "shocker" escape.
    refuse(libc::SYS_open_by_handle_at),
    // The machine as a whole.
    refuse(libc::SYS_swapon),
    refuse(libc::SYS_swapoff),
    refuse(libc::SYS_reboot),
    refuse(libc::SYS_settimeofday),
    refuse(libc::SYS_clock_settime),
    refuse(libc::SYS_acct),
    refuse(libc::SYS_quotactl),
    refuse(libc::SYS_quotactl_fd),
    refuse(libc::SYS_syslog),
    refuse(libc::SYS_vhangup),
    // Hardware ports.
    #[cfg(target_arch = "x86_64")]
    refuse(libc::SYS_iopl),
    #[cfg(target_arch = "x86_64")]
    refuse(libc::SYS_ioperm),
    // Segments of another mode of the processor; only emulators use it, and it had its share of bugs.
    #[cfg(target_arch = "x86_64")]
    refuse(libc::SYS_modify_ldt),
    // Turning off address randomisation and the like; asking is fine, and so is the default.
    Rule {
        call: libc::SYS_personality,
        when: When::NoneOf { argument: 0, values: [0, PERSONALITY_QUERY] },
        errno: libc::EPERM,
    },
    // Sockets to the machine's own hypervisor, which no namespace holds back; and to the kernel's ciphers, which have
    // many bugs behind them and few users. Programs see a kernel without them. Raw and packet sockets, and every
    // netlink but the routing one, which tells programs their addresses: the fork of a zygote has capabilities over its
    // network until it gives them up, and a zygote that keeps them shall find no packet filter to write to.
    Rule { call: libc::SYS_socket, when: When::OddSocket, errno: libc::EAFNOSUPPORT },
    // The old way to write packet filters: IPT_SO_SET_REPLACE and IPT_SO_SET_ADD_COUNTERS of IPv4 and IPv6.
    Rule {
        call: libc::SYS_setsockopt,
        when: When::BothOneOf {
            first: (1, [libc::SOL_IP.cast_unsigned(), libc::SOL_IPV6.cast_unsigned()]),
            second: (2, [64, 65]),
        },
        errno: libc::EPERM,
    },
    // Typing into a terminal as if the user had, and pasting into the console.
    Rule {
        call: libc::SYS_ioctl,
        when: When::OneOf { argument: 1, values: [TIOCSTI, TIOCLINUX] },
        errno: libc::EPERM,
    },
];

/// Refused to all but zygotes, which have no capability either: what they can join are the namespaces of containers that
/// were made below their own user namespace, and nothing else.
const JOINING: Rule = refuse(libc::SYS_setns);

/// Calls of the x32 ABI have this bit; they would pass every rule by number.
#[cfg(target_arch = "x86_64")]
const X32: u32 = 0x4000_0000;

/// AUDIT_ARCH_X86_64 of `<linux/audit.h>`: the machine, 64 bit, little endian.
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0x3e | 0x8000_0000 | 0x4000_0000;

/// AUDIT_ARCH_AARCH64.
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xb7 | 0x8000_0000 | 0x4000_0000;

/// Where struct seccomp_data has the call's number, the architecture and the arguments.
const NUMBER_AT: u32 = 0;
const ARCHITECTURE_AT: u32 = 4;
const ARGUMENTS_AT: u32 = 16;

const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
const IF_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
const IF_ANY_BIT: u32 = libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K;
const AND: u32 = libc::BPF_ALU | libc::BPF_AND | libc::BPF_K;
const RETURN: u32 = libc::BPF_RET | libc::BPF_K;

/// The filter of every container, or of a zygote.
///
/// The kernel runs it once per call number when it is installed, and lets a number that is allowed whatever its
/// arguments are pass without running it again: its length costs ordinary calls nothing (5.11).
pub(crate) fn filter(zygote: bool) -> Vec<Instruction> {
    let mut program = vec![
        step(LOAD, 0, 0, ARCHITECTURE_AT),
        step(IF_EQUAL, 1, 0, ARCHITECTURE),
        // The 32-bit calls of this machine have other numbers: no such program runs.
        step(RETURN, 0, 0, libc::SECCOMP_RET_KILL_PROCESS),
        step(LOAD, 0, 0, NUMBER_AT),
    ];
    #[cfg(target_arch = "x86_64")]
    program.extend([step(IF_ANY_BIT, 0, 1, X32), step(RETURN, 0, 0, errno(libc::ENOSYS))]);
    for rule in RULES.iter().chain((!zygote).then_some(&JOINING)) {
        let body = body(rule);
        let length = u8::try_from(body.len()).expect("the bodies below have a dozen steps at most");
        program.push(step(IF_EQUAL, 0, length, u32::try_from(rule.call).expect("call numbers are small")));
        program.extend(body);
    }
    program.push(step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW));
    program
}

/// What runs once the number matched; every path of it returns.
fn body(rule: &Rule) -> Vec<Instruction> {
    let refused = step(RETURN, 0, 0, errno(rule.errno));
    let allowed = step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW);
    match rule.when {
        When::Always => vec![refused],
        When::AnyBit { argument, bits } => {
            vec![load(argument), step(IF_ANY_BIT, 0, 1, bits), refused, allowed]
        }
        When::OneOf { argument, values: [one, other] } => {
            vec![load(argument), step(IF_EQUAL, 1, 0, one), step(IF_EQUAL, 0, 1, other), refused, allowed]
        }
        When::NoneOf { argument, values: [one, other] } => {
            vec![load(argument), step(IF_EQUAL, 2, 0, one), step(IF_EQUAL, 1, 0, other), refused, allowed]
        }
        When::BothOneOf { first: (first, [one, other]), second: (second, [that, those]) } => vec![
            load(first),
            step(IF_EQUAL, 1, 0, one),
            step(IF_EQUAL, 0, 4, other),
            load(second),
            step(IF_EQUAL, 1, 0, that),
            step(IF_EQUAL, 0, 1, those),
            refused,
            allowed,
        ],
        When::OddSocket => {
            let family = |family: libc::c_int| family.cast_unsigned();
            vec![
                load(0),
                step(IF_EQUAL, 6, 0, family(libc::AF_NETLINK)),
                step(IF_EQUAL, 7, 0, family(libc::AF_PACKET)),
                step(IF_EQUAL, 6, 0, family(libc::AF_VSOCK)),
                step(IF_EQUAL, 5, 0, family(libc::AF_ALG)),
                // The type without SOCK_CLOEXEC and SOCK_NONBLOCK.
                load(1),
                step(AND, 0, 0, 0xf),
                step(IF_EQUAL, 2, 3, family(libc::SOCK_RAW)),
                load(2),
                step(IF_EQUAL, 1, 0, family(libc::NETLINK_ROUTE)),
                refused,
                allowed,
            ]
        }
    }
}

/// Loads the low half of an argument; the machines supported are little endian.
fn load(argument: u8) -> Instruction {
    step(LOAD, 0, 0, ARGUMENTS_AT + 8 * u32::from(argument))
}

fn errno(errno: i32) -> u32 {
    libc::SECCOMP_RET_ERRNO | errno.cast_unsigned()
}

fn step(code: u32, jt: u8, jf: u8, k: u32) -> Instruction {
    Instruction { code: u16::try_from(code).expect("operation codes have 16 bits"), jt, jf, k }
}

#[cfg(test)]
mod tests;
