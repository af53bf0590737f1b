//! Follows a version that is being made until it serves: the one loop over progress.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;

use pilotlight_api::client::Lines;
use pilotlight_api::progress::Progress;
use serde::Serialize;

use super::steps;
use crate::exit::UserError;
use crate::printer::Printer;

/// How the making of a version is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown {
    /// What happened to an endpoint: `Created`, `Deployed`.
    pub(crate) verb: &'static str,
    /// Whether steps are shown for which nothing had to be done: no news at every save.
    pub(crate) cached: bool,
}

/// A version that serves. Its JSON is the report to the SDK.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Version {
    pub(crate) app: App,
    /// The URL of each function of which it was told.
    pub(crate) urls: BTreeMap<String, String>,
}

/// The app of a version.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct App {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) version: u32,
}

/// Shows progress until the version serves. Cancel safe: lines that were not read stay in `stream`.
pub(crate) async fn until_ready(
    stream: &mut Lines<Progress>,
    printer: &Printer,
    shown: Shown,
) -> anyhow::Result<Version> {
    let mut urls = BTreeMap::new();
    loop {
        match next(stream).await? {
            Progress::Ready { app_id: id, name, version } => {
                return Ok(Version { app: App { id, name, version }, urls });
            }
            Progress::StepDone { cached: true, .. } if !shown.cached => {}
            other => {
                if let Progress::Created { function, url, .. } = &other {
                    urls.insert(function.clone(), url.clone());
                }
                steps::show(printer, shown.verb, &other);
            }
        }
    }
}

/// An image that is there. Its JSON is what `image build --json` prints.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Image {
    pub(crate) id: String,
    /// Whether nothing had to be done.
    pub(crate) cached: bool,
    /// How long it took.
    pub(crate) seconds: f64,
}

/// Shows progress until the images of a program are there.
pub(crate) async fn until_built(
    stream: &mut Lines<Progress>,
    printer: &Printer,
) -> anyhow::Result<Vec<Image>> {
    let mut done = Vec::new();
    loop {
        match next(stream).await? {
            Progress::Built { images } => {
                // Steps end as images do; of two functions with one image each told of it.
                done.retain(|image: &Image| images.contains(&image.id));
                return Ok(done);
            }
            other => {
                if let Progress::StepDone { id, cached, seconds, .. } = &other {
                    done.push(Image { id: id.clone(), cached: *cached, seconds: *seconds });
                }
                steps::show(printer, "Built", &other);
            }
        }
    }
}

/// The next piece of progress, unless it is the last one of something that failed.
async fn next(stream: &mut Lines<Progress>) -> anyhow::Result<Progress> {
    match stream.next().await? {
        Some(Progress::Failed { code, message, hint, detail }) => {
            Err(super::failed(&code, message, hint, detail))
        }
        Some(progress) => Ok(progress),
        None => anyhow::bail!(
            "the server went away before all was done; `pilotlight server status` tells whether it runs"
        ),
    }
}

/// Where versions are reported to the program that started this command.
pub(crate) struct Reports(Option<File>);

impl Reports {
    /// Reports to the descriptor `number`, which was inherited; without one to nobody.
    pub(crate) fn to(number: Option<u32>) -> anyhow::Result<Self> {
        // Opened anew: taking over a number that no value of ours owns is nothing that safe code can do (proc(5), fd).
        let open = |number| {
            let file = std::fs::OpenOptions::new().write(true).open(format!("/dev/fd/{number}"));
            file.map_err(|error| {
                let hint = "this option is for the SDK; leave it out";
                UserError::new(format!("`--report-fd {number}` cannot be written to: {error}"), hint)
            })
        };
        Ok(Self(number.map(open).transpose()?))
    }

    /// Reports a version. Who does not listen any more misses it.
    pub(crate) fn tell(&mut self, version: &Version) {
        let Some(file) = &mut self.0 else { return };
        let mut line = serde_json::to_vec(version).expect("a version has text keys only");
        line.push(b'\n');
        if let Err(error) = file.write_all(&line) {
            tracing::debug!(%error, "nobody reads the reports");
        }
    }
}
