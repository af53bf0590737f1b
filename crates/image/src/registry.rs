//! Images of OCI registries as bases: what a tag names is brought once, each layer unpacked once, and shared.
//!
//! The server brings the contents and checks their digests; what reads the archives is [`tool`] in a container. A tag is
//! looked up once and kept: the same description is the same image until the state directory forgets it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Instant;

use pilotlight_core::image::registry::is_sha256;
use pilotlight_core::image::{Key, PATH, PythonVersion, Registry, VersionError};
use pilotlight_sandbox::Network;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::base::Base;
use crate::host::HostPython;
use crate::output::Tail;
use crate::progress::Progress;
use crate::runner::INPUT;
use crate::settings::Settings;
use crate::step::{self, Request, Steps};
use crate::store::{self, Meta, Store};
use crate::tools;

/// Asking a registry.
pub mod client;
/// What registries say.
pub mod document;
/// Bringing contents.
pub mod download;
/// The Python of an image.
mod python;
/// This executable inside an image.
pub(crate) mod tool;
/// Archives.
pub(crate) mod unpack;
/// A compression.
mod zstd;

use client::Client;
use document::{Config, Document, Manifest};
use python::{NO_PYTHON, Python, facts};
use tool::Tool;

pub use tool::tool_main;

/// Downloads side by side, as many as Docker's.
const PARALLEL: usize = 3;
/// The search path of an image that names none.
const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Why an image of a registry cannot be a base.
#[derive(Debug, Error)]
pub enum Error {
    /// The registry did not say what it is.
    #[error("cannot get {image}: {source}")]
    Client {
        /// The image.
        image: String,
        /// What happened.
        source: client::Error,
    },
    /// It is no image for this machine.
    #[error("cannot use {image}: {source}")]
    Document {
        /// The image.
        image: String,
        /// What is wrong with it.
        source: document::Error,
    },
    /// A document is not what its digest says.
    #[error("cannot use {image}: its {what} is not what its digest or size says")]
    Lies {
        /// The image.
        image: String,
        /// `manifest` or `configuration`.
        what: &'static str,
    },
    /// A layer could not be brought.
    #[error("cannot get the layer {layer} of {image}: {source}")]
    Download {
        /// The image.
        image: String,
        /// The beginning of its digest.
        layer: String,
        /// What happened.
        source: download::Error,
    },
    /// A layer could not be unpacked.
    #[error("cannot unpack the layer {layer} of {image}: {reason}")]
    Layer {
        /// The image.
        image: String,
        /// The beginning of its digest.
        layer: String,
        /// Why.
        reason: String,
    },
    /// It has no Python.
    #[error(
        "{image} has no Python that can be used: {reason}; take an image that has one of 3.9 to 3.14, or let one be put into it with add_python=\"3.12\""
    )]
    NoPython {
        /// The image.
        image: String,
        /// What was found.
        reason: String,
    },
    /// The Python that was asked for could not be put into it.
    #[error(
        "cannot put python {version} into {image}: {reason}; uv brings it from the releases of python-build-standalone, or from \
         where UV_PYTHON_INSTALL_MIRROR says; else name an image that has python {version}"
    )]
    NotAdded {
        /// The image.
        image: String,
        /// What was asked for.
        version: PythonVersion,
        /// Why.
        reason: String,
    },
    /// uv could not be brought.
    #[error(transparent)]
    Tools(#[from] tools::Error),
    /// Its Python is none that can be served with.
    #[error("{image}: {source}")]
    Version {
        /// The image.
        image: String,
        /// What is wrong with it.
        source: VersionError,
    },
    /// A step in a container failed for another reason than the image.
    #[error(transparent)]
    Step(#[from] step::Error),
    /// The layers could not be kept.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A file operation failed; the source names the path.
    #[error("cannot lay out the base")]
    Io(#[from] std::io::Error),
}

/// What is known of an image since its tag was looked up.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Record {
    image: String,
    manifest: String,
    /// Digests, sizes and packings of its layers, from the bottom up.
    layers: Vec<(String, u64, String)>,
    config: Config,
}

/// What it takes to bring an image.
pub(crate) struct Pull<'a> {
    pub(crate) state_dir: &'a Path,
    pub(crate) store: &'a Store,
    pub(crate) steps: &'a dyn Steps,
    pub(crate) settings: &'a Settings,
    /// Fetches uv, if a Python is to be put into an image.
    pub(crate) python: &'a HostPython,
    pub(crate) progress: &'a dyn Progress,
    pub(crate) cancel: &'a AtomicBool,
}

impl Pull<'_> {
    /// The image as a base. When everything is here, no registry is asked.
    pub(crate) fn base(&self, wanted: &Registry) -> Result<Base, Error> {
        let reference = &wanted.reference;
        let image = reference.to_string();
        let start = Instant::now();
        let directory = self.state_dir.join("registry");
        let key = Key::of("pilotlight registry 1", [std::env::consts::ARCH, &image]);
        let path = directory.join("images").join(key.as_str()).with_extension("json");
        let known = fs_err::read(&path).ok().and_then(|text| serde_json::from_slice::<Record>(&text).ok());
        let known = known.filter(|known| known.image == image);
        let record = match &known {
            Some(known) => known.clone(),
            None => self.look_up(wanted)?,
        };
        let chain = chain(&record.config.diff_ids);
        let search = search_path(&record.config);
        let python = Python {
            pull: self,
            image: &image,
            search: &search,
            top: chain.last(),
            asked: wanted.add_python,
        };
        let found =
            chain.iter().map(|key| self.store.find(key)).chain(std::iter::once_with(|| python.find()));
        let found = found.collect::<Option<Vec<_>>>();
        let made = found.is_none();
        let mut layers = if let Some(found) = found {
            found
        } else {
            self.progress.step_started(&image, &image);
            let made = self.make(wanted, &record, &chain, &python);
            let made =
                made.inspect_err(|error| self.progress.failed(&image, &image, &[error.to_string()]))?;
            self.progress.done(&image, &image, false, start.elapsed().as_secs_f64());
            made
        };
        layers.reverse();
        if known.is_none() {
            fs_err::create_dir_all(directory.join("images"))?;
            let text = serde_json::to_vec_pretty(&record).map_err(std::io::Error::from)?;
            store::write_whole(&path, &text)?;
        }
        let facts = facts(&layers[0])?;
        let version = |source| Error::Version { image: image.clone(), source };
        let python: PythonVersion = facts.version.parse().map_err(version)?;
        let python = python.supported().map_err(version)?;
        Ok(Base {
            identity: format!("registry {}", record.manifest),
            used: image,
            python,
            libc: facts.libc,
            layers,
            binds: Vec::new(),
            warning: None,
            env: environment(&record.config, &search),
            workdir: Some(record.config.workdir).filter(|path| !path.is_empty()),
            entrypoint: record.config.entrypoint,
            user: record.config.user,
            interpreter: None,
            takes_packages: facts.apt,
            made,
        })
    }

    /// Asks the registry what the image is now.
    fn look_up(&self, wanted: &Registry) -> Result<Record, Error> {
        let reference = &wanted.reference;
        let image = reference.to_string();
        let asked = |source| Error::Client { image: image.clone(), source };
        let read = |source| Error::Document { image: image.clone(), source };
        let client = Client::new(reference, wanted.login.as_ref(), self.settings).map_err(asked)?;
        let lies = |what| Error::Lies { image: image.clone(), what };
        let mut text = client.document(reference.version()).map_err(asked)?;
        let mut manifest = digest(Sha256::new_with_prefix(&text));
        if is_sha256(reference.version()) && manifest != reference.version() {
            return Err(lies("manifest"));
        }
        let mut document = Document::read(&text).map_err(read)?;
        if let Document::Index(chosen) = document {
            text = client.document(&chosen.digest).map_err(asked)?;
            manifest = digest(Sha256::new_with_prefix(&text));
            if manifest != chosen.digest || text.len() as u64 != chosen.size {
                return Err(lies("manifest"));
            }
            document = Document::read(&text).map_err(read)?;
        }
        let Document::Manifest(Manifest { config, layers }) = document else {
            let why = "an index names another index".to_owned();
            return Err(read(document::Error::Malformed { what: "manifest", why }));
        };
        let text = client.small(&config.digest, config.size).map_err(asked)?;
        if digest(Sha256::new_with_prefix(&text)) != config.digest || text.len() as u64 != config.size {
            return Err(lies("configuration"));
        }
        let config = Config::read(&text, layers.len()).map_err(read)?;
        let layers = layers.into_iter();
        let layers = layers.map(|(layer, packing)| (layer.digest, layer.size, packing.word().to_owned()));
        Ok(Record { image, manifest, layers: layers.collect(), config })
    }

    /// Brings and unpacks what is missing; the layers from the bottom up, that of its Python last.
    fn make(
        &self,
        wanted: &Registry,
        record: &Record,
        chain: &[Key],
        python: &Python<'_>,
    ) -> Result<Vec<PathBuf>, Error> {
        let tool = tool::ensure(self.state_dir)?;
        let image = &record.image;
        let blobs = self.state_dir.join("registry").join("blobs");
        fs_err::create_dir_all(&blobs)?;
        let missing: Vec<usize> =
            (0..chain.len()).filter(|&index| self.store.find(&chain[index]).is_none()).collect();
        let client = Client::new(&wanted.reference, wanted.login.as_ref(), self.settings);
        let client = client.map_err(|source| Error::Client { image: image.clone(), source })?;
        let total = missing.iter().map(|&index| record.layers[index].1).sum();
        let bringing = Bringing {
            client: &client,
            record,
            missing: &missing,
            blobs: &blobs,
            next: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            meter: Meter {
                image,
                got: AtomicU64::new(0),
                said: AtomicU64::new(0),
                total,
                progress: self.progress,
            },
        };
        let (senders, receivers): (Vec<_>, Vec<_>) = missing.iter().map(|_| sync_channel(1)).unzip();
        let mut below = Vec::new();
        std::thread::scope(|scope| {
            for _ in 0..PARALLEL.min(missing.len()) {
                scope.spawn(|| {
                    while let Some((at, brought)) = bringing.one(self.cancel) {
                        // Nobody waits any more for what comes after a failure.
                        let _ = senders[at].send(brought);
                    }
                });
            }
            let mut brought = receivers.iter();
            let mut unpack = || {
                for (index, key) in chain.iter().enumerate() {
                    let layer = if missing.contains(&index) {
                        let brought = brought.next().expect("each missing layer has its channel");
                        let parent = index.checked_sub(1).map(|at| &chain[at]);
                        self.layer(&tool, record, index, (key, parent), brought, &below)?
                    } else {
                        self.store
                            .find(key)
                            .ok_or(std::io::ErrorKind::NotFound)
                            .map_err(std::io::Error::from)?
                    };
                    below.insert(0, layer);
                }
                Ok::<(), Error>(())
            };
            let done = unpack();
            bringing.stop.store(true, Ordering::Relaxed);
            done
        })?;
        let layer = python.make(&tool, &below)?;
        below.insert(0, layer);
        below.reverse();
        Ok(below)
    }

    /// Unpacks one layer on top of those below once it is here.
    fn layer(
        &self,
        tool: &Tool,
        record: &Record,
        index: usize,
        (key, parent): (&Key, Option<&Key>),
        brought: &Receiver<Result<PathBuf, download::Error>>,
        below: &[PathBuf],
    ) -> Result<PathBuf, Error> {
        let (digest, size, packing) = &record.layers[index];
        let short: String = digest.chars().take("sha256:".len() + 12).collect();
        let (image, layer) = (record.image.clone(), short.clone());
        let brought = brought.recv().unwrap_or(Err(download::Error::Cancelled));
        let blob = brought.map_err(|source| match source {
            download::Error::Cancelled => Error::Step(step::Error::Cancelled),
            source => Error::Download { image, layer, source },
        })?;
        let packing = unpack::Packing::named(packing).unwrap_or(unpack::Packing::None);
        let waiting = || self.progress.line(&record.image, "waiting for another server that unpacks it");
        let (path, _) = self.store.make(key, self.cancel, waiting, |staging, cancel| {
            let start = Instant::now();
            let inside = format!("{INPUT}/layer");
            let words = tool::unpack_words(&inside, packing, &record.config.diff_ids[index], *size);
            self.run(tool, &words, Some(&blob), (staging, below), cancel).map_err(|error| match error {
                step::Error::Failed { how, tail, .. } => {
                    let reason = tail.last().cloned().unwrap_or(how);
                    Error::Layer { image: record.image.clone(), layer: short.clone(), reason }
                }
                other => other.into(),
            })?;
            let text = format!("{short} of {}", record.image);
            let parent = parent.map(Key::to_string);
            let seconds = start.elapsed().as_secs_f64();
            Ok::<_, Error>(Meta { text, parent, command: Vec::new(), seconds })
        })?;
        // What is unpacked is not needed a second time.
        fs_err::remove_file(&blob).or_else(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        })?;
        self.progress.line(&record.image, &format!("{short} unpacked"));
        Ok(path)
    }

    /// Runs the tool in the image so far.
    fn run(
        &self,
        tool: &Tool,
        words: &[String],
        blob: Option<&Path>,
        (staging, below): (&Path, &[PathBuf]),
        cancel: &AtomicBool,
    ) -> Result<(), step::Error> {
        let request = request(tool, words, staging, below)?;
        if let Some(blob) = blob {
            let to = staging.join("input").join(INPUT.trim_start_matches('/')).join("layer");
            // Another file system, where layers lie on a disk of their own.
            fs_err::hard_link(blob, &to).or_else(|_| fs_err::copy(blob, &to).map(drop))?;
        }
        self.carry_out(request, cancel)
    }

    fn carry_out(&self, request: Request, cancel: &AtomicBool) -> Result<(), step::Error> {
        let tail = Tail::default();
        self.steps.run(request, &|line| tail.push(line), cancel)
    }
}

/// What the tool is to do in the image so far, with nothing else of this machine and no network. Its input, if it has
/// any, goes below `input` of `staging`.
fn request(tool: &Tool, words: &[String], staging: &Path, below: &[PathBuf]) -> std::io::Result<Request> {
    let input = staging.join("input");
    fs_err::create_dir_all(input.join(INPUT.trim_start_matches('/')))?;
    let mut lowers = vec![input, tool.layer.clone()];
    lowers.extend_from_slice(below);
    Ok(Request {
        lowers,
        binds: Vec::new(),
        argv: tool.argv.iter().chain(words).cloned().collect(),
        env: vec![("PATH".to_owned(), USUAL_PATH.to_owned()), ("HOME".to_owned(), "/root".to_owned())],
        cwd: "/".into(),
        network: Network::None,
        doors: Vec::new(),
        scratch: staging.join("scratch"),
        upper: staging.join("fs"),
    })
}

/// The downloads of one image.
struct Bringing<'a> {
    client: &'a Client<'a>,
    record: &'a Record,
    missing: &'a [usize],
    blobs: &'a Path,
    next: AtomicUsize,
    /// Something failed: what is not begun is not needed.
    stop: AtomicBool,
    meter: Meter<'a>,
}

impl Bringing<'_> {
    /// Brings the next layer, and says which of the missing ones it is. Each of them gets its answer.
    fn one(&self, cancel: &AtomicBool) -> Option<(usize, Result<PathBuf, download::Error>)> {
        let at = self.next.fetch_add(1, Ordering::Relaxed);
        let &index = self.missing.get(at)?;
        if self.stop.load(Ordering::Relaxed) || cancel.load(Ordering::Relaxed) {
            return Some((at, Err(download::Error::Cancelled)));
        }
        let (digest, size, _) = &self.record.layers[index];
        let wanted = document::Descriptor::of(digest, *size);
        let mut before = 0;
        let mut told = |got: u64| {
            self.meter.more(got.saturating_sub(before));
            before = got.max(before);
        };
        Some((at, download::fetch(self.client, &wanted, self.blobs, cancel, &mut told)))
    }
}

/// Tells how much has come, each tenth once.
struct Meter<'a> {
    image: &'a str,
    got: AtomicU64,
    said: AtomicU64,
    total: u64,
    progress: &'a dyn Progress,
}

impl Meter<'_> {
    fn more(&self, bytes: u64) {
        let got = self.got.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let tenth = (got * 10).checked_div(self.total).unwrap_or(10).min(10);
        if self.said.fetch_max(tenth, Ordering::Relaxed) < tenth {
            let mib = |bytes: u64| bytes.div_ceil(1 << 20);
            self.progress
                .line(self.image, &format!("{} of {} MiB", mib(got).min(mib(self.total)), mib(self.total)));
        }
    }
}

/// Names each layer by all that is below it: what it removes depends on that.
fn chain(diff_ids: &[String]) -> Vec<Key> {
    let mut keys: Vec<Key> = Vec::new();
    for diff_id in diff_ids {
        let below = keys.last().map_or("", Key::as_str);
        keys.push(Key::of("pilotlight registry layer 1", [below, diff_id]));
    }
    keys
}

fn search_path(config: &Config) -> String {
    let own = config.env.iter().find(|(name, value)| name == "PATH" && !value.is_empty());
    own.map_or(USUAL_PATH, |(_, value)| value).to_owned()
}

/// The image's variables; its search path comes after our own places.
fn environment(config: &Config, search: &str) -> Vec<(String, String)> {
    let ours: Vec<&str> = PATH.split(':').take_while(|place| place.starts_with("/opt/")).collect();
    let path = ("PATH".to_owned(), format!("{}:{search}", ours.join(":")));
    config.env.iter().filter(|(name, _)| name != "PATH").cloned().chain([path]).collect()
}

/// A digest as registries write it.
fn digest(hash: Sha256) -> String {
    use std::fmt::Write as _;
    let mut text = "sha256:".to_owned();
    for byte in hash.finalize() {
        write!(text, "{byte:02x}").expect("a string takes everything");
    }
    text
}

#[cfg(test)]
mod tests;
