//! A fake server: it remembers what it was asked and answers what a test prepared.

use std::collections::HashMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use pilotlight_api::client::Client;
use pilotlight_api::control::{Answer, Control};
use pilotlight_api::error::{ApiError, Code};
use pilotlight_api::images::{BuildLine, ImageSummary, Images, Prune, Removed};
use pilotlight_api::manifest::Manifest;
use pilotlight_api::progress::{
    AppState, AppSummary, FunctionSummary, LogLine, MissingPart, Progress, Room, StartTimes, Status, Stream,
};
use pilotlight_api::server;
use pilotlight_api::wire::{CreateApp, LogQuery, Scaling};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;

/// The digest that the fake takes for right.
pub(crate) const DIGEST: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// How long a test waits for what must happen.
const LIMIT: Duration = Duration::from_secs(20);

#[derive(Default)]
pub(crate) struct Fake {
    pub(crate) blobs: Mutex<HashMap<String, Bytes>>,
    pub(crate) created: Mutex<Option<CreateApp>>,
    pub(crate) updated: Mutex<Option<(String, Manifest)>>,
    pub(crate) asked_logs: Mutex<Option<(String, LogQuery)>>,
    pub(crate) stopped: Mutex<Vec<String>>,
    pub(crate) scaled: Mutex<Vec<(String, String, Scaling)>>,
    pub(crate) pruned: Mutex<Vec<Prune>>,
    /// Hands the sender of each stream of progress to the test.
    pub(crate) streams: Mutex<Option<mpsc::UnboundedSender<Sender<Progress>>>>,
    pub(crate) down: Notify,
}

impl Fake {
    fn stream(&self) -> Receiver<Progress> {
        let (sender, receiver) = channel(8);
        if let Some(streams) = &*self.streams.lock().unwrap() {
            streams.send(sender).unwrap();
        }
        receiver
    }
}

fn ready<'a, T: Send + 'a>(value: Result<T, ApiError>) -> Answer<'a, T> {
    Box::pin(async { value })
}

pub(crate) fn status() -> Status {
    Status {
        version: "0.1.0".to_owned(),
        pid: 42,
        state_dir: "/var/lib/pilotlight".into(),
        started_at: 1.5,
        apps: 1,
        isolation: vec![MissingPart { part: "cgroups".to_owned(), how_to_get: "mount them".to_owned() }],
        starts: vec![StartTimes { path: "plain".to_owned(), count: 2, p50_ms: 1.5, p99_ms: 2.5 }],
        zygotes: 2,
        shells: 1,
        room: Room { memory_mib: 64, memory_mib_max: 1000, cpu_millis: 125, cpu_millis_max: 32_000 },
    }
}

pub(crate) fn summary() -> AppSummary {
    AppSummary {
        id: "ap-a".to_owned(),
        name: "hello".to_owned(),
        state: AppState::Deployed,
        version: 3,
        functions: vec![FunctionSummary {
            name: "f".to_owned(),
            url: Some("http://localhost:8002".to_owned()),
            label: Some("local--x-f".to_owned()),
            custom_domains: vec!["api.example.com".to_owned()],
            image: Some("im-0123456789ab".to_owned()),
            containers: 1,
            requests: 0,
        }],
        created_at: 2.5,
    }
}

pub(crate) fn images() -> Images {
    let image = ImageSummary {
        id: "im-0123456789ab".to_owned(),
        base: "python:3.11-slim".to_owned(),
        bytes: 3000,
        own_bytes: 1000,
        layers: 3,
        built_at: 1,
        used_at: 2,
        in_use: true,
    };
    Images { images: vec![image], bytes: 4000, budget_bytes: 1 << 40, download_bytes: 500 }
}

pub(crate) fn build_line() -> BuildLine {
    BuildLine { layer: "0123456789ab".to_owned(), step: Some("apt".to_owned()), line: "Get:1".to_owned() }
}

pub(crate) fn line(text: &str) -> LogLine {
    LogLine {
        at: 3.5,
        function: "f".to_owned(),
        container: Some("co-a".to_owned()),
        stream: Stream::Stdout,
        line: text.to_owned(),
    }
}

impl Control for Fake {
    fn status(&self) -> Answer<'_, Status> {
        ready(Ok(status()))
    }

    fn metrics(&self) -> Answer<'_, String> {
        ready(Ok("# EOF\n".to_owned()))
    }

    fn missing_blobs(&self, digests: Vec<String>) -> Answer<'_, Vec<String>> {
        let blobs = self.blobs.lock().unwrap();
        ready(Ok(digests.into_iter().filter(|digest| !blobs.contains_key(digest)).collect()))
    }

    fn put_blob(&self, digest: String, content: Bytes) -> Answer<'_, ()> {
        if digest != DIGEST {
            return ready(Err(ApiError::new(Code::WrongDigest, "the content is not what its digest says")));
        }
        self.blobs.lock().unwrap().insert(digest, content);
        ready(Ok(()))
    }

    fn create_app(&self, request: CreateApp) -> Answer<'_, Receiver<Progress>> {
        *self.created.lock().unwrap() = Some(request);
        ready(Ok(self.stream()))
    }

    fn update_app(&self, id: String, manifest: Manifest) -> Answer<'_, Receiver<Progress>> {
        if id != "ap-a" {
            return ready(Err(ApiError::no_app(&id)));
        }
        *self.updated.lock().unwrap() = Some((id, manifest));
        ready(Ok(self.stream()))
    }

    fn list(&self) -> Answer<'_, Vec<AppSummary>> {
        ready(Ok(vec![summary()]))
    }

    fn logs(&self, app: String, query: LogQuery) -> Answer<'_, Receiver<LogLine>> {
        if app != "hello" {
            return ready(Err(ApiError::no_app(&app)));
        }
        *self.asked_logs.lock().unwrap() = Some((app, query));
        let (sender, receiver) = channel(8);
        for text in ["one", "two"] {
            sender.try_send(line(text)).unwrap();
        }
        ready(Ok(receiver))
    }

    fn stop(&self, app: String) -> Answer<'_, ()> {
        if app == "gone" {
            return ready(Err(ApiError::no_app(&app)));
        }
        self.stopped.lock().unwrap().push(app);
        ready(Ok(()))
    }

    fn scale(&self, app: String, function: String, scaling: Scaling) -> Answer<'_, ()> {
        self.scaled.lock().unwrap().push((app, function, scaling));
        ready(Ok(()))
    }

    fn images(&self) -> Answer<'_, Images> {
        ready(Ok(images()))
    }

    fn build_images(&self, manifest: Manifest) -> Answer<'_, Receiver<Progress>> {
        *self.updated.lock().unwrap() = Some((String::new(), manifest));
        ready(Ok(self.stream()))
    }

    fn remove_image(&self, id: String) -> Answer<'_, Removed> {
        if id != "im-0123456789ab" {
            return ready(Err(ApiError::no_image(&id)));
        }
        ready(Ok(Removed { images: vec![id], bytes: 1000 }))
    }

    fn prune_images(&self, prune: Prune) -> Answer<'_, Removed> {
        self.pruned.lock().unwrap().push(prune);
        ready(Ok(Removed::default()))
    }

    fn image_log(&self, id: String) -> Answer<'_, Receiver<BuildLine>> {
        if id != "im-0123456789ab" {
            return ready(Err(ApiError::no_image(&id)));
        }
        let (sender, receiver) = channel(8);
        sender.try_send(build_line()).unwrap();
        ready(Ok(receiver))
    }

    fn shutdown(&self) -> Answer<'_, ()> {
        self.down.notify_one();
        ready(Ok(()))
    }
}

/// A server with a fake behind it, on a socket of its own.
pub(crate) struct Server {
    pub(crate) fake: Arc<Fake>,
    pub(crate) client: Client,
    /// Senders of the streams that were begun.
    pub(crate) streams: mpsc::UnboundedReceiver<Sender<Progress>>,
    pub(crate) socket: PathBuf,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<std::io::Result<()>>,
    _directory: tempfile::TempDir,
}

impl Server {
    pub(crate) fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("control.sock");
        let listener = server::bind(&socket).unwrap();
        let fake = Arc::new(Fake::default());
        let (sender, streams) = mpsc::unbounded_channel();
        *fake.streams.lock().unwrap() = Some(sender);
        let (stop, stopped) = oneshot::channel::<()>();
        let control: Arc<dyn Control> = Arc::clone(&fake) as _;
        let task = tokio::spawn(server::serve(listener, control, async { _ = stopped.await }));
        let client = Client::new(&socket);
        Self { fake, client, streams, socket, stop: Some(stop), task, _directory: directory }
    }

    /// The sender of the next stream that is begun.
    pub(crate) async fn stream(&mut self) -> Sender<Progress> {
        soon(self.streams.recv()).await.unwrap()
    }

    /// Tells the server to end; returns when it has.
    pub(crate) async fn end(mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        soon(self.task).await.unwrap().unwrap();
    }
}

/// Waits for what must happen soon.
pub(crate) async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, work).await.expect("it took too long")
}

/// A manifest that a server takes.
pub(crate) fn manifest() -> Manifest {
    let text = serde_json::json!({
        "manifest": 1, "sdk": "0.1.0", "era": "app",
        "python": {"version": "3.11.7", "executable": "/usr/bin/python3.11", "base_prefix": "/usr"},
        "app": {"name": null, "description": "hello.py"},
        "images": {"im-0": {"base": {"kind": "debian_slim"}}},
        "files": [{"remote": "/root/hello.py", "local": "/abs/hello.py", "mode": 420, "digest": DIGEST, "size": 3}],
        "functions": [{"name": "f", "module": "hello", "qualname": "f", "image": "im-0", "web": {"kind": "asgi"}}],
    });
    serde_json::from_value(text).unwrap()
}

/// Whether something stands at the path.
pub(crate) fn exists(path: &Path) -> bool {
    fs_err::symlink_metadata(path).is_ok()
}
