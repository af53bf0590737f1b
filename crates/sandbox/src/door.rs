//! Doors: what listens on the machine's own loopback, at the same address inside a container.
//!
//! A resolver or a package index at 127.0.0.1 of the machine is somebody else inside a container. The helper makes a
//! socket at that address in the container's network and hands it to the server, which carries what comes there to the
//! machine's. Nothing but these addresses is reached: there is no rule and no route, only sockets.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde::{Deserialize, Serialize};

use crate::error::Doing;
use crate::{Failure, sys};

/// Doors of one container.
pub(crate) const DOORS_MAX: usize = 16;

/// Connections and questions of one container at a time.
const UNDER_WAY_MAX: usize = 256;

const BACKLOG: i32 = 128;

/// How long the machine's resolver may take; who asks has asked again by then. resolv.conf(5), `timeout`
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// How long a connection may be silent.
const SILENT_MAX: Duration = Duration::from_mins(10);

/// The largest UDP message.
const DATAGRAM_BYTES_MAX: usize = 65_536;

/// One address of the machine's loopback that a container reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Door {
    /// What is spoken there.
    pub protocol: Protocol,
    /// On the machine, and inside.
    pub address: SocketAddrV4,
}

/// What a [`Door`] carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Protocol {
    /// Connections.
    Tcp,
    /// Questions of one datagram, with answers of one.
    Udp,
}

/// Makes the sockets of `doors` in the network of the process `pid`, by going there and back.
pub(crate) fn open(pid: i32, doors: &[Door]) -> Result<Vec<OwnedFd>, Failure> {
    if doors.len() > DOORS_MAX || doors.iter().any(|door| !door.address.ip().is_loopback()) {
        let what = format!("doors are at most {DOORS_MAX} addresses of a loopback");
        return Err(Failure::Refused { what });
    }
    let network =
        |of: &str| fs_err::File::open(format!("/proc/{of}/ns/net")).doing("open a network namespace");
    let (here, there) = (network("self")?, network(&pid.to_string())?);
    let enter = |namespace: &fs_err::File| {
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
    };
    enter(&there).doing("enter the container's network")?;
    let made: io::Result<Vec<_>> = doors.iter().copied().map(Door::socket).collect();
    // A helper that is in somebody's network for good is of no use to anybody.
    if let Err(error) = enter(&here) {
        tracing::error!(%error, "cannot come back from a container's network");
        sys::process::exit_now(1);
    }
    made.doing("listen in the container's network")
}

impl Door {
    fn socket(self) -> io::Result<OwnedFd> {
        let kind = match self.protocol {
            Protocol::Tcp => SocketType::STREAM,
            Protocol::Udp => SocketType::DGRAM,
        };
        let socket = socket_with(AddressFamily::INET, kind, SocketFlags::CLOEXEC, None)?;
        bind(&socket, &self.address)?;
        if self.protocol == Protocol::Tcp {
            listen(&socket, BACKLOG)?;
        }
        Ok(socket)
    }
}

/// Carries what comes through a container's doors, until it is dropped.
#[derive(Debug)]
pub struct Relay {
    /// Closed with this: whoever waits sees the end.
    _open: io::PipeWriter,
}

impl Relay {
    /// Carries between each socket and its door's address on this machine: a thread per door, and one per question and
    /// direction of a connection.
    pub(crate) fn new(doors: impl IntoIterator<Item = (Door, OwnedFd)>) -> io::Result<Self> {
        let (closed, open) = io::pipe()?;
        let closed = Arc::new(closed);
        let under_way = Arc::new(AtomicUsize::new(0));
        for (door, socket) in doors {
            let (closed, under_way) = (Arc::clone(&closed), Arc::clone(&under_way));
            thread(move || {
                let ended = match door.protocol {
                    Protocol::Tcp => connections(&socket.into(), door.address, &closed, &under_way),
                    Protocol::Udp => questions(&Arc::new(socket.into()), door.address, &closed, &under_way),
                };
                if let Err(error) = ended {
                    tracing::warn!(%error, address = %door.address, "a door of a container closed");
                }
            })?;
        }
        Ok(Self { _open: open })
    }
}

fn thread(run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name("sandbox-door".into()).stack_size(256 * 1024).spawn(run).map(drop)
}

/// One of what a container has under way; `None` if it has too many.
struct Turn(Arc<AtomicUsize>);

impl Turn {
    fn take(under_way: &Arc<AtomicUsize>) -> Option<Self> {
        let turn = Self(Arc::clone(under_way));
        (under_way.fetch_add(1, Ordering::Relaxed) < UNDER_WAY_MAX).then_some(turn)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Waits until there is something to read; false once the relay is closed, or after `most`.
fn readable(socket: &impl AsFd, closed: &io::PipeReader, most: Option<Duration>) -> io::Result<bool> {
    let most = most.map(|most| Timespec { tv_sec: most.as_secs().cast_signed(), tv_nsec: 0 });
    loop {
        let mut fds = [PollFd::new(closed, PollFlags::IN), PollFd::new(socket, PollFlags::IN)];
        match poll(&mut fds, most.as_ref()) {
            Ok(count) => return Ok(count > 0 && fds[0].revents().is_empty()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn connections(
    listener: &TcpListener,
    to: SocketAddrV4,
    closed: &Arc<io::PipeReader>,
    under_way: &Arc<AtomicUsize>,
) -> io::Result<()> {
    while readable(listener, closed, None)? {
        let Ok((inside, _)) = listener.accept() else { continue };
        // One that has too many is hung up on.
        let Some(turn) = Turn::take(under_way) else { continue };
        let closed = Arc::clone(closed);
        thread(move || {
            let _turn = turn;
            if let Err(error) = carry(&inside, to, &closed) {
                tracing::debug!(%error, address = %to, "a connection through a door ended");
            }
        })?;
    }
    Ok(())
}

/// Carries both ways until both have ended.
fn carry(inside: &TcpStream, to: SocketAddrV4, closed: &Arc<io::PipeReader>) -> io::Result<()> {
    let outside = TcpStream::connect(to)?;
    let (from, into, stop) = (outside.try_clone()?, inside.try_clone()?, Arc::clone(closed));
    let back = std::thread::Builder::new().name("sandbox-door".into()).stack_size(256 * 1024);
    let back = back.spawn(move || copy(&from, &into, &stop))?;
    let there = copy(inside, &outside, closed);
    there.and(back.join().unwrap_or(Ok(())))
}

fn copy(mut from: &TcpStream, mut into: &TcpStream, closed: &io::PipeReader) -> io::Result<()> {
    let mut buffer = [0; 16 * 1024];
    while readable(from, closed, Some(SILENT_MAX))? {
        match from.read(&mut buffer)? {
            0 => return into.shutdown(Shutdown::Write),
            count => into.write_all(&buffer[..count])?,
        }
    }
    // Closed or silent: the other direction need not wait either.
    from.shutdown(Shutdown::Both).and(into.shutdown(Shutdown::Both))
}

fn questions(
    socket: &Arc<UdpSocket>,
    to: SocketAddrV4,
    closed: &Arc<io::PipeReader>,
    under_way: &Arc<AtomicUsize>,
) -> io::Result<()> {
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    while readable(&**socket, closed, None)? {
        let (count, who) = socket.recv_from(&mut buffer)?;
        // What is dropped is asked again, as on any network.
        let Some(turn) = Turn::take(under_way) else { continue };
        let (socket, question) = (Arc::clone(socket), buffer[..count].to_vec());
        thread(move || {
            let _turn = turn;
            let answered = answer(&question, to).and_then(|answer| socket.send_to(&answer, who));
            if let Err(error) = answered {
                tracing::debug!(%error, address = %to, "a question through a door has no answer");
            }
        })?;
    }
    Ok(())
}

fn answer(question: &[u8], to: SocketAddrV4) -> io::Result<Vec<u8>> {
    let asking = UdpSocket::bind("127.0.0.1:0")?;
    // Only from there is an answer taken.
    asking.connect(to)?;
    asking.set_read_timeout(Some(ANSWER_WITHIN))?;
    asking.send(question)?;
    let mut answer = vec![0; DATAGRAM_BYTES_MAX];
    let count = asking.recv(&mut answer)?;
    answer.truncate(count);
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loopback(port: u16) -> SocketAddrV4 {
        SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, port)
    }

    #[test]
    fn both_directions_are_carried_and_end_with_the_relay() {
        let machine = TcpListener::bind(loopback(0)).unwrap();
        let std::net::SocketAddr::V4(there) = machine.local_addr().unwrap() else { unreachable!() };
        let inside = TcpListener::bind(loopback(0)).unwrap();
        let at = inside.local_addr().unwrap();
        let relay = Relay::new([(Door { protocol: Protocol::Tcp, address: there }, inside.into())]).unwrap();

        let mut asking = TcpStream::connect(at).unwrap();
        let (mut asked, _) = machine.accept().unwrap();
        asking.write_all(b"who").unwrap();
        asking.shutdown(Shutdown::Write).unwrap();
        let mut heard = String::new();
        asked.read_to_string(&mut heard).unwrap();
        assert_eq!(heard, "who");
        // The answer still comes, though the question has ended.
        asked.write_all(b"you").unwrap();
        drop(asked);
        heard.clear();
        asking.read_to_string(&mut heard).unwrap();
        assert_eq!(heard, "you");

        let mut open = TcpStream::connect(at).unwrap();
        let (mut held, _) = machine.accept().unwrap();
        drop(relay);
        assert_eq!(open.read(&mut [0]).unwrap() + held.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn a_question_has_the_machines_answer() {
        let machine = UdpSocket::bind(loopback(0)).unwrap();
        let std::net::SocketAddr::V4(there) = machine.local_addr().unwrap() else { unreachable!() };
        let inside = UdpSocket::bind(loopback(0)).unwrap();
        let at = inside.local_addr().unwrap();
        let _relay = Relay::new([(Door { protocol: Protocol::Udp, address: there }, inside.into())]).unwrap();

        let asking = UdpSocket::bind(loopback(0)).unwrap();
        asking.send_to(b"who", at).unwrap();
        let mut heard = [0; 16];
        let (count, from) = machine.recv_from(&mut heard).unwrap();
        machine.send_to(&[&heard[..count], b"?"].concat(), from).unwrap();
        let (count, from) = asking.recv_from(&mut heard).unwrap();
        assert_eq!((&heard[..count], from), (&b"who?"[..], at));
    }

    #[test]
    fn only_loopback_has_doors() {
        let door = Door { protocol: Protocol::Tcp, address: "192.0.2.1:80".parse().unwrap() };
        assert!(matches!(open(1, &[door]), Err(Failure::Refused { .. })));
        let many = vec![Door { protocol: Protocol::Tcp, address: loopback(80) }; DOORS_MAX + 1];
        assert!(matches!(open(1, &many), Err(Failure::Refused { .. })));
    }
}
