//! The gateway over real sockets, with the pool's fake launcher and containers that are tasks of the test.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod container;
mod errors;
mod framing;
mod framing_cases;
mod framing_http2;
mod later;
mod lifetime;
mod limits;
mod proxy;
mod routing;
mod tls;
mod upgrade;
mod world;
