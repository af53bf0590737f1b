//! A gateway with one endpoint, and a client that speaks raw bytes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pilotlight_gateway::{Addresses, Endpoint, Gateway, Listener, Options, Reach, Routes};
use pilotlight_pool::fake::FakeLauncher;
use pilotlight_pool::{Pool, Settings};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// No test waits longer for anything.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct World {
    pub(crate) gateway: Gateway,
    pub(crate) listener: Listener,
    pub(crate) launcher: FakeLauncher,
    pub(crate) pool: Pool,
    pub(crate) port: u16,
    /// Where the container's socket belongs.
    pub(crate) socket: PathBuf,
    pub(crate) folder: tempfile::TempDir,
}

impl World {
    /// One endpoint, on a port of its own, whose containers listen at `socket`.
    pub(crate) async fn new() -> Self {
        Self::with(Options::default()).await
    }

    /// The same with other options.
    pub(crate) async fn with(options: Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("c.sock");
        let launcher = FakeLauncher::serving(&socket);
        let gateway = Gateway::new(options);
        let listener = gateway.listen(0, Reach::Loopback).await.unwrap();
        let pool = pool(&launcher, Settings { max_inputs: 8, ..Settings::default() });
        let port = listener.port();
        let world = Self { gateway, listener, launcher, pool, port, socket, folder };
        world.publish(|_| {});
        world
    }

    /// Another socket in the world's folder.
    pub(crate) fn socket(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The endpoint with changes.
    pub(crate) fn publish(&self, change: impl FnOnce(&mut Endpoint)) {
        let mut endpoint = Endpoint {
            id: "fu-a".into(),
            app: "hello".into(),
            function: "f".into(),
            pool: self.pool.clone(),
            start_timeout: PATIENCE,
            timeout: PATIENCE,
            total_timeout: None,
            keep_alive: true,
            wait_for_response: true,
            rate: None,
        };
        change(&mut endpoint);
        self.gateway.publish(Routes::new([(Arc::new(endpoint), self.addresses())]));
    }

    fn addresses(&self) -> Addresses {
        Addresses {
            port: Some(self.port),
            hosts: vec!["local--hello-f.localhost".into()],
            ..Addresses::default()
        }
    }

    /// Another pool in place of the first.
    pub(crate) fn use_settings(&mut self, settings: Settings) {
        self.pool = pool(&self.launcher, settings);
        self.publish(|_| {});
    }

    pub(crate) async fn connect(&self) -> Client {
        Client::over(TcpStream::connect(("127.0.0.1", self.port)).await.unwrap())
    }

    /// Sends these bytes on a connection of their own and reads the answer to `GET`, or any other than `HEAD`.
    pub(crate) async fn send(&self, bytes: impl AsRef<[u8]>) -> Answer {
        let mut client = self.connect().await;
        client.write(bytes).await;
        client.answer().await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(get(path)).await
    }

    /// Waits until no request has a slot or waits for one.
    pub(crate) async fn quiet(&self) {
        eventually(|| {
            let stats = self.pool.stats();
            stats.busy == 0 && stats.waiting == 0
        })
        .await;
    }
}

pub(crate) fn pool(launcher: &FakeLauncher, settings: Settings) -> Pool {
    let (pool, actor) = Pool::new(settings, Arc::new(launcher.clone()));
    tokio::spawn(actor);
    pool
}

pub(crate) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

/// Waits until something holds that nobody announces.
pub(crate) async fn eventually(holds: impl Fn() -> bool) {
    within(async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("nothing may take that long")
}

/// An answer as it came over the wire.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// Whether the body came as announced.
    pub(crate) whole: bool,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).next()
    }

    pub(crate) fn headers(&self, name: &str) -> impl Iterator<Item = &str> {
        self.head.lines().skip(1).filter_map(move |line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The code of the platform's own error.
    pub(crate) fn code(&self) -> String {
        let value: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        value["error"]["code"].as_str().unwrap().to_owned()
    }
}

/// A client on a connection, which may be inside another protocol.
pub(crate) struct Client<S = TcpStream> {
    pub(crate) stream: S,
    rest: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(crate) fn over(stream: S) -> Self {
        Self { stream, rest: Vec::new() }
    }

    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Reads one answer; leaves the connection at the next one.
    pub(crate) async fn answer(&mut self) -> Answer {
        within(self.read_answer(true)).await
    }

    /// Reads one answer to `HEAD`.
    pub(crate) async fn head_answer(&mut self) -> Answer {
        within(self.read_answer(false)).await
    }

    /// The next bytes, as they are.
    pub(crate) async fn bytes(&mut self, count: usize) -> Vec<u8> {
        within(async {
            while self.rest.len() < count && self.fill().await {}
            let count = count.min(self.rest.len());
            self.rest.drain(..count).collect()
        })
        .await
    }

    /// Everything until the gateway closes the connection.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        within(async {
            while self.fill().await {}
            std::mem::take(&mut self.rest)
        })
        .await
    }

    async fn read_answer(&mut self, has_body: bool) -> Answer {
        let mut answer = loop {
            let head = self.through(b"\r\n\r\n").await;
            assert!(!head.is_empty(), "the connection closed without an answer");
            let head = String::from_utf8(head).unwrap();
            let status = head.split(' ').nth(1).unwrap().parse().unwrap();
            if status != 100 {
                break Answer { status, head, body: Vec::new(), whole: true };
            }
        };
        let length = answer.header("content-length").map(|length| length.parse::<usize>().unwrap());
        if !has_body || matches!(answer.status, 101 | 204 | 304) {
        } else if let Some(length) = length {
            answer.body = self.bytes(length).await;
            answer.whole = answer.body.len() == length;
        } else if answer.header("transfer-encoding").is_some() {
            answer.whole = self.read_chunks(&mut answer.body).await;
        } else {
            answer.body = self.rest().await;
        }
        answer
    }

    async fn read_chunks(&mut self, body: &mut Vec<u8>) -> bool {
        loop {
            let line = self.through(b"\r\n").await;
            let Some(size) = line.strip_suffix(b"\r\n") else {
                return false;
            };
            let size = usize::from_str_radix(std::str::from_utf8(size).unwrap(), 16).unwrap();
            let chunk = self.bytes(size + 2).await;
            body.extend_from_slice(&chunk[..size.min(chunk.len())]);
            if chunk.len() < size + 2 {
                return false;
            }
            if size == 0 {
                return true;
            }
        }
    }

    /// The bytes up to and with `end`; fewer if the connection ends first.
    async fn through(&mut self, end: &[u8]) -> Vec<u8> {
        loop {
            if let Some(at) = self.rest.windows(end.len()).position(|window| window == end) {
                return self.rest.drain(..at + end.len()).collect();
            }
            if !self.fill().await {
                return std::mem::take(&mut self.rest);
            }
        }
    }

    async fn fill(&mut self) -> bool {
        matches!(self.stream.read_buf(&mut self.rest).await, Ok(1..))
    }
}
