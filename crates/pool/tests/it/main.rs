//! The pool with its actor, on tokio's paused clock and without containers.

mod lease;
mod retire;
mod room;
mod stress;
mod support;
mod warm;
