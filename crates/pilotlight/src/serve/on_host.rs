//! Containers without a sandbox: where on the host the paths of a container's own root file system come to lie.

use std::path::{Path, PathBuf};

use pilotlight_api::error::{ApiError, Code};
use pilotlight_api::manifest::{Function, Web};
use pilotlight_sandbox::{Isolation, Spec};

use super::plan::PACKAGES;

/// The part of a container's scratch directory that has its layers. The sandbox's keeper copies them there.
const FILES: &str = "files";

/// Refuses what without the sandbox would be promised and not kept.
pub(crate) fn check(isolation: Isolation, function: &Function) -> Result<(), ApiError> {
    let (what, leave_out) = match &function.web {
        _ if isolation != Isolation::Process => return Ok(()),
        _ if function.block_network => ("block_network=True", "block_network"),
        // Each container has its own ports, where it has a network of its own.
        Some(Web::WebServer { .. }) => ("@modal.web_server", "the web server"),
        _ => return Ok(()),
    };
    let message = format!("function `{}` has `{what}`, which needs the sandbox", function.name);
    Err(ApiError::new(Code::Invalid, message)
        .hint(format!("leave out `--isolation=process`, or {leave_out}")))
}

/// Makes a specification whose paths are those of a root file system one for the host.
pub(crate) fn place(spec: &mut Spec) {
    let files = spec.scratch.join(FILES);
    let here = |path: &Path| files.join(path.strip_prefix("/").unwrap_or(path)).display().to_string();
    let root = here(Path::new("/root"));
    for (name, value) in &mut spec.command.env {
        match name.as_str() {
            "HOME" => value.clone_from(&root),
            // Ours are the first two, and the user's are the host's.
            "PYTHONPATH" => *value = value.replacen(PACKAGES, &here(Path::new(PACKAGES)), 1),
            _ => {}
        }
    }
    spec.command.env.push(("PILOTLIGHT_ROOT".to_owned(), root));
    spec.command.env.push(("TMPDIR".to_owned(), here(Path::new("/tmp"))));
    spec.command.cwd = PathBuf::from(here(&spec.command.cwd));
}

#[cfg(test)]
mod tests {
    use pilotlight_sandbox::{Command, Limits, Network};

    use super::*;

    #[test]
    fn a_containers_own_paths_come_to_lie_in_its_scratch_directory() {
        let env = [("HOME", "/root"), ("PYTHONPATH", "/s/lib:/pkg:/pkg/own"), ("COLOUR", "/root")];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let mut spec = Spec {
            id: "co-1".into(),
            hostname: "co-1".into(),
            scratch: "/s/co-1".into(),
            lowers: vec!["/t".into()],
            binds: vec![],
            network: Network::Outbound,
            limits: Limits::default(),
            command: Command { argv: vec!["python".into()], env, cwd: "/root".into() },
            keep_upper: None,
            zygote: false,
            from: None,
        };
        place(&mut spec);
        let expected = [
            ("HOME", "/s/co-1/files/root"),
            ("PYTHONPATH", "/s/lib:/s/co-1/files/pkg:/pkg/own"),
            ("COLOUR", "/root"),
            ("PILOTLIGHT_ROOT", "/s/co-1/files/root"),
            ("TMPDIR", "/s/co-1/files/tmp"),
        ];
        assert_eq!(spec.command.env, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(spec.command.cwd, Path::new("/s/co-1/files/root"));
    }
}
