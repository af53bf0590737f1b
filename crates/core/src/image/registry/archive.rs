//! Decides what an entry of a layer's archive may be: where it may lie, what it takes away, how much there may be.
//!
//! <https://github.com/opencontainers/image-spec/blob/main/layer.md>

use thiserror::Error;

/// Bytes of a path, PATH_MAX of Linux; a longer one could not be opened anyway.
const PATH_MAX: usize = 4096;
/// Directories above an entry.
const DEPTH_MAX: usize = 256;
/// How much a layer may unpack to, whatever its size, and for each byte of it beyond: a page of zeros compresses to a
/// thousandth, no tree of programs to a hundredth.
const FREE: u64 = 1 << 30;
const RATIO_MAX: u64 = 100;
/// What marks the removal of the file whose name follows.
const WHITEOUT: &[u8] = b".wh.";
/// What marks that nothing of the directory below shows through.
const OPAQUE: &[u8] = b".wh..wh..opq";

/// Why a layer is not unpacked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// A path does not stay inside.
    #[error("the entry {path:?} is absolute or leads out of the image")]
    Outside {
        /// The path as it stands in the archive.
        path: String,
    },
    /// A path that cannot be a file's.
    #[error("the entry {path:?} is too long or too deep, or has a zero byte")]
    Unusable {
        /// The path as it stands in the archive, its beginning.
        path: String,
    },
    /// A removal that names nothing.
    #[error("the entry {path:?} takes away nothing that there could be")]
    Whiteout {
        /// The path as it stands in the archive.
        path: String,
    },
    /// More entries than any image has.
    #[error("it has more than {max} entries")]
    Entries {
        /// The bound.
        max: u64,
    },
    /// More bytes than a layer of its size may have.
    #[error("it unpacks to more than {} MiB, which is too much for {} MiB packed", max >> 20, packed >> 20)]
    Bytes {
        /// The bound.
        max: u64,
        /// The size of the layer in the registry.
        packed: u64,
    },
    /// A header that describes an entry is larger than any real one.
    #[error("the description of an entry has more than {max} bytes")]
    Header {
        /// The bound.
        max: u64,
    },
}

/// What a layer may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Entries of a layer.
    pub entries: u64,
    /// Bytes that a layer of this size unpacks to.
    pub bytes: u64,
    /// The size of the layer in the registry.
    pub packed: u64,
    /// Bytes of extended headers of one entry: long names, attributes.
    pub header: u64,
}

impl Limits {
    /// Those of a layer of so many bytes in the registry.
    pub fn of(packed: u64) -> Self {
        let bytes = FREE.saturating_add(packed.saturating_mul(RATIO_MAX));
        Self { entries: 1_000_000, bytes, packed, header: 1 << 20 }
    }
}

/// What is left of the limits while a layer is unpacked.
#[derive(Clone, Debug)]
pub struct Budget {
    limits: Limits,
    entries: u64,
    bytes: u64,
}

impl Budget {
    /// A fresh one.
    pub fn new(limits: Limits) -> Self {
        Self { limits, entries: 0, bytes: 0 }
    }

    /// Counts one entry.
    pub fn entry(&mut self) -> Result<(), Refusal> {
        self.entries += 1;
        let max = self.limits.entries;
        if self.entries > max { Err(Refusal::Entries { max }) } else { Ok(()) }
    }

    /// Counts bytes that came out of the archive's compression.
    pub fn bytes(&mut self, count: u64) -> Result<(), Refusal> {
        self.bytes = self.bytes.saturating_add(count);
        let Limits { bytes: max, packed, .. } = self.limits;
        if self.bytes > max { Err(Refusal::Bytes { max, packed }) } else { Ok(()) }
    }

    /// Looks at the size of an extended header.
    pub fn header(&self, size: u64) -> Result<(), Refusal> {
        let max = self.limits.header;
        if size > max { Err(Refusal::Header { max }) } else { Ok(()) }
    }

    /// How many entries there were.
    pub fn entries(&self) -> u64 {
        self.entries
    }
}

/// The parts of a path below the image's root; none for the root itself.
pub fn place(path: &[u8]) -> Result<Vec<&[u8]>, Refusal> {
    let shown = || String::from_utf8_lossy(path.get(..200).unwrap_or(path)).into_owned();
    if path.starts_with(b"/") {
        return Err(Refusal::Outside { path: shown() });
    }
    let parts = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".");
    let parts: Vec<&[u8]> = parts.collect();
    if parts.iter().any(|part| *part == b"..") {
        return Err(Refusal::Outside { path: shown() });
    }
    if path.len() >= PATH_MAX
        || parts.len() > DEPTH_MAX
        || path.contains(&0)
        || parts.iter().any(|part| part.len() > 255)
    {
        return Err(Refusal::Unusable { path: shown() });
    }
    Ok(parts)
}

/// What an entry takes away of the layers below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whiteout<'a> {
    /// The file or tree of this name beside it.
    Name(&'a [u8]),
    /// All that is in its directory.
    All,
    /// A record of another file system's own, which means nothing here.
    Nothing,
}

/// Whether an entry with this last part of its path takes something away.
pub fn whiteout<'a>(name: &'a [u8], path: &[u8]) -> Result<Option<Whiteout<'a>>, Refusal> {
    if name == OPAQUE {
        return Ok(Some(Whiteout::All));
    }
    match name.strip_prefix(WHITEOUT) {
        None => Ok(None),
        Some(b"" | b"." | b"..") => {
            Err(Refusal::Whiteout { path: String::from_utf8_lossy(path).into_owned() })
        }
        // `.wh..wh.plnk`, `.wh..wh.aufs`
        Some(rest) if rest.starts_with(WHITEOUT) => Ok(Some(Whiteout::Nothing)),
        Some(rest) => Ok(Some(Whiteout::Name(rest))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_stay_inside_are_taken_apart() {
        let parts = |path: &'static [u8]| place(path).unwrap();
        assert_eq!(parts(b"./usr//bin/./x/"), [&b"usr"[..], b"bin", b"x"]);
        assert_eq!(parts(b"./"), Vec::<&[u8]>::new());
        assert_eq!(parts(b"..a/b..\xff"), [&b"..a"[..], b"b..\xff"]);
    }

    #[test]
    fn paths_that_lead_out_are_refused() {
        for path in [&b"/etc/passwd"[..], b"//x", b"..", b"a/../../b", b"a/..", b"./../x"] {
            assert!(matches!(place(path), Err(Refusal::Outside { .. })), "{path:?}");
        }
        let deep = b"a/".repeat(300);
        for path in [&b"a\0b"[..], &[b'a'; 256], &deep, &b"a/".repeat(2100)] {
            assert!(matches!(place(path), Err(Refusal::Unusable { .. })), "{path:?}");
        }
    }

    #[test]
    fn removals_are_told_from_files() {
        let read = |name: &'static [u8]| whiteout(name, name);
        assert_eq!(read(b".wh.name"), Ok(Some(Whiteout::Name(b"name"))));
        assert_eq!(read(b".wh..hidden"), Ok(Some(Whiteout::Name(b".hidden"))));
        assert_eq!(read(b".wh..wh..opq"), Ok(Some(Whiteout::All)));
        assert_eq!(read(b".wh..wh.plnk"), Ok(Some(Whiteout::Nothing)));
        assert_eq!(read(b"a.wh.b"), Ok(None));
        for odd in [&b".wh."[..], b".wh..", b".wh..."] {
            assert!(matches!(whiteout(odd, odd), Err(Refusal::Whiteout { .. })), "{odd:?}");
        }
    }

    #[test]
    fn a_budget_ends() {
        let mut budget = Budget::new(Limits { entries: 2, ..Limits::of(1) });
        budget.entry().unwrap();
        budget.entry().unwrap();
        assert_eq!(budget.entry(), Err(Refusal::Entries { max: 2 }));
        budget.bytes(FREE).unwrap();
        budget.bytes(RATIO_MAX).unwrap();
        let error = budget.bytes(1).unwrap_err().to_string();
        assert_eq!(error, "it unpacks to more than 1024 MiB, which is too much for 0 MiB packed");
        budget.header(1 << 20).unwrap();
        assert!(budget.header((1 << 20) + 1).is_err());
    }
}
