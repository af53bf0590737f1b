//! The one place that spawns.

pub(crate) use tokio::spawn;
