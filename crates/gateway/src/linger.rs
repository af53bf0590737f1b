//! What becomes of an exchange whose client has left: the container hears of it, and its slot stays taken until the
//! handler has really ended.
//!
//! Our side of the connection is closed, which servers tell their apps as `http.disconnect`, and the other is read until
//! the server closes it: the runner's does that when the handler returns, and any other when it likes. A handler that
//! cannot be interrupted, a synchronous one most of all, thus never shares its slot with the next request.

use std::future::Future;
use std::time::Duration;

use http::Response;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use pilotlight_pool::Lease;
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::tasks;
use crate::upstream::Connection;

/// Lets the container finish an exchange that nobody hears, for as long as `limit`, its function's timeout.
pub(crate) fn linger<E: Send>(
    answer: impl Future<Output = Result<Response<Incoming>, E>> + Send + 'static,
    connection: Connection,
    lease: Lease,
    limit: Duration,
) {
    connection.leave();
    let finished = async move {
        let rest = async {
            let Ok(answer) = answer.await else { return };
            let mut body = answer.into_body();
            while let Some(Ok(_)) = body.frame().await {}
        };
        if timeout(limit, rest).await.is_err() {
            lease.overdue(limit);
        }
        drop(connection);
    };
    // At the end of the runtime everything is dropped, and nothing is begun.
    if Handle::try_current().is_ok() {
        tasks::spawn(finished);
    }
}
