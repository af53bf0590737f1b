//! The platform's own answers: one vocabulary of errors, each with a status, a sentence that says what to do, and a
//! page under `docs/errors/`.

use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{HeaderName, Method, Request, Response, StatusCode};
use http_body_util::Full;

use crate::accept::Form;
use crate::body::Body;

/// Names the error where the body does not: in text, and in an answer to `HEAD`.
const CODE: HeaderName = HeaderName::from_static("pilotlight-error");

/// What a page of another origin may read of an error's head.
const EXPOSED: &str = "pilotlight-error, retry-after";

/// Why the gateway answers itself instead of the function.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No endpoint has this host. The answer names those that there are, to clients who may know.
    #[error("no endpoint answers at this host: check the URL, or serve or deploy the app again")]
    EndpointNotFound(Vec<Elsewhere>),
    /// The request's framing is ambiguous or broken (RFC 9112 §3.2, §6.3); the connection is closed.
    #[error("the request is malformed: {0}; correct the client, or the proxy before the server")]
    BadRequest(&'static str),
    /// As many requests wait for a container as may wait.
    #[error("too many requests are waiting for this function: try again shortly, or raise max_containers")]
    QueueFull,
    /// No container had room within the endpoint's start timeout.
    #[error("no container had room in time: try again, or raise max_containers or max_inputs")]
    NoContainerInTime,
    /// The machine had no room for another container within the endpoint's start timeout.
    #[error(
        "the machine is full: try again, lower memory or min_containers of its functions, or raise PILOTLIGHT_MEMORY"
    )]
    MachineFull,
    /// One container asks for more than the machine gives all of them.
    #[error("a container of this function asks for more than the server has: lower its memory")]
    MachineTooSmall,
    /// The user's code failed before it could take a request. The traceback is in the app's log only.
    #[error("the function failed to start: {0}; the traceback is in the app's log")]
    FunctionFailedToStart(String),
    /// The machine could not start a container.
    #[error("no container could be started: the reason is in the app's log")]
    ContainerFailedToStart,
    /// The container ended after it got the request and before it answered.
    #[error(
        "the container ended before it answered: the reason is in the app's log, and the request may have run"
    )]
    ContainerDied,
    /// What the container answered is not HTTP.
    #[error("the container's answer is not valid HTTP: see the app's log")]
    InvalidAnswer,
    /// The function sent nothing for as long as its timeout.
    #[error("the function sent no answer within its timeout: raise the function's timeout or answer sooner")]
    ResponseTimeout,
    /// The request took longer than the function's total timeout.
    #[error("the function took longer than its total_timeout: raise it or answer sooner")]
    TotalTimeout,
    /// The endpoint was asked more often than its `rate_limit` says; there is room again after this time.
    #[error("this endpoint is asked too often: wait as long as Retry-After says, or raise its rate_limit")]
    RateLimited(Duration),
    /// The request's target is longer than the gateway reads.
    #[error("the URL is too long: send what it carries in the request's body")]
    TargetTooLong,
    /// The request's head has too many fields, or too large ones.
    #[error(
        "the request's header fields are too many or too large: send fewer or smaller ones (cookies, most often)"
    )]
    HeadTooLarge,
    /// The request's body is larger than so many bytes.
    #[error("the request's body has more than {0} bytes: send less at a time, or raise PILOTLIGHT_BODY_MAX")]
    BodyTooLarge(u64),
    /// The client stopped sending its request's head or body.
    #[error("the request did not arrive in time: send it again")]
    RequestTimeout,
    /// No call has the id that the URL names, or its result is not kept any more.
    #[error(
        "no result is kept for this URL: they are kept for an hour, and until the server ends; ask again"
    )]
    ResultNotFound,
    /// The function's answer is larger than what is kept of one.
    #[error("the function's answer is too large to be kept: wait for it, or answer with a link to it")]
    ResultTooLarge,
    /// The endpoint was being replaced for longer than a request waits.
    #[error("the endpoint is being replaced: try again shortly")]
    EndpointReplaced,
}

/// An endpoint that a client could have meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Elsewhere {
    /// The app's name.
    pub app: String,
    /// The function's name.
    pub function: String,
    /// Where it answers.
    pub url: String,
}

impl Refusal {
    fn others(&self) -> &[Elsewhere] {
        if let Self::EndpointNotFound(others) = self { others } else { &[] }
    }

    /// The word that programs match on, and the name of the page in `docs/errors/`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::EndpointNotFound(_) => "endpoint_not_found",
            Self::BadRequest(_) => "bad_request",
            Self::QueueFull => "queue_full",
            Self::NoContainerInTime => "no_container_in_time",
            Self::MachineFull => "machine_full",
            Self::MachineTooSmall => "machine_too_small",
            Self::FunctionFailedToStart(_) => "function_failed_to_start",
            Self::ContainerFailedToStart => "container_failed_to_start",
            Self::ContainerDied => "container_died",
            Self::InvalidAnswer => "invalid_answer",
            Self::ResponseTimeout => "response_timeout",
            Self::TotalTimeout => "total_timeout",
            Self::RateLimited(_) => "rate_limited",
            Self::TargetTooLong => "target_too_long",
            Self::HeadTooLarge => "head_too_large",
            Self::BodyTooLarge(_) => "body_too_large",
            Self::RequestTimeout => "request_timeout",
            Self::ResultNotFound => "result_not_found",
            Self::ResultTooLarge => "result_too_large",
            Self::EndpointReplaced => "endpoint_replaced",
        }
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::EndpointNotFound(_) | Self::ResultNotFound => StatusCode::NOT_FOUND,
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            // The next request may find a version, or a start, that works (RFC 9110 §15.6.4).
            Self::FunctionFailedToStart(_) | Self::QueueFull | Self::MachineFull | Self::EndpointReplaced => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::NoContainerInTime | Self::ResponseTimeout | Self::TotalTimeout => {
                StatusCode::GATEWAY_TIMEOUT
            }
            // As Modal answers for a container that was killed, for its memory or otherwise.
            Self::ContainerDied => StatusCode::INTERNAL_SERVER_ERROR,
            Self::ContainerFailedToStart
            | Self::MachineTooSmall
            | Self::InvalidAnswer
            | Self::ResultTooLarge => StatusCode::BAD_GATEWAY,
            Self::RateLimited(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::BodyTooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
        }
    }

    /// After how many seconds the same request may fare better (RFC 9110 §10.2.3).
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::RateLimited(wait) => Some(wait.as_secs() + u64::from(wait.subsec_nanos() > 0)),
            _ => (self.status() == StatusCode::SERVICE_UNAVAILABLE).then_some(1),
        }
    }

    /// Whether the connection cannot be used for another request.
    fn closes(&self) -> bool {
        matches!(
            self,
            Self::BadRequest(_)
                | Self::TargetTooLong
                | Self::HeadTooLarge
                | Self::BodyTooLarge(_)
                | Self::RequestTimeout
        )
    }
}

/// What an answer to a refused request has to know of it, once it is gone. Cheap: values of headers are shared, and read
/// only when there is a refusal.
pub(crate) struct Asker {
    method: Method,
    accept: Option<HeaderValue>,
    origin: Option<HeaderValue>,
    /// What a browser wants to know before it sends the request itself, if this is its question.
    preflight: Option<Preflight>,
}

/// The request that a browser asks about (<https://fetch.spec.whatwg.org/#cors-preflight-fetch>).
struct Preflight {
    method: HeaderValue,
    headers: Option<HeaderValue>,
}

impl Asker {
    pub(crate) fn of<B>(request: &Request<B>) -> Self {
        let headers = request.headers();
        let mut lines = headers.get_all(header::ACCEPT).iter();
        let mut accept = lines.next().cloned();
        if lines.next().is_some() {
            let lines: Vec<&[u8]> =
                headers.get_all(header::ACCEPT).iter().map(HeaderValue::as_bytes).collect();
            accept = HeaderValue::from_bytes(&lines.join(&b", "[..])).ok();
        }
        let origin = headers.get(header::ORIGIN).cloned();
        let asked = if request.method() == Method::OPTIONS && origin.is_some() {
            headers.get(header::ACCESS_CONTROL_REQUEST_METHOD)
        } else {
            None
        };
        let preflight = asked.map(|method| Preflight {
            method: method.clone(),
            headers: headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned(),
        });
        Self { method: request.method().clone(), accept, origin, preflight }
    }

    fn form(&self) -> Form {
        Form::of(self.accept.as_ref().and_then(|accept| accept.to_str().ok()).unwrap_or_default())
    }
}

/// The answer for a refusal, in the form that the client asks for: JSON, or plain text where it prefers text.
pub(crate) fn refuse(refusal: &Refusal, asker: &Asker) -> Response<Body> {
    let mut response = match &asker.preflight {
        // The page's request will be refused alike, and the page can read why. Everywhere else the app alone says which
        // pages may send what: by the time of the request it may answer again.
        Some(preflight) if matches!(refusal, Refusal::EndpointNotFound(_)) => allowed(preflight),
        _ => document(refusal, asker),
    };
    if refusal.others().is_empty() {
        let_pages_read(response.headers_mut(), asker);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Lets a page of another origin read an answer of the gateway's own.
fn let_pages_read(headers: &mut HeaderMap, asker: &Asker) {
    // Without these a browser tells the page of a CORS failure in place of the error. What is read does not depend on
    // whose cookies came along.
    let origin = asker.origin.clone();
    if origin.is_some() {
        headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
    let origin = origin.unwrap_or(HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
}

/// 202, with where the result will be.
pub(crate) fn accepted(result_url: &str, asker: &Asker) -> Response<Body> {
    #[derive(serde::Serialize)]
    struct Document<'a> {
        result_url: &'a str,
    }
    let text = serde_json::to_vec(&Document { result_url }).expect("strings always serialise");
    let mut response = Response::new(Body::Own(Full::new(Bytes::from(text))));
    *response.status_mut() = StatusCode::ACCEPTED;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let_pages_read(headers, asker);
    response
}

/// 303: the answer is to be had with `GET` at this target of the same host.
pub(crate) fn see_other(target: HeaderValue, asker: &Asker) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, target);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let_pages_read(headers, asker);
    response
}

/// Lets a browser send the request that it asks about. It is not to remember that.
fn allowed(preflight: &Preflight) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, preflight.method.clone());
    if let Some(names) = &preflight.headers {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
    }
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("0"));
    response
}

fn document(refusal: &Refusal, asker: &Asker) -> Response<Body> {
    let (content_type, text) = content(refusal, asker.form());
    let length = HeaderValue::from(text.len());
    let body = if asker.method == Method::HEAD { Bytes::new() } else { Bytes::from(text) };
    let mut response = Response::new(Body::Own(Full::new(body)));
    *response.status_mut() = refusal.status();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CONTENT_LENGTH, length);
    headers.insert(CODE, HeaderValue::from_static(refusal.code()));
    if let Some(seconds) = refusal.retry_after() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if refusal.closes() {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// The same as bytes of HTTP/1.1, for where there is no HTTP yet. The connection is closed behind it.
pub(crate) fn refuse_raw(refusal: &Refusal) -> Vec<u8> {
    let (content_type, text) = content(refusal, Form::Json);
    let (status, length) = (refusal.status(), text.len());
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{text}"
    )
    .into_bytes()
}

fn content(refusal: &Refusal, form: Form) -> (&'static str, String) {
    match form {
        Form::Json => ("application/json", json(refusal)),
        Form::Text => ("text/plain; charset=utf-8", line(refusal)),
    }
}

/// One line, and one for each endpoint there is.
fn line(refusal: &Refusal) -> String {
    let mut text = format!("pilotlight: {refusal}\n");
    for Elsewhere { app, function, url } in refusal.others() {
        // Writing to a string cannot fail.
        _ = writeln!(text, "{app}.{function}: {url}");
    }
    text
}

fn json(refusal: &Refusal) -> String {
    #[derive(serde::Serialize)]
    struct Document<'a> {
        error: Fields<'a>,
    }
    #[derive(serde::Serialize)]
    struct Fields<'a> {
        code: &'a str,
        message: String,
        docs: String,
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        endpoints: &'a [Elsewhere],
    }
    let code = refusal.code();
    let (message, docs) = (refusal.to_string(), format!("docs/errors/{code}.md"));
    let fields = Fields { code, message, docs, endpoints: refusal.others() };
    serde_json::to_string(&Document { error: fields }).expect("strings always serialise")
}

#[cfg(test)]
mod tests;
