//! What becomes of an exchange whose client has left: the container hears of it, and its slot stays taken until the
//! handler has really ended.
//!
//! Our side of the connection is closed, which servers tell their apps as `http.disconnect`, and the other is read until
//! the server closes it: the runner's does that when the handler returns, and any other when it likes. A handler that
//! cannot be interrupted, a synchronous one most of all, thus never shares its slot with the next request.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use pilotlight_pool::{Lease, TimeLimit};
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::activity::Activity;
use crate::body::RequestBody;
use crate::tasks;
use crate::upstream::Connection;

/// What becomes of a request on a connection; one of which no byte was handed over comes back.
pub(crate) type Answered = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>;

/// An answer that is to come.
type Answering = Pin<Box<dyn Future<Output = Answered> + Send>>;

/// A request that a container has, until its answer begins.
pub(crate) struct Asked {
    /// Taken at the end.
    parts: Option<(Answering, Connection, Lease)>,
    activity: Arc<Activity>,
    limit: Duration,
}

impl Asked {
    /// Hands the request over. `limit` is the function's timeout.
    pub(crate) fn send(
        request: Request<RequestBody>,
        mut connection: Connection,
        lease: Lease,
        activity: &Arc<Activity>,
        limit: Duration,
    ) -> Self {
        activity.goes_by(&connection.leaving);
        let answer: Answering = Box::pin(connection.sender.try_send_request(request));
        Self { parts: Some((answer, connection, lease)), activity: Arc::clone(activity), limit }
    }

    /// Waits for the beginning of the answer. Cancel safe.
    pub(crate) async fn answer(&mut self) -> Answered {
        self.parts.as_mut().expect("only its end takes them").0.as_mut().await
    }

    /// There is an answer, or nobody waits for one any more.
    pub(crate) fn end(mut self) -> (Connection, Lease) {
        let (_, connection, lease) = self.parts.take().expect("only its end takes them");
        (connection, lease)
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if let Some((answer, connection, lease)) = self.parts.take() {
            self.activity.abandon();
            linger(answer, connection, lease, self.limit);
        }
    }
}

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
            lease.overdue(TimeLimit { name: "timeout", after: limit });
        }
        drop(connection);
    };
    // At the end of the runtime everything is dropped, and nothing is begun.
    if Handle::try_current().is_ok() {
        tasks::spawn(finished);
    }
}
