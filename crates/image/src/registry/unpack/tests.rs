//! Archives, true and malicious, unpacked into directories.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tar::Builder;

use super::*;

/// An image's root, and beside it something that is none of its business.
struct World {
    directory: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs_err::create_dir(directory.path().join("root")).unwrap();
        fs_err::create_dir(directory.path().join("outside")).unwrap();
        fs_err::write(directory.path().join("outside/secret"), "kept").unwrap();
        Self { directory }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.directory.path().join("root").join(path)
    }

    fn text(&self, path: &str) -> String {
        fs_err::read_to_string(self.at(path)).unwrap()
    }

    fn unpack(&self, layer: &[u8]) -> Result<u64, Error> {
        self.unpack_packed(layer, layer, Packing::None, Limits::of(layer.len() as u64))
    }

    fn unpack_packed(
        &self,
        plain: &[u8],
        packed: &[u8],
        packing: Packing,
        limits: Limits,
    ) -> Result<u64, Error> {
        let file = self.directory.path().join("layer");
        fs_err::write(&file, packed).unwrap();
        let root = File::open(self.at("")).unwrap();
        let diff_id = crate::registry::digest(Sha256::new_with_prefix(plain));
        unpack(File::open(file).unwrap(), packing, &diff_id, limits, root.file().as_fd())
    }

    /// Nothing is elsewhere than below the root.
    fn is_whole(&self) -> bool {
        let names = |path: &Path| {
            let mut names: Vec<_> =
                fs_err::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        names(self.directory.path()) == ["layer", "outside", "root"]
            && names(&self.directory.path().join("outside")) == ["secret"]
            && fs_err::read_to_string(self.directory.path().join("outside/secret")).unwrap() == "kept"
            && self.directory.path().join("outside/secret").metadata().unwrap().nlink() == 1
    }
}

/// An entry as it stands, whatever it says: the archive's own checks are for those who write well.
fn entry(kind: EntryType, path: &[u8], link: &[u8], content: &[u8]) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(0o755);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1_000_000_000);
    header.set_size(content.len() as u64);
    let put = |field: &mut [u8], text: &[u8]| {
        let length = text.len().min(field.len());
        field[..length].copy_from_slice(&text[..length]);
    };
    put(&mut header.as_old_mut().name, path);
    put(&mut header.as_old_mut().linkname, link);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend(content);
    bytes.resize(bytes.len().div_ceil(512) * 512, 0);
    bytes
}

fn regular(path: &str, content: &str) -> Vec<u8> {
    entry(EntryType::Regular, path.as_bytes(), b"", content.as_bytes())
}

fn directory(path: &str) -> Vec<u8> {
    entry(EntryType::Directory, path.as_bytes(), b"", b"")
}

fn link(kind: EntryType, path: &str, to: &str) -> Vec<u8> {
    entry(kind, path.as_bytes(), to.as_bytes(), b"")
}

fn archive(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = entries.concat();
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

#[test]
fn files_directories_and_links_are_made_with_their_modes_owners_and_times() {
    let world = World::new();
    let mut pax = Builder::new(Vec::new());
    let long = format!("{}/{}", "d".repeat(200), "f".repeat(100));
    pax.append_pax_extensions([("path", long.as_bytes()), ("uid", b"33")]).unwrap();
    let mut pax = pax.into_inner().unwrap();
    pax.truncate(pax.len() - 1024);
    let mut program = entry(EntryType::Regular, b"./usr/bin/program", b"", b"#!");
    let mut header = Header::from_byte_slice(&program[..512]).clone();
    header.set_mode(0o4755);
    header.set_cksum();
    program[..512].copy_from_slice(header.as_bytes());
    let layer = archive(&[
        directory("./"),
        directory("usr"),
        program,
        link(EntryType::Symlink, "usr/link", "/etc/target"),
        link(EntryType::Link, "usr/twin", "usr/bin/program"),
        link(EntryType::Fifo, "usr/fifo", ""),
        link(EntryType::Block, "usr/disk", ""),
        regular("dev/null", "no"),
        regular("opt/pilotlight/lib/x.py", "no"),
        pax,
        regular("short", "long"),
    ]);
    assert_eq!(world.unpack(&layer).unwrap(), 11);
    let meta = world.at("usr/bin/program").metadata().unwrap();
    assert_eq!((meta.mode() & 0o7777, meta.mtime(), meta.nlink()), (0o4755, 1_000_000_000, 2));
    assert_eq!(fs_err::read_link(world.at("usr/link")).unwrap(), Path::new("/etc/target"));
    assert_eq!(world.text(&long), "long");
    assert_eq!(world.at(&long).metadata().unwrap().uid(), 33);
    for absent in ["usr/disk", "dev", "opt", "short"] {
        assert!(!world.at(absent).exists(), "{absent}");
    }
    assert!(world.is_whole());
}

#[test]
fn what_lies_below_is_replaced_and_removed() {
    let world = World::new();
    let below = [
        regular("a/removed", "x"),
        regular("a/tree/x", "x"),
        regular("a/kept", "x"),
        regular("b/below/x", "x"),
        regular("b/file", "x"),
        regular("c", "x"),
        directory("d"),
    ];
    world.unpack(&archive(&below)).unwrap();
    let above = [
        // What is this layer's own stays, though its removals come after it.
        regular("b/above/y", "y"),
        regular("b/file", "y"),
        regular("a/.wh.removed", ""),
        regular("a/.wh.tree", ""),
        regular("a/.wh.never", ""),
        regular("nowhere/.wh.x", ""),
        regular("nowhere/.wh..wh..opq", ""),
        regular("a/.wh..wh.plnk", ""),
        regular("b/.wh..wh..opq", ""),
        directory("c"),
        regular("d", "y"),
    ];
    world.unpack(&archive(&above)).unwrap();
    assert!(!world.at("a/removed").exists() && !world.at("a/tree").exists() && world.at("a/kept").exists());
    assert!(!world.at("b/below").exists() && !world.at("nowhere").exists());
    assert_eq!(
        (world.text("b/above/y"), world.text("b/file"), world.text("d")),
        ("y".into(), "y".into(), "y".into())
    );
    assert!(world.at("c").is_dir());
}

#[test]
fn links_of_the_image_lead_where_they_do_inside() {
    let world = World::new();
    let layer = [
        directory("usr"),
        directory("usr/lib"),
        link(EntryType::Symlink, "lib", "usr/lib"),
        regular("lib/a", "a"),
        link(EntryType::Symlink, "out", "../../../../../../usr"),
        regular("out/b", "b"),
        link(EntryType::Symlink, "abs", "/usr/lib"),
        regular("abs/c", "c"),
    ];
    world.unpack(&archive(&layer)).unwrap();
    assert_eq!(
        (world.text("usr/lib/a"), world.text("usr/b"), world.text("usr/lib/c")),
        ("a".into(), "b".into(), "c".into())
    );
    assert!(world.is_whole());
}

#[test]
fn what_leads_out_is_refused_and_makes_nothing_there() {
    let outside = "../outside/secret";
    let entries = [
        regular("../outside/new", "x"),
        regular("a/../../outside/new", "x"),
        regular("/tmp/new", "x"),
        link(EntryType::Link, "twin", outside),
        link(EntryType::Link, "twin", "/etc/passwd"),
        regular("../outside/.wh.secret", ""),
        regular("a/.wh...", ""),
        regular(".wh.", ""),
        directory(".."),
    ];
    for bad in entries {
        let world = World::new();
        let error = world.unpack(&archive(&[regular("good", "x"), bad])).unwrap_err();
        assert!(matches!(error, Error::Refused(_)), "{error}");
        assert!(world.is_whole());
    }
    // By a link that the archive has put there.
    let world = World::new();
    let to = world.directory.path().join("outside");
    let layer =
        [link(EntryType::Symlink, "l", to.to_str().unwrap()), link(EntryType::Link, "twin", "l/secret")];
    assert!(matches!(world.unpack(&archive(&layer)), Err(Error::Entry { .. })));
    let layer = [regular("l/new", "x"), regular("l/.wh.secret", "")];
    let _ = world.unpack(&archive(&layer));
    assert!(world.is_whole());
}

#[test]
fn bombs_and_endless_headers_are_refused() {
    let world = World::new();
    let zeros = archive(&[entry(EntryType::Regular, b"zeros", b"", &vec![0; 4 << 20])]);
    let mut packed = flate2::read::GzEncoder::new(&zeros[..], flate2::Compression::best());
    let mut bytes = Vec::new();
    packed.read_to_end(&mut bytes).unwrap();
    let limits = Limits { bytes: 1 << 20, ..Limits::of(bytes.len() as u64) };
    let error = world.unpack_packed(&zeros, &bytes, Packing::Gzip, limits).unwrap_err();
    assert!(matches!(error, Error::Refused(Refusal::Bytes { .. })), "{error}");
    world.unpack_packed(&zeros, &bytes, Packing::Gzip, Limits::of(bytes.len() as u64)).unwrap();
    // A header of a gigabyte, of which nothing need follow.
    for kind in [EntryType::XHeader, EntryType::GNULongName, EntryType::XGlobalHeader] {
        let mut long = entry(kind, b"x", b"", b"");
        let mut header = Header::from_byte_slice(&long).clone();
        header.set_size(1 << 30);
        header.set_cksum();
        long.copy_from_slice(header.as_bytes());
        let error = world.unpack(&archive(&[long])).unwrap_err();
        assert!(matches!(error, Error::Refused(Refusal::Header { .. })), "{error}");
    }
    let many: Vec<Vec<u8>> = (0..20).map(|number| regular(&format!("f{number}"), "")).collect();
    let layer = archive(&many);
    let limits = Limits { entries: 10, ..Limits::of(1) };
    let error = world.unpack_packed(&layer, &layer, Packing::None, limits).unwrap_err();
    assert!(matches!(error, Error::Refused(Refusal::Entries { max: 10 })), "{error}");
}

#[test]
fn broken_archives_and_lies_are_told() {
    let world = World::new();
    let layer = archive(&[regular("a", "text")]);
    let limits = Limits::of(1);
    let error = world.unpack_packed(b"another", &layer, Packing::None, limits).unwrap_err();
    assert!(matches!(error, Error::Lies { .. }), "{error}");
    for (packing, bytes) in
        [(Packing::Gzip, &layer[..]), (Packing::Zstd, &layer), (Packing::None, &layer[..700])]
    {
        let error = world.unpack_packed(bytes, bytes, packing, limits).unwrap_err();
        assert!(matches!(error, Error::Read(_) | Error::Entry { .. }), "{error}");
    }
    let odd = archive(&[entry(EntryType::new(b'V'), b"volume", b"", b"")]);
    assert!(matches!(world.unpack(&odd), Err(Error::Kind { .. })));
}

#[test]
fn a_hundred_thousand_files_are_unpacked() {
    let world = World::new();
    let many: Vec<Vec<u8>> =
        (0..100_000).map(|number| regular(&format!("d{}/f{number}", number % 100), "")).collect();
    assert_eq!(world.unpack(&archive(&many)).unwrap(), 100_000);
    assert_eq!(fs_err::read_dir(world.at("d7")).unwrap().count(), 1000);
}

/// Few names, so that they meet.
fn name() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        8 => "[abc]",
        1 => Just("..".to_owned()),
        1 => Just("dev".to_owned()),
        2 => "\\.wh\\.[abc]",
        1 => Just(".wh..wh..opq".to_owned()),
        1 => Just(".".to_owned()),
        1 => Just(String::new()),
    ];
    proptest::collection::vec(part, 1..4).prop_map(|parts| parts.join("/"))
}

fn any_entry() -> impl Strategy<Value = Vec<u8>> {
    let kind = prop_oneof![
        4 => Just(b'0'),
        3 => Just(b'5'),
        3 => Just(b'2'),
        2 => Just(b'1'),
        1 => Just(b'6'),
        1 => Just(b'3'),
        1 => Just(b'x'),
        1 => Just(b'L'),
    ];
    let target =
        prop_oneof![4 => name(), 1 => Just("../outside".to_owned()), 1 => Just("../../..".to_owned())];
    (kind, name(), target, "[a-z]{0,20}").prop_map(|(kind, path, to, text)| {
        entry(EntryType::new(kind), path.as_bytes(), to.as_bytes(), text.as_bytes())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn no_archive_reaches_out(
        layers in proptest::collection::vec(proptest::collection::vec(any_entry(), 0..20), 1..4),
        broken in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..3),
    ) {
        let world = World::new();
        for layer in layers {
            let mut bytes = archive(&layer);
            for (at, byte) in &broken {
                let length = bytes.len();
                bytes[at.index(length)] = *byte;
            }
            let _ = world.unpack(&bytes);
            prop_assert!(world.is_whole());
        }
        // What was made can be taken away.
        let mut modes = BTreeMap::new();
        for entry in fs_err::read_dir(world.at("")).unwrap() {
            let entry = entry.unwrap();
            modes.insert(entry.file_name(), entry.metadata().unwrap().permissions().mode());
        }
        prop_assert!(modes.len() < 100);
    }
}
