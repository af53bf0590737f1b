//! An answer being read: the head is here, the body comes while its reader polls the connection.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::{Pin, pin};

use bytes::{Buf as _, BytesMut};
use http::Response;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde::de::DeserializeOwned;

use super::ClientError;
use crate::error::ApiError;

/// The longest line of a stream, bytes.
const LINE_MAX: usize = 16 * 1024 * 1024;

/// The largest plain answer, bytes.
const ANSWER_MAX: usize = 64 * 1024 * 1024;

/// The half of a connection that moves bytes; `None` once it has ended.
pub(super) type Connection = Option<Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>>;

/// Waits for `work` while the connection moves.
pub(super) async fn drive<T>(connection: &mut Connection, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    if let Some(moving) = connection {
        tokio::select! {
            biased;
            done = &mut work => return done,
            // What arrived before its end is still given out below, and an early end is seen there as an error.
            _ = moving => {}
        }
        *connection = None;
    }
    work.await
}

/// An answer whose body was not read yet.
pub(super) struct Reply {
    response: Response<Incoming>,
    connection: Connection,
}

impl Reply {
    pub(super) fn new(response: Response<Incoming>, connection: Connection) -> Self {
        Self { response, connection }
    }

    /// Turns an answer that tells of an error into that error.
    pub(super) async fn success(self) -> Result<Self, ClientError> {
        let status = self.response.status();
        if status.is_success() {
            return Ok(self);
        }
        let body = self.bytes().await?;
        Err(serde_json::from_slice::<ApiError>(&body).map_or_else(
            |_| ClientError::broken(format!("the server answered {status} without saying why")),
            ClientError::Api,
        ))
    }

    /// An answer that is one JSON value.
    pub(super) async fn json<T: DeserializeOwned>(self) -> Result<T, ClientError> {
        let body = self.bytes().await?;
        serde_json::from_slice(&body).map_err(|source| ClientError::because(NOT_UNDERSTOOD, source))
    }

    /// An answer that is text.
    pub(super) async fn text(self) -> Result<String, ClientError> {
        String::from_utf8(self.bytes().await?.into())
            .map_err(|source| ClientError::because(NOT_UNDERSTOOD, source))
    }

    /// An answer that is a line of JSON per message.
    pub(super) fn lines<T>(self) -> Lines<T> {
        Lines {
            body: self.response.into_body(),
            connection: self.connection,
            buffer: BytesMut::new(),
            seen: 0,
            message: PhantomData,
        }
    }

    async fn bytes(mut self) -> Result<bytes::Bytes, ClientError> {
        let body = Limited::new(self.response.into_body(), ANSWER_MAX).collect();
        match drive(&mut self.connection, body).await {
            Ok(body) => Ok(body.to_bytes()),
            Err(source) => Err(ClientError::Broken {
                problem: "the server's answer broke off".to_owned(),
                source: Some(source),
            }),
        }
    }
}

const NOT_UNDERSTOOD: &str = "the server's answer is not understood: it may be of another version";

/// A stream of messages. Dropping it closes the connection.
pub struct Lines<T> {
    body: Incoming,
    connection: Connection,
    buffer: BytesMut,
    /// Bytes of the buffer in which no line feed was found.
    seen: usize,
    message: PhantomData<fn() -> T>,
}

impl<T> std::fmt::Debug for Lines<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lines").field("buffered", &self.buffer.len()).finish_non_exhaustive()
    }
}

impl<T: DeserializeOwned> Lines<T> {
    /// The next message, as long as it takes; `None` at the end. Cancel safe: use it in `select!` as you like.
    pub async fn next(&mut self) -> Result<Option<T>, ClientError> {
        loop {
            if let Some(end) = self.buffer[self.seen..].iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(self.seen + end);
                self.buffer.advance(1);
                self.seen = 0;
                if line.is_empty() {
                    continue;
                }
                let message = serde_json::from_slice(&line);
                return message.map(Some).map_err(|source| ClientError::because(NOT_UNDERSTOOD, source));
            }
            self.seen = self.buffer.len();
            if self.seen > LINE_MAX {
                return Err(ClientError::broken("the server sent a line without end"));
            }
            match drive(&mut self.connection, self.body.frame()).await {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.buffer.extend_from_slice(data);
                    }
                }
                Some(Err(source)) => {
                    return Err(ClientError::because("the server's answer broke off", source));
                }
                None if self.buffer.is_empty() => return Ok(None),
                None => return Err(ClientError::broken("the server's answer ends within a line")),
            }
        }
    }
}
