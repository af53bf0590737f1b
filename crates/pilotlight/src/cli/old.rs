//! Words of Modal's command line that mean nothing here, or not yet: each is answered with what to do in its place.

use clap::Args;

use crate::reference::Reference;

/// Options of Modal's that nothing here depends on.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Old {
    /// Modal's environment
    #[arg(long = "env", short = 'e', value_name = "NAME", hide = true)]
    environment: Option<String>,
}

impl Old {
    /// What to say about those that were given.
    pub(crate) fn notices(&self) -> Vec<String> {
        let environment = self.environment.as_ref();
        environment
            .map(|name| format!("`--env {name}` has no effect: there is one environment here"))
            .into_iter()
            .collect()
    }
}

/// What Modal's verb `verb` is for and what does it here; `None` for a word that Modal does not have either.
pub(crate) fn of_modal(verb: &str) -> Option<(&'static str, &'static str)> {
    let account = ("there is no account, the server is this machine", "`pilotlight server start` starts it");
    let settings = (
        "settings are environment variables here",
        "docs/reference/cli.md lists them; `pilotlight --help` names the exit codes",
    );
    let objects = (
        "objects that outlive an app are not built yet",
        "keep the data in a service of your own, reached by its URL",
    );
    let inspect = ("it is not built yet", "`pilotlight app list` shows functions, URLs and containers");
    Some(match verb {
        "shell" | "app shell" => (
            "a shell in a container is not built yet",
            "put what you want to try into a web endpoint and `pilotlight serve` it; `pilotlight app logs` shows what \
             containers print",
        ),
        "secret" => (
            "named secrets are not built yet",
            "give the values in the program: `modal.Secret.from_dict`, `from_dotenv` or `from_local_environ`",
        ),
        "volume" | "nfs" => (
            "volumes are not built yet, and what containers write is gone with them",
            "files to read go along with `Image.add_local_dir` or `modal.Mount`",
        ),
        "dict" | "queue" => objects,
        "token" | "profile" | "setup" | "workspace" | "billing" => account,
        "env" | "environment" => {
            ("there is one environment here", "give apps names of their own with `--name`")
        }
        "config" => settings,
        "container" | "function" | "app info" | "app stats" => inspect,
        "dashboard" | "app dashboard" => ("there is no dashboard", "`pilotlight app list` shows what runs"),
        "app history" | "app rollback" | "app rollover" => (
            "older versions cannot be brought back yet",
            "check out the older program and `pilotlight deploy` it again",
        ),
        "image names" | "image pull" => {
            ("images have no names and are on this machine alone", "`pilotlight image list` shows them")
        }
        "curl" => ("endpoints are open on this machine", "use `curl` with the URL of `pilotlight app list`"),
        "endpoint" | "launch" | "cluster" | "sandbox" | "bootstrap" | "skills" | "changelog" => {
            ("it is not built", "`pilotlight --help` lists what is")
        }
        _ => return None,
    })
}

/// Whether a word in the place of a verb is a program: the verb was forgotten.
pub(crate) fn is_program(word: &str) -> bool {
    let reference = Reference::parse(word, false);
    reference.file().is_some_and(|file| file.extension().is_some_and(|end| end == "py") || file.is_file())
}

/// The verb that was probably meant.
pub(crate) fn nearest<'a>(word: &str, verbs: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = verbs.into_iter().map(|verb| (strsim::jaro_winkler(word, verb), verb));
    let best = near.filter(|(score, _)| *score > 0.75).max_by(|a, b| a.0.total_cmp(&b.0));
    best.map(|(_, verb)| verb)
}
