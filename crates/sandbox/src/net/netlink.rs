//! Netlink, as much as is needed: messages with nested attributes, sent in one batch, each acknowledged.
//! <https://docs.kernel.org/userspace-api/netlink/intro.html>

use std::io;
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType};

pub(super) const REQUEST: u16 = short(libc::NLM_F_REQUEST);
pub(super) const ACK: u16 = short(libc::NLM_F_ACK);
pub(super) const CREATE: u16 = short(libc::NLM_F_CREATE);
pub(super) const EXCLUSIVE: u16 = short(libc::NLM_F_EXCL);

pub(super) const DUMP: u16 = short(libc::NLM_F_DUMP);

const ERROR: u16 = short(libc::NLMSG_ERROR);
const DONE: u16 = short(libc::NLMSG_DONE);

/// The part of an attribute's type that is not flags.
const ATTRIBUTE_TYPE: u16 = 0x3fff;

/// A constant of the C library in the width netlink has it. For constants only: what does not fit fails the build.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "asserted to fit")]
pub(super) const fn short(number: libc::c_int) -> u16 {
    assert!(number >= 0 && number <= 0xffff, "the constant has at most 16 bits");
    number as u16
}

/// Set on the type of an attribute that holds attributes.
const NESTED: u16 = 1 << 15;

/// Length, type, flags, sequence number, port.
const HEADER_BYTES: usize = 16;

/// Requests in the order they are carried out.
#[derive(Debug, Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    sequence: u32,
    acks: u32,
}

impl Batch {
    /// Adds a request: `head` is the fixed part of its type, `body` adds attributes.
    pub(super) fn add(&mut self, kind: u16, flags: u16, head: &[u8], body: impl FnOnce(&mut Attributes<'_>)) {
        let start = self.bytes.len();
        self.sequence += 1;
        if flags & ACK != 0 {
            self.acks += 1;
        }
        self.bytes.extend(0_u32.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend((flags | REQUEST).to_ne_bytes());
        self.bytes.extend(self.sequence.to_ne_bytes());
        self.bytes.extend(0_u32.to_ne_bytes());
        self.bytes.extend(head);
        pad(&mut self.bytes);
        body(&mut Attributes { bytes: &mut self.bytes });
        let length = u32::try_from(self.bytes.len() - start).unwrap_or(u32::MAX);
        if let Some(field) = self.bytes.get_mut(start..start + 4) {
            field.copy_from_slice(&length.to_ne_bytes());
        }
    }
}

#[cfg(test)]
impl Batch {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Adds attributes to a request.
pub(super) struct Attributes<'batch> {
    bytes: &'batch mut Vec<u8>,
}

impl Attributes<'_> {
    pub(super) fn put(&mut self, kind: u16, value: &[u8]) {
        let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        self.bytes.extend(length.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(value);
        pad(self.bytes);
    }

    /// A number in the machine's byte order, as rtnetlink has them.
    pub(super) fn number(&mut self, kind: u16, value: u32) {
        self.put(kind, &value.to_ne_bytes());
    }

    /// A number in network byte order, as nf_tables has them.
    pub(super) fn network_number(&mut self, kind: u16, value: u32) {
        self.put(kind, &value.to_be_bytes());
    }

    /// Text with the NUL at its end that the kernel wants.
    pub(super) fn text(&mut self, kind: u16, value: &str) {
        self.put(kind, &[value.as_bytes(), &[0]].concat());
    }

    pub(super) fn nest(&mut self, kind: u16, body: impl FnOnce(&mut Attributes<'_>)) {
        let start = self.bytes.len();
        self.put(kind | NESTED, &[]);
        body(&mut Attributes { bytes: self.bytes });
        self.close(start);
    }

    /// A nest that begins with a fixed part before its attributes, without the nested flag: VETH_INFO_PEER.
    pub(super) fn nest_with_head(&mut self, kind: u16, head: &[u8], body: impl FnOnce(&mut Attributes<'_>)) {
        let start = self.bytes.len();
        self.put(kind, head);
        body(&mut Attributes { bytes: self.bytes });
        self.close(start);
    }

    fn close(&mut self, start: usize) {
        let length = u16::try_from(self.bytes.len() - start).unwrap_or(u16::MAX);
        if let Some(field) = self.bytes.get_mut(start..start + 2) {
            field.copy_from_slice(&length.to_ne_bytes());
        }
    }
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

/// A socket to one family of the kernel.
#[derive(Debug)]
pub(crate) struct Socket {
    fd: OwnedFd,
}

impl Socket {
    /// Links, addresses and routes of the network namespace that the caller is in.
    pub(crate) fn route() -> io::Result<Socket> {
        // NETLINK_ROUTE is protocol 0, which is what no protocol means.
        Socket::open(None)
    }

    /// The packet filter of the network namespace that the caller is in.
    pub(crate) fn netfilter() -> io::Result<Socket> {
        Socket::open(Some(rustix::net::netlink::NETFILTER))
    }

    fn open(protocol: Option<Protocol>) -> io::Result<Socket> {
        let fd = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            protocol,
        )?;
        Ok(Socket { fd })
    }

    /// Carries out a batch. The first refusal is the error; requests after it may have been carried out.
    pub(super) fn send(&self, batch: &Batch) -> io::Result<()> {
        rustix::net::send(&self.fd, &batch.bytes, SendFlags::empty())?;
        // The kernel answers within the send. All answers are read, lest the next batch takes them for its own.
        let mut acks = 0;
        let mut result = Ok(());
        while let Some(packet) = self.receive(RecvFlags::DONTWAIT)? {
            for errno in acknowledgements(&packet) {
                acks += 1;
                if errno != 0 && result.is_ok() {
                    result = Err(io::Error::from_raw_os_error(errno));
                }
            }
        }
        if result.is_ok() && acks < batch.acks {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the kernel did not answer"));
        }
        result
    }

    /// Asks for a list; all messages of the answer, one after the other.
    pub(super) fn dump(&self, batch: &Batch) -> io::Result<Vec<u8>> {
        rustix::net::send(&self.fd, &batch.bytes, SendFlags::empty())?;
        let mut answer = Vec::new();
        // The next part is made when the one before has been read.
        while let Some(packet) = self.receive(RecvFlags::DONTWAIT)? {
            let done = messages(&packet).iter().any(|(kind, _)| *kind == DONE || *kind == ERROR);
            answer.extend(packet);
            if done {
                break;
            }
        }
        Ok(answer)
    }

    fn receive(&self, flags: RecvFlags) -> io::Result<Option<Vec<u8>>> {
        let mut packet = vec![0; 32 * 1024];
        match rustix::net::recv(&self.fd, &mut packet[..], flags) {
            Ok((length, _)) => {
                packet.truncate(length);
                Ok(Some(packet))
            }
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// The error numbers in a packet; 0 is a plain acknowledgement.
fn acknowledgements(packet: &[u8]) -> Vec<i32> {
    let errors = messages(packet).into_iter().filter(|(kind, _)| *kind == ERROR);
    errors.filter_map(|(_, body)| number(body, 0)).map(|errno| -errno).collect()
}

/// The messages in a packet: type, and what follows the header.
pub(super) fn messages(mut packet: &[u8]) -> Vec<(u16, &[u8])> {
    let mut found = Vec::new();
    while let (Some(length), Some(kind)) = (number(packet, 0), half(packet, 4)) {
        let Some(message) = packet.get(..length.cast_unsigned() as usize) else { break };
        let Some(body) = message.get(HEADER_BYTES..) else { break };
        found.push((kind, body));
        packet = packet.get(message.len().next_multiple_of(4)..).unwrap_or_default();
    }
    found
}

/// The attributes in a message or nest, by type without its flags.
pub(super) fn attributes(mut bytes: &[u8]) -> Vec<(u16, &[u8])> {
    let mut found = Vec::new();
    while let (Some(length), Some(kind)) = (half(bytes, 0), half(bytes, 2)) {
        let Some(value) = bytes.get(4..usize::from(length)) else { break };
        found.push((kind & ATTRIBUTE_TYPE, value));
        bytes = bytes.get(usize::from(length).next_multiple_of(4)..).unwrap_or_default();
    }
    found
}

fn number(bytes: &[u8], at: usize) -> Option<i32> {
    bytes.get(at..at + 4)?.try_into().ok().map(i32::from_ne_bytes)
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_cover_nests_and_padding() {
        let mut batch = Batch::default();
        batch.add(16, ACK, &[0; 16], |attributes| {
            attributes.text(3, "ab");
            attributes.nest(18, |attributes| attributes.number(1, 7));
        });
        // Header 16, head 16, text 4 + 3 padded to 8, nest 4 + (4 + 4).
        assert_eq!(batch.bytes.len(), 52);
        assert_eq!(number(&batch.bytes, 0), Some(52));
        assert_eq!(batch.bytes[32..34], 7_u16.to_ne_bytes());
        assert_eq!(batch.bytes[40..42], 12_u16.to_ne_bytes());
        assert_eq!(batch.acks, 1);
    }

    #[test]
    fn refusals_are_read_as_error_numbers() {
        let mut packet = Vec::new();
        for errno in [0_i32, -17] {
            packet.extend(36_u32.to_ne_bytes());
            packet.extend(2_u16.to_ne_bytes());
            packet.extend([0; 10]);
            packet.extend(errno.to_ne_bytes());
            packet.extend([0; 16]);
        }
        assert_eq!(acknowledgements(&packet), [0, 17]);
        assert_eq!(acknowledgements(&packet[..20]), Vec::<i32>::new());
    }
}
