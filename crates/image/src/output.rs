//! Cuts output into lines of bounded length and keeps the last ones for error messages.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::sync::{Mutex, PoisonError};

/// Longer lines are cut: a progress bar without line ends must not fill the memory.
const LINE_BYTES_MAX: usize = 8 * 1024;
/// How many lines an error carries.
const TAIL_LINES: usize = 20;

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
    fn the_tail_keeps_the_last_lines() {
        let tail = Tail::default();
        for number in 0..TAIL_LINES + 5 {
            tail.push(&number.to_string());
        }
        let kept = tail.take();
        assert_eq!((kept.len(), kept[0].as_str()), (TAIL_LINES, "5"));
    }
}
