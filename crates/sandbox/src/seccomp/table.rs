//! The reviewed data: every system call that containers may make, may make in part, or are refused by name, with the
//! reason of each. What stands nowhere here does not exist inside.
//!
//! Reviewing a new call means to answer: which programs need it, what does it reach without capabilities, is there a
//! fallback. The list was compared with Docker's default profile; where it is stricter the reason says so.
//!
//! The reasons are for people, and for the test that none is missing.
#![cfg_attr(not(test), expect(dead_code, reason = "reasons are read by people and tests"))]

mod allowed;

use libc::c_long;

pub(super) use allowed::ALLOWED;

/// Calls that are all allowed or all refused, for one reason.
pub(super) struct Group {
    pub(super) why: &'static str,
    pub(super) calls: &'static [c_long],
}

/// Calls that are refused by name, rather than as unknown: programs and people know what to make of the error.
pub(super) struct Refused {
    pub(super) group: Group,
    pub(super) errno: i32,
}

/// A call that is refused when any of the cases holds, and allowed otherwise.
pub(super) struct Partly {
    pub(super) call: c_long,
    pub(super) cases: &'static [Case],
}

/// All of the tests hold.
pub(super) struct Case {
    pub(super) why: &'static str,
    pub(super) when: &'static [Test],
    pub(super) errno: i32,
}

/// What the low half of an argument is. The kernel looks at no more of those tested here.
pub(super) enum Test {
    /// One of these.
    Is(u8, &'static [u32]),
    /// None of these.
    IsNot(u8, &'static [u32]),
    /// With this mask, one of these.
    Masked(u8, u32, &'static [u32]),
    /// With this mask, none of these.
    MaskedNot(u8, u32, &'static [u32]),
    /// Any of these bits is set.
    AnyBit(u8, u32),
}

const fn group(why: &'static str, calls: &'static [c_long]) -> Group {
    Group { why, calls }
}

const fn refused(why: &'static str, errno: i32, calls: &'static [c_long]) -> Refused {
    Refused { group: Group { why, calls }, errno }
}

/// Refused to everybody.
pub(super) const REFUSED: &[Refused] = &[
    refused(
        "a container's mounts are made for it; the old calls and the new family alike",
        libc::EPERM,
        &[
            libc::SYS_mount,
            libc::SYS_umount2,
            libc::SYS_pivot_root,
            libc::SYS_chroot,
            libc::SYS_fsopen,
            libc::SYS_fsconfig,
            libc::SYS_fsmount,
            libc::SYS_fspick,
            libc::SYS_move_mount,
            libc::SYS_open_tree,
            libc::SYS_mount_setattr,
        ],
    ),
    refused(
        "a user namespace gives capabilities over new ones, the root of many kernel exploits",
        libc::EPERM,
        &[libc::SYS_unshare],
    ),
    refused(
        "its flags are in memory, where no filter can look; C libraries fall back to clone",
        libc::ENOSYS,
        &[libc::SYS_clone3],
    ),
    refused(
        "programs inside the kernel, and looking into it",
        libc::EPERM,
        &[libc::SYS_bpf, libc::SYS_perf_event_open],
    ),
    refused(
        "looking into other processes, and taking descriptors out of them; Docker allows it, we have no use for it",
        libc::EPERM,
        &[
            libc::SYS_ptrace,
            libc::SYS_process_vm_readv,
            libc::SYS_process_vm_writev,
            libc::SYS_process_madvise,
            libc::SYS_pidfd_getfd,
            libc::SYS_kcmp,
        ],
    ),
    refused(
        "other kernels and parts of kernels",
        libc::EPERM,
        &[
            libc::SYS_kexec_load,
            libc::SYS_kexec_file_load,
            libc::SYS_init_module,
            libc::SYS_finit_module,
            libc::SYS_delete_module,
        ],
    ),
    refused(
        "key rings belong to users and not to containers",
        libc::EPERM,
        &[libc::SYS_add_key, libc::SYS_request_key, libc::SYS_keyctl],
    ),
    refused(
        "stops the kernel in the middle of a copy: the tool of choice for winning its races",
        libc::EPERM,
        &[libc::SYS_userfaultfd],
    ),
    refused(
        "its operations go past this very filter; libraries fall back to epoll",
        libc::ENOSYS,
        &[libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register],
    ),
    refused(
        "opens any file of a file system by number, past all directories: the \"shocker\" escape",
        libc::EPERM,
        &[libc::SYS_open_by_handle_at],
    ),
    refused(
        "watches files of whole mounts, and holds up who opens them; inotify serves",
        libc::EPERM,
        &[libc::SYS_fanotify_init, libc::SYS_fanotify_mark],
    ),
    refused(
        "the machine's clock has no namespace; that some of these also read it is of no use",
        libc::EPERM,
        &[libc::SYS_settimeofday, libc::SYS_clock_settime, libc::SYS_adjtimex, libc::SYS_clock_adjtime],
    ),
    refused(
        "the machine as a whole: swap, accounts, quotas, names, log, power",
        libc::EPERM,
        &[
            libc::SYS_swapon,
            libc::SYS_swapoff,
            libc::SYS_reboot,
            libc::SYS_acct,
            libc::SYS_quotactl,
            libc::SYS_quotactl_fd,
            libc::SYS_sethostname,
            libc::SYS_setdomainname,
            libc::SYS_syslog,
            libc::SYS_vhangup,
        ],
    ),
    refused(
        "which memory of the machine is used, of one's own and of others' processes",
        libc::EPERM,
        &[
            libc::SYS_mbind,
            libc::SYS_set_mempolicy,
            libc::SYS_set_mempolicy_home_node,
            libc::SYS_migrate_pages,
            libc::SYS_move_pages,
        ],
    ),
    #[cfg(target_arch = "x86_64")]
    refused("hardware ports", libc::EPERM, &[libc::SYS_iopl, libc::SYS_ioperm]),
    #[cfg(target_arch = "x86_64")]
    refused(
        "segments of another mode of the processor; only emulators use it, and it had its share of bugs",
        libc::EPERM,
        &[libc::SYS_modify_ldt],
    ),
];

/// Refused to all but zygotes, which have no capability either: what they can join are the namespaces of containers that
/// were made below their own user namespace, and nothing else.
pub(super) const JOINING: Refused =
    refused("a container stays in the namespaces that were made for it", libc::EPERM, &[libc::SYS_setns]);

/// A clone or unshare flag that makes a namespace. CLONE_NEWTIME is not here: it shares its bit with CSIGNAL in clone(2)
/// and can thus only be asked for through unshare and clone3.
const NAMESPACES: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWCGROUP)
    .cast_unsigned();

/// personality(2) with this only asks.
pub(super) const PERSONALITY_QUERY: u32 = u32::MAX;

/// ioctl(2) numbers have 32 bits, whatever type the C library gives them.
#[expect(clippy::cast_possible_truncation, reason = "the kernel looks at 32 bits of it")]
const TIOCSTI: u32 = libc::TIOCSTI as u32;

#[expect(clippy::cast_possible_truncation, reason = "the kernel looks at 32 bits of it")]
const TIOCSETD: u32 = libc::TIOCSETD as u32;

/// Not in `libc`; <https://man7.org/linux/man-pages/man2/ioctl_console.2.html>
const TIOCLINUX: u32 = 0x541C;

/// IPT_SO_SET_REPLACE and IPT_SO_SET_ADD_COUNTERS, of IPv4 and IPv6. `<linux/netfilter_ipv4/ip_tables.h>`
const OLD_PACKET_FILTER: &[u32] = &[64, 65];

const fn u(number: i32) -> u32 {
    number.cast_unsigned()
}

const DEVICES: &[u32] = &[libc::S_IFCHR, libc::S_IFBLK];

/// The types of socket(2), without SOCK_CLOEXEC and SOCK_NONBLOCK.
const SOCKET_TYPE: u32 = 0xf;

const INET: &[u32] = &[u(libc::AF_INET), u(libc::AF_INET6)];

const NO_DEVICE: &str = "devices are given, not made; queues and plain files may be";

/// Refused when a case holds.
pub(super) const PARTLY: &[Partly] = &[
    Partly {
        call: libc::SYS_clone,
        cases: &[Case {
            why: "threads and processes, but no namespaces",
            when: &[Test::AnyBit(0, NAMESPACES)],
            errno: libc::EPERM,
        }],
    },
    #[cfg(target_arch = "x86_64")]
    Partly {
        call: libc::SYS_mknod,
        cases: &[Case {
            why: NO_DEVICE,
            when: &[Test::Masked(1, libc::S_IFMT, DEVICES)],
            errno: libc::EPERM,
        }],
    },
    Partly {
        call: libc::SYS_mknodat,
        cases: &[Case {
            why: NO_DEVICE,
            when: &[Test::Masked(2, libc::S_IFMT, DEVICES)],
            errno: libc::EPERM,
        }],
    },
    Partly {
        call: libc::SYS_personality,
        cases: &[Case {
            why: "no turning off of address randomisation and the like; asking is fine, and so is the default",
            when: &[Test::IsNot(0, &[0, PERSONALITY_QUERY])],
            errno: libc::EPERM,
        }],
    },
    Partly {
        call: libc::SYS_socket,
        cases: &[
            Case {
                why: "the families that programs of the web need; the others have many bugs behind them and few users, \
                    and some (vsock) are held back by no namespace",
                when: &[Test::IsNot(
                    0,
                    &[u(libc::AF_UNIX), u(libc::AF_INET), u(libc::AF_INET6), u(libc::AF_NETLINK)],
                )],
                errno: libc::EAFNOSUPPORT,
            },
            Case {
                why: "of netlink the routing one, which tells programs their addresses: the fork of a zygote has \
                    capabilities over its network until it gives them up, and a zygote that keeps them shall find no \
                    packet filter to write to",
                when: &[Test::Is(0, &[u(libc::AF_NETLINK)]), Test::IsNot(2, &[u(libc::NETLINK_ROUTE)])],
                errno: libc::EAFNOSUPPORT,
            },
            Case {
                why: "no raw sockets, for the same reason; and none of the rarer kinds",
                when: &[
                    Test::Is(0, INET),
                    Test::MaskedNot(1, SOCKET_TYPE, &[u(libc::SOCK_STREAM), u(libc::SOCK_DGRAM)]),
                ],
                errno: libc::EAFNOSUPPORT,
            },
            Case {
                why: "TCP, UDP and ping; other protocols (SCTP, MPTCP, L2TP) load code that few look at",
                when: &[
                    Test::Is(0, INET),
                    Test::IsNot(
                        2,
                        &[
                            0,
                            u(libc::IPPROTO_TCP),
                            u(libc::IPPROTO_UDP),
                            u(libc::IPPROTO_ICMP),
                            u(libc::IPPROTO_ICMPV6),
                        ],
                    ),
                ],
                errno: libc::EPROTONOSUPPORT,
            },
        ],
    },
    Partly {
        call: libc::SYS_socketpair,
        cases: &[Case {
            why: "pairs of Unix sockets; the other families that have pairs are refused above",
            when: &[Test::IsNot(0, &[u(libc::AF_UNIX)])],
            errno: libc::EAFNOSUPPORT,
        }],
    },
    Partly {
        call: libc::SYS_setsockopt,
        cases: &[
            Case {
                why: "the old way to write packet filters",
                when: &[Test::Is(1, &[u(libc::SOL_IP), u(libc::SOL_IPV6)]), Test::Is(2, OLD_PACKET_FILTER)],
                errno: libc::EPERM,
            },
            Case {
                why: "protocols on top of TCP inside the kernel; libraries encrypt by themselves",
                when: &[Test::Is(1, &[u(libc::SOL_TCP)]), Test::Is(2, &[u(libc::TCP_ULP)])],
                errno: libc::ENOPROTOOPT,
            },
        ],
    },
    Partly {
        call: libc::SYS_ioctl,
        cases: &[Case {
            why: "no typing into a terminal as if the user had, no pasting into the console, and no line disciplines, \
                most of them drivers of old hardware",
            when: &[Test::Is(1, &[TIOCSTI, TIOCLINUX, TIOCSETD])],
            errno: libc::EPERM,
        }],
    },
];
