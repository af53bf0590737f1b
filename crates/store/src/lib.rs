//! REMEMBERS: what must survive a restart. Apps, their versions, endpoints and ports in SQLite; logs in plain files.
//!
//! Nothing in the request path comes here: the gateway reads a route table that is made from [`Store::deployed`] and
//! swapped whole. The API is synchronous and may wait for the disk: async callers use a blocking thread.

mod apps;
mod db;
pub mod logs;
mod migrate;
mod ports;
pub mod seal;
mod store;

pub use apps::{App, Deployed, Endpoint, Manifest, State};
pub use store::{Error, Store};
