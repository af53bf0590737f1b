//! Integration tests of the image crate. Those that build images need root and a package index; none is skipped.

#![allow(clippy::unwrap_used, reason = "clippy knows test functions, but not what they call")]

mod debian;
mod images;
mod steps;
mod tools;
mod world;
