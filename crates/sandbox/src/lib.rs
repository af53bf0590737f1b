//! CONTAINS: runs commands in Linux containers, and holds the workspace's only unsafe code.
//!
//! The server side is [`Helper`]: it starts a second process of the same executable, which alone keeps privileges, and
//! speaks with it over a socket pair. That helper ([`helper_main`]) clones a *pid 1* per container into fresh
//! namespaces, assembles its overlay from idmapped layers, and hands it what it may have as descriptors; pid 1
//! furnishes the container, gives up every right, and runs the command.
//!
//! ```text
//! server: Helper ──requests, fds──▶ helper: loop ──clone──▶ pid 1: furnish, lock down ──fork, exec──▶ command
//!         Event  ◀──replies, exits──  shell::make, run   ◀──reports──  init
//! ```
//!
//! What a command finds: uid and gid 0 of a user namespace whose 65536 ids are no other container's; no capability and
//! no way to get one; a system call filter; its own process, network, mount, IPC, host name and cgroup namespaces;
//! descriptors 0 to 4 and no other (a zygote: 5). Build steps ([`Spec::keep_upper`]) keep, inside their user namespace, the
//! capabilities that package managers need: chown, dac_override, fowner, fsetid, kill, setgid, setuid, setfcap.
//!
//! A container may be a *zygote* ([`Spec::zygote`]): one whose process forks others into shells that the helper made below
//! its namespaces ([`Spec::from`]). `docs/design/0004-the-pilot-light.md` tells how, and what that trusts.
//!
//! The crate is synchronous and knows nothing of apps, images or pools.

mod authority;
mod cgroup;
mod channel;
mod check;
mod client;
mod disk;
pub mod doctor;
mod door;
mod erase;
mod errand;
mod error;
mod event;
mod helper;
mod identity;
mod init;
mod keep;
mod look;
mod message;
mod net;
mod order;
mod owner;
mod places;
pub mod runner;
mod seccomp;
mod shell;
mod slots;
mod spec;
mod supervisor;
mod sweep;
#[expect(unsafe_code, reason = "the one module for calls that have no safe wrapper")]
mod sys;
mod title;

pub use check::{Missing, check};
pub use client::{Helper, Options};
pub use door::{Door, Protocol, Relay};
pub use errand::{Errand, Yard};
pub use error::{Error, Failure};
pub use event::{Event, ExitStatus, Phases, Signal, Started};
pub use helper::helper_main;
pub use identity::{adopt, become_server, reveal};
pub use look::Seen;
pub use net::inside::inside_addresses;
pub use net::private::PrivateNetworks;
pub use owner::{IMAGE_IDS, Owner};
pub use spec::{Bind, Command, Fds, Isolation, Limits, Network, Spec};
pub use supervisor::{Supervisor, supervise};
pub use sweep::{SweepReport, sweep};
