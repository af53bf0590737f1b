//! Containers, for real. Needs root with the usual capabilities; nothing here is skipped.

#![expect(clippy::unwrap_used, reason = "a test that fails here says so well enough")]

mod build;
mod command;
mod isolation;
mod leak;
mod life;
mod limits;
mod network;
mod owner;
mod process;
mod protocol;
mod world;
mod zygote;
