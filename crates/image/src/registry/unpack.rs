//! Unpacks a layer of a registry's image on top of the layers below it. Runs inside a container, as its root: `/` is the
//! image so far, and what changes becomes the layer. Removals need no marks of ours: the overlay makes them.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufReader, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use fs_err::File;
use pilotlight_core::image::registry::{Budget, Limits, Refusal, Whiteout, place, whiteout};
use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, fchmod, fchown,
    linkat, mkdirat, mknodat, openat, openat2, symlinkat, unlinkat, utimensat,
};
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use tar::{Archive, EntryType, Header, PaxExtensions};
use thiserror::Error;

use super::zstd::Frames;

/// What containers bring themselves; what an image has there is not to be seen.
const BROUGHT: [&[u8]; 3] = [b"dev", b"proc", b"sys"];
/// Our own place in every image.
const OURS: [&[u8]; 2] = [b"opt", b"pilotlight"];
/// How deep a tree may be that is taken away: each level holds a descriptor open.
const DEPTH_MAX: u32 = 512;

/// Why a layer could not be unpacked.
#[derive(Debug, Error)]
pub(crate) enum Error {
    /// It is not what a layer may be.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The archive or its compression is broken.
    #[error("its archive cannot be read: {0}")]
    Read(#[source] io::Error),
    /// An entry could not be made.
    #[error("the entry {path:?} cannot be made: {source}")]
    Entry {
        /// Its path in the archive.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// An entry of a kind that no layer has.
    #[error("the entry {path:?} is of a kind that is not unpacked ({kind})")]
    Kind {
        /// Its path in the archive.
        path: String,
        /// The kind's letter, or what it is.
        kind: String,
    },
    /// What came out is not what the image says.
    #[error("its content is {found}, and the image says {wanted}")]
    Lies {
        /// The digest that was computed.
        found: String,
        /// The digest in the image's configuration.
        wanted: String,
    },
}

/// How a layer is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    None,
    Gzip,
    Zstd,
}

impl Packing {
    /// By its word, which is also how the tool is told of it.
    pub(crate) fn named(word: &str) -> Option<Self> {
        [Self::None, Self::Gzip, Self::Zstd].into_iter().find(|packing| packing.word() == word)
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::None => "tar",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

/// Unpacks `layer` below `root` and returns how many entries it had. `diff_id` is the digest of what is in it.
pub(crate) fn unpack(
    layer: File,
    packing: Packing,
    diff_id: &str,
    limits: Limits,
    root: BorrowedFd<'_>,
) -> Result<u64, Error> {
    let layer = BufReader::with_capacity(1 << 18, layer);
    let plain: Box<dyn Read> = match packing {
        Packing::None => Box::new(layer),
        Packing::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(layer)),
        Packing::Zstd => Box::new(Frames::new(layer)),
    };
    let source = Source { plain, hash: Sha256::new(), budget: Budget::new(limits), refusal: None };
    let mut archive = Archive::new(source);
    let mut target = Target { root, made: HashSet::new(), hasher: RandomState::new() };
    let mut entries = Budget::new(limits);
    let done = walk(&mut archive, &mut target, &mut entries);
    let mut source = archive.into_inner();
    // The reader can only say that it failed.
    let done = done.and_then(|()| io::copy(&mut source, &mut io::sink()).map(drop).map_err(Error::Read));
    if let Some(refusal) = source.refusal {
        return Err(refusal.into());
    }
    done?;
    let found = super::digest(source.hash);
    if found != diff_id {
        return Err(Error::Lies { found, wanted: diff_id.to_owned() });
    }
    Ok(entries.entries())
}

/// What comes out of the compression, counted and hashed.
struct Source {
    plain: Box<dyn Read>,
    hash: Sha256,
    budget: Budget,
    refusal: Option<Refusal>,
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.plain.read(buffer)?;
        self.hash.update(&buffer[..count]);
        self.budget.bytes(count as u64).map_err(|refusal| {
            self.refusal = Some(refusal.clone());
            io::Error::other(refusal)
        })?;
        Ok(count)
    }
}

/// What headers of their own say about the next entry.
#[derive(Default)]
struct Extended {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    uid: Option<u64>,
    gid: Option<u64>,
    size: Option<u64>,
}

impl Extended {
    /// Reads a header of pax: https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html
    fn read(&mut self, text: &[u8]) -> io::Result<()> {
        for record in PaxExtensions::new(text) {
            let record = record?;
            let number = || record.value().ok().and_then(|value| value.parse().ok());
            match record.key_bytes() {
                b"path" => self.path = Some(record.value_bytes().to_vec()),
                b"linkpath" => self.link = Some(record.value_bytes().to_vec()),
                b"uid" => self.uid = number(),
                b"gid" => self.gid = number(),
                b"size" => self.size = number(),
                _ => {}
            }
        }
        Ok(())
    }
}

fn walk(archive: &mut Archive<Source>, target: &mut Target<'_>, budget: &mut Budget) -> Result<(), Error> {
    let mut extended = Extended::default();
    for entry in archive.entries().map_err(Error::Read)?.raw(true) {
        let mut entry = entry.map_err(Error::Read)?;
        budget.entry()?;
        let kind = entry.header().entry_type();
        if kind.is_pax_local_extensions() || kind.is_gnu_longname() || kind.is_gnu_longlink() {
            budget.header(entry.size())?;
            let mut text = Vec::new();
            entry.read_to_end(&mut text).map_err(Error::Read)?;
            match kind {
                EntryType::XHeader => extended.read(&text).map_err(Error::Read)?,
                EntryType::GNULongName => extended.path = Some(ended(text)),
                _ => extended.link = Some(ended(text)),
            }
            continue;
        }
        if kind.is_pax_global_extensions() {
            budget.header(entry.size())?;
            continue;
        }
        let extended = std::mem::take(&mut extended);
        let header = entry.header().clone();
        let path = extended.path.clone().unwrap_or_else(|| header.path_bytes().into_owned());
        let parts = place(&path)?;
        let shown = || String::from_utf8_lossy(&path).into_owned();
        if extended.size.is_some_and(|size| size != entry.size()) {
            return Err(Error::Kind { path: shown(), kind: "a file of more than 8 GiB".to_owned() });
        }
        let made = target.entry(&path, &parts, &header, &extended, &mut entry);
        made.map_err(|error| match error {
            Failed::Refused(refusal) => refusal.into(),
            Failed::Io(source) => Error::Entry { path: shown(), source: explained(source) },
            Failed::Kind(kind) => Error::Kind { path: shown(), kind },
        })?;
    }
    Ok(())
}

/// A name as GNU tar writes it: with a zero byte behind it.
fn ended(mut text: Vec<u8>) -> Vec<u8> {
    while text.last() == Some(&0) {
        text.pop();
    }
    text
}

/// chown(2), EINVAL: the id is not one of the user namespace's.
fn explained(error: io::Error) -> io::Error {
    if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) {
        return io::Error::other("its owner is none of the 65536 ids that containers have here");
    }
    error
}

enum Failed {
    Refused(Refusal),
    Io(io::Error),
    Kind(String),
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Errno> for Failed {
    fn from(error: Errno) -> Self {
        Self::Io(error.into())
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

struct Target<'a> {
    root: BorrowedFd<'a>,
    /// Hashes of the paths of this layer's own entries, which its removals spare.
    made: HashSet<u64>,
    hasher: RandomState,
}

impl Target<'_> {
    fn entry(
        &mut self,
        path: &[u8],
        parts: &[&[u8]],
        header: &Header,
        extended: &Extended,
        content: &mut impl Read,
    ) -> Result<(), Failed> {
        let Some((name, above)) = parts.split_last() else {
            // The root itself.
            return Ok(());
        };
        let brought = parts.first().is_some_and(|first| BROUGHT.contains(first));
        if brought || parts.starts_with(&OURS) {
            return Ok(());
        }
        if let Some(taken) = whiteout(name, path)? {
            return self.take(above, taken);
        }
        let kind = header.entry_type();
        if matches!(kind, EntryType::Char | EntryType::Block) {
            // Containers bring the devices that they may have.
            return Ok(());
        }
        let parent = self.directory(above)?;
        let parent = parent.as_fd();
        let mode = Mode::from_raw_mode(header.mode()? & 0o7777);
        let link = || extended.link.clone().or_else(|| Some(header.link_name_bytes()?.into_owned()));
        match kind {
            EntryType::Directory => match mkdirat(parent, *name, Mode::RWXU) {
                Err(Errno::EXIST) if is_directory(parent, name)? => {}
                Err(Errno::EXIST) => {
                    remove(parent, name, 0)?;
                    mkdirat(parent, *name, Mode::RWXU)?;
                }
                result => result?,
            },
            EntryType::Regular | EntryType::Continuous => {
                remove(parent, name, 0)?;
                let flags =
                    OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let made = openat(parent, *name, flags, Mode::RUSR | Mode::WUSR)?;
                let mut file = std::fs::File::from(made);
                io::copy(content, &mut file)?;
            }
            EntryType::Symlink => {
                remove(parent, name, 0)?;
                symlinkat(link().ok_or(Errno::NOENT)?, parent, *name)?;
            }
            EntryType::Link => {
                let target = link().ok_or(Errno::NOENT)?;
                let to = place(&target)?;
                let (last, above) = to.split_last().ok_or(Errno::PERM)?;
                let there = self.open(above)?;
                if there_is_same(there.as_fd(), last, parent, name)? {
                    return Ok(());
                }
                remove(parent, name, 0)?;
                linkat(there, *last, parent, *name, AtFlags::empty())?;
                self.note(parts);
                // Its owner and mode are those of what it is another name of.
                return Ok(());
            }
            EntryType::Fifo => {
                remove(parent, name, 0)?;
                mknodat(parent, *name, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
            }
            other => return Err(Failed::Kind(format!("{:?}", char::from(other.as_byte())))),
        }
        self.note(parts);
        let id = |pax: Option<u64>, own: io::Result<u64>| {
            u32::try_from(pax.map_or(own, Ok)?).map_err(|_| io::Error::from(Errno::INVAL))
        };
        let (uid, gid) = (id(extended.uid, header.uid())?, id(extended.gid, header.gid())?);
        describe(parent, name, kind, (uid, gid), mode, header.mtime()?)?;
        Ok(())
    }

    /// Takes away what the layers below have, and nothing of this layer's own.
    fn take(&self, above: &[&[u8]], taken: Whiteout<'_>) -> Result<(), Failed> {
        let directory = match self.open(above) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
            result => result?,
        };
        let names: Vec<Vec<u8>> = match taken {
            Whiteout::Nothing => Vec::new(),
            Whiteout::Name(name) => vec![name.to_vec()],
            Whiteout::All => names(directory.as_fd())?,
        };
        for name in names {
            let mut path = above.to_vec();
            path.push(&name);
            if !(path.len() == 1 && BROUGHT.contains(&path[0])) {
                self.clear(directory.as_fd(), &mut path, 0)?;
            }
        }
        Ok(())
    }

    /// Removes what lies at `path`, the last part of which is in `directory`, but for entries of this layer.
    fn clear(&self, directory: BorrowedFd<'_>, path: &mut Vec<&[u8]>, depth: u32) -> Result<(), Failed> {
        let name = *path.last().expect("a path below the root has a name");
        if !self.made.contains(&self.hash(path)) {
            return Ok(remove(directory, name, 0)?);
        }
        if depth > DEPTH_MAX || !is_directory(directory, name)? {
            return Ok(());
        }
        let inner = open_directory(directory, name)?;
        for name in names(inner.as_fd())? {
            let mut path = path.clone();
            path.push(&name);
            self.clear(inner.as_fd(), &mut path, depth + 1)?;
        }
        Ok(())
    }

    /// Remembers an entry and what is above it.
    fn note(&mut self, parts: &[&[u8]]) {
        for end in 1..=parts.len() {
            let hash = self.hash(&parts[..end]);
            self.made.insert(hash);
        }
    }

    fn hash(&self, parts: &[&[u8]]) -> u64 {
        self.hasher.hash_one(parts)
    }

    /// Opens a directory of the image; its symbolic links lead where they do inside.
    fn open(&self, parts: &[&[u8]]) -> Result<OwnedFd, Errno> {
        let path = parts.join(&b'/');
        let path = if path.is_empty() { b".".to_vec() } else { path };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        openat2(self.root, path, flags, Mode::empty(), resolve)
    }

    /// The same, made as far as it is not there.
    fn directory(&self, parts: &[&[u8]]) -> Result<OwnedFd, Errno> {
        match self.open(parts) {
            Err(Errno::NOENT) => {}
            result => return result,
        }
        let (name, above) = parts.split_last().ok_or(Errno::NOENT)?;
        let parent = self.directory(above)?;
        mkdirat(&parent, *name, Mode::from_raw_mode(0o755))?;
        self.open(parts)
    }
}

/// Owner first: a change of it clears set-id bits. chown(2)
fn describe(
    parent: BorrowedFd<'_>,
    name: &[u8],
    kind: EntryType,
    (uid, gid): (u32, u32),
    mode: Mode,
    seconds: u64,
) -> Result<(), Errno> {
    let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    if kind == EntryType::Symlink {
        rustix::fs::chownat(parent, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
    } else {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = openat(parent, name, flags, Mode::empty())?;
        fchown(&opened, uid, gid)?;
        fchmod(&opened, mode)?;
    }
    let at = Timespec { tv_sec: i64::try_from(seconds).unwrap_or(0), tv_nsec: 0 };
    let times = Timestamps { last_access: at, last_modification: at };
    utimensat(parent, name, &times, AtFlags::SYMLINK_NOFOLLOW)
}

/// Whether the two names are one file already: removing one would remove what the other is to be linked to.
fn there_is_same(
    there: BorrowedFd<'_>,
    last: &[u8],
    here: BorrowedFd<'_>,
    name: &[u8],
) -> Result<bool, Errno> {
    let to = rustix::fs::statat(there, last, AtFlags::SYMLINK_NOFOLLOW)?;
    match rustix::fs::statat(here, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(from) => Ok((from.st_dev, from.st_ino) == (to.st_dev, to.st_ino)),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

fn is_directory(parent: BorrowedFd<'_>, name: &[u8]) -> Result<bool, Errno> {
    let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

fn open_directory(parent: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(parent, name, flags, Mode::empty())
}

/// The names in a directory, which may be opened as a place only.
fn names(directory: BorrowedFd<'_>) -> Result<Vec<Vec<u8>>, Errno> {
    let opened = open_directory(directory, b".")?;
    let mut found = Vec::new();
    for entry in Dir::read_from(&opened)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            found.push(name);
        }
    }
    Ok(found)
}

/// Removes a file or tree; nothing there is fine. Follows no link.
fn remove(parent: BorrowedFd<'_>, name: &[u8], depth: u32) -> Result<(), Errno> {
    match unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) if depth < DEPTH_MAX => {}
        Err(error) => return Err(error),
    }
    let inner = open_directory(parent, name)?;
    for name in names(inner.as_fd())? {
        remove(inner.as_fd(), &name, depth + 1)?;
    }
    unlinkat(parent, name, AtFlags::REMOVEDIR)
}

#[cfg(test)]
mod tests;
