//! A container as the gateway sees it: an HTTP server on a Unix socket, with a handler per path.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot, watch};

type Answer = Response<BoxBody<Bytes, io::Error>>;

/// What happened in the container.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) connections: AtomicUsize,
    pub(crate) requests: AtomicUsize,
    /// Requests that came to `/hang` and are still there.
    pub(crate) hanging: watch::Sender<usize>,
    /// Whether requests to `/gate` are answered.
    pub(crate) open: watch::Sender<bool>,
}

/// Serves `socket` until the runtime ends.
pub(crate) fn serve(socket: &Path) -> Arc<Log> {
    let listener = UnixListener::bind(socket).unwrap();
    let log = Arc::new(Log::default());
    let shared = Arc::clone(&log);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            shared.connections.fetch_add(1, Ordering::Relaxed);
            let log = Arc::clone(&shared);
            let service = service_fn(move |request| handle(Arc::clone(&log), request));
            tokio::spawn(
                hyper::server::conn::http1::Builder::new()
                    .half_close(false)
                    .serve_connection(TokioIo::new(stream), service)
                    .with_upgrades(),
            );
        }
    });
    log
}

/// A container that says nothing but keeps, of each request that came whole, method, target, body and trailers.
pub(crate) fn record(socket: &Path) -> Arc<Mutex<Vec<String>>> {
    let listener = UnixListener::bind(socket).unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let seen = Arc::clone(&shared);
            let service = service_fn(move |request: Request<Incoming>| {
                let seen = Arc::clone(&seen);
                async move {
                    let start = format!("{} {} ", request.method(), request.uri());
                    let body = request.into_body().collect().await.map_err(io::Error::other)?;
                    let trailers = body.trailers().map(|trailers| format!(" {trailers:?}"));
                    let body = body.to_bytes().escape_ascii().to_string();
                    seen.lock().unwrap().push([start, body, trailers.unwrap_or_default()].concat());
                    Ok::<_, io::Error>(Response::new(full("")))
                }
            });
            let http = hyper::server::conn::http1::Builder::new();
            tokio::spawn(http.serve_connection(TokioIo::new(stream), service));
        }
    });
    seen
}

/// What a stubborn container gives when its client has left: by it the handler is ended.
pub(crate) type Left = oneshot::Receiver<oneshot::Sender<()>>;

/// A container whose handlers go on when their clients leave, as threads do. Tells of each request: what resolves when its
/// client has left.
pub(crate) fn serve_stubborn(socket: &Path) -> mpsc::Receiver<Left> {
    let listener = UnixListener::bind(socket).unwrap();
    let (requests, told) = mpsc::channel(8);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let requests = requests.clone();
            tokio::spawn(async move {
                let mut head = [0; 4096];
                let read = stream.read(&mut head).await.unwrap();
                let (left, told) = oneshot::channel();
                requests.send(told).await.unwrap();
                if head[..read].starts_with(b"GET /begun") {
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nbe").await.unwrap();
                }
                while stream.read(&mut head).await.unwrap() > 0 {}
                let (end, ended) = oneshot::channel();
                left.send(end).unwrap();
                ended.await.unwrap();
            });
        }
    });
    told
}

/// A container that says these bytes to whoever connects and has sent something, then closes.
pub(crate) fn serve_raw(socket: &Path, bytes: &'static [u8]) {
    let listener = UnixListener::bind(socket).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(bytes).await;
        }
    });
}

/// A container that answers one request per connection with keep-alive, then closes the connection at once.
pub(crate) fn serve_closing(socket: &Path) -> mpsc::Receiver<()> {
    let listener = UnixListener::bind(socket).unwrap();
    let (closed, closings) = mpsc::channel(16);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
            drop(stream);
            let _ = closed.send(()).await;
        }
    });
    closings
}

async fn handle(log: Arc<Log>, mut request: Request<Incoming>) -> Result<Answer, io::Error> {
    log.requests.fetch_add(1, Ordering::Relaxed);
    match request.uri().path() {
        "/echo" => Ok(Response::new(request.into_body().map_err(io::Error::other).boxed())),
        // Answers once all of the body is there.
        "/slurp" => {
            let body = request.into_body().collect().await.map_err(io::Error::other)?;
            Ok(text(&body.to_bytes().len().to_string()))
        }
        "/head" => Ok(text(&head(&request))),
        "/hang" => {
            let _hanging = Hanging::new(log);
            std::future::pending().await
        }
        "/gate" => {
            let mut open = log.open.subscribe();
            let _hanging = Hanging::new(log);
            let _ = open.wait_for(|open| *open).await;
            Ok(text("open"))
        }
        // The connection closes without an answer.
        "/die" => Err(io::Error::other("told to")),
        "/early" => Ok(text("no need to read that")),
        "/silent-body" => {
            let (frames, body) = channel();
            frames.send(Ok(Bytes::from_static(b"first"))).await.unwrap();
            let hanging = Hanging::new(log);
            tokio::spawn(async move {
                frames.closed().await;
                drop(hanging);
            });
            Ok(Response::new(body.boxed()))
        }
        "/hop" => Ok(Response::builder()
            .header("connection", "x-private")
            .header("x-private", "1")
            .header("keep-alive", "timeout=5")
            .header("server-timing", "db;dur=1")
            .header("x-public", "1")
            .body(full("hop"))
            .unwrap()),
        "/ws" if request.headers().contains_key("upgrade") => {
            let upgrade = hyper::upgrade::on(&mut request);
            let hanging = Hanging::new(log);
            tokio::spawn(async move {
                let mut stream = TokioIo::new(upgrade.await.unwrap());
                let mut buf = [0; 1024];
                while let Ok(read @ 1..) = stream.read(&mut buf).await {
                    stream.write_all(&buf[..read]).await.unwrap();
                }
                drop(hanging);
            });
            let switching = Response::builder().status(101).header("upgrade", "websocket");
            Ok(switching.header("connection", "upgrade").body(full("")).unwrap())
        }
        _ => Ok(text("hello")),
    }
}

/// The head of a request as the container got it.
fn head(request: &Request<Incoming>) -> String {
    let mut lines = vec![format!("{} {}", request.method(), request.uri())];
    lines
        .extend(request.headers().iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())));
    lines.join("\n") + "\n"
}

fn full(text: &str) -> BoxBody<Bytes, io::Error> {
    Full::new(Bytes::from(text.to_owned())).map_err(|never| match never {}).boxed()
}

fn text(text: &str) -> Answer {
    Response::new(full(text))
}

/// Counts a request while it is in the container.
struct Hanging(Arc<Log>);

impl Hanging {
    fn new(log: Arc<Log>) -> Self {
        log.hanging.send_modify(|count| *count += 1);
        Self(log)
    }
}

impl Drop for Hanging {
    fn drop(&mut self) {
        self.0.hanging.send_modify(|count| *count -= 1);
    }
}

/// A body that a task feeds.
struct ChannelBody(mpsc::Receiver<io::Result<Bytes>>);

fn channel() -> (mpsc::Sender<io::Result<Bytes>>, ChannelBody) {
    let (sender, receiver) = mpsc::channel(4);
    (sender, ChannelBody(receiver))
}

impl Body for ChannelBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.0.poll_recv(cx).map(|next| next.map(|chunk| chunk.map(Frame::data)))
    }
}
