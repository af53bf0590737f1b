//! Containers, for real. Needs root with the usual capabilities; nothing here is skipped.

mod build;
mod command;
mod isolation;
mod life;
mod limits;
mod network;
mod world;
