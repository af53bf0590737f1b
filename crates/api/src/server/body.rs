//! Bodies: JSON and files in, JSON and streams of JSON lines out, errors always as [`ApiError`].

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use http::{StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc::Receiver;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;

use crate::error::{ApiError, Code};

/// The media type of a stream of JSON lines.
pub(crate) const NDJSON: &str = "application/x-ndjson";

/// How long a body may make no progress.
const IDLE_LIMIT: Duration = Duration::from_secs(30);

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, axum::Json(self)).into_response()
    }
}

/// Reads a whole body of at most `limit` bytes. One that announces more is refused unread.
pub(crate) async fn read(mut body: Body, limit: u64) -> Result<Bytes, ApiError> {
    let too_large = || {
        ApiError::new(Code::TooLarge, format!("the body is larger than {} MiB", limit / 1024 / 1024))
            .hint("leave large files out of the app: download them in a build step or keep them in a volume")
    };
    if body.size_hint().lower() > limit {
        return Err(too_large());
    }
    let mut content = BytesMut::new();
    loop {
        let frame = match tokio::time::timeout(IDLE_LIMIT, body.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(error))) => {
                return Err(ApiError::new(Code::BadRequest, format!("the body broke off: {error}")));
            }
            Ok(None) => return Ok(content.freeze()),
            Err(_) => {
                let limit = IDLE_LIMIT.as_secs();
                return Err(ApiError::new(Code::Timeout, format!("no more of the body came for {limit} s")));
            }
        };
        if let Some(data) = frame.data_ref() {
            if content.len() as u64 + data.len() as u64 > limit {
                return Err(too_large());
            }
            content.extend_from_slice(data);
        }
    }
}

/// Reads a JSON body. What is not JSON is a bad request (400); JSON of another shape is invalid (422).
pub(crate) async fn read_json<T: DeserializeOwned>(body: Body) -> Result<T, ApiError> {
    let content = read(body, crate::wire::JSON_MAX).await?;
    serde_json::from_slice(&content).map_err(|error| {
        if error.is_data() {
            ApiError::new(Code::Invalid, format!("the body has the wrong shape: {error}"))
                .hint("`GET /v1/openapi.json` describes every body; command and server may be of different versions")
        } else {
            ApiError::new(Code::BadRequest, format!("the body is not JSON: {error}"))
        }
    })
}

/// An answer with a line per message. When the client leaves, the receiver is dropped.
pub(crate) fn stream<T: Serialize + Send + 'static>(messages: Receiver<T>) -> Response {
    let lines = ReceiverStream::new(messages).map(|message| {
        let mut line = serde_json::to_vec(&message).expect("wire types have text keys only");
        line.push(b'\n');
        Ok::<_, Infallible>(Bytes::from(line))
    });
    ([(header::CONTENT_TYPE, NDJSON), (header::CACHE_CONTROL, "no-store")], Body::from_stream(lines))
        .into_response()
}
