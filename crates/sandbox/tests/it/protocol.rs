//! A server that does not keep to the protocol, at the socket of a real helper: it is answered by an error or by the end
//! of the connection, and nothing is done.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use fs_err as fs;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use serde_json::{Value, json};

use crate::world::{SOON, unique};

/// Speaks with a helper by hand.
struct Raw {
    helper: Child,
    socket: OwnedFd,
    run_dir: PathBuf,
    state: tempfile::TempDir,
}

impl Raw {
    /// A helper that nobody has told anything.
    fn new() -> Raw {
        let flags = SocketFlags::CLOEXEC;
        let (socket, theirs) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        let helper = Command::new(env!("CARGO_BIN_EXE_sandbox-helper"))
            .arg("sandbox-helper")
            .stdin(Stdio::from(theirs))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let run_dir = Path::new("/run/pilotlight").join(unique());
        fs::create_dir_all(&run_dir).unwrap();
        let state = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        for name in ["base/usr", "base/proc", "base/dev", "base/root", "base/etc", "scratch"] {
            fs::create_dir_all(state.path().join(name)).unwrap();
        }
        for link in ["bin", "lib", "lib64"] {
            let _ = std::os::unix::fs::symlink(format!("usr/{link}"), state.path().join("base").join(link));
        }
        Raw { helper, socket, run_dir, state }
    }

    /// One that waits for requests.
    fn greeted() -> Raw {
        let raw = Raw::new();
        let lock = raw.lock();
        raw.send(&raw.hello(), &[lock.as_fd()]);
        assert_eq!(raw.receive(), Some(json!({"Ready": {"Ok": null}})));
        raw
    }

    fn hello(&self) -> Value {
        let path = |path: &Path| path.to_str().unwrap().to_owned();
        let owner = json!({"uid": 0, "gid": 0});
        json!({"Hello": {"run_dir": path(&self.run_dir), "state_dir": path(self.state.path()), "shown": [],
                         "owner": owner, "private": "allow"}})
    }

    fn lock(&self) -> std::fs::File {
        fs::File::create(self.run_dir.join("lock")).unwrap().into_parts().0
    }

    fn spec(&self, id: &str) -> Value {
        let at = |name: &str| self.state.path().join(name).to_str().unwrap().to_owned();
        json!({
            "id": id, "hostname": "h", "scratch": at(&format!("scratch/{id}")), "lowers": [at("base")],
            "binds": [{"source": "/usr", "target": "/usr", "writable": false}], "network": "None",
            "limits": {"memory_mib": null, "cpu_millis": null, "pids": 64, "disk_mib": null},
            "command": {"argv": ["true"], "env": [["PATH", "/usr/bin"]], "cwd": "/"},
            "keep_upper": null, "zygote": false, "from": null,
        })
    }

    fn send(&self, message: &Value, fds: &[BorrowedFd<'_>]) {
        self.send_bytes(&serde_json::to_vec(message).unwrap(), fds);
    }

    fn send_bytes(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(253))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        assert!(fds.is_empty() || ancillary.push(SendAncillaryMessage::ScmRights(fds)));
        // A helper that has ended already is what some of these want.
        let _ =
            rustix::net::sendmsg(&self.socket, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL);
    }

    /// The next reply; `None` when the connection has ended.
    fn receive(&self) -> Option<Value> {
        let soon = Timespec::try_from(SOON).unwrap();
        let ready = poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], Some(&soon)).unwrap();
        assert!(ready > 0, "the helper neither answers nor ends");
        let mut bytes = vec![0; 256 * 1024];
        match rustix::net::recv(&self.socket, &mut bytes[..], RecvFlags::empty()) {
            Ok((0, _)) | Err(rustix::io::Errno::CONNRESET) => None,
            Ok((length, _)) => Some(serde_json::from_slice(&bytes[..length]).unwrap()),
            Err(error) => panic!("{error}"),
        }
    }

    /// Sends a request of this number, and expects an error for an answer; the error.
    fn refused(&self, number: u64, message: &Value, fds: &[BorrowedFd<'_>]) -> Value {
        self.send(message, fds);
        let reply = self.receive().unwrap_or_else(|| panic!("the connection ended on {message}"));
        assert_eq!(reply["Done"]["number"], number, "{reply}");
        assert!(!reply["Done"]["result"]["Err"].is_null(), "{message}: {reply}");
        reply["Done"]["result"]["Err"].clone()
    }

    /// Starts a container that runs to its end.
    fn works(&self, id: &str) {
        let start = start(9, &self.spec(id), [false; 3]);
        let null = null();
        self.send(&start, &[null.as_fd(), null.as_fd()]);
        let reply = self.receive().unwrap();
        assert!(!reply["Done"]["result"]["Ok"]["Started"].is_null(), "{reply}");
        let reply = self.receive().unwrap();
        assert_eq!(reply["Exited"]["status"], json!({"Code": 0}), "{reply}");
    }

    /// The helper's descriptors but those that come and go with each message.
    fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.helper.id())).unwrap().count()
    }

    /// Nothing of a container is there, nor a process below the helper.
    fn has_done_nothing(&self) {
        assert_eq!(fs::read_dir(self.state.path().join("scratch")).unwrap().count(), 0);
        if let Ok(records) = fs::read_dir(self.run_dir.join("scratch")) {
            assert_eq!(records.count(), 0);
        }
        let pid = self.helper.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        assert_eq!(children, "");
    }

    /// The connection ends, the helper too, and it has done nothing.
    fn ends(mut self) {
        assert_eq!(self.receive(), None);
        self.helper.wait().unwrap();
        self.has_done_nothing();
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
        let _ = self.helper.wait();
        let _ = fs::remove_dir_all(&self.run_dir);
    }
}

fn null() -> std::fs::File {
    std::fs::File::options().read(true).write(true).open("/dev/null").unwrap()
}

fn start(number: u64, spec: &Value, [control, listener, orders]: [bool; 3]) -> Value {
    let given = json!({"control": control, "listener": listener, "orders": orders});
    json!({"Start": {"number": number, "spec": spec, "given": given}})
}

fn prepare(number: u64, spec: &Value) -> Value {
    json!({"Prepare": {"number": number, "spec": spec}})
}

fn signal(number: u64, id: &str) -> Value {
    json!({"Signal": {"number": number, "id": id, "signal": "Kill"}})
}

fn look(number: u64, id: &str) -> Value {
    json!({"Look": {"number": number, "id": id}})
}

fn erase(number: u64, path: &Path) -> Value {
    json!({"Erase": {"number": number, "path": path}})
}

fn errand(number: u64, target: &Path) -> Value {
    json!({"Errand": {"number": number, "id": "bu-1", "name": "none", "argument": "", "target": target}})
}

#[test]
fn nothing_is_heard_before_the_hello() {
    let null = null();
    let two = [null.as_fd(), null.as_fd()];
    for kind in 0..6 {
        let raw = Raw::new();
        let (spec, state) = (raw.spec("co-1"), raw.state.path());
        let message = match kind {
            0 => start(1, &spec, [false; 3]),
            1 => prepare(1, &spec),
            2 => signal(1, "co-1"),
            3 => look(1, "co-1"),
            4 => erase(1, &state.join("scratch")),
            _ => errand(1, state),
        };
        raw.send(&message, if kind == 0 || kind == 5 { &two } else { &[] });
        raw.ends();
    }
}

#[test]
fn a_hello_needs_the_lock_and_comes_once() {
    let null = null();
    for count in [0, 2] {
        let raw = Raw::new();
        raw.send(&raw.hello(), &vec![null.as_fd(); count]);
        raw.ends();
    }
    let raw = Raw::greeted();
    raw.send(&raw.hello(), &[null.as_fd()]);
    raw.ends();
}

#[test]
fn what_is_no_message_ends_the_connection() {
    let long = format!("\"{}\"", "x".repeat(200 * 1024)).into_bytes();
    let malformed: [&[u8]; 7] = [
        b"",
        b"{",
        b"\xff\xfe\x00",
        b"\"Hello\"",
        b"{\"Shutdown\": {}}",
        b"{\"Signal\": {\"number\": -1, \"id\": 3}}",
        &long,
    ];
    for bytes in malformed {
        let raw = Raw::new();
        raw.send_bytes(bytes, &[]);
        raw.ends();
        let raw = Raw::greeted();
        raw.send_bytes(bytes, &[]);
        raw.ends();
    }
}

#[test]
fn every_wrong_number_of_descriptors_is_refused_and_none_is_kept() {
    let raw = Raw::greeted();
    let (spec, state) = (raw.spec("co-1"), raw.state.path().to_owned());
    let null = null();
    let before = raw.descriptors();
    let requests = [
        (start(1, &spec, [false, false, false]), 2),
        (start(1, &spec, [true, false, false]), 3),
        (start(1, &spec, [true, true, false]), 4),
        (prepare(1, &spec), 0),
        (signal(1, "co-1"), 0),
        (look(1, "co-1"), 1),
        (erase(1, &state.join("scratch")), 0),
        (errand(1, &state), 2),
    ];
    for (request, right) in requests {
        for count in [0, 1, 2, 3, 4, 5, 253].into_iter().filter(|count| *count != right) {
            let why = raw.refused(1, &request, &vec![null.as_fd(); count]);
            assert!(!why["Refused"].is_null(), "{request} with {count}: {why}");
        }
    }
    assert_eq!(raw.descriptors(), before);
    raw.has_done_nothing();
    raw.works("co-1");
}

#[test]
fn requests_about_what_is_not_there_are_refused() {
    let raw = Raw::greeted();
    let (null, state) = (null(), raw.state.path().to_owned());
    let two = [null.as_fd(), null.as_fd()];
    assert!(!raw.refused(1, &signal(1, "co-1"), &[])["Unknown"].is_null());
    assert!(!raw.refused(2, &look(2, "co-1"), &two[..1])["Unknown"].is_null());
    assert!(!raw.refused(3, &errand(3, &state), &two)["Invalid"].is_null());
    assert!(!raw.refused(4, &start(4, &raw.spec("co-1"), [false, false, true]), &two)["Refused"].is_null());
    let mut orphan = raw.spec("co-1");
    orphan["from"] = json!("co-0");
    assert!(!raw.refused(5, &start(5, &orphan, [false; 3]), &two)["Unknown"].is_null());
    assert!(!raw.refused(6, &prepare(6, &orphan), &[])["Unknown"].is_null());
    for id in ["", "..", "a/b"] {
        let mut wrong = raw.spec("co-1");
        wrong["id"] = json!(id);
        assert!(!raw.refused(7, &start(7, &wrong, [false; 3]), &two)["Invalid"].is_null(), "{id:?}");
    }
    for path in ["/etc", "/", "", "scratch", "/proc/self/root"] {
        raw.refused(8, &erase(8, Path::new(path)), &[]);
    }
    raw.has_done_nothing();
    raw.works("co-1");
}

#[test]
fn an_id_is_one_containers_and_a_shell_is_for_one_specification() {
    let raw = Raw::greeted();
    let null = null();
    let two = [null.as_fd(), null.as_fd()];
    raw.send(&prepare(1, &raw.spec("co-1")), &[]);
    assert!(!raw.refused(2, &prepare(2, &raw.spec("co-1")), &[])["Exists"].is_null(), "it is being made");
    let reply = raw.receive().unwrap();
    assert_eq!(reply["Done"], json!({"number": 1, "result": {"Ok": "Prepared"}}));
    assert!(!raw.refused(3, &prepare(3, &raw.spec("co-1")), &[])["Exists"].is_null());
    let others = [
        ("zygote", json!(true)),
        ("network", json!("Outbound")),
        ("binds", json!([])),
        ("keep_upper", json!(raw.state.path().join("kept"))),
        ("scratch", json!(raw.state.path().join("scratch/other"))),
    ];
    for (field, value) in others {
        let mut other = raw.spec("co-1");
        other[field] = value;
        let why = raw.refused(4, &start(4, &other, [false; 3]), &two);
        assert!(!why["Invalid"].is_null(), "{field}: {why}");
    }
    let mut sleeps = raw.spec("co-1");
    sleeps["command"]["argv"] = json!(["sleep", "60"]);
    raw.send(&start(5, &sleeps, [false; 3]), &two);
    assert!(!raw.receive().unwrap()["Done"]["result"]["Ok"]["Started"].is_null());
    assert!(!raw.refused(6, &start(6, &sleeps, [false; 3]), &two)["Exists"].is_null());
    assert!(!raw.refused(7, &prepare(7, &sleeps), &[])["Exists"].is_null());
    raw.send(&signal(8, "co-1"), &[]);
    assert_eq!(raw.receive().unwrap()["Done"], json!({"number": 8, "result": {"Ok": "Signalled"}}));
    assert_eq!(raw.receive().unwrap()["Exited"]["id"], "co-1");
    assert!(!raw.refused(9, &signal(9, "co-1"), &[])["Unknown"].is_null());
    raw.has_done_nothing();
}
