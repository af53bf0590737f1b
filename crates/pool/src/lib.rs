//! KEEPS WARM: a desk and an actor per function around core's pool machine.
//!
//! ```text
//!  gateway ── lease() ──▶ Pool ──▶ desk ──▶ core::pool (decides)
//!     ▲                            │  ▲
//!     └───────── Lease ◀───────────┤  │ Ready, Exited, deadline
//!                           errands▼  │
//!                                 actor ──▶ Launcher (port: the binary's adapter, or `fake`)
//! ```
//!
//! The desk is the machine behind a lock: whoever brings an event steps it, so that a request that finds a free slot has
//! it at once. What has an effect outside becomes an errand of the actor, which alone waits: for errands, for news of
//! containers and for the machine's deadline. Pools that share a machine ask its `Room` before they start a container. The
//! actor is a plain future; who makes a pool spawns it. This crate spawns nothing and knows neither sandboxes nor HTTP.

mod actor;
mod desk;
pub mod fake;
mod handle;
mod launcher;
mod lease;
mod members;
mod room;

pub use handle::Pool;
pub use launcher::{Address, LaunchEvent, Launcher, Sender, Stage, StartFailure, StartReceipt, TimeLimit};
pub use lease::{Lease, LeaseError, Receipt};
pub use pilotlight_core::id::ContainerId;
pub use pilotlight_core::pool::{Pace, Settings, Stats, Stop};
pub use pilotlight_core::room::Share;
pub use room::Room;
