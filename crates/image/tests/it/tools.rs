//! uv from a package index that this process plays: pinned, older, broken, absent; and from a directory.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use pilotlight_image::settings::Settings;
use pilotlight_image::tools::{Error, Uv, ensure, find};
use pilotlight_image::{HostPython, Silent};
use sha2::{Digest, Sha256};

/// A package index with the given files; serves HTML, or JSON when told to.
struct Index {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Index {
    fn serve(pages: BTreeMap<String, (String, Vec<u8>)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        // Ends with the test process: nothing is left to wait for.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                answer(stream, &pages, &seen);
            }
        });
        Self { url, asked }
    }
}

fn answer(mut stream: TcpStream, pages: &BTreeMap<String, (String, Vec<u8>)>, seen: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = String::new();
    while reader.read_line(&mut head).is_ok_and(|read| read > 2) {}
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let auth = head.lines().find(|line| line.to_ascii_lowercase().starts_with("authorization:"));
    seen.lock().unwrap().push(format!("{path} {}", auth.unwrap_or_default()).trim().to_owned());
    let (status, kind, body) = match pages.get(&path) {
        Some((kind, body)) => ("200 OK", kind.as_str(), body.as_slice()),
        None => ("404 Not Found", "text/plain", &b"nothing"[..]),
    };
    let length = body.len();
    let head = format!("HTTP/1.0 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n");
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
}

fn python() -> HostPython {
    HostPython::probe(Path::new("python3")).unwrap()
}

fn static_name(version: &str) -> String {
    format!("uv-{version}-py3-none-musllinux_1_1_{}.whl", std::env::consts::ARCH)
}

/// A wheel whose program says which version it is.
fn wheel(version: &str) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("w.whl");
    let script = "import sys, zipfile\nwith zipfile.ZipFile(sys.argv[1], 'w') as z:\n  \
                  z.writestr('uv-%s.data/scripts/uv' % sys.argv[2], '#!/bin/sh\\necho uv ' + sys.argv[2] + '\\n')\n";
    let status = Command::new(python().executable).args(["-c", script]).arg(&path).arg(version).status();
    assert!(status.unwrap().success());
    fs_err::read(path).unwrap()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn settings(vars: &[(&str, &str)]) -> Settings {
    let vars = vars.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    Settings::new(&vars, &BTreeMap::new())
}

fn fetch(state: &Path, settings: &Settings) -> Result<Uv, Error> {
    ensure(state, &python(), settings, &Silent, &AtomicBool::new(false))
}

fn reason(error: &Error) -> String {
    std::error::Error::source(error).unwrap().to_string()
}

fn html(version: &str, hash: &str, bytes: Vec<u8>) -> BTreeMap<String, (String, Vec<u8>)> {
    let name = static_name(version);
    let page = format!(
        "<html><body><a href=\"../files/uv-9.9.9-py3-none-manylinux_2_17_x86_64.whl#sha256=00\">glibc</a>\
         <a href=\"../files/{name}#sha256={hash}\">{name}</a>\
         <a data-yanked=\"bad\" href=\"../files/{}#sha256=00\">yanked</a></body></html>",
        static_name("99.0.0"),
    );
    BTreeMap::from([
        ("/simple/uv/".to_owned(), ("text/html".to_owned(), page.into_bytes())),
        (format!("/simple/files/{name}"), ("application/octet-stream".to_owned(), bytes)),
    ])
}

#[test]
fn an_index_without_the_pinned_version_gives_its_newest_static_one() {
    let bytes = wheel("0.12.3");
    let index = Index::serve(html("0.12.3", &sha256(&bytes), bytes));
    let state = tempfile::tempdir().unwrap();
    let half = state.path().join("tools/.staging-of-a-dead-process");
    fs_err::create_dir_all(&half).unwrap();
    let with_login = index.url.replace("http://", "http://me:pass@") + "/simple";
    let uv = fetch(state.path(), &settings(&[("PIP_INDEX_URL", &with_login)])).unwrap();
    assert_eq!(uv.version, "0.12.3");
    assert!(!half.exists());
    let said = Command::new(&uv.path).output().unwrap();
    assert_eq!(String::from_utf8(said.stdout).unwrap(), "uv 0.12.3\n");
    assert!(uv.layer.join("opt/pilotlight/bin/uv").is_file() && uv.layer.join("var/cache/uv").is_dir());
    let asked = index.asked.lock().unwrap().clone();
    assert_eq!(asked[0], "/simple/uv/ Authorization: Basic bWU6cGFzcw==");
    // Found again without asking anybody.
    assert_eq!(fetch(state.path(), &settings(&[("UV_DEFAULT_INDEX", "http://127.0.0.1:9")])).unwrap(), uv);
    assert_eq!(find(state.path()), Some(uv));
    assert_eq!(index.asked.lock().unwrap().len(), asked.len());
}

#[test]
fn a_wheel_that_is_not_what_the_index_says_is_refused() {
    let index = Index::serve(html("0.12.3", &"0".repeat(64), wheel("0.12.3")));
    let state = tempfile::tempdir().unwrap();
    let error =
        fetch(state.path(), &settings(&[("UV_DEFAULT_INDEX", &(index.url + "/simple"))])).unwrap_err();
    assert!(reason(&error).contains("expected 0000"), "{}", reason(&error));
    assert_eq!(find(state.path()), None);
    let left: Vec<_> =
        fs_err::read_dir(state.path().join("tools")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, [".lock"]);
}

#[test]
fn json_pages_are_read() {
    let (bytes, name) = (wheel("0.11.0"), static_name("0.11.0"));
    let page = serde_json::json!({"files": [
        {"filename": name, "url": format!("/f/{name}"), "hashes": {"sha256": sha256(&bytes)}, "yanked": false},
    ]});
    let kind = "application/vnd.pypi.simple.v1+json".to_owned();
    let index = Index::serve(BTreeMap::from([
        ("/uv/".to_owned(), (kind, page.to_string().into_bytes())),
        (format!("/f/{name}"), ("application/octet-stream".to_owned(), bytes)),
    ]));
    let state = tempfile::tempdir().unwrap();
    assert_eq!(
        fetch(state.path(), &settings(&[("UV_DEFAULT_INDEX", &index.url)])).unwrap().version,
        "0.11.0"
    );
}

#[test]
fn a_directory_of_wheels_needs_no_index() {
    let wheels = tempfile::tempdir().unwrap();
    fs_err::write(wheels.path().join(static_name("0.10.1")), wheel("0.10.1")).unwrap();
    let state = tempfile::tempdir().unwrap();
    let links = wheels.path().to_str().unwrap();
    let uv = fetch(state.path(), &settings(&[("PIP_FIND_LINKS", links), ("PIP_NO_INDEX", "1")])).unwrap();
    assert_eq!(uv.version, "0.10.1");
}

#[test]
fn an_index_without_uv_says_so() {
    let index = Index::serve(BTreeMap::new());
    let state = tempfile::tempdir().unwrap();
    let url = index.url.replace("http://", "http://me:secret@");
    let error = fetch(state.path(), &settings(&[("UV_DEFAULT_INDEX", &url)])).unwrap_err();
    assert!(
        reason(&error).contains("cannot fetch uv: ") && reason(&error).contains("404"),
        "{}",
        reason(&error)
    );
    assert!(!reason(&error).contains("secret"));
    assert!(error.to_string().contains("check PIP_INDEX_URL"));
}
