//! What the guard passes on, every reader reads alike: requests made of mutated pieces, and readers with the habits that
//! smuggling lives on. The first seed is always the same; each failure is shrunk and names its seed.
//!
//! `PILOTLIGHT_FUZZ_SECONDS=60 PILOTLIGHT_FUZZ_SEED=7 cargo test -p pilotlight-gateway fuzz`

use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::super::Guard;

const CASES_PER_SEED: u32 = 2000;

#[test]
fn whatever_passes_is_read_alike_by_every_reader() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let until = Instant::now() + Duration::from_secs(number("PILOTLIGHT_FUZZ_SECONDS").unwrap_or(1));
    let mut seed = number("PILOTLIGHT_FUZZ_SEED").unwrap_or(1);
    loop {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let config = Config { cases: CASES_PER_SEED, failure_persistence: None, ..Config::default() };
        let outcome = TestRunner::new_with_rng(config, rng).run(&stream(), |bytes| agree(&bytes));
        if let Err(error) = outcome {
            panic!("PILOTLIGHT_FUZZ_SEED={seed}: {error}");
        }
        if Instant::now() >= until {
            return;
        }
        seed += 1;
    }
}

fn agree(bytes: &[u8]) -> Result<(), TestCaseError> {
    let (passed, ends) = guard_ends(bytes);
    let passed = &bytes[..passed];
    let shown = passed.escape_ascii().to_string();
    prop_assert_eq!(&httparse_ends(passed)?, &ends, "httparse reads {}", &shown);
    for habits in HABITS {
        prop_assert_eq!(&sloppy_ends(passed, *habits), &ends, "{:?} read {}", habits, &shown);
    }
    Ok(())
}

/// How much the guard passes on of bytes that come one by one, and where in them requests end.
fn guard_ends(bytes: &[u8]) -> (usize, Vec<usize>) {
    let mut guard = Guard::new();
    let (mut start, mut ends) = (0, Vec::new());
    for end in 1..=bytes.len() {
        let judgement = guard.inspect(&bytes[start..end]);
        start += judgement.passed;
        if judgement.fault.is_some() {
            break;
        }
        if guard.heads > ends.len() as u64 && !guard.amid_request() {
            ends.push(start);
        }
    }
    (start, ends)
}

/// Where requests end for the parser that hyper uses. It must not refuse anything.
fn httparse_ends(bytes: &[u8]) -> Result<Vec<usize>, TestCaseError> {
    let fail = |error| TestCaseError::fail(format!("httparse: {error} in {}", bytes.escape_ascii()));
    let (mut at, mut ends) = (0, Vec::new());
    while at < bytes.len() {
        let mut fields = [httparse::EMPTY_HEADER; 64];
        let mut head = httparse::Request::new(&mut fields);
        let httparse::Status::Complete(length) = head.parse(&bytes[at..]).map_err(fail)? else {
            break;
        };
        let mut next = at + length;
        let field = |name: &str| head.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name));
        if field("transfer-encoding").is_some() {
            let Some(end) = httparse_chunks_end(bytes, next).map_err(TestCaseError::fail)? else {
                break;
            };
            next = end;
        } else if let Some(length) = field("content-length") {
            let length = std::str::from_utf8(length.value).unwrap().parse::<usize>();
            next += length.map_err(|error| TestCaseError::fail(error.to_string()))?;
        }
        if next > bytes.len() {
            break;
        }
        ends.push(next);
        at = next;
    }
    Ok(ends)
}

fn httparse_chunks_end(bytes: &[u8], mut at: usize) -> Result<Option<usize>, String> {
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let size = httparse::parse_chunk_size(rest).map_err(|_| "httparse refuses a chunk's size")?;
        let httparse::Status::Complete((line, size)) = size else {
            return Ok(None);
        };
        at += line;
        if size == 0 {
            let mut fields = [httparse::EMPTY_HEADER; 64];
            let trailers = httparse::parse_headers(&bytes[at..], &mut fields);
            return match trailers.map_err(|error| error.to_string())? {
                httparse::Status::Complete((length, _)) => Ok(Some(at + length)),
                httparse::Status::Partial => Ok(None),
            };
        }
        at += usize::try_from(size).unwrap();
        match bytes.get(at..at + 2) {
            None => return Ok(None),
            Some(b"\r\n") => at += 2,
            Some(_) => return Err("a chunk is longer than its size".to_owned()),
        }
    }
}

/// What servers in the field have been seen to do.
#[derive(Debug, Clone, Copy)]
struct Habits {
    /// A line ends at a CR too.
    cr_ends_lines: bool,
    /// An encoding that has `chunked` in it somewhere is chunked; else only one that ends in it.
    any_chunked: bool,
    /// A length beats an encoding.
    length_first: bool,
    /// Of several lengths the last counts; else the first.
    last_length: bool,
    /// Two bytes after a chunk are skipped, whatever they are; else a line end if there is one.
    skips_two: bool,
    /// Names may have blanks around them, and lines that begin with one are fields too; else such lines are skipped.
    trims_names: bool,
}

const HABITS: &[Habits] = &[
    habits([false, false, false, false, false, false]),
    habits([false, true, false, false, true, true]),
    habits([false, true, true, true, false, true]),
    habits([true, true, false, true, true, true]),
    habits([true, false, true, false, false, false]),
];

const fn habits(of: [bool; 6]) -> Habits {
    let [cr_ends_lines, any_chunked, length_first, last_length, skips_two, trims_names] = of;
    Habits { cr_ends_lines, any_chunked, length_first, last_length, skips_two, trims_names }
}

/// Where requests end for a reader that takes everything.
fn sloppy_ends(bytes: &[u8], habits: Habits) -> Vec<usize> {
    let mut reader = Reader { bytes, at: 0, habits };
    let mut ends = Vec::new();
    while reader.request().is_some() {
        ends.push(reader.at);
    }
    ends
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    habits: Habits,
}

impl<'a> Reader<'a> {
    fn line(&mut self) -> Option<&'a [u8]> {
        let rest = self.bytes.get(self.at..)?;
        let ends = |byte: &u8| *byte == b'\n' || (self.habits.cr_ends_lines && *byte == b'\r');
        let end = rest.iter().position(ends)?;
        let pair = rest[end] == b'\r' && rest.get(end + 1) == Some(&b'\n');
        self.at += end + 1 + usize::from(pair);
        Some(rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]))
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.at = self.at.checked_add(count).filter(|at| *at <= self.bytes.len())?;
        Some(())
    }

    fn request(&mut self) -> Option<()> {
        while self.line()?.is_empty() {
            // Empty lines before a request.
        }
        let (mut chunked, mut length) = (false, None);
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            if !self.habits.trims_names && line.starts_with(b" ") {
                continue;
            }
            let Some(colon) = line.iter().position(|byte| *byte == b':') else {
                continue;
            };
            let name = line[..colon].trim_ascii().to_ascii_lowercase();
            let value = line[colon + 1..].trim_ascii().to_ascii_lowercase();
            match name.as_slice() {
                b"transfer-encoding" if self.habits.any_chunked => {
                    chunked |= value.windows(7).any(|part| part == b"chunked");
                }
                b"transfer-encoding" => chunked = value.ends_with(b"chunked"),
                b"content-length" if length.is_none() || self.habits.last_length => {
                    length = Some(number(&value, 10));
                }
                _ => {}
            }
        }
        match length {
            Some(length) if !chunked || self.habits.length_first => self.skip(length),
            _ if chunked => self.chunks(),
            _ => Some(()),
        }
    }

    fn chunks(&mut self) -> Option<()> {
        loop {
            let size = number(self.line()?.trim_ascii(), 16);
            if size == 0 {
                while !self.line()?.is_empty() {
                    // Trailers.
                }
                return Some(());
            }
            self.skip(size)?;
            if self.habits.skips_two {
                self.skip(2)?;
            } else {
                self.line()?;
            }
        }
    }
}

/// The number that a text begins with, sign and prefix forgiven, as C's `strtol` has it.
fn number(text: &[u8], radix: u32) -> usize {
    let text = text.strip_prefix(b"+").unwrap_or(text);
    let text = if radix == 16 { text.strip_prefix(b"0x").unwrap_or(text) } else { text };
    let digits = text.iter().map_while(|byte| char::from(*byte).to_digit(radix));
    digits.fold(0_usize, |sum, digit| sum.saturating_mul(radix as usize).saturating_add(digit as usize))
}

/// Requests one after the other, with some of their bytes changed.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let requests = prop::collection::vec(request(), 1..4).prop_map(|requests| requests.concat());
    let changes = prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(ODD)), 0..4);
    (requests, changes).prop_map(|(mut bytes, changes)| {
        for (place, odd) in changes {
            let at = place.index(bytes.len());
            // Half of the time in place of what is there.
            let end = (at + odd.len() % 2).min(bytes.len());
            bytes.splice(at..end, odd.iter().copied());
        }
        bytes
    })
}

fn request() -> impl Strategy<Value = Vec<u8>> {
    let line =
        prop::sample::select(&["GET / HTTP/1.1\r\n", "POST /x HTTP/1.1\r\n", "POST / HTTP/1.0\r\n"][..]);
    let fields = prop::collection::vec(prop::sample::select(FIELDS), 0..3);
    let body = prop::sample::select(BODIES);
    (line, fields, body).prop_map(|(line, fields, body)| {
        [line, "Host: a\r\n", &fields.concat(), "\r\n", body].concat().into_bytes()
    })
}

const FIELDS: &[&str] = &[
    "Content-Length: 5\r\n",
    "Content-Length: 5\r\n",
    "Content-Length: 0\r\n",
    "content-length:\t5 \r\n",
    "Content-Length: 05\r\n",
    "Content-Length: 5, 5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: chunked\r\n",
    "TRANSFER-ENCODING:Chunked\r\n",
    "Transfer-Encoding: chunked, identity\r\n",
    "Transfer-Encoding: identity\r\n",
    "Transfer-Encoding: x\r\n",
    " chunked\r\n",
    "X: y\r\n",
    "X: Content-Length: 7\r\n",
];

const BODIES: &[&str] = &[
    "",
    "hello",
    "0\r\n\r\n",
    "5\r\nhello\r\n0\r\n\r\n",
    "5;a=b\r\nhello\r\n0\r\nx: y\r\n\r\n",
    "2\r\nhe\r\n3;\"\r\nllo\r\n00\r\n\r\n",
    "3\r\nabc\r\n0\r\nContent-Length: 5\r\n\r\n",
    "1\r\n\n\r\n0\r\n\r\n",
    "GET /evil HTTP/1.1\r\nHost: b\r\n\r\n",
];

const ODD: &[&[u8]] = &[
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\n\r\n",
    b" ",
    b"\t",
    b"\0",
    b"\x0b",
    b"\x0c",
    b":",
    b";",
    b",",
    b"+",
    b"-",
    b"0",
    b"5",
    b"0x",
    b"a",
    b"_",
    b"\"",
    b"\\",
    b"\x7f",
    b"\x80",
    b"\xff",
    b"chunked",
    b"\r\n ",
    b"\n\n",
    b"#",
    b"0\r\n\r\n",
];
