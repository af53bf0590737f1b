//! The typed client: one method per route, over a server's Unix socket.
//!
//! Each request has a connection of its own, which its caller drives: there is no background task, and dropping a
//! stream closes its connection, by which the server knows that the reader has left.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::net::UnixStream;

use crate::error::{ApiError, Code};
use crate::images::{BuildImages, BuildLine, Images, Prune, Removed};
use crate::manifest::Manifest;
use crate::progress::{AppSummary, LogLine, Progress, Status};
use crate::wire::{BLOB_MAX, BlobAnswer, BlobQuery, CreateApp, LogQuery, Scaling, UpdateApp, encode};

mod reply;

pub use reply::Lines;
use reply::{Connection, Reply, drive};

/// How long a server may take until it begins to answer. It holds a whole upload.
const ANSWER_LIMIT: Duration = Duration::from_mins(2);

/// Why a request did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens on the socket.
    #[error("no server listens on {}", socket.display())]
    NoServer {
        /// The socket.
        socket: PathBuf,
    },
    /// The server answered with an error.
    #[error(transparent)]
    Api(ApiError),
    /// The conversation with the server broke, or it does not speak this API.
    #[error("{problem}")]
    Broken {
        /// What was seen.
        problem: String,
        /// The cause below.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}

impl ClientError {
    fn broken(problem: impl Into<String>) -> Self {
        Self::Broken { problem: problem.into(), source: None }
    }

    fn because(problem: impl Into<String>, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Broken { problem: problem.into(), source: Some(Box::new(source)) }
    }
}

/// A server, named by its socket. Cheap to clone; holds no connection.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// A client of the server whose socket is at `socket`. Does not connect yet.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into() }
    }

    /// The server's socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The server's state.
    pub async fn status(&self) -> Result<Status, ClientError> {
        self.send(Method::GET, "/v1/status", Body::Empty).await?.json().await
    }

    /// The server's metrics, as OpenMetrics text.
    pub async fn metrics(&self) -> Result<String, ClientError> {
        self.send(Method::GET, "/v1/metrics", Body::Empty).await?.text().await
    }

    /// Which of `digests` the server does not have.
    pub async fn missing_blobs(&self, digests: Vec<String>) -> Result<Vec<String>, ClientError> {
        let body = Body::json(&BlobQuery { digests })?;
        let answer: BlobAnswer = self.send(Method::POST, "/v1/blobs/missing", body).await?.json().await?;
        Ok(answer.missing)
    }

    /// Uploads a file; `digest` is the SHA-256 of `content` in lower-case hex.
    pub async fn put_blob(&self, digest: &str, content: Bytes) -> Result<(), ClientError> {
        if content.len() as u64 > BLOB_MAX {
            let message = format!("a file is larger than {} MiB", BLOB_MAX / 1024 / 1024);
            return Err(ClientError::Api(ApiError::new(Code::TooLarge, message)));
        }
        let path = format!("/v1/blobs/{}", encode(digest));
        self.send(Method::PUT, &path, Body::File(content)).await.map(drop)
    }

    /// Makes an app. An ephemeral one lives until the stream is dropped.
    pub async fn create_app(&self, request: &CreateApp) -> Result<Lines<Progress>, ClientError> {
        Ok(self.send(Method::POST, "/v1/apps", Body::json(request)?).await?.lines())
    }

    /// Moves the app with this id to a new manifest.
    pub async fn update_app(&self, id: &str, manifest: Manifest) -> Result<Lines<Progress>, ClientError> {
        let body = Body::json(&UpdateApp { manifest })?;
        Ok(self.send(Method::PUT, &format!("/v1/apps/{}", encode(id)), body).await?.lines())
    }

    /// All apps, those that were stopped included.
    pub async fn list(&self) -> Result<Vec<AppSummary>, ClientError> {
        self.send(Method::GET, "/v1/apps", Body::Empty).await?.json().await
    }

    /// Log lines of the app with this id or name.
    pub async fn logs(&self, app: &str, query: LogQuery) -> Result<Lines<LogLine>, ClientError> {
        let path = format!("/v1/apps/{}/logs?{}", encode(app), query.text());
        Ok(self.send(Method::GET, &path, Body::Empty).await?.lines())
    }

    /// Stops the app with this id or name.
    pub async fn stop(&self, app: &str) -> Result<(), ClientError> {
        self.send(Method::DELETE, &format!("/v1/apps/{}", encode(app)), Body::Empty).await.map(drop)
    }

    /// Scales a function of the app with this id or name, until its next deployment.
    pub async fn scale(&self, app: &str, function: &str, scaling: &Scaling) -> Result<(), ClientError> {
        let path = format!("/v1/apps/{}/functions/{}/scaling", encode(app), encode(function));
        self.send(Method::PATCH, &path, Body::json(scaling)?).await.map(drop)
    }

    /// What images take on disk.
    pub async fn images(&self) -> Result<Images, ClientError> {
        self.send(Method::GET, "/v1/images", Body::Empty).await?.json().await
    }

    /// Builds the images of a program; cancelled when the stream is dropped.
    pub async fn build_images(&self, manifest: Manifest) -> Result<Lines<Progress>, ClientError> {
        let body = Body::json(&BuildImages { manifest })?;
        Ok(self.send(Method::POST, "/v1/images", body).await?.lines())
    }

    /// Removes an image.
    pub async fn remove_image(&self, id: &str) -> Result<Removed, ClientError> {
        self.send(Method::DELETE, &format!("/v1/images/{}", encode(id)), Body::Empty).await?.json().await
    }

    /// Removes what nobody uses.
    pub async fn prune_images(&self, prune: Prune) -> Result<Removed, ClientError> {
        self.send(Method::POST, "/v1/images/prune", Body::json(&prune)?).await?.json().await
    }

    /// What the steps of an image, or the step of a layer, printed.
    pub async fn image_log(&self, id: &str) -> Result<Lines<BuildLine>, ClientError> {
        Ok(self.send(Method::GET, &format!("/v1/images/{}/log", encode(id)), Body::Empty).await?.lines())
    }

    /// Asks the server to shut down. It has begun to when this returns; it is gone when its socket is.
    pub async fn shutdown(&self) -> Result<(), ClientError> {
        self.send(Method::POST, "/v1/shutdown", Body::Empty).await.map(drop)
    }

    /// Sends a request and waits for the answer's head; an error answer is read and returned as [`ClientError::Api`].
    async fn send(&self, method: Method, path: &str, body: Body) -> Result<Reply, ClientError> {
        match tokio::time::timeout(ANSWER_LIMIT, self.exchange(method, path, body)).await {
            Ok(reply) => reply?.success().await,
            Err(_) => Err(ClientError::broken(format!(
                "the server did not answer within {} s",
                ANSWER_LIMIT.as_secs()
            ))),
        }
    }

    async fn exchange(&self, method: Method, path: &str, body: Body) -> Result<Reply, ClientError> {
        use std::io::ErrorKind::{ConnectionRefused, NotFound};
        let stream = UnixStream::connect(&self.socket).await.map_err(|source| match source.kind() {
            NotFound | ConnectionRefused => ClientError::NoServer { socket: self.socket.clone() },
            _ => ClientError::because(format!("cannot connect to {}", self.socket.display()), source),
        })?;
        let broken = |source| ClientError::because("the connection to the server broke", source);
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let mut connection: Connection = Some(Box::pin(connection));
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, "localhost");
        if let Some(kind) = body.content_type() {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        let request = request
            .body(Full::new(body.into_bytes()))
            .map_err(|source| ClientError::because(format!("{path} is no path of a request"), source))?;
        let response = drive(&mut connection, sender.send_request(request)).await.map_err(broken)?;
        Ok(Reply::new(response, connection))
    }
}

/// A request's body.
enum Body {
    Empty,
    Json(Bytes),
    File(Bytes),
}

impl Body {
    fn json(value: &impl Serialize) -> Result<Self, ClientError> {
        let text = serde_json::to_vec(value)
            .map_err(|source| ClientError::because("the request cannot be written as JSON", source))?;
        Ok(Self::Json(text.into()))
    }

    fn content_type(&self) -> Option<&'static str> {
        match self {
            Self::Empty => None,
            Self::Json(_) => Some("application/json"),
            Self::File(_) => Some("application/octet-stream"),
        }
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Self::Empty => Bytes::new(),
            Self::Json(bytes) | Self::File(bytes) => bytes,
        }
    }
}
