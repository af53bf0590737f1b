//! A prefix of conda's as a base: its two layers lie on what this machine makes, whose interpreter it hides.

use std::path::{Path, PathBuf};

use pilotlight_core::image::conda::env;
use pilotlight_core::image::{Key, PYTHON_HOME, PythonVersion};

use super::Base;

/// The prefix's name: what it stands on, and its Python.
pub(crate) fn key(beneath: &Base, python: PythonVersion, command: &[String]) -> Key {
    let fields = [beneath.identity.as_str(), &python.to_string()];
    Key::of("pilotlight conda 1", fields.into_iter().chain(command.iter().map(String::as_str)))
}

/// The name of the layer that makes its Python the image's.
pub(crate) fn found_key(prefix: &Key, command: &[String]) -> Key {
    let fields = std::iter::once(prefix.as_str()).chain(command.iter().map(String::as_str));
    Key::of("pilotlight conda python 1", fields)
}

/// What the prefix stands on without its own interpreter, with the layers of the prefix, topmost first.
pub(crate) fn base(
    beneath: Base,
    python: PythonVersion,
    key: &Key,
    mut layers: Vec<PathBuf>,
    made: bool,
) -> Base {
    layers.extend(beneath.layers);
    let mut binds = beneath.binds;
    binds.retain(|bind| bind.target != Path::new(PYTHON_HOME));
    Base {
        identity: format!("conda {key}"),
        used: format!("conda with Python {python} on {}", beneath.used),
        python,
        layers,
        binds,
        env: env(),
        made: made || beneath.made,
        ..beneath
    }
}

#[cfg(test)]
mod tests {
    use pilotlight_sandbox::Bind;

    use super::*;
    use crate::base::Interpreter;

    #[test]
    fn of_what_it_stands_on_only_the_interpreter_is_hidden() {
        let bind = |path: &str| Bind { source: path.into(), target: path.into(), writable: false };
        let beneath = Base {
            identity: "host".to_owned(),
            used: "the host".to_owned(),
            python: PythonVersion::new(3, 12),
            libc: "glibc".to_owned(),
            layers: vec!["/l/host".into()],
            binds: vec![bind("/usr"), bind(PYTHON_HOME)],
            env: vec![("LD_LIBRARY_PATH".to_owned(), "/opt/python/lib".to_owned())],
            workdir: None,
            entrypoint: Vec::new(),
            user: String::new(),
            interpreter: Some(Interpreter { home: "/h".into(), hidden: true, shared: true }),
            takes_packages: false,
            made: false,
            warning: None,
        };
        let python = PythonVersion::new(3, 9);
        let name = key(&beneath, python, &["a".to_owned()]);
        let made = base(beneath.clone(), python, &name, vec!["/l/found".into(), "/l/prefix".into()], false);
        assert_eq!(made.python, python);
        assert_eq!(made.binds, [bind("/usr")]);
        assert_eq!(made.layers, ["/l/found", "/l/prefix", "/l/host"].map(PathBuf::from));
        assert!(made.env.iter().all(|(name, _)| name != "LD_LIBRARY_PATH"));
        assert_eq!(made.interpreter, beneath.interpreter);
        // What decides what is in the prefix decides its name.
        assert_ne!(key(&beneath, PythonVersion::new(3, 10), &["a".to_owned()]), name);
        assert_ne!(key(&beneath, python, &["b".to_owned()]), name);
        assert_ne!(key(&Base { identity: "debian".to_owned(), ..beneath }, python, &["a".to_owned()]), name);
    }
}
