//! The API over a real Unix socket, before a fake server behind the `Control` port.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail it")]

mod fake;
mod openapi;
mod raw;
mod routes;
mod socket;
mod streams;
