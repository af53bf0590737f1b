//! One request's way: route, lease, container, answer.

use std::sync::Arc;

use http::{Request, Response, StatusCode, Version, request};
use hyper::body::{Body as _, Incoming};
use hyper::upgrade::OnUpgrade;
use pilotlight_pool::{Lease, LeaseError, Stage};
use tokio::time::{Duration, Instant, timeout_at};

use crate::Shared;
use crate::activity::{Activity, IdleTimer, Limits, Upload};
use crate::body::{Answer, Body, Proxied, RequestBody};
use crate::connection::Peer;
use crate::guard::{Wrong, check_http2};
use crate::headers;
use crate::later;
use crate::linger::Asked;
use crate::neighbours;
use crate::respond::{Asker, Refusal, refuse};
use crate::routes::{Door, Endpoint};
use crate::tunnel::Tunnel;
use crate::upstream::Connection;

/// How many containers a request is offered to. Only one is given a byte of it.
const CONTAINERS_MAX: u32 = 3;

/// How often the route is looked up again when its pool was retired meanwhile.
const LOOKUPS_MAX: u32 = 16;

/// How long a request waits for the route table that follows a retired pool.
const REPLACEMENT_MAX: Duration = Duration::from_secs(5);

/// Answers one request; the platform's own errors included.
pub(crate) async fn answer(
    shared: &Arc<Shared>,
    peer: &Arc<Peer>,
    request: Request<Incoming>,
) -> Response<Body> {
    let asker = Asker::of(&request);
    let answered = async {
        let (parts, body) = admit(shared, peer, request)?;
        let endpoint = endpoint_of(shared, peer, &parts).await?;
        if shared.calls.may_be() {
            later::answer(shared, peer, endpoint, parts, body, &asker).await
        } else {
            forward(shared, peer, endpoint, parts, body).await
        }
    };
    match answered.await {
        Ok(response) => response,
        Err(refusal) => {
            tracing::debug!(code = refusal.code(), "request refused");
            refuse(&refusal, &asker)
        }
    }
}

/// Refuses what no endpoint is to see.
fn admit(
    shared: &Shared,
    peer: &Peer,
    request: Request<Incoming>,
) -> Result<(request::Parts, RequestBody), Refusal> {
    if let Some(wrong) = peer.next_fault() {
        return Err(wrong.into());
    }
    if request.method() == http::Method::CONNECT {
        return Err(Refusal::BadRequest("CONNECT is for proxies"));
    }
    let (parts, body) = request.into_parts();
    if parts.version == Version::HTTP_2 {
        check_http2(&parts)?;
    }
    let announced = body.size_hint().lower();
    if announced > shared.options.body_bytes_max {
        return Err(Refusal::BodyTooLarge(shared.options.body_bytes_max));
    }
    Ok((parts, RequestBody::new(body, shared.options.body_bytes_max)))
}

/// The endpoint that a request is for. Who may know is told which others there are, if there is none.
async fn endpoint_of(shared: &Shared, peer: &Peer, parts: &request::Parts) -> Result<Arc<Endpoint>, Refusal> {
    let host = headers::host(parts)?;
    match find(shared, peer.door, host) {
        Err(Refusal::EndpointNotFound(_)) => {
            let others = neighbours::known_to(shared, peer, &parts.headers, host).await;
            Err(Refusal::EndpointNotFound(others))
        }
        found => found,
    }
}

/// Has a container of the endpoint answer it, once it is counted where the endpoint's rate is bounded.
pub(crate) async fn forward(
    shared: &Shared,
    peer: &Peer,
    endpoint: Arc<Endpoint>,
    mut parts: request::Parts,
    body: RequestBody,
) -> Result<Response<Body>, Refusal> {
    if let Some(rate) = &endpoint.rate {
        rate.take().map_err(Refusal::RateLimited)?;
    }
    let (endpoint, mut lease) = lease(shared, peer.door, headers::host(&parts)?, endpoint).await?;
    let upgrade = headers::to_container(
        &mut parts,
        &peer.client,
        &shared.options.trusted_proxies,
        endpoint.keep_alive,
    )?;
    let client_upgrade = parts.extensions.remove::<OnUpgrade>();
    parts.extensions.clear();
    let activity = Arc::clone(body.activity());
    let limits = Limits::new(endpoint.timeout, endpoint.total_timeout);
    let mut exchange = Exchange {
        shared,
        peer,
        timer: Some(IdleTimer::new(Arc::clone(&activity), limits, &peer.timer)),
        limits,
        activity,
        upgrade: upgrade.and(client_upgrade),
    };
    let mut request = Request::from_parts(parts, body);
    tracing::debug!(function = %endpoint.id, container = %lease.container, waited = lease.waited.is_some(), "leased");
    drop(endpoint);
    for _ in 1..CONTAINERS_MAX {
        match exchange.offer(lease, request).await {
            Ok(response) => return Ok(response),
            Err(Unanswered::Given(refusal)) => return Err(refusal),
            // No byte of it was handed over, so another container may have it.
            Err(Unanswered::NotGiven(back)) => request = *back,
        }
        let host = request.headers().get(http::header::HOST).and_then(|host| host.to_str().ok());
        let host = host.unwrap_or_default();
        lease = self::lease(shared, peer.door, host, find(shared, peer.door, host)?).await?.1;
    }
    exchange.offer(lease, request).await.map_err(|unanswered| match unanswered {
        Unanswered::Given(refusal) => refusal,
        Unanswered::NotGiven(_) => Refusal::ContainerDied,
    })
}

fn find(shared: &Shared, door: Door, host: &str) -> Result<Arc<Endpoint>, Refusal> {
    shared.routes.load().find(door, host).cloned().ok_or(Refusal::EndpointNotFound(Vec::new()))
}

/// Waits for a slot in a container of the endpoint, or of the one that takes its place meanwhile.
async fn lease(
    shared: &Shared,
    door: Door,
    host: &str,
    mut endpoint: Arc<Endpoint>,
) -> Result<(Arc<Endpoint>, Lease), Refusal> {
    let find = || find(shared, door, host);
    let deadline = after(endpoint.start_timeout);
    for _ in 0..LOOKUPS_MAX {
        match endpoint.pool.lease(deadline).await {
            Ok(lease) => return Ok((endpoint, lease)),
            Err(LeaseError::Retired) => {}
            Err(LeaseError::Start(failure)) if failure.stage == Stage::Retired => {}
            Err(error) => return Err(refusal(error)),
        }
        // The new table may come before or after the old pool's end; whoever listens first misses neither.
        let published = shared.published.notified();
        let newest = find()?;
        if Arc::ptr_eq(&newest, &endpoint) {
            let patience = deadline.min(Instant::now() + REPLACEMENT_MAX);
            timeout_at(patience, published).await.map_err(|_| Refusal::EndpointReplaced)?;
            endpoint = find()?;
        } else {
            endpoint = newest;
        }
    }
    Err(Refusal::EndpointReplaced)
}

impl From<Wrong> for Refusal {
    fn from(wrong: Wrong) -> Self {
        match wrong {
            Wrong::Malformed(reason) => Self::BadRequest(reason),
            Wrong::TargetTooLong => Self::TargetTooLong,
            Wrong::HeadTooLarge => Self::HeadTooLarge,
            Wrong::Late => Self::RequestTimeout,
        }
    }
}

fn refusal(error: LeaseError) -> Refusal {
    match error {
        LeaseError::Full => Refusal::QueueFull,
        LeaseError::Deadline => Refusal::NoContainerInTime,
        LeaseError::NoRoom => Refusal::MachineFull,
        LeaseError::TooLarge => Refusal::MachineTooSmall,
        LeaseError::Retired => Refusal::EndpointReplaced,
        LeaseError::Start(failure) if failure.stage == Stage::Sandbox => Refusal::ContainerFailedToStart,
        LeaseError::Start(failure) => Refusal::FunctionFailedToStart(failure.summary),
    }
}

/// Why a container did not answer.
enum Unanswered {
    /// It was given none of the request.
    NotGiven(Box<Request<RequestBody>>),
    /// It may have been given some of it: the client has to know.
    Given(Refusal),
}

/// A request and what it needs while it is with a container.
struct Exchange<'a> {
    shared: &'a Shared,
    peer: &'a Peer,
    activity: Arc<Activity>,
    /// Taken by the answer's body.
    timer: Option<IdleTimer>,
    limits: Limits,
    upgrade: Option<OnUpgrade>,
}

impl Exchange<'_> {
    /// Hands the request to the leased container and takes its answer.
    async fn offer(
        &mut self,
        lease: Lease,
        request: Request<RequestBody>,
    ) -> Result<Response<Body>, Unanswered> {
        let (lease, connection, mut response) = self.send(lease, request).await?;
        if let Some(receipt) = &lease.waited {
            headers::add_receipt(response.headers_mut(), receipt);
        }
        self.activity.touch();
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return self.switch(lease, connection, response);
        }
        headers::to_client(response.headers_mut(), false);
        let upstreams = self.shared.upstreams.clone();
        let timer = self.timer.take();
        let timer = timer
            .unwrap_or_else(|| IdleTimer::new(Arc::clone(&self.activity), self.limits, &self.peer.timer));
        Ok(response.map(|incoming| {
            Body::Proxied(Box::new(Proxied {
                answer: Some(Answer { incoming, lease }),
                connection: Some(connection),
                // A server that refuses to switch may have switched its own side already.
                reusable: self.upgrade.is_none(),
                activity: Arc::clone(&self.activity),
                timer,
                upstreams,
                ended: false,
                deferred: None,
            }))
        }))
    }

    /// Sends the request until a connection takes it: an idle one may turn out closed before any byte was written.
    async fn send(
        &mut self,
        mut lease: Lease,
        mut request: Request<RequestBody>,
    ) -> Result<(Lease, Connection, Response<Incoming>), Unanswered> {
        loop {
            let connection = match self.shared.upstreams.connect(&lease.address).await {
                Ok(connection) => connection,
                Err(error) => {
                    tracing::debug!(%error, container = %lease.container, "container does not take connections");
                    lease.broken();
                    return Err(Unanswered::NotGiven(Box::new(request)));
                }
            };
            let mut asked = Asked::send(request, connection, lease, &self.activity, self.limits.silence);
            let answered = tokio::select! {
                biased;
                answered = asked.answer() => Some(answered),
                () = self.activity.was_cut() => return Err(Unanswered::Given(self.cut())),
                () = expired(self.timer.as_mut()) => None,
            };
            let connection;
            (connection, lease) = asked.end();
            let Some(answered) = answered else {
                return Err(Unanswered::Given(self.timed_out(&lease)));
            };
            match answered {
                Ok(response) => return Ok((lease, connection, response)),
                Err(mut failed) => match failed.take_message() {
                    Some(back) if connection.reused => request = back,
                    Some(back) => {
                        lease.broken();
                        return Err(Unanswered::NotGiven(Box::new(back)));
                    }
                    None => return Err(Unanswered::Given(Self::failed(&lease, failed.error()))),
                },
            }
        }
    }

    fn timed_out(&self, lease: &Lease) -> Refusal {
        if self.limits.is_over() {
            lease.overdue(self.limits.passed());
            Refusal::TotalTimeout
        } else if self.activity.upload() == Upload::Complete {
            // The function may still be busy with it, for ever for all we know.
            lease.overdue(self.limits.passed());
            Refusal::ResponseTimeout
        } else {
            Refusal::RequestTimeout
        }
    }

    /// Why the request is not answered whose body ended early. The container goes on with it until its handler ends.
    fn cut(&self) -> Refusal {
        match self.activity.upload() {
            Upload::TooLarge => Refusal::BodyTooLarge(self.shared.options.body_bytes_max),
            _ => Refusal::BadRequest("its body broke off or is not framed as announced"),
        }
    }

    fn failed(lease: &Lease, error: &hyper::Error) -> Refusal {
        tracing::debug!(%error, container = %lease.container, "container did not answer");
        lease.broken();
        if error.is_parse() { Refusal::InvalidAnswer } else { Refusal::ContainerDied }
    }

    /// The container switches protocols: from here on the connection is a tunnel.
    fn switch(
        &mut self,
        lease: Lease,
        connection: Connection,
        mut response: Response<Incoming>,
    ) -> Result<Response<Body>, Unanswered> {
        let Some(client) = self.upgrade.take() else {
            lease.broken();
            return Err(Unanswered::Given(Refusal::InvalidAnswer));
        };
        let container = hyper::upgrade::on(&mut response);
        headers::to_client(response.headers_mut(), true);
        self.peer.switch(Tunnel {
            client,
            container,
            activity: Arc::clone(&self.activity),
            timeout: self.limits.silence,
            lease,
            connection,
        });
        Ok(response.map(|_| Body::empty()))
    }
}

/// The moment after `wait`. A wait that the clock cannot express is one of a year.
fn after(wait: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(wait).unwrap_or(now + Duration::from_hours(24 * 365))
}

async fn expired(timer: Option<&mut IdleTimer>) {
    match timer {
        Some(timer) => timer.expired().await,
        None => std::future::pending().await,
    }
}
