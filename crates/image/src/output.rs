//! Cuts output into lines of bounded length and keeps the last ones for error messages.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Longer lines are cut: a progress bar without line ends must not fill the memory.
const LINE_BYTES_MAX: usize = 8 * 1024;
/// How many lines an error carries.
const TAIL_LINES: usize = 20;
/// How often a reader that waits looks whether it is to stop.
const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
/// What a reader takes from a pipe after it was told to stop: as much as a pipe holds (`pipe-max-size` of pipe(7)), so
/// that all that was written before is seen, and somebody who keeps on writing cannot keep the reader.
const LEFT_BYTES_MAX: usize = 1024 * 1024;

/// A pipe's end that reads as at its end soon after `stop` was set, even if somebody holds the other one open.
pub(crate) struct Stoppable<'stop, R> {
    source: R,
    stop: &'stop AtomicBool,
    left: usize,
}

impl<'stop, R: Read + AsFd> Stoppable<'stop, R> {
    pub(crate) fn new(source: R, stop: &'stop AtomicBool) -> Self {
        Self { source, stop, left: LEFT_BYTES_MAX }
    }
}

impl<R: Read + AsFd> Read for Stoppable<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            // Before the look into the pipe: what was there when the flag was set must be seen.
            let stopped = self.stop.load(Ordering::Acquire);
            let now = Timespec { tv_sec: 0, tv_nsec: 0 };
            let wait = if stopped { &now } else { &TICK };
            // Ready also means at its end, and an error that reading tells.
            let ready = poll(&mut [PollFd::new(&self.source, PollFlags::IN)], Some(wait))? > 0;
            match (ready, stopped) {
                (true, false) => return self.source.read(buffer),
                (true, true) => {
                    let room = buffer.len().min(self.left);
                    let read = self.source.read(buffer.get_mut(..room).unwrap_or_default())?;
                    self.left -= read;
                    return Ok(read);
                }
                (false, true) => return Ok(0),
                (false, false) => {}
            }
        }
    }
}

/// Reads `source` to its end and hands over each line, without its end and with invalid UTF-8 replaced.
///
/// A carriage return ends a line too, as progress bars use it; empty lines are dropped.
pub(crate) fn each_line(source: impl Read, mut line: impl FnMut(&str)) {
    let mut reader = BufReader::new(source);
    let mut pending = Vec::new();
    let mut emit = |pending: &mut Vec<u8>| {
        let text = String::from_utf8_lossy(pending);
        let text = text.trim_end();
        if !text.is_empty() {
            line(text);
        }
        pending.clear();
    };
    loop {
        let block = match reader.fill_buf() {
            Ok(block) => block,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        if block.is_empty() {
            break;
        }
        for &byte in block {
            if byte == b'\n' || byte == b'\r' || pending.len() == LINE_BYTES_MAX {
                emit(&mut pending);
            }
            if byte != b'\n' && byte != b'\r' {
                pending.push(byte);
            }
        }
        let read = block.len();
        reader.consume(read);
    }
    emit(&mut pending);
}

/// The last lines of an output, filled from several threads.
#[derive(Debug, Default)]
pub(crate) struct Tail(Mutex<VecDeque<String>>);

impl Tail {
    pub(crate) fn push(&self, line: &str) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == TAIL_LINES {
            lines.pop_front();
        }
        lines.push_back(line.to_owned());
    }

    pub(crate) fn take(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        each_line(bytes, |line| lines.push(line.to_owned()));
        lines
    }

    #[test]
    fn every_kind_of_line_end_counts_and_empty_lines_do_not() {
        assert_eq!(lines(b"a\r\nb\rc\n\n \nd"), ["a", "b", "c", "d"]);
        assert_eq!(lines(b"\xff!"), ["\u{fffd}!"]);
        assert!(lines(b"").is_empty());
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let long = vec![b'x'; LINE_BYTES_MAX * 2 + 1];
        let lengths: Vec<usize> = lines(&long).iter().map(String::len).collect();
        assert_eq!(lengths, [LINE_BYTES_MAX, LINE_BYTES_MAX, 1]);
    }

    #[test]
    fn a_stopped_pipe_gives_what_it_has_and_ends() {
        let (reader, mut writer) = io::pipe().unwrap();
        let stop = AtomicBool::new(false);
        let (line, seen) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let source = Stoppable::new(reader, &stop);
            scope.spawn(move || each_line(source, |text| line.send(text.to_owned()).unwrap()));
            io::Write::write_all(&mut writer, b"one\n").unwrap();
            assert_eq!(seen.recv().unwrap(), "one");
            io::Write::write_all(&mut writer, b"two").unwrap();
            stop.store(true, Ordering::Release);
            assert_eq!(seen.recv().unwrap(), "two");
        });
        // Still open at the other end.
        drop(writer);
    }

    #[test]
    fn who_goes_on_writing_does_not_keep_a_stopped_reader() {
        let stop = AtomicBool::new(true);
        let mut source = Stoppable::new(fs_err::File::open("/dev/zero").unwrap().into_file(), &stop);
        assert_eq!(io::copy(&mut source, &mut io::sink()).unwrap(), LEFT_BYTES_MAX as u64);
    }

    #[test]
    fn the_tail_keeps_the_last_lines() {
        let tail = Tail::default();
        for number in 0..TAIL_LINES + 5 {
            tail.push(&number.to_string());
        }
        let kept = tail.take();
        assert_eq!((kept.len(), kept[0].as_str()), (TAIL_LINES, "5"));
    }
}
