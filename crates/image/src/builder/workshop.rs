//! Makes one layer by one step: what the step sees, and what of its traces is kept.

use std::borrow::Cow;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use pilotlight_core::image::conda::INTERPRETER;
use pilotlight_core::image::{
    APT_ENV, COPIED, Content, CopiedFile, HOME, Key, LayerKind, PATH, Secret, UV_CACHE, VENV,
};
use pilotlight_sandbox::{Bind, Door, Network};

use super::Error;
use crate::base::{Base, Interpreter};
use crate::output::Tail;
use crate::progress::Progress;
use crate::runner::{self, CodeFile, INPUT};
use crate::settings::{Settings, local_directory};
use crate::step::{self, Request, Steps};
use crate::store::{Meta, Store};
use crate::tools::Uv;
use crate::tree::{self, TreeFile};

/// What all steps of one build share.
pub(super) struct Workshop<'a> {
    pub(super) store: &'a Store,
    pub(super) steps: &'a dyn Steps,
    pub(super) settings: &'a Settings,
    pub(super) base: &'a Base,
    pub(super) hostconf: &'a Path,
    /// What of this machine's loopback steps reach.
    pub(super) doors: Vec<Door>,
    /// Where the user's files are, by the digest of their content.
    pub(super) blobs: PathBuf,
    pub(super) uv: Uv,
    pub(super) cache: PathBuf,
    pub(super) users_cache: PathBuf,
    pub(super) progress: &'a dyn Progress,
    pub(super) cancel: &'a AtomicBool,
}

/// One layer to be made.
pub(super) struct Job<'a> {
    pub(super) key: &'a Key,
    pub(super) parent: Option<&'a Key>,
    /// The kind of step of the image; none for the runner's layers.
    pub(super) kind: Option<LayerKind>,
    pub(super) text: &'a str,
    pub(super) command: &'a [String],
    pub(super) env: &'a [(String, String)],
    pub(super) workdir: Option<&'a str>,
    pub(super) find_links: Option<&'a str>,
    /// Variables of this step alone, over those of the image.
    pub(super) own_env: &'a [(String, String)],
    /// Variables of this step alone that nothing keeps.
    pub(super) secrets: &'a [Secret],
    pub(super) input: Input<'a>,
}

/// What a step works on beside the layers below.
pub(super) enum Input<'a> {
    Lock(&'a str),
    Code(&'a [CodeFile]),
    Files(&'a [CopiedFile]),
    /// Files, and an interpreter that is not the image's own.
    Conda(&'a [CopiedFile]),
    /// The user's files at their places, and the layer of the runner's code.
    Program(&'a [CopiedFile], PathBuf),
}

/// Where our own mount points and inputs lie.
const OURS: &[&str] = &["var/cache/uv", "opt/pilotlight/build", "opt/pilotlight/bin"];
/// Shorter values of secrets are not looked for in what a step prints.
const HIDDEN_MIN: usize = 4;
/// Left behind by installers, of no use in an image.
const JUNK: &[&str] = &["root/.cache", "tmp"];
/// Modes of directories that are not 0755, for those we make above an image's own.
const MODES: &[(&str, u32)] = &[("root", 0o700), ("tmp", 0o1777), ("var/tmp", 0o1777)];

impl Workshop<'_> {
    /// The layer of `job` on top of the layers `below` (topmost first) and the base.
    pub(super) fn layer(&self, job: &Job<'_>, below: &[PathBuf]) -> Result<PathBuf, Error> {
        let id = job.key.short();
        // As in the terminal of the one that builds it; the runner's layers are nobody's business.
        let waiting = || {
            if job.kind.is_some() {
                self.progress.step_started(id, job.text);
                self.progress.line(id, "another build makes it");
            }
        };
        let (path, made) = self.store.make(job.key, self.cancel, waiting, |staging, cancel| {
            let start = Instant::now();
            self.progress.step_started(id, job.text);
            self.run(job, below, staging, cancel)?;
            let seconds = start.elapsed().as_secs_f64();
            self.progress.done(id, job.text, false, seconds);
            Ok::<_, Error>(Meta {
                text: job.text.to_owned(),
                parent: job.parent.map(Key::to_string),
                command: job.command.to_vec(),
                seconds,
            })
        })?;
        // The runner's layers are nobody's business unless they take time.
        if !made && job.kind.is_some() {
            self.progress.done(id, job.text, true, 0.0);
        }
        Ok(path)
    }

    fn run(
        &self,
        job: &Job<'_>,
        below: &[PathBuf],
        staging: &Path,
        cancel: &AtomicBool,
    ) -> Result<(), Error> {
        let id = job.key.short();
        let request = self.request(job, below, staging)?;
        let upper = request.upper.clone();
        let (tail, log) = (Tail::default(), self.store.log(job.key)?);
        let line = |line: &str| {
            let line = &*hidden(line, job.secrets);
            tail.push(line);
            log.line(line);
            self.progress.line(id, line);
        };
        self.steps.run(request, &line, cancel).map_err(|source| {
            if !matches!(source, step::Error::Cancelled) {
                self.progress.failed(id, job.text, &tail.take());
            }
            Error::Step { text: job.text.into(), layer: id.into(), source }
        })?;
        self.tidy(&upper, job.kind)?;
        Ok(())
    }

    fn request(&self, job: &Job<'_>, below: &[PathBuf], staging: &Path) -> Result<Request, Error> {
        // The topmost lower holds the step's input and the places where host directories are shown, so that neither
        // leaves a trace in what is kept.
        let input = staging.join("input");
        let inside = input.join(INPUT.trim_start_matches('/'));
        fs_err::create_dir_all(&inside)?;
        match &job.input {
            Input::Lock(list) => fs_err::write(inside.join("runner.txt"), list)?,
            Input::Code(files) => runner::write_code(&input, files)?,
            Input::Files([]) | Input::Conda([]) => {}
            Input::Program(files, _) => {
                self.lay_out(files, &staging.join("texts"), &input)?;
            }
            Input::Files(files) | Input::Conda(files) => {
                self.lay_out(files, &staging.join("texts"), &input.join(COPIED.trim_start_matches('/')))?;
            }
        }
        let mut binds = self.base.binds.clone();
        let cache = match job.kind {
            None | Some(LayerKind::Venv) => Some(&self.cache),
            Some(LayerKind::Pip | LayerKind::Conda) => Some(&self.users_cache),
            Some(LayerKind::Apt | LayerKind::Run | LayerKind::Files | LayerKind::Function) => None,
        };
        binds.extend(cache.map(|source| Bind {
            source: source.clone(),
            target: UV_CACHE.into(),
            writable: true,
        }));
        binds.extend(self.interpreter(job, &input)?);
        let own = job.find_links.and_then(local_directory).filter(|path| path.exists());
        for path in self.settings.local_paths().iter().chain(&own) {
            let hidden = binds.iter().any(|bind| path.starts_with(&bind.target));
            if !hidden && path.is_dir() {
                fs_err::create_dir_all(input.join(path.strip_prefix("/").unwrap_or(path)))?;
                binds.push(Bind { source: path.clone(), target: path.clone(), writable: false });
            }
        }
        for (name, mode) in MODES {
            if input.join(name).is_dir() {
                fs_err::set_permissions(input.join(name), PermissionsExt::from_mode(*mode))?;
            }
        }
        let mut lowers = vec![input, self.uv.layer.clone(), self.hostconf.to_owned()];
        if let Input::Program(_, code) = &job.input {
            lowers.push(code.clone());
        }
        lowers.extend_from_slice(below);
        lowers.extend_from_slice(&self.base.layers);
        let usual = if job.kind == Some(LayerKind::Function) { HOME } else { "/" };
        // Our own layers have nothing to do with the image's directory.
        let bases = self.base.workdir.as_deref().filter(|_| job.kind.is_some());
        let directory = job.workdir.or(bases).unwrap_or(usual);
        Ok(Request {
            lowers,
            binds,
            argv: job.command.to_vec(),
            env: self.env(job),
            cwd: directory.into(),
            network: Network::Outbound,
            doors: self.doors.clone(),
            scratch: staging.join("scratch"),
            upper: staging.join("fs"),
        })
    }

    /// Shows the base's interpreter to a step that changes the image's.
    fn interpreter(&self, job: &Job<'_>, input: &Path) -> std::io::Result<Option<Bind>> {
        let wanted = self.base.interpreter.as_ref().filter(|_| matches!(job.input, Input::Conda(_)));
        let Some(Interpreter { home, hidden, .. }) = wanted else { return Ok(None) };
        let place = input.join(INTERPRETER.trim_start_matches('/'));
        if !hidden {
            return fs_err::os::unix::fs::symlink(home, place).map(|()| None);
        }
        fs_err::create_dir_all(place)?;
        Ok(Some(Bind { source: home.clone(), target: INTERPRETER.into(), writable: false }))
    }

    /// Puts what is to be copied below `to`; texts become files in `texts` first.
    fn lay_out(&self, files: &[CopiedFile], texts: &Path, to: &Path) -> Result<(), Error> {
        fs_err::create_dir(texts)?;
        let blob = |file: &CopiedFile, at: usize| match &file.content {
            Content::Blob(digest) => Ok((digest.clone(), self.blobs.join(digest))),
            Content::Text(text) => {
                let path = texts.join(at.to_string());
                fs_err::write(&path, text).map(|()| (String::new(), path))
            }
        };
        let files = files.iter().enumerate().map(|(at, file)| {
            let (digest, blob) = blob(file, at)?;
            Ok(TreeFile { remote: file.remote.clone(), mode: file.mode, digest, blob })
        });
        let files = files.collect::<std::io::Result<Vec<_>>>()?;
        if let Some(parent) = to.parent() {
            fs_err::create_dir_all(parent)?;
        }
        Ok(tree::lay_out(to, &tree::place(&files)?)?)
    }

    /// General variables first, the image's own last: they win.
    fn env(&self, job: &Job<'_>) -> Vec<(String, String)> {
        let mut env: Vec<(String, String)> = [
            ("PATH", PATH),
            ("HOME", "/root"),
            ("LANG", "C.UTF-8"),
            ("VIRTUAL_ENV", VENV),
            ("UV_CACHE_DIR", UV_CACHE),
            // The cache is another file system, and a layer must not share files with it.
            ("UV_LINK_MODE", "copy"),
            ("UV_PYTHON_DOWNLOADS", "never"),
            ("UV_NO_PROGRESS", "1"),
            APT_ENV,
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
        let mut set = |name: &str, value: &str| {
            env.retain(|(known, _)| known != name);
            env.push((name.to_owned(), value.to_owned()));
        };
        let settings = self.settings.env_inside();
        if job.kind == Some(LayerKind::Function) {
            // What the program sees in its containers, too.
            for (name, value) in
                [("MODAL_IS_REMOTE", "1"), ("PILOTLIGHT_IS_REMOTE", "1"), ("PYTHONUNBUFFERED", "1")]
            {
                set(name, value);
            }
            // The program's files are not in the layer, and bytecode of theirs would be: it counts for any later file of
            // the same size that was laid out in the same second. <https://docs.python.org/3/reference/import.html>
            set("PYTHONDONTWRITEBYTECODE", "1");
        }
        for (name, value) in settings.iter().chain(&self.base.env).chain(job.env).chain(job.own_env) {
            set(name, value);
        }
        if let (Input::Conda(_), Some(Interpreter { shared: true, .. })) =
            (&job.input, &self.base.interpreter)
        {
            // Its own run path names the place it was built for, which does not exist inside.
            set("LD_LIBRARY_PATH", &format!("{INTERPRETER}/lib"));
        }
        for secret in job.secrets {
            set(&secret.name, &secret.value);
        }
        if job.kind == Some(LayerKind::Function) {
            let own = env.iter().find(|(name, value)| name == "PYTHONPATH" && !value.is_empty());
            let own = own.map_or_else(String::new, |(_, own)| format!(":{own}"));
            env.retain(|(name, _)| name != "PYTHONPATH");
            env.push(("PYTHONPATH".to_owned(), format!("{}:{}{own}", runner::LIB, runner::SDK)));
        }
        env
    }

    /// Takes out of a step's changes what no image needs. What a user's own command left anywhere is meant to stay.
    fn tidy(&self, upper: &Path, kind: Option<LayerKind>) -> std::io::Result<()> {
        let junk = if matches!(kind, Some(LayerKind::Run | LayerKind::Files | LayerKind::Function)) {
            &[]
        } else {
            JUNK
        };
        for name in OURS.iter().chain(junk) {
            // A step may have made a link of `opt`, which would lead this server's rights to wherever it likes.
            if leads_inside(upper, Path::new(name)) {
                self.store.remove(&upper.join(name))?;
            }
        }
        Ok(())
    }
}

/// A line without the values of secrets, which a command may print in spite of itself.
fn hidden<'a>(line: &'a str, secrets: &[Secret]) -> Cow<'a, str> {
    let mut line = Cow::Borrowed(line);
    // Hiding what is as short as this would tell it.
    for secret in secrets.iter().filter(|secret| secret.value.len() >= HIDDEN_MIN) {
        if line.contains(&secret.value) {
            line = line.replace(&secret.value, "***").into();
        }
    }
    line
}

/// Whether the folders on the way to `name` in `root` are folders, and no links. Nothing changes them meanwhile: the step
/// has ended.
fn leads_inside(root: &Path, name: &Path) -> bool {
    let parents = name.ancestors().skip(1).filter(|parent| !parent.as_os_str().is_empty());
    parents
        .map(|parent| root.join(parent))
        .all(|parent| std::fs::symlink_metadata(parent).is_ok_and(|found| found.is_dir()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_step_prints_shows_no_secret() {
        let secret = |value: &str| Secret { name: "TOKEN".into(), value: value.into() };
        let secrets = [secret("hunter2-token"), secret("abc"), secret("")];
        assert_eq!(hidden("cloning https://u:hunter2-token@x", &secrets), "cloning https://u:***@x");
        assert!(matches!(hidden("abc is in many words", &secrets), Cow::Borrowed("abc is in many words")));
    }

    #[test]
    fn leftovers_are_not_looked_for_through_links() {
        let (upper, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::create_dir_all(elsewhere.path().join("cache/uv")).unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), upper.path().join("var")).unwrap();
        std::fs::create_dir_all(upper.path().join("opt/pilotlight/build")).unwrap();
        assert!(upper.path().join("var/cache/uv").is_dir(), "through the link it is there");
        assert!(!leads_inside(upper.path(), Path::new("var/cache/uv")));
        assert!(leads_inside(upper.path(), Path::new("opt/pilotlight/build")));
        assert!(leads_inside(upper.path(), Path::new("tmp")));
        assert!(!leads_inside(upper.path(), Path::new("root/.cache")), "there is none");
    }
}
