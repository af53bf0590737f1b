//! The runner protocol.
