//! The runner protocol: one JSON object per line on descriptor 3 of a container, and the order they may come in.
//!
//! Pure types. The runner is inside the container and runs user code, so nothing it says is trusted: what does not
//! parse, or comes out of order, ends the container.

mod message;
mod sequence;

pub use message::{FromRunner, Role, Stage, ToRunner};
pub use sequence::{OutOfOrder, Phase, Sequence};

/// The version of the protocol, named by the runner's `hello`.
pub const PROTOCOL: u32 = 1;
