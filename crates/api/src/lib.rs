//! STEERS: the control API. Wire types, routes, the OpenAPI document and the typed client.
//!
//! The command line and the SDK reach a server through this API and nothing else. Locally it is HTTP/1.1 with JSON
//! over a Unix socket of mode 0600. What the server does stands behind the [`control::Control`] port, which the
//! binary implements: nothing here knows containers, images or the store.

pub mod client;
pub mod control;
pub mod error;
pub mod images;
pub mod manifest;
pub mod openapi;
pub mod progress;
pub mod server;
pub mod wire;
