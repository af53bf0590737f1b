//! KEEPS WARM: one actor per function around core's pool machine.
//!
//! ```text
//!  gateway ── lease() ──▶ Pool ──▶ actor ──▶ core::pool (decides)
//!     ▲                              │  ▲
//!     └───────── Lease ◀─────────────┘  │ LaunchEvent
//!                                    ▼  │
//!                                  Launcher (port: the binary's adapter, or `fake`)
//! ```
//!
//! The actor is the only asynchronous code: it waits for the next command, the next piece of news of a container or the
//! machine's deadline, steps the machine, and runs the actions. It is a plain future; who makes a pool spawns it. This
//! crate spawns nothing and knows neither sandboxes nor HTTP.

mod actor;
pub mod fake;
mod handle;
mod launcher;
mod lease;
mod members;

pub use handle::Pool;
pub use launcher::{Address, LaunchEvent, Launcher, Sender, Stage, StartFailure, StartReceipt};
pub use lease::{Lease, LeaseError, Receipt};
pub use pilotlight_core::id::ContainerId;
pub use pilotlight_core::pool::{Pace, Settings, Stats, Stop};
