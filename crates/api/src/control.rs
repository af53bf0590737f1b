//! The port between the API's routes and the server that does the work.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc::Receiver;

use crate::error::ApiError;
use crate::images::{BuildLine, Images, Prune, Removed};
use crate::manifest::Manifest;
use crate::progress::{AppSummary, LogLine, Progress, Status};
use crate::wire::{CreateApp, LogQuery, Scaling};

/// What a method of [`Control`] returns.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, ApiError>>;

/// What a server can be asked to do. The binary implements it; every error becomes an answer with a JSON body.
///
/// Streams: each message sent becomes one line at the client. The stream ends when the sender is dropped. When the
/// client leaves, the receiver is dropped: `Sender::closed` resolves and `send` fails. Nobody but the implementor
/// ends an ephemeral app, so it must watch for that.
pub trait Control: Send + Sync + 'static {
    /// The server's state.
    fn status(&self) -> Answer<'_, Status>;

    /// The server's metrics in the text format of OpenMetrics.
    fn metrics(&self) -> Answer<'_, String>;

    /// Which of `digests` the server does not have, in their order. Each is a well-formed digest.
    fn missing_blobs(&self, digests: Vec<String>) -> Answer<'_, Vec<String>>;

    /// Keeps a file. `digest` is well formed; the implementor compares it with the SHA-256 of `content` and refuses
    /// with [`Code::WrongDigest`](crate::error::Code::WrongDigest). `content` is at most
    /// [`BLOB_MAX`](crate::wire::BLOB_MAX) bytes.
    fn put_blob(&self, digest: String, content: Bytes) -> Answer<'_, ()>;

    /// Makes an app. The request is checked: the manifest by [`Manifest::check_sent`], and a deploy has a good name.
    /// An ephemeral app lives until the receiver is dropped.
    fn create_app(&self, request: CreateApp) -> Answer<'_, Receiver<Progress>>;

    /// Moves the app with this id to a new manifest, which is checked. The stream ends with `ready` or `failed`.
    fn update_app(&self, id: String, manifest: Manifest) -> Answer<'_, Receiver<Progress>>;

    /// All apps, those that were stopped included.
    fn list(&self) -> Answer<'_, Vec<AppSummary>>;

    /// Log lines of the app with this id or name. Without `follow` the sender is dropped after the last line.
    fn logs(&self, app: String, query: LogQuery) -> Answer<'_, Receiver<LogLine>>;

    /// Stops the app with this id or name; returns when it takes no new requests.
    fn stop(&self, app: String) -> Answer<'_, ()>;

    /// Scales a function of the app with this id or name from now on. The request is checked by itself.
    fn scale(&self, app: String, function: String, scaling: Scaling) -> Answer<'_, ()>;

    /// What images take on disk.
    fn images(&self) -> Answer<'_, Images>;

    /// Builds the images of a program. The manifest is checked. The stream ends with `built` or `failed`.
    fn build_images(&self, manifest: Manifest) -> Answer<'_, Receiver<Progress>>;

    /// Removes the image with this id, unless somebody uses it.
    fn remove_image(&self, id: String) -> Answer<'_, Removed>;

    /// Removes what nobody uses.
    fn prune_images(&self, prune: Prune) -> Answer<'_, Removed>;

    /// What the steps of the image with this id printed, from the bottom up; or that of the layer whose key begins so.
    fn image_log(&self, id: String) -> Answer<'_, Receiver<BuildLine>>;

    /// Begins to shut the server down and returns at once: the answer still has to be sent.
    fn shutdown(&self) -> Answer<'_, ()>;
}
