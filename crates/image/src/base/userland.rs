//! The host's userland as a base: an allow-list, read-only, of what programs need to run.
//!
//! /usr is shown as it is. Of /etc a container gets copies of named files; accounts are written anew. /root, /home
//! and /var are empty: nothing of the host's secrets, users or state appears.

use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::AtomicBool;

use pilotlight_core::image::{Key, PYTHON_HOME};
use pilotlight_sandbox::Bind;

use super::{Base, Error, Interpreter};
use crate::host::{HostPython, OsRelease};
use crate::store::{Meta, Store};

/// Links into /usr on merged hosts, directories of their own on others.
const TOP: &[&str] = &["bin", "sbin", "lib", "lib32", "lib64", "libx32"];
/// Copied from the host's /etc where they exist. Files, links, and directories of such.
const ETC: &[&str] = &[
    "alternatives",
    "debian_version",
    "host.conf",
    "gai.conf",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "mime.types",
    "os-release",
    "protocols",
    "rpc",
    "services",
    "ssl/openssl.cnf",
];
const DIRECTORIES: &[(&str, u32)] = &[
    ("dev", 0o755),
    ("etc", 0o755),
    ("home", 0o755),
    ("mnt", 0o755),
    ("opt", 0o755),
    ("proc", 0o555),
    ("root", 0o700),
    ("run", 0o755),
    ("srv", 0o755),
    ("sys", 0o555),
    ("tmp", 0o1777),
    ("usr", 0o755),
    ("var", 0o755),
    ("var/cache", 0o755),
    ("var/lib", 0o755),
    ("var/log", 0o755),
    ("var/tmp", 0o1777),
];
const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n\
    bin:x:2:2:bin:/bin:/usr/sbin/nologin\nwww-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\n\
    nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
const GROUP: &str = "root:x:0:\ndaemon:x:1:\nbin:x:2:\nsys:x:3:\nadm:x:4:\ntty:x:5:\ndisk:x:6:\nmail:x:8:\n\
    www-data:x:33:\nutmp:x:43:\nstaff:x:50:\nusers:x:100:\nnogroup:x:65534:\n";
const NSSWITCH: &str = "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\n\
    protocols: files\nservices: files\n";

/// What the layer will hold, decided before anything is written, so that its key is known.
enum Entry {
    Directory(u32),
    File(Vec<u8>),
    Link(PathBuf),
}

type Entries = Vec<(PathBuf, Entry)>;

/// The base of the host at `root` (the real one but in tests) with `python`.
pub(super) fn base(python: &HostPython, os: &OsRelease, root: &Path, store: &Store) -> Result<Base, Error> {
    let (entries, mut binds) = plan(python, root)?;
    let fields = entries.iter().flat_map(|(path, entry)| {
        let (kind, content) = match entry {
            Entry::Directory(mode) => ("d", format!("{mode:o}").into_bytes()),
            Entry::File(content) => ("f", content.clone()),
            Entry::Link(to) => ("l", to.as_os_str().as_encoded_bytes().to_vec()),
        };
        [path.as_os_str().as_encoded_bytes().to_vec(), kind.into(), content]
    });
    let key = Key::of("pilotlight userland 1", fields);
    let used = format!("host userland ({}), Python {}", os.title(), python.full_version());
    let (layer, made) = store.make(
        &key,
        &AtomicBool::new(false),
        || {},
        |staging, _| {
            write(&entries, &staging.join("fs"))?;
            Ok::<_, Error>(Meta { text: used.clone(), parent: None, command: Vec::new(), seconds: 0.0 })
        },
    )?;
    let mut env = Vec::new();
    if !python.under_usr() {
        binds.push(bind(&python.base_prefix, Path::new(PYTHON_HOME)));
        if python.shared {
            // Its own run path names the place it was built for, which does not exist inside.
            env.push(("LD_LIBRARY_PATH".to_owned(), format!("{PYTHON_HOME}/lib")));
        }
    }
    let linkage = if python.shared { "shared" } else { "static" };
    let place = if python.under_usr() { "usr" } else { "own" };
    let identity = format!(
        "host {} {} {} python {} {linkage} {place}",
        os.id,
        os.version_id,
        std::env::consts::ARCH,
        python.full_version()
    );
    Ok(Base {
        identity,
        used,
        python: python.python(),
        libc: "glibc".to_owned(),
        layers: vec![layer],
        binds,
        env,
        workdir: None,
        entrypoint: Vec::new(),
        user: String::new(),
        interpreter: Some(Interpreter {
            home: python.base_prefix.clone(),
            hidden: !python.under_usr(),
            shared: python.shared && !python.under_usr(),
        }),
        takes_packages: false,
        made,
        warning: None,
    })
}

fn plan(python: &HostPython, root: &Path) -> Result<(Entries, Vec<Bind>), Error> {
    let mut entries: Entries =
        DIRECTORIES.iter().map(|(path, mode)| (path.into(), Entry::Directory(*mode))).collect();
    let mut binds = vec![bind(&root.join("usr"), Path::new("/usr"))];
    for name in TOP {
        let source = root.join(name);
        match source.symlink_metadata() {
            Ok(meta) if meta.is_symlink() => {
                entries.push((name.into(), Entry::Link(fs_err::read_link(&source)?)));
            }
            Ok(meta) if meta.is_dir() => {
                entries.push((name.into(), Entry::Directory(0o755)));
                binds.push(bind(&source, &Path::new("/").join(name)));
            }
            _ => {}
        }
    }
    for name in ETC {
        copy(&root.join("etc"), Path::new(name), &mut entries)?;
    }
    if python.under_usr() {
        // Debian's interpreter has a link to its site configuration there.
        copy(
            &root.join("etc"),
            Path::new(&format!("python{}/sitecustomize.py", python.python())),
            &mut entries,
        )?;
        entries.push(("opt/python".into(), Entry::Link(python.base_prefix.clone())));
    } else {
        entries.push(("opt/python".into(), Entry::Directory(0o755)));
    }
    for (name, text) in [("passwd", PASSWD), ("group", GROUP), ("nsswitch.conf", NSSWITCH)] {
        entries.push((Path::new("etc").join(name), Entry::File(text.into())));
    }
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    entries.dedup_by(|a, b| a.0 == b.0);
    Ok((entries, binds))
}

/// Plans a copy of `etc/name` if it is readable by everybody; what is not has no business in a container.
fn copy(etc: &Path, name: &Path, entries: &mut Vec<(PathBuf, Entry)>) -> Result<(), Error> {
    let source = etc.join(name);
    let Ok(meta) = source.symlink_metadata() else { return Ok(()) };
    let entry = if meta.is_symlink() {
        let target = fs_err::read_link(&source)?;
        if !leads_to_usr(&target) {
            return Ok(());
        }
        Entry::Link(target)
    } else if meta.is_dir() {
        for child in fs_err::read_dir(&source)? {
            copy(etc, &name.join(child?.file_name()), entries)?;
        }
        Entry::Directory(0o755)
    } else if meta.is_file() && meta.permissions().mode() & 0o004 != 0 {
        Entry::File(fs_err::read(&source)?)
    } else {
        return Ok(());
    };
    for parent in name.ancestors().skip(1).filter(|parent| !parent.as_os_str().is_empty()) {
        entries.push((Path::new("etc").join(parent), Entry::Directory(0o755)));
    }
    entries.push((Path::new("etc").join(name), entry));
    Ok(())
}

/// Whether a link of /etc points into what containers see: /usr, or its neighbours in /etc.
fn leads_to_usr(target: &Path) -> bool {
    let mut parts =
        target.components().skip_while(|part| matches!(part, Component::ParentDir | Component::RootDir));
    let first = parts.next().map(|part| part.as_os_str().to_owned());
    let known = |name: &std::ffi::OsString| name == "usr" || TOP.iter().any(|top| name == *top);
    first.as_ref().is_some_and(known) || (target.is_absolute() && target.starts_with("/etc/alternatives"))
}

fn write(entries: &[(PathBuf, Entry)], fs: &Path) -> Result<(), Error> {
    fs_err::create_dir(fs)?;
    fs_err::set_permissions(fs, PermissionsExt::from_mode(0o755))?;
    for (path, entry) in entries {
        let to = fs.join(path);
        match entry {
            Entry::Directory(mode) => {
                fs_err::create_dir(&to)?;
                fs_err::set_permissions(&to, PermissionsExt::from_mode(*mode))?;
            }
            Entry::File(content) => {
                fs_err::write(&to, content)?;
                fs_err::set_permissions(&to, PermissionsExt::from_mode(0o644))?;
            }
            Entry::Link(target) => fs_err::os::unix::fs::symlink(target, &to)?,
        }
    }
    Ok(())
}

fn bind(source: &Path, target: &Path) -> Bind {
    Bind { source: source.to_owned(), target: target.to_owned(), writable: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn python(prefix: &str, shared: bool) -> HostPython {
        HostPython {
            executable: "/x/python3.11".into(),
            version: (3, 11, 7),
            base_prefix: prefix.into(),
            shared,
        }
    }

    fn host(merged: bool) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        for name in
            ["usr/bin", "usr/lib", "etc/ssl", "etc/alternatives", "etc/ld.so.conf.d", "root", "home/me"]
        {
            fs_err::create_dir_all(at(name)).unwrap();
        }
        for name in ["etc/shadow", "etc/passwd", "root/secret", "etc/services", "etc/ld.so.conf.d/a.conf"] {
            fs_err::write(at(name), "of the host").unwrap();
        }
        fs_err::write(at("etc/rpc"), "private").unwrap();
        fs_err::set_permissions(at("etc/rpc"), PermissionsExt::from_mode(0o600)).unwrap();
        let link = |to: &str, name: &str| fs_err::os::unix::fs::symlink(to, at(name)).unwrap();
        link("/usr/bin/mawk", "etc/alternatives/awk");
        link("/root/secret", "etc/alternatives/leak");
        link("../usr/lib/os-release", "etc/os-release");
        if merged {
            link("usr/bin", "bin");
            link("usr/lib", "lib");
        } else {
            fs_err::create_dir(at("bin")).unwrap();
            fs_err::create_dir(at("lib")).unwrap();
        }
        root
    }

    fn made(root: &Path, python: &HostPython) -> (tempfile::TempDir, Base) {
        let state = tempfile::tempdir().unwrap();
        let store = Store::open(state.path(), None).unwrap();
        let base =
            base(python, &OsRelease::parse("ID=debian\nNAME=Debian\nVERSION_ID=12"), root, &store).unwrap();
        (state, base)
    }

    #[test]
    fn named_files_appear_and_the_hosts_secrets_do_not() {
        let root = host(true);
        let (_state, base) = made(root.path(), &python("/usr", true));
        let at = |name: &str| base.layers[0].join(name);
        assert_eq!(fs_err::read_to_string(at("etc/services")).unwrap(), "of the host");
        assert_eq!(fs_err::read_to_string(at("etc/ld.so.conf.d/a.conf")).unwrap(), "of the host");
        assert_eq!(fs_err::read_link(at("etc/alternatives/awk")).unwrap(), Path::new("/usr/bin/mawk"));
        assert_eq!(fs_err::read_link(at("etc/os-release")).unwrap(), Path::new("../usr/lib/os-release"));
        for name in ["etc/shadow", "etc/rpc", "root/secret", "home/me", "etc/alternatives/leak"] {
            assert!(at(name).symlink_metadata().is_err(), "{name}");
        }
        assert!(fs_err::read_to_string(at("etc/passwd")).unwrap().starts_with("root:x:0:0:"));
        assert_eq!(at("root").metadata().unwrap().permissions().mode() & 0o7777, 0o700);
        assert_eq!(at("tmp").metadata().unwrap().permissions().mode() & 0o7777, 0o1777);
        assert_eq!(base.used, "host userland (Debian 12), Python 3.11.7");
    }

    #[test]
    fn a_merged_host_keeps_its_links_and_another_its_directories() {
        let root = host(true);
        let (_state, base) = made(root.path(), &python("/usr", true));
        assert_eq!(fs_err::read_link(base.layers[0].join("bin")).unwrap(), Path::new("usr/bin"));
        assert_eq!((base.binds.len(), &base.binds[0].source), (1, &root.path().join("usr")));
        let root = host(false);
        let (_state, base) = made(root.path(), &python("/usr", true));
        let targets: Vec<_> = base.binds.iter().map(|bind| bind.target.to_str().unwrap()).collect();
        assert_eq!(targets, ["/usr", "/bin", "/lib"]);
        assert!(base.binds.iter().all(|bind| !bind.writable));
    }

    #[test]
    fn the_interpreter_is_a_link_into_usr_or_a_bind() {
        let root = host(true);
        let (_state, base) = made(root.path(), &python("/usr/local", true));
        assert_eq!(fs_err::read_link(base.layers[0].join("opt/python")).unwrap(), Path::new("/usr/local"));
        assert!(base.env.is_empty());
        let (_state, base) = made(root.path(), &python("/home/me/.pyenv/versions/3.11.7", true));
        assert!(base.layers[0].join("opt/python").is_dir());
        assert_eq!(base.binds.last().unwrap().target, Path::new("/opt/python"));
        assert_eq!(base.env, [("LD_LIBRARY_PATH".to_owned(), "/opt/python/lib".to_owned())]);
        let (_state, plain) = made(root.path(), &python("/home/me/.pyenv/versions/3.11.7", false));
        assert!(plain.env.is_empty());
        assert_ne!(plain.identity, base.identity);
    }
}
