//! DECIDES: everything pilotlight decides, as pure code.
//!
//! Nothing here performs I/O, reads a clock or knows an async runtime: `now` is a parameter, events go in, actions
//! come out. The effects live in the crates around it.

pub mod claim;
pub mod hearth;
pub mod id;
pub mod image;
pub mod name;
pub mod pool;
pub mod rate;
pub mod reload;
pub mod room;
pub mod route;
