//! Calls: requests that go on without their client, and whose answer is kept for who asks for it at another URL, with
//! `wait_for_response=False` from the beginning, else from the moment when the client is redirected. Nothing runs twice.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Response, StatusCode, Uri, request};
use http_body_util::{BodyExt as _, Full};
use pilotlight_core::id::CallId;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::activity::{IdleTimer, Limits, Upload};
use crate::body::{Body, Broken, RequestBody};
use crate::connection::Peer;
use crate::respond::{Asker, Refusal, accepted, see_other};
use crate::routes::Endpoint;
use crate::shelf::{Owner, Shelf};
use crate::{Shared, exchange, forwarded, headers, tasks};

/// Names a call in a URL: today's name, which ours have, and that of Modal's references of 2022.
const PARAMETERS: [&str; 2] = ["__modal_function_call_id", "__modal_function_id"];

/// How much of a body is taken in before a container is there. With a larger one a client waits for the container.
const AHEAD_BYTES_MAX: usize = 64 << 10;

/// An answer of a container as it is kept.
#[derive(Debug)]
struct Kept {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

type Result<T> = std::result::Result<T, Refusal>;
/// What a call has come to, once it has.
type Outcome = Option<Arc<Result<Kept>>>;
/// A request at work.
type Running = Pin<Box<dyn Future<Output = Result<Response<Body>>> + Send>>;

/// The calls of a gateway.
#[derive(Debug)]
pub(crate) struct Calls {
    /// Whether there may be any.
    expected: AtomicBool,
    shelf: Mutex<Shelf<watch::Receiver<Outcome>>>,
}

impl Calls {
    pub(crate) fn new(expected: bool) -> Self {
        Self { expected: AtomicBool::new(expected), shelf: Mutex::default() }
    }

    /// From now on there may be calls.
    pub(crate) fn expect(&self) {
        self.expected.store(true, Ordering::Relaxed);
    }

    /// Whether a request could become a call, or ask for a result of one.
    pub(crate) fn may_be(&self) -> bool {
        self.expected.load(Ordering::Relaxed)
    }

    /// The lock is held for a few instructions and never across an await.
    fn shelf(&self) -> MutexGuard<'_, Shelf<watch::Receiver<Outcome>>> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers a request where there may be calls.
pub(crate) async fn answer(
    shared: &Arc<Shared>,
    peer: &Arc<Peer>,
    endpoint: Arc<Endpoint>,
    parts: request::Parts,
    body: RequestBody,
    asker: &Asker,
) -> Result<Response<Body>> {
    let patience = shared.options.redirect_after;
    let is_call = !endpoint.wait_for_response || patience.is_some();
    if let Some(id) = parts.uri.query().and_then(named) {
        let owner = owner(&endpoint);
        let known = CallId::parse(id).and_then(|id| shared.calls.shelf().find(&id, &owner).cloned());
        match known {
            Some(outcome) => return result(outcome, patience, &parts, asker).await,
            None if is_call => return Err(Refusal::ResultNotFound),
            // The app's own, for all we know.
            None => {}
        }
    }
    // A browser asks the app itself what pages may send; tunnels and heads are not for keeping.
    let at_once = matches!(parts.method, Method::OPTIONS | Method::HEAD);
    if !is_call || at_once || parts.headers.contains_key(header::UPGRADE) {
        return exchange::forward(shared, peer, endpoint, parts, body).await;
    }
    call(shared, peer, endpoint, parts, body, asker).await
}

/// Begins a request, and answers with it or with where its answer will be.
async fn call(
    shared: &Arc<Shared>,
    peer: &Arc<Peer>,
    endpoint: Arc<Endpoint>,
    parts: request::Parts,
    mut body: RequestBody,
    asker: &Asker,
) -> Result<Response<Body>> {
    let silence = Limits::new(endpoint.timeout, None);
    let mut timer = IdleTimer::new(Arc::clone(body.activity()), silence, &peer.timer);
    let activity = Arc::clone(body.activity());
    tokio::select! {
        biased;
        read = body.read_ahead(AHEAD_BYTES_MAX) => read.map_err(|_| match activity.upload() {
            Upload::TooLarge => Refusal::BodyTooLarge(shared.options.body_bytes_max),
            _ => Refusal::BadRequest("its body broke off or is not framed as announced"),
        })?,
        () = timer.expired() => return Err(Refusal::RequestTimeout),
    }
    drop(timer);
    let taken = body.taken();
    let redirect_after = shared.options.redirect_after.filter(|_| endpoint.wait_for_response);
    let id = CallId::from_entropy(entropy());
    let target = target(&parts.uri, &id);
    let host = headers::host(&parts)?;
    let origin = forwarded::origin(&parts.headers, host, &peer.client, &shared.options.trusted_proxies);
    let mut running: Running = {
        let (shared, peer, endpoint) = (Arc::clone(shared), Arc::clone(peer), Arc::clone(&endpoint));
        Box::pin(async move { exchange::forward(&shared, &peer, endpoint, parts, body).await })
    };
    let detached = async {
        if let Some(patience) = redirect_after {
            sleep(patience).await;
        }
        taken.await;
    };
    tokio::select! {
        biased;
        // What is refused at once is not promised first.
        answered = running.as_mut() => match answered {
            Ok(response) if !endpoint.wait_for_response => {
                running = Box::pin(std::future::ready(Ok(response)));
            }
            answered => return answered,
        },
        () = detached => {}
    }
    let (told, outcome) = watch::channel(None);
    if !shared.calls.shelf().begin(id.clone(), owner(&endpoint), outcome) {
        return Err(Refusal::QueueFull);
    }
    tasks::spawn(keep(Arc::clone(shared), id, running, told));
    if redirect_after.is_some() {
        return Ok(see_other(location(&target), asker));
    }
    Ok(accepted(&format!("{origin}{target}"), asker))
}

/// Waits for a call's answer, and keeps it for a while.
async fn keep(shared: Arc<Shared>, id: CallId, running: Running, told: watch::Sender<Outcome>) {
    let kept = match running.await {
        Ok(response) => collect(&shared.calls, &id, response).await,
        Err(refusal) => Err(refusal),
    };
    shared.calls.shelf().finish(&id, kept.is_ok());
    // Who waits for it has it even if it goes at once.
    _ = told.send(Some(Arc::new(kept)));
    sleep(shared.options.result_kept).await;
    shared.calls.shelf().remove(&id);
}

async fn collect(calls: &Calls, id: &CallId, response: Response<Body>) -> Result<Kept> {
    let (mut parts, mut body) = response.into_parts();
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|broken| match broken {
            Broken::Container(_) => Refusal::ContainerDied,
            Broken::Timeout => Refusal::ResponseTimeout,
            Broken::TotalTimeout => Refusal::TotalTimeout,
        })?;
        if let Ok(data) = frame.into_data() {
            if !calls.shelf().grow(id, data.len()) {
                return Err(Refusal::ResultTooLarge);
            }
            bytes.extend_from_slice(&data);
        }
    }
    parts.headers.remove(header::CONTENT_LENGTH);
    Ok(Kept { status: parts.status, headers: parts.headers, body: bytes.freeze() })
}

/// A call's answer, as soon as there is one.
async fn result(
    mut outcome: watch::Receiver<Outcome>,
    patience: Option<Duration>,
    parts: &request::Parts,
    asker: &Asker,
) -> Result<Response<Body>> {
    if !matches!(parts.method, Method::GET | Method::HEAD) {
        return Err(Refusal::BadRequest("a result is asked for with GET"));
    }
    let there = outcome.wait_for(Option::is_some);
    // The call itself has an end; the wait is as long as that, or as long as the operator says.
    let there = if let Some(patience) = patience {
        let Ok(there) = timeout(patience, there).await else {
            let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
            return Ok(see_other(location(target), asker));
        };
        there
    } else {
        there.await
    };
    // Without one its task was dropped: the server ends.
    let kept = there.ok().and_then(|there| there.clone()).ok_or(Refusal::ResultNotFound)?;
    let Kept { status, headers, body } = kept.as_ref().as_ref().map_err(Clone::clone)?;
    let mut response = Response::new(Body::Own(Full::new(body.clone())));
    *response.status_mut() = *status;
    response.headers_mut().clone_from(headers);
    Ok(response)
}

fn owner(endpoint: &Endpoint) -> Owner {
    Owner { app: endpoint.app.clone(), function: endpoint.function.clone() }
}

/// The call that a query names.
fn named(query: &str) -> Option<&str> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let mut ids = pairs.filter(|(name, _)| PARAMETERS.contains(name)).map(|(_, id)| id);
    ids.next()
}

/// Where a call's result is, for who has asked for this.
fn target(asked: &Uri, id: &CallId) -> String {
    let (path, name) = (asked.path(), PARAMETERS[0]);
    match asked.query().filter(|query| !query.is_empty()) {
        Some(query) => format!("{path}?{query}&{name}={id}"),
        None => format!("{path}?{name}={id}"),
    }
}

/// A target as a relative reference to the same host. One that begins with two slashes would name another host (RFC 3986
/// §4.2), for browsers with a backslash too (<https://url.spec.whatwg.org/#relative-slash-state>).
fn location(target: &str) -> HeaderValue {
    let names_host = target[1..].starts_with(['/', '\\']);
    let text = if names_host { format!("/.{target}") } else { target.to_owned() };
    HeaderValue::try_from(text).expect("a target and an id are ASCII")
}

fn entropy() -> u128 {
    let mut bytes = [0; 16];
    // getrandom(2) blocks at most once after the machine's boot; for 16 bytes it is never cut short.
    _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    u128::from_ne_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_leads_to_no_other_host() {
        let table = [
            ("/a//b?c=//d", "/a//b?c=//d"),
            ("/", "/"),
            ("//example.com/a?b", "/.//example.com/a?b"),
            ("/\\example.com", "/./\\example.com"),
        ];
        for (target, expected) in table {
            assert_eq!(location(target), expected);
        }
    }

    #[test]
    fn a_call_is_named_at_the_end_of_what_was_asked() {
        let id = CallId::from_entropy(1);
        let table = [
            ("/", "/?__modal_function_call_id="),
            ("/a%20b?", "/a%20b?__modal_function_call_id="),
            ("/a?x=1&y=%26", "/a?x=1&y=%26&__modal_function_call_id="),
        ];
        for (asked, begins) in table {
            let target = target(&asked.parse().unwrap(), &id);
            assert_eq!(target, format!("{begins}{id}"));
            assert_eq!(named(target.split_once('?').unwrap().1), Some(id.as_str()));
        }
        assert_eq!(named("__modal_function_id=fc-a"), Some("fc-a"));
        assert_eq!(named("x__modal_function_id=fc-a&y"), None);
    }
}
