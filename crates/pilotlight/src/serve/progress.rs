//! Carries the steps of an image build to whoever reads the command's progress stream.

use pilotlight_api::progress::Progress;
use tokio::sync::mpsc;

/// Places in the channel that only steps may take, and not their output.
const STEPS_MAX: usize = 64;

/// Sends build steps into a progress channel. Callable from blocking threads.
#[derive(Clone)]
pub(crate) struct Steps(pub(crate) mpsc::Sender<Progress>);

impl Steps {
    /// Never waits: a reader that was suspended must not hold up a build whose lock others wait for.
    fn send(&self, progress: Progress) {
        _ = self.0.try_send(progress);
    }

    /// Tells the user something that ends nothing.
    pub(crate) fn warning(&self, text: &str) {
        self.send(Progress::Warning { text: text.to_owned() });
    }
}

impl pilotlight_image::Progress for Steps {
    fn step_started(&self, id: &str, text: &str) {
        self.send(Progress::Step { id: id.to_owned(), text: text.to_owned() });
    }

    fn line(&self, id: &str, line: &str) {
        // Output is a courtesy, and leaves room for the steps themselves.
        if self.0.capacity() < STEPS_MAX {
            return;
        }
        self.send(Progress::StepOutput { id: id.to_owned(), line: line.to_owned() });
    }

    fn done(&self, id: &str, text: &str, cached: bool, seconds: f64) {
        self.send(Progress::StepDone { id: id.to_owned(), text: text.to_owned(), seconds, cached });
    }

    fn failed(&self, id: &str, text: &str, tail: &[String]) {
        self.send(Progress::StepFailed { id: id.to_owned(), text: text.to_owned(), tail: tail.to_vec() });
    }
}
