//! What is asked of a registry, and what is made of its answers: by one that does what a test says.

use std::io::Read as _;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pilotlight_core::image::registry::{Login, Reference};

use super::document::Descriptor;
use super::*;

const CONTENT: &[u8] = b"what is in a layer, more or less";
/// Long enough for a busy machine, short enough to wait for.
const SILENCE: Duration = Duration::from_millis(500);

/// What a registry does with one request.
enum Act {
    /// Answers, and closes the connection.
    Say(Vec<u8>),
    /// Answers so far, and says nothing more until the other side leaves.
    Stall(Vec<u8>),
}

struct Fake {
    port: u16,
    /// The heads of all requests.
    seen: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    /// `act` gets a request's head and how many came before it.
    fn start(act: impl Fn(&str, usize) -> Act + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let record = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let head = head(&mut stream);
                let before = {
                    let mut seen = record.lock().unwrap();
                    seen.push(head.clone());
                    seen.len() - 1
                };
                let (bytes, stalls) = match act(&head, before) {
                    Act::Say(bytes) => (bytes, false),
                    Act::Stall(bytes) => (bytes, true),
                };
                // Who has left has heard enough.
                let _ = stream.write_all(&bytes);
                if stalls {
                    let _ = stream.read(&mut [0]);
                }
            }
        });
        Self { port, seen }
    }

    fn reference(&self) -> Reference {
        format!("127.0.0.1:{}/a/b:1", self.port).parse().unwrap()
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    /// Brings [`CONTENT`] with what the registry does; and how much was told to be here.
    fn fetch(&self, directory: &Path, size: usize) -> (Result<PathBuf, download::Error>, u64) {
        let reference = self.reference();
        let client = Client::with_silence(&reference, None, &Settings::default(), SILENCE).unwrap();
        let wanted = Descriptor::of(&digest(Sha256::new_with_prefix(CONTENT)), size as u64);
        let mut told = 0;
        let done =
            download::fetch(&client, &wanted, directory, &AtomicBool::new(false), &mut |got| told = got);
        (done, told)
    }
}

fn head(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        text.push(byte[0]);
    }
    String::from_utf8(text).unwrap().to_ascii_lowercase()
}

fn answer(status: &str, headers: &str, length: usize, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n");

    let mut bytes = head.into_bytes();
    bytes.extend(body);
    bytes
}

fn from(head: &str) -> usize {
    let range = head.lines().find_map(|line| line.strip_prefix("range: bytes="));
    range.map_or(0, |range| range.trim_end_matches('-').parse().unwrap())
}

/// The rest of the content, of which `bytes` are sent.
fn part(head: &str, bytes: usize) -> Vec<u8> {
    let at = from(head);
    let rest = &CONTENT[at..];
    let status = if at == 0 { "200 OK" } else { "206 Partial Content" };
    let range = format!("content-range: bytes {at}-{}/{}\r\n", CONTENT.len() - 1, CONTENT.len());
    answer(status, &range, rest.len(), &rest[..bytes.min(rest.len())])
}

#[test]
fn what_broke_off_goes_on_where_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::start(|head, _| Act::Say(part(head, 10)));
    let (done, told) = fake.fetch(directory.path(), CONTENT.len());
    assert_eq!(fs_err::read(done.unwrap()).unwrap(), CONTENT);
    assert_eq!(told, CONTENT.len() as u64);
    let starts: Vec<usize> = fake.seen().iter().map(|head| from(head)).collect();
    assert_eq!(starts, [0, 10, 20, 30]);
    // What is here is not asked for again.
    fake.fetch(directory.path(), CONTENT.len()).0.unwrap();
    assert_eq!(fake.seen().len(), 4);
}

#[test]
fn a_silent_registry_is_asked_again() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::start(|head, before| match before {
        0 => Act::Stall(part(head, 10)),
        _ => Act::Say(part(head, CONTENT.len())),
    });
    assert_eq!(fs_err::read(fake.fetch(directory.path(), CONTENT.len()).0.unwrap()).unwrap(), CONTENT);
}

#[test]
fn a_later_build_goes_on_from_what_is_here_unless_it_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::start(|head, before| match before {
        0 => Act::Say(part(head, 10)),
        1..4 => Act::Say(part(head, 0)),
        _ => Act::Say(part(head, CONTENT.len())),
    });
    let error = fake.fetch(directory.path(), CONTENT.len()).0.unwrap_err();
    assert!(matches!(error, download::Error::Breaks { times: 4, got: 10, .. }), "{error}");
    fake.fetch(directory.path(), CONTENT.len()).0.unwrap();
    assert_eq!(from(&fake.seen()[4]), 10);
    let name = digest(Sha256::new_with_prefix(CONTENT));
    let name = name.trim_start_matches("sha256:");
    fs_err::remove_file(directory.path().join(name)).unwrap();
    fs_err::write(directory.path().join(format!(".partial-{name}")), "something else").unwrap();
    let done = fake.fetch(directory.path(), CONTENT.len()).0.unwrap();
    assert_eq!(fs_err::read(done).unwrap(), CONTENT);
    assert_eq!(fake.seen()[5..].iter().map(|head| from(head)).collect::<Vec<_>>(), [14, 0]);
}

#[test]
fn a_registry_without_ranges_is_read_from_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::start(|_, before| {
        let bytes = if before == 0 { 10 } else { CONTENT.len() };
        Act::Say(answer("200 OK", "", CONTENT.len(), &CONTENT[..bytes]))
    });
    assert_eq!(fs_err::read(fake.fetch(directory.path(), CONTENT.len()).0.unwrap()).unwrap(), CONTENT);
}

#[test]
fn lies_are_found_and_nothing_of_them_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::start(|_, _| Act::Say(answer("200 OK", "", CONTENT.len(), &[b'x'; CONTENT.len()])));
    let error = fake.fetch(directory.path(), CONTENT.len()).0.unwrap_err();
    assert!(matches!(error, download::Error::Lies { .. }), "{error}");
    let fake = Fake::start(|head, _| Act::Say(part(head, CONTENT.len())));
    // The manifest says fewer, and more, than there are.
    let error = fake.fetch(directory.path(), CONTENT.len() - 1).0.unwrap_err();
    assert!(matches!(error, download::Error::Larger { .. }), "{error}");
    let fake = Fake::start(|head, _| match from(head) {
        0 => Act::Say(answer("200 OK", "", CONTENT.len(), CONTENT)),
        _ => Act::Say(answer("416 Range Not Satisfiable", "", 0, b"")),
    });
    let error = fake.fetch(directory.path(), CONTENT.len() + 1).0.unwrap_err();
    assert!(matches!(error, download::Error::Smaller { .. }), "{error}");
    let left = fs_err::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = left.filter(|name| !name.to_string_lossy().starts_with('.')).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_login_goes_to_the_registry_and_its_tokens_and_no_further() {
    let elsewhere = Fake::start(|_, _| Act::Say(answer("200 OK", "", 2, b"{}")));
    let target = elsewhere.port;
    let fake = Fake::start(move |head, _| {
        let port = head.lines().find_map(|line| line.strip_prefix("host: 127.0.0.1:")).unwrap_or_default();
        let realm =
            format!("www-authenticate: Bearer realm=\"http://127.0.0.1:{port}/token\",service=\"s 1\"\r\n");
        let location = format!("location: http://localhost:{target}/elsewhere\r\n");
        Act::Say(if head.starts_with("get /token") {
            answer("200 OK", "", 14, br#"{"token":"t1"}"#)
        } else if !head.contains("authorization: bearer t1") {
            answer("401 Unauthorized", &realm, 0, b"")
        } else {
            answer("307 Temporary Redirect", &location, 0, b"")
        })
    });
    let reference = fake.reference();
    let login = Login { username: "me".to_owned(), password: "hush".to_owned() };
    let client = Client::new(&reference, Some(&login), &Settings::default()).unwrap();
    assert_eq!(client.small("sha256:0", 10).unwrap(), b"{}");
    assert_eq!(client.small("sha256:0", 10).unwrap(), b"{}");
    let seen = fake.seen();
    let lines: Vec<&str> = seen.iter().map(|head| head.lines().next().unwrap()).collect();
    let blob = "get /v2/a/b/blobs/sha256:0 http/1.1";
    assert_eq!((lines[0], lines[2], lines[3], lines.len()), (blob, blob, blob, 4));
    assert!(
        lines[1].starts_with("get /token?scope=repository%3aa%2fb%3apull&service=s%201 "),
        "{}",
        lines[1]
    );
    assert!(seen[1].contains("authorization: basic bwu6ahvzaa=="), "{}", seen[1]);
    assert!(!elsewhere.seen().is_empty());
    assert!(elsewhere.seen().iter().all(|head| !head.contains("authorization")));
}

#[test]
fn refusals_of_a_registry_are_told_apart() {
    let fake = Fake::start(|head, _| {
        let wanted = head.split("/manifests/").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or("");
        let headers = if wanted == "401" { "www-authenticate: Basic realm=\"x\"\r\n" } else { "" };
        Act::Say(answer(&format!("{wanted} No"), headers, 0, b""))
    });
    let reference = fake.reference();
    let client = Client::new(&reference, None, &Settings::default()).unwrap();
    let told = |status: &str| client.document(status).unwrap_err().to_string();
    assert_eq!(told("401"), "the registry wants a login; give secret=");
    assert_eq!(told("403"), "the registry does not give it to this login");
    assert_eq!(told("404"), "the registry has no such image");
    assert_eq!(
        told("429"),
        "the registry has had too many requests; try again later, or log in with secret="
    );
    assert_eq!(told("500"), "the registry answered with status 500");
    let login = Login { username: "me".to_owned(), password: "x".to_owned() };
    let client = Client::new(&reference, Some(&login), &Settings::default()).unwrap();
    let error = client.document("401").unwrap_err().to_string();
    assert_eq!(error, "the registry wants a login and did not take the one it got");
}
