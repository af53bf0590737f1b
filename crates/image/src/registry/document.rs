//! Reads what a registry says an image is: indexes, manifests and configurations, of OCI and of Docker.
//!
//! <https://github.com/opencontainers/image-spec>. What is read is somebody else's: each number has a bound and each name
//! a form before it is used.

use std::collections::BTreeMap;

use pilotlight_core::image::registry::is_sha256;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::unpack::Packing;

/// The kinds of documents that we can read, as a registry is asked for them.
pub(crate) const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

/// Bytes of an index or manifest, as registries themselves bound them, and of a configuration.
pub(crate) const DOCUMENT_MAX: u64 = 4 << 20;
/// Layers of an image: Docker makes no more.
const LAYERS_MAX: usize = 127;
/// Bytes of one layer in the registry.
const LAYER_MAX: u64 = 64 << 30;

/// Why an image cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// The text is no document of a known kind.
    #[error("its {what} cannot be read: {why}")]
    Malformed {
        /// `manifest` or `configuration`.
        what: &'static str,
        /// What is wrong.
        why: String,
    },
    /// No image for this kind of machine.
    #[error("it is for {offered}, and this machine is linux/{wanted}")]
    Architecture {
        /// The platforms it is there for.
        offered: String,
        /// This machine's, as registries call it.
        wanted: &'static str,
    },
    /// A layer of a kind that we cannot unpack.
    #[error("it has a layer of the kind {kind:?}, which cannot be unpacked")]
    Kind {
        /// The media type.
        kind: String,
    },
}

fn malformed(what: &'static str, why: impl Into<String>) -> Error {
    Error::Malformed { what, why: why.into() }
}

/// What a document names another content by.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    #[serde(default)]
    pub(crate) media_type: String,
    pub(crate) digest: String,
    pub(crate) size: u64,
    #[serde(default)]
    platform: Option<Platform>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Platform {
    architecture: String,
    os: String,
    #[serde(default)]
    variant: Option<String>,
}

impl Descriptor {
    /// Of a layer that is known already.
    pub(crate) fn of(digest: &str, size: u64) -> Self {
        Self { media_type: String::new(), digest: digest.to_owned(), size, platform: None }
    }
}

/// An answer to the question for an image.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Document {
    /// The manifest is another document: the one for this machine.
    Index(Descriptor),
    Manifest(Manifest),
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) config: Descriptor,
    /// From the bottom up.
    pub(crate) layers: Vec<(Descriptor, Packing)>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Whole {
    schema_version: Option<u32>,
    manifests: Option<Vec<Descriptor>>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
}

/// What registries call this machine's processor.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

impl Document {
    pub(crate) fn read(text: &[u8]) -> Result<Self, Error> {
        let whole: Whole =
            serde_json::from_slice(text).map_err(|error| malformed("manifest", error.to_string()))?;
        if whole.schema_version != Some(2) {
            return Err(malformed("manifest", "it is not of schema version 2; push the image anew"));
        }
        if let Some(manifests) = whole.manifests {
            return choose(&manifests, architecture()).map(Self::Index);
        }
        let (Some(config), Some(layers)) = (whole.config, whole.layers) else {
            return Err(malformed("manifest", "it names no configuration and layers"));
        };
        checked(&config, DOCUMENT_MAX)?;
        if layers.len() > LAYERS_MAX {
            return Err(malformed("manifest", format!("it has more than {LAYERS_MAX} layers")));
        }
        let layers = layers.into_iter().map(|layer| {
            checked(&layer, LAYER_MAX)?;
            let packing = packing(&layer.media_type)?;
            Ok((layer, packing))
        });
        Ok(Self::Manifest(Manifest { config, layers: layers.collect::<Result<_, _>>()? }))
    }
}

fn checked(descriptor: &Descriptor, max: u64) -> Result<(), Error> {
    if !is_sha256(&descriptor.digest) {
        return Err(malformed("manifest", format!("{:?} is no SHA-256 digest", descriptor.digest)));
    }
    if descriptor.size > max {
        return Err(malformed("manifest", format!("a size of {} bytes is beyond belief", descriptor.size)));
    }
    Ok(())
}

fn packing(kind: &str) -> Result<Packing, Error> {
    let refuse = || Error::Kind { kind: kind.to_owned() };
    match kind {
        "application/vnd.docker.image.rootfs.diff.tar.gzip" => return Ok(Packing::Gzip),
        "application/vnd.docker.image.rootfs.diff.tar" => return Ok(Packing::None),
        _ => {}
    }
    let rest = kind.strip_prefix("application/vnd.oci.image.layer.v1.tar").ok_or_else(refuse)?;
    match rest {
        "" => Ok(Packing::None),
        "+gzip" => Ok(Packing::Gzip),
        "+zstd" => Ok(Packing::Zstd),
        _ => Err(refuse()),
    }
}

/// The manifest for this machine; attestations stand in an index as images for `unknown/unknown`.
fn choose(manifests: &[Descriptor], wanted: &'static str) -> Result<Descriptor, Error> {
    let fits = |descriptor: &&Descriptor| {
        let platform = descriptor.platform.as_ref();
        platform.is_some_and(|platform| {
            let variant = platform.variant.as_deref().unwrap_or_default();
            platform.os == "linux" && platform.architecture == wanted && matches!(variant, "" | "v8")
        })
    };
    let Some(found) = manifests.iter().find(fits) else {
        let platforms = manifests.iter().filter_map(|descriptor| descriptor.platform.as_ref());
        let named = platforms.filter(|platform| platform.os != "unknown");
        let mut named: Vec<String> =
            named.take(20).map(|platform| format!("{}/{}", platform.os, platform.architecture)).collect();
        named.sort();
        named.dedup();
        let offered = if named.is_empty() { "no platform".to_owned() } else { named.join(", ") };
        return Err(Error::Architecture { offered, wanted });
    };
    checked(found, DOCUMENT_MAX)?;
    Ok(found.clone())
}

/// What an image says about its containers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Config {
    /// Variables, in its order.
    pub(crate) env: Vec<(String, String)>,
    /// Empty where it names none.
    pub(crate) workdir: String,
    pub(crate) entrypoint: Vec<String>,
    pub(crate) user: String,
    /// The digest of each layer's content, from the bottom up.
    pub(crate) diff_ids: Vec<String>,
}

#[derive(Deserialize)]
struct WholeConfig {
    architecture: Option<String>,
    os: Option<String>,
    config: Option<Containers>,
    rootfs: Option<RootFs>,
}

/// Docker writes `null` for what is empty.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Containers {
    env: Option<Vec<String>>,
    working_dir: Option<String>,
    entrypoint: Option<Vec<String>>,
    user: Option<String>,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Vec<String>,
}

impl Config {
    /// Reads the configuration of an image with so many layers.
    pub(crate) fn read(text: &[u8], layers: usize) -> Result<Self, Error> {
        let refuse = |why: String| malformed("configuration", why);
        let whole: WholeConfig = serde_json::from_slice(text).map_err(|error| refuse(error.to_string()))?;
        let (os, architecture) = (whole.os.unwrap_or_default(), whole.architecture.unwrap_or_default());
        if (os.as_str(), architecture.as_str()) != ("linux", self::architecture()) {
            let offered = format!("{os}/{architecture}");
            return Err(Error::Architecture { offered, wanted: self::architecture() });
        }
        let diff_ids = whole.rootfs.map(|rootfs| rootfs.diff_ids).unwrap_or_default();
        if diff_ids.len() != layers || !diff_ids.iter().all(|digest| is_sha256(digest)) {
            return Err(refuse(format!("it describes {} layers and the manifest {layers}", diff_ids.len())));
        }
        let containers = whole.config.unwrap_or_default();
        let mut env = BTreeMap::new();
        for variable in containers.env.unwrap_or_default() {
            match variable.split_once('=') {
                Some((name, value)) if !name.is_empty() && !variable.contains('\0') => {
                    env.insert(name.to_owned(), value.to_owned());
                }
                _ => return Err(refuse(format!("{variable:?} is no variable"))),
            }
        }
        let workdir = containers.working_dir.unwrap_or_default();
        if !(workdir.is_empty() || workdir.starts_with('/')) || workdir.contains('\0') {
            return Err(refuse(format!("{workdir:?} is no working directory")));
        }
        Ok(Self {
            env: env.into_iter().collect(),
            workdir,
            entrypoint: containers.entrypoint.unwrap_or_default(),
            user: containers.user.unwrap_or_default(),
            diff_ids,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn digest(letter: char) -> String {
        format!("sha256:{}", String::from(letter).repeat(64))
    }

    fn descriptor(kind: &str, letter: char) -> Value {
        json!({"mediaType": kind, "digest": digest(letter), "size": 10})
    }

    fn read(document: &Value) -> Result<Document, Error> {
        Document::read(document.to_string().as_bytes())
    }

    fn manifest(layers: &[Value]) -> Value {
        json!({"schemaVersion": 2, "config": descriptor("application/json", 'c'), "layers": layers})
    }

    #[test]
    fn layers_of_both_families_are_known() {
        let kinds = [
            ("application/vnd.docker.image.rootfs.diff.tar.gzip", Packing::Gzip),
            ("application/vnd.oci.image.layer.v1.tar", Packing::None),
            ("application/vnd.oci.image.layer.v1.tar+gzip", Packing::Gzip),
            ("application/vnd.oci.image.layer.v1.tar+zstd", Packing::Zstd),
        ];
        let layers = kinds.map(|(kind, _)| descriptor(kind, 'a'));
        let Document::Manifest(read) = read(&manifest(&layers)).unwrap() else { panic!("an index") };
        let packings: Vec<_> = read.layers.iter().map(|(_, packing)| *packing).collect();
        assert_eq!(packings, kinds.map(|(_, packing)| packing));
        for kind in ["application/vnd.oci.image.layer.v1.tar+encrypted", "text/html", ""] {
            let error = super::Document::read(manifest(&[descriptor(kind, 'a')]).to_string().as_bytes());
            assert_eq!(error, Err(Error::Kind { kind: kind.to_owned() }));
        }
    }

    #[test]
    fn of_an_index_the_image_for_this_machine_is_taken() {
        let platform = |os: &str, architecture: &str, letter| {
            let mut found = descriptor("application/vnd.oci.image.manifest.v1+json", letter);
            found["platform"] = json!({"os": os, "architecture": architecture});
            found
        };
        let index = |manifests: &[Value]| json!({"schemaVersion": 2, "manifests": manifests});
        let all = [
            platform("unknown", "unknown", 'a'),
            platform("linux", "s390x", 'b'),
            platform("linux", architecture(), 'd'),
        ];
        let Document::Index(found) = read(&index(&all)).unwrap() else { panic!("a manifest") };
        assert_eq!(found.digest, digest('d'));
        let error = read(&index(&all[..2])).unwrap_err().to_string();
        assert_eq!(error, format!("it is for linux/s390x, and this machine is linux/{}", architecture()));
    }

    #[test]
    fn documents_that_cannot_be_are_refused() {
        let mut lies = descriptor("application/vnd.oci.image.layer.v1.tar", 'a');
        lies["size"] = json!(u64::MAX);
        let mut path = descriptor("application/vnd.oci.image.layer.v1.tar", 'a');
        path["digest"] = json!("sha256:../../../etc/passwd");
        let many = vec![descriptor("application/vnd.oci.image.layer.v1.tar", 'a'); 128];
        for document in [
            json!({"schemaVersion": 1, "fsLayers": []}),
            json!({"schemaVersion": 2}),
            json!([]),
            manifest(&[lies]),
            manifest(&[path]),
            manifest(&many),
        ] {
            assert!(matches!(read(&document), Err(Error::Malformed { .. })), "{document}");
        }
        assert!(Document::read(b"<html>").is_err());
    }

    #[test]
    fn a_configuration_is_read_and_must_fit_its_manifest() {
        let config = |os: &str, env: &[&str]| {
            json!({"os": os, "architecture": architecture(), "rootfs": {"diff_ids": [digest('a')]},
                   "config": {"Env": env, "WorkingDir": "/app", "Entrypoint": null, "User": "me"}})
            .to_string()
        };
        let read = Config::read(config("linux", &["B=1=2", "A=", "B=3"]).as_bytes(), 1).unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(read.env, [pair("A", ""), pair("B", "3")]);
        assert_eq!((read.workdir.as_str(), read.user.as_str(), read.entrypoint.len()), ("/app", "me", 0));
        assert!(Config::read(config("linux", &[]).as_bytes(), 2).is_err());
        assert!(Config::read(config("linux", &["=x"]).as_bytes(), 1).is_err());
        assert!(matches!(
            Config::read(config("windows", &[]).as_bytes(), 1),
            Err(Error::Architecture { .. })
        ));
        let bare = json!({"os": "linux", "architecture": architecture(), "rootfs": {"diff_ids": []}});
        assert_eq!(Config::read(bare.to_string().as_bytes(), 0).unwrap(), Config::default());
    }
}
