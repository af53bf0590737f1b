//! Load: requests one after the other on each connection, or at a rate whatever the answers take. Never retries.

use std::cell::RefCell;
use std::error::Error;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::{JoinSet, yield_now};

/// What to do.
pub(crate) struct Plan {
    pub(crate) address: String,
    pub(crate) connections: usize,
    pub(crate) time: Duration,
    pub(crate) request: Vec<u8>,
    /// Requests per second. Their times count from when they were due: a stall is not hidden by asking less.
    pub(crate) rate: Option<f64>,
}

/// A `GET`, or a `POST` of so many bytes.
pub(crate) fn request(body_bytes: usize) -> Vec<u8> {
    let common = "HTTP/1.1\r\nHost: localhost\r\nUser-Agent: traffic\r\nAccept: */*\r\n";
    if body_bytes == 0 {
        return format!("GET / {common}\r\n").into_bytes();
    }
    let mut request = format!("POST / {common}Content-Length: {body_bytes}\r\n\r\n").into_bytes();
    request.resize(request.len() + body_bytes, b'x');
    request
}

#[derive(Default)]
struct Tally {
    /// Requests that have been due so far.
    due: u64,
    errors: u64,
    took: Vec<f64>,
    /// What went wrong first.
    error: Option<String>,
}

/// Runs the plan; what came of it as JSON, times in milliseconds.
pub(crate) async fn run(plan: Arc<Plan>) -> Result<String, Box<dyn Error>> {
    let tally = Rc::new(RefCell::new(Tally::default()));
    let begun = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..plan.connections {
        clients.spawn_local(client(Arc::clone(&plan), Rc::clone(&tally), begun));
    }
    while clients.join_next().await.is_some() {}
    let seconds = begun.elapsed().as_secs_f64();
    let mut tally = tally.borrow_mut();
    tally.took.sort_by(f64::total_cmp);
    let at = |share: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index"
        )]
        let place = (share * tally.took.len() as f64) as usize;
        tally.took.get(place.min(tally.took.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
    };
    let told = serde_json::json!({
        "answers": tally.took.len(), "errors": tally.errors, "error": tally.error, "seconds": seconds,
        "p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "max": at(1.0),
    });
    Ok(told.to_string())
}

async fn client(plan: Arc<Plan>, tally: Rc<RefCell<Tally>>, begun: Instant) {
    let mut answer = Vec::with_capacity(16 * 1024);
    while begun.elapsed() < plan.time {
        let outcome = match connect(&plan.address).await {
            Ok(mut stream) => converse(&plan, &tally, begun, stream.as_mut(), &mut answer).await,
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            let mut tally = tally.borrow_mut();
            tally.errors += 1;
            tally.error.get_or_insert(error.to_string());
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

async fn connect(address: &str) -> io::Result<Box<dyn Stream>> {
    if address.starts_with('/') {
        return Ok(Box::new(UnixStream::connect(address).await?));
    }
    let stream = TcpStream::connect(format!("127.0.0.1:{address}")).await?;
    stream.set_nodelay(true)?;
    Ok(Box::new(stream))
}

/// Asks on one connection until the time is over or something fails.
async fn converse(
    plan: &Plan,
    tally: &RefCell<Tally>,
    begun: Instant,
    stream: &mut dyn Stream,
    answer: &mut Vec<u8>,
) -> io::Result<()> {
    loop {
        let due = match plan.rate {
            None => Instant::now(),
            Some(rate) => {
                let number = {
                    let mut tally = tally.borrow_mut();
                    tally.due += 1;
                    tally.due
                };
                #[expect(clippy::cast_precision_loss, reason = "fewer than 2^52 requests")]
                let due = begun + Duration::from_secs_f64(number as f64 / rate);
                wait_until(due).await;
                due
            }
        };
        if due.duration_since(begun) >= plan.time {
            return Ok(());
        }
        stream.write_all(&plan.request).await?;
        let goes_on = read_answer(stream, answer).await?;
        tally.borrow_mut().took.push(due.elapsed().as_secs_f64() * 1e3);
        if !goes_on {
            return Ok(());
        }
    }
}

/// Timers of tokio are as coarse as a millisecond; the rest is spent asking the clock.
async fn wait_until(due: Instant) {
    loop {
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        if left > Duration::from_millis(3) {
            tokio::time::sleep(left.saturating_sub(Duration::from_millis(2))).await;
        } else {
            yield_now().await;
        }
    }
}

/// Reads an answer with a length to its end; says whether the connection can be used again.
async fn read_answer(stream: &mut dyn Stream, answer: &mut Vec<u8>) -> io::Result<bool> {
    answer.clear();
    let end = loop {
        if let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(answer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    };
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let status = head.get(9..12).unwrap_or_default();
    if status != "200" {
        return Err(io::Error::other(format!("answered {status}")));
    }
    let length = head.split("content-length:").nth(1).and_then(|rest| rest.lines().next());
    let length: usize = length
        .and_then(|length| length.trim().parse().ok())
        .ok_or_else(|| io::Error::other("an answer without a length"))?;
    while answer.len() < end + length {
        if stream.read_buf(answer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(!head.contains("connection: close"))
}
