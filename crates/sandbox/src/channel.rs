//! One JSON message with descriptors per packet, over a SOCK_SEQPACKET socket pair.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use rustix::process::Pid;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The most bytes of one message: what fits into a socket buffer of the kernel's default size.
pub(crate) const MESSAGE_BYTES_MAX: usize = 192 * 1024;

/// The most descriptors with one message. The kernel's own limit is 253 (SCM_MAX_FD).
const FDS_MAX: usize = 253;

/// A message, what came with it, and who sent it where that was asked for.
type Received<T> = (T, Vec<OwnedFd>, Option<Pid>);

/// One end of a channel.
#[derive(Debug)]
pub(crate) struct Channel {
    fd: OwnedFd,
}

impl Channel {
    pub(crate) fn pair() -> io::Result<(Channel, Channel)> {
        let (one, other) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Channel { fd: one }, Channel { fd: other }))
    }

    pub(crate) fn from_fd(fd: OwnedFd) -> Channel {
        Channel { fd }
    }

    pub(crate) fn into_fd(self) -> OwnedFd {
        self.fd
    }

    pub(crate) fn try_clone(&self) -> io::Result<Channel> {
        Ok(Channel { fd: self.fd.try_clone()? })
    }

    /// Sends one message. Blocks while the other end's queue is full.
    pub(crate) fn send<T: Serialize>(&self, message: &T, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        self.send_bytes(&encode(message), fds)
    }

    /// Sends one message without descriptors, or fails with an error of kind `WouldBlock` where `send` blocks.
    pub(crate) fn try_send<T: Serialize>(&self, message: &T) -> io::Result<()> {
        self.try_send_with(message, &[])
    }

    /// As `try_send`, with descriptors.
    pub(crate) fn try_send_with<T: Serialize>(&self, message: &T, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        self.send_flags(&encode(message), fds, SendFlags::DONTWAIT)
    }

    /// Sends one message that is encoded already.
    pub(crate) fn send_bytes(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        self.send_flags(bytes, fds, SendFlags::empty())
    }

    fn send_flags(&self, bytes: &[u8], fds: &[BorrowedFd<'_>], flags: SendFlags) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let slices = [IoSlice::new(bytes)];
        rustix::io::retry_on_intr(|| {
            rustix::net::sendmsg(&self.fd, &slices, &mut ancillary, flags | SendFlags::NOSIGNAL)
        })?;
        Ok(())
    }

    /// Waits for one message; `None` when the other end is closed.
    pub(crate) fn receive<T: DeserializeOwned>(&self) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
        self.receive_flags(RecvFlags::empty())
    }

    /// As `receive`, but an error of kind `WouldBlock` when there is nothing yet.
    pub(crate) fn try_receive<T: DeserializeOwned>(&self) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
        self.receive_flags(RecvFlags::DONTWAIT)
    }

    /// From now on messages that arrive here tell who sent them.
    pub(crate) fn ask_for_senders(&self) -> io::Result<()> {
        Ok(rustix::net::sockopt::set_socket_passcred(&self.fd, true)?)
    }

    /// As `try_receive`, with the sender's process id as this process sees it instead of descriptors.
    pub(crate) fn try_receive_from<T: DeserializeOwned>(&self) -> io::Result<Option<(T, Option<Pid>)>> {
        Ok(self.receive_all(RecvFlags::DONTWAIT)?.map(|(message, _, sender)| (message, sender)))
    }

    fn receive_flags<T: DeserializeOwned>(&self, flags: RecvFlags) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
        Ok(self.receive_all(flags)?.map(|(message, fds, _)| (message, fds)))
    }

    fn receive_all<T: DeserializeOwned>(&self, flags: RecvFlags) -> io::Result<Option<Received<T>>> {
        let mut bytes = vec![0; MESSAGE_BYTES_MAX];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX), ScmCredentials(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let flags = flags | RecvFlags::CMSG_CLOEXEC;
        let received = rustix::io::retry_on_intr(|| {
            rustix::net::recvmsg(&self.fd, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, flags)
        });
        let received = match received {
            Ok(received) => received,
            // The other process was killed with our message unread.
            Err(rustix::io::Errno::CONNRESET) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if received.bytes == 0 {
            return Ok(None);
        }
        if received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a message was cut short"));
        }
        let mut fds = Vec::new();
        let mut sender = None;
        for message in ancillary.drain() {
            match message {
                RecvAncillaryMessage::ScmRights(rights) => fds.extend(rights),
                RecvAncillaryMessage::ScmCredentials(credentials) => sender = Some(credentials.pid),
                _ => {}
            }
        }
        let message = serde_json::from_slice(bytes.get(..received.bytes).unwrap_or_default())?;
        Ok(Some((message, fds, sender)))
    }

    /// Tells the other end that nothing more comes. Messages from there still arrive.
    pub(crate) fn finish(&self) {
        // An error means that the other end is gone, which is what is asked for.
        let _ = rustix::net::shutdown(&self.fd, rustix::net::Shutdown::Write);
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A message as its bytes.
pub(crate) fn encode<T: Serialize>(message: &T) -> Vec<u8> {
    serde_json::to_vec(message)
        .expect("the messages have string keys and derived serializers, which cannot fail")
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_message_arrives_with_its_descriptors() {
        let (one, other) = Channel::pair().unwrap();
        let (reader, writer) = io::pipe().unwrap();
        one.send(&"hello", &[writer.as_fd()]).unwrap();
        drop(writer);
        let (text, fds): (String, _) = other.receive().unwrap().unwrap();
        assert_eq!(text, "hello");
        rustix::io::write(&fds[0], b"through").unwrap();
        drop(fds);
        let mut seen = String::new();
        { reader }.read_to_string(&mut seen).unwrap();
        assert_eq!(seen, "through");
    }

    #[test]
    fn the_largest_message_passes() {
        let (one, other) = Channel::pair().unwrap();
        let text = "x".repeat(MESSAGE_BYTES_MAX - 2);
        one.send(&text, &[]).unwrap();
        assert_eq!(other.receive::<String>().unwrap().unwrap().0, text);
    }

    #[test]
    fn a_closed_end_is_an_end_and_an_empty_queue_would_block() {
        let (one, other) = Channel::pair().unwrap();
        let nothing = other.try_receive::<String>().unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        drop(one);
        assert!(other.receive::<String>().unwrap().is_none());
    }
}
