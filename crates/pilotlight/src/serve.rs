//! The composition root: where ports meet adapters, and the one place that spawns long-lived tasks.

pub(crate) mod apps;
pub(crate) mod boot;
pub(crate) mod builders;
pub(crate) mod containers;
pub(crate) mod control;
pub(crate) mod images;
pub(crate) mod inside;
pub(crate) mod launcher;
pub(crate) mod logs;
pub(crate) mod on_host;
pub(crate) mod plan;
pub(crate) mod process;
pub(crate) mod progress;
pub(crate) mod public;
pub(crate) mod runner;
pub(crate) mod shells;
pub(crate) mod starts;
pub(crate) mod stored;
pub(crate) mod tasks;
pub(crate) mod user;
pub(crate) mod zygotes;

/// Randomness for an id, from the system.
pub(crate) fn entropy() -> u128 {
    let mut bytes = [0; 16];
    // getrandom(2) blocks at most once after the machine's boot; for 16 bytes it is never cut short.
    _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    u128::from_ne_bytes(bytes)
}
