//! How containers reach the endpoints of their own app: names below `pilotlight.internal`, which their `/etc/hosts` leads
//! to one address of this server, where the gateway listens. The names are told in `PILOTLIGHT_WEB_URLS`. Since user code
//! is not trusted, and endpoints have nobody in front of them who asks for a password, each name holds a secret of its
//! app: containers of one app cannot call another's.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddrV4;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use pilotlight_core::name::HostLabel;
use pilotlight_gateway::{Error, Gateway, Listener};
use pilotlight_image::hostconf::HostConf;
use pilotlight_sandbox::{Bind, Network, Spec};

/// The domain that exists in containers only; `internal` is nobody's in the public name system.
const DOMAIN: &str = "pilotlight.internal";

/// The variable that holds the URLs: a JSON object, function name to URL.
const VARIABLE: &str = "PILOTLIGHT_WEB_URLS";

/// What the names are bound over.
pub(crate) const HOSTS: &str = "/etc/hosts";

/// The host of a label in containers of the app whose `secret` that is. Others cannot guess it.
pub(crate) fn host(label: &HostLabel, secret: &str) -> String {
    label.host(&format!("{secret}.{DOMAIN}"))
}

/// Listens at the first address of inside that is free. `None` where the machine does not give them: containers then
/// have no URLs of endpoints.
pub(crate) async fn listen(gateway: &Gateway) -> Option<(SocketAddrV4, Listener)> {
    for address in pilotlight_sandbox::inside_addresses() {
        match gateway.listen_inside(address).await {
            Ok(listener) => return Some((address, listener)),
            // Another server of this machine has it.
            Err(Error::PortInUse { .. }) => {}
            Err(error) => {
                tracing::warn!(%error, %address, "containers cannot call this server's endpoints");
                return None;
            }
        }
    }
    None
}

/// What the containers of one version are told about its endpoints. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Inside {
    urls: String,
    file: Arc<tempfile::TempPath>,
}

impl Inside {
    /// Writes the version's hosts into `directory`. `hosts`: function name to host.
    pub(crate) fn new(
        directory: &Path,
        address: SocketAddrV4,
        hosts: &BTreeMap<String, String>,
    ) -> std::io::Result<Self> {
        let port = address.port();
        let urls: BTreeMap<&str, String> = hosts
            .iter()
            .map(|(function, host)| (function.as_str(), format!("http://{host}:{port}")))
            .collect();
        let mut text = HostConf::of_this_machine(None).hosts;
        for host in hosts.values() {
            _ = writeln!(text, "{}\t{host}", address.ip());
        }
        // For everybody to read: in the container the owner is nobody where the file system cannot be shifted.
        let mode = std::fs::Permissions::from_mode(0o644);
        let mut file = tempfile::Builder::new().prefix("h").permissions(mode).tempfile_in(directory)?;
        std::io::Write::write_all(&mut file, text.as_bytes())?;
        Ok(Self { urls: serde_json::to_string(&urls)?, file: Arc::new(file.into_temp_path()) })
    }

    /// Lets containers of this kind know. Those without a network reach nobody, and are told nothing.
    pub(crate) fn tell(&self, spec: &mut Spec) {
        if spec.network == Network::None {
            return;
        }
        spec.command.env.push((VARIABLE.to_owned(), self.urls.clone()));
        let source = self.file.to_path_buf();
        spec.binds.push(Bind { source, target: HOSTS.into(), writable: false });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_has_a_file_of_its_own_for_as_long_as_it_lives() {
        let directory = tempfile::tempdir().unwrap();
        let hosts = BTreeMap::from([("f".to_owned(), "local--a-f.pilotlight.internal".to_owned())]);
        let address = SocketAddrV4::new([10, 213, 255, 7].into(), 10_213);
        let inside = Inside::new(directory.path(), address, &hosts).unwrap();
        assert_eq!(inside.urls, r#"{"f":"http://local--a-f.pilotlight.internal:10213"}"#);
        let path = inside.file.to_path_buf();
        let text = fs_err::read_to_string(&path).unwrap();
        assert!(text.starts_with("127.0.0.1\tlocalhost\n"), "{text}");
        assert!(text.ends_with("10.213.255.7\tlocal--a-f.pilotlight.internal\n"), "{text}");
        assert_eq!(fs_err::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
        drop(inside.clone());
        assert!(path.exists());
        drop(inside);
        assert!(!path.exists());
    }
}
