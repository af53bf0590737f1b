//! Containers, for real. Needs root with the usual capabilities; nothing here is skipped.

mod command;
mod world;
