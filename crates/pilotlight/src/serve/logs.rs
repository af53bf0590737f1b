//! Where container output goes: to those who follow an app now, and to the app's log file.

mod rate;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use pilotlight_api::progress::{LogLine, Stream};
use pilotlight_core::id::{AppId, ContainerId};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::sync::broadcast;

use rate::{Rate, Verdict};

/// Lines that a slow follower may fall behind before it loses some.
const FOLLOW_MAX: usize = 1024;

/// Lines kept in memory for those who ask later.
const RECENT_MAX: usize = 2000;

/// Memory for those lines, bytes per app.
const RECENT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The longest line that is kept whole, bytes; a longer one is split.
const LINE_MAX: usize = 16 * 1024;

/// Pauses of a flood are taken together: a timer is not finer.
const PAUSE_MIN: Duration = Duration::from_millis(2);

/// One app's log. Cheap to clone.
#[derive(Clone)]
pub(crate) struct AppLog {
    app: AppId,
    recent: Arc<Mutex<Recent>>,
    lines: broadcast::Sender<LogLine>,
    file: Option<Arc<pilotlight_store::logs::Logs>>,
}

/// The last lines, as many as fit.
#[derive(Default)]
struct Recent {
    lines: VecDeque<LogLine>,
    /// What `lines` takes up.
    bytes: usize,
}

impl Recent {
    /// Adds a line; the oldest give way to it.
    fn push(&mut self, line: LogLine) {
        self.bytes += size(&line);
        self.lines.push_back(line);
        while self.lines.len() > RECENT_MAX || self.bytes > RECENT_BYTES_MAX {
            let Some(oldest) = self.lines.pop_front() else { return };
            self.bytes -= size(&oldest);
        }
    }
}

/// What a line takes up in memory, bytes.
fn size(line: &LogLine) -> usize {
    let texts = line.line.len() + line.function.len() + line.container.as_ref().map_or(0, String::len);
    size_of::<LogLine>() + texts
}

impl AppLog {
    /// A log that goes to `file` too, when the app outlives this process.
    pub(crate) fn new(app: AppId, file: Option<Arc<pilotlight_store::logs::Logs>>) -> Self {
        Self { app, recent: Arc::default(), lines: broadcast::channel(FOLLOW_MAX).0, file }
    }

    /// Adds a line.
    pub(crate) fn push(&self, function: &str, container: Option<&ContainerId>, stream: Stream, line: String) {
        let line = LogLine {
            at: unix_seconds(),
            function: function.to_owned(),
            container: container.map(ToString::to_string),
            stream,
            line,
        };
        if let Some(file) = &self.file
            && let Ok(text) = serde_json::to_string(&line)
            && let Err(error) = file.append(self.app.as_str(), &text)
        {
            tracing::warn!(app = %self.app, %error, "cannot write the log");
        }
        let mut recent = self.recent.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        recent.push(line.clone());
        // Sent under the lock, so that `follow` sees every line once: in the past or in the stream.
        _ = self.lines.send(line);
    }

    /// The last `tail` lines, and the stream of those to come.
    pub(crate) fn follow(&self, tail: usize) -> (Vec<LogLine>, broadcast::Receiver<LogLine>) {
        let recent = self.recent.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let receiver = self.lines.subscribe();
        let lines = &recent.lines;
        let memory: Vec<LogLine> = lines.iter().skip(lines.len().saturating_sub(tail)).cloned().collect();
        drop(recent);
        if memory.len() >= tail {
            return (memory, receiver);
        }
        (self.older(tail).filter(|lines| lines.len() > memory.len()).unwrap_or(memory), receiver)
    }

    /// Lines of earlier servers: only the file knows them.
    fn older(&self, tail: usize) -> Option<Vec<LogLine>> {
        let lines = self.file.as_ref()?.tail(self.app.as_str(), tail).ok()?;
        Some(lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }

    /// Copies what a container prints into the log until it closes its end.
    pub(crate) async fn copy<R: AsyncRead + Unpin>(
        self,
        output: R,
        function: Arc<str>,
        container: ContainerId,
        stream: Stream,
    ) {
        let mut reader = BufReader::new(output);
        let mut line = Vec::new();
        let mut rate = Rate::new(Instant::now());
        let mut pause = Duration::ZERO;
        let lost = |lost: rate::Lost| {
            self.push(&function, Some(&container), Stream::System, lost.to_string());
        };
        loop {
            line.clear();
            let Ok(read @ 1..) = read_line(&mut reader, &mut line).await else { break };
            match rate.admit(Instant::now(), read) {
                Verdict::Keep(before) => {
                    before.map(lost);
                    while line.last().is_some_and(|byte| *byte == b'\n' || *byte == b'\r') {
                        line.pop();
                    }
                    let text = String::from_utf8_lossy(&line).into_owned();
                    self.push(&function, Some(&container), stream, text);
                }
                Verdict::Lose(more) => {
                    pause += more;
                    if pause >= PAUSE_MIN {
                        tokio::time::sleep(std::mem::take(&mut pause)).await;
                    }
                }
            }
        }
        rate.take_lost().map(lost);
    }
}

/// Reads up to a line feed or [`LINE_MAX`] bytes, whichever comes first: memory stays bounded.
async fn read_line<R: AsyncRead + Unpin>(
    reader: &mut BufReader<R>,
    line: &mut Vec<u8>,
) -> std::io::Result<usize> {
    loop {
        let buffer = reader.fill_buf().await?;
        if buffer.is_empty() {
            return Ok(line.len());
        }
        let room = LINE_MAX - line.len();
        let end = buffer.iter().take(room).position(|byte| *byte == b'\n');
        let taken = end.map_or(buffer.len().min(room), |end| end + 1);
        line.extend_from_slice(&buffer[..taken]);
        reader.consume(taken);
        if end.is_some() || line.len() == LINE_MAX {
            return Ok(line.len());
        }
    }
}

/// Seconds since the epoch, with fractions: what log lines carry.
pub(crate) fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: String) -> LogLine {
        LogLine { at: 0.0, function: "f".into(), container: None, stream: Stream::Stdout, line: text }
    }

    #[test]
    fn recent_lines_are_bounded_by_bytes_and_by_count() {
        let mut recent = Recent::default();
        for _ in 0..RECENT_MAX {
            recent.push(line("x".repeat(LINE_MAX)));
        }
        assert!(recent.bytes <= RECENT_BYTES_MAX && recent.lines.len() > 200);
        for number in 0..=RECENT_MAX {
            recent.push(line(number.to_string()));
        }
        assert_eq!(recent.lines.len(), RECENT_MAX);
        assert_eq!(recent.lines[0].line, "1");
        assert_eq!(recent.bytes, recent.lines.iter().map(size).sum::<usize>());
    }
}
