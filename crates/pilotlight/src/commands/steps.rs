//! Shows progress streams, from the server or from work done in this process, in one way.

use pilotlight_api::progress::Progress;
use tokio::sync::mpsc;

use crate::printer::Printer;
use crate::serve::progress::Steps;

/// Steps that may wait to be printed.
const STEPS_MAX: usize = 256;

/// Prints one piece of progress. What a command must act on (ready, failed, stopped) is left to it.
pub(crate) fn show(printer: &Printer, verb: &str, progress: &Progress) {
    match progress {
        Progress::Step { id, text } => printer.step(id, text),
        Progress::StepOutput { id, line } => printer.step_output(id, line),
        Progress::StepDone { id, text, seconds, cached } => printer.step_done(id, text, *seconds, *cached),
        Progress::Warning { text } => printer.warning_once(text),
        Progress::StepFailed { id, text, tail } => printer.step_failed(id, text, tail),
        Progress::Created { function, url, note, host_url, custom_domains, .. } => {
            printer.url(verb, function, url, note.as_deref());
            if let Some(host_url) = host_url {
                printer.also("By label", host_url);
            }
            for url in custom_domains {
                printer.also("Custom domain", url);
            }
        }
        Progress::Log { function, stream, line, at, .. } => {
            printer.container_line(function, *stream, *at, line);
        }
        Progress::Ready { .. }
        | Progress::Built { .. }
        | Progress::Failed { .. }
        | Progress::Stopped { .. } => {}
    }
}

/// Runs `work` on a blocking thread and prints its steps meanwhile.
pub(crate) async fn blocking<T, F>(printer: &Printer, work: F) -> anyhow::Result<T>
where
    T: Send + 'static,
    F: FnOnce(&Steps) -> anyhow::Result<T> + Send + 'static,
{
    let (sender, mut receiver) = mpsc::channel(STEPS_MAX);
    let work = tokio::task::spawn_blocking(move || work(&Steps(sender)));
    while let Some(progress) = receiver.recv().await {
        show(printer, "Created", &progress);
    }
    work.await?
}
