//! The platform's own answers: one vocabulary of errors, each with a status, a sentence that says what to do, and a
//! page under `docs/errors/`.

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Response, StatusCode};
use http_body_util::Full;

use crate::body::Body;

/// Why the gateway answers itself instead of the function.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No endpoint has this host. The answer names no other endpoint.
    #[error("no endpoint answers at this host: check the URL, or serve or deploy the app again")]
    EndpointNotFound,
    /// The request's framing is ambiguous or broken (RFC 9112 §3.2, §6.3); the connection is closed.
    #[error("the request is malformed: {0}")]
    BadRequest(&'static str),
    /// As many requests wait for a container as may wait.
    #[error("too many requests are waiting for this function: try again shortly, or raise max_containers")]
    QueueFull,
    /// No container had room within the endpoint's start timeout.
    #[error("no container had room in time: try again, or raise max_containers or max_inputs")]
    NoContainerInTime,
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
    /// The client stopped sending its request's body.
    #[error("the request's body did not arrive in time: send it again")]
    RequestTimeout,
    /// The endpoint was being replaced for longer than a request waits.
    #[error("the endpoint is being replaced: try again shortly")]
    EndpointReplaced,
}

impl Refusal {
    /// The word that programs match on, and the name of the page in `docs/errors/`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::EndpointNotFound => "endpoint_not_found",
            Self::BadRequest(_) => "bad_request",
            Self::QueueFull => "queue_full",
            Self::NoContainerInTime => "no_container_in_time",
            Self::FunctionFailedToStart(_) => "function_failed_to_start",
            Self::ContainerFailedToStart => "container_failed_to_start",
            Self::ContainerDied => "container_died",
            Self::InvalidAnswer => "invalid_answer",
            Self::ResponseTimeout => "response_timeout",
            Self::RequestTimeout => "request_timeout",
            Self::EndpointReplaced => "endpoint_replaced",
        }
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::EndpointNotFound => StatusCode::NOT_FOUND,
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            // The next request may find a version, or a start, that works (RFC 9110 §15.6.4).
            Self::FunctionFailedToStart(_) | Self::QueueFull | Self::EndpointReplaced => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::NoContainerInTime | Self::ResponseTimeout => StatusCode::GATEWAY_TIMEOUT,
            // As Modal answers for a container that was killed, for its memory or otherwise.
            Self::ContainerDied => StatusCode::INTERNAL_SERVER_ERROR,
            Self::ContainerFailedToStart | Self::InvalidAnswer => StatusCode::BAD_GATEWAY,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
        }
    }

    /// Whether the connection cannot be used for another request.
    fn closes(&self) -> bool {
        matches!(self, Self::BadRequest(_) | Self::RequestTimeout)
    }
}

/// The answer for a refusal, in the form that the client asks for: JSON, or plain text where it prefers text.
pub(crate) fn refuse(refusal: &Refusal, method: &Method, form: Form) -> Response<Body> {
    let (content_type, text) = match form {
        Form::Json => ("application/json", json(refusal)),
        Form::Text => ("text/plain; charset=utf-8", format!("pilotlight: {refusal}\n")),
    };
    let length = HeaderValue::from(text.len());
    let body = if method == Method::HEAD { Bytes::new() } else { Bytes::from(text) };
    let mut response = Response::new(Body::Own(Full::new(body)));
    *response.status_mut() = refusal.status();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CONTENT_LENGTH, length);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Without it a browser reports a CORS failure in place of the error.
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    if refusal.status() == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    if refusal.closes() {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
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
    }
    let code = refusal.code();
    let fields = Fields { code, message: refusal.to_string(), docs: format!("docs/errors/{code}.md") };
    serde_json::to_string(&Document { error: fields }).expect("strings always serialise")
}

/// The form of an error's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// `{"error": {…}}`.
    Json,
    /// One line.
    Text,
}

impl Form {
    /// The form that a request's `Accept` asks for. JSON unless only text is named.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut text = false;
        for value in headers.get_all(header::ACCEPT) {
            let value = value.to_str().unwrap_or_default();
            if value.contains("json") {
                return Self::Json;
            }
            text |= value.contains("text/");
        }
        if text { Self::Text } else { Self::Json }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Refusal> {
        vec![
            Refusal::EndpointNotFound,
            Refusal::BadRequest("two Host headers"),
            Refusal::QueueFull,
            Refusal::NoContainerInTime,
            Refusal::FunctionFailedToStart("ImportError: \"x\"".into()),
            Refusal::ContainerFailedToStart,
            Refusal::ContainerDied,
            Refusal::InvalidAnswer,
            Refusal::ResponseTimeout,
            Refusal::RequestTimeout,
            Refusal::EndpointReplaced,
        ]
    }

    #[test]
    fn every_code_has_a_page() {
        for refusal in all() {
            let page = format!("{}/../../docs/errors/{}.md", env!("CARGO_MANIFEST_DIR"), refusal.code());
            assert!(std::path::Path::new(&page).is_file(), "{page} is missing");
        }
    }

    #[test]
    fn an_error_is_json_that_names_its_page() {
        let text = json(&Refusal::FunctionFailedToStart("ImportError: \"x\"".into()));
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["error"]["code"], "function_failed_to_start");
        assert_eq!(value["error"]["docs"], "docs/errors/function_failed_to_start.md");
        assert!(value["error"]["message"].as_str().unwrap().contains("ImportError: \"x\""));
    }

    #[test]
    fn the_form_follows_accept() {
        let table = [
            (None, Form::Json),
            (Some("*/*"), Form::Json),
            (Some("application/json"), Form::Json),
            (Some("application/problem+json, text/plain"), Form::Json),
            (Some("text/html,application/xhtml+xml,*/*;q=0.8"), Form::Text),
            (Some("text/plain"), Form::Text),
        ];
        for (accept, form) in table {
            let mut headers = HeaderMap::new();
            if let Some(accept) = accept {
                headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            }
            assert_eq!(Form::of(&headers), form, "{accept:?}");
        }
    }
}
