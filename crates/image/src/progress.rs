//! What a build tells while it runs, for a terminal or a log.

/// Receives the course of a build. Called from several threads at once.
pub trait Progress: Sync {
    /// Something that takes time begins. `id` names it in the later calls.
    fn step_started(&self, id: &str, text: &str);
    /// One line of output of a step, without its end.
    fn line(&self, id: &str, line: &str);
    /// A step is done; a cached one was never started.
    fn done(&self, id: &str, text: &str, cached: bool, seconds: f64);
    /// A step failed; `tail` holds its last lines of output.
    fn failed(&self, id: &str, text: &str, tail: &[String]);
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn step_started(&self, _: &str, _: &str) {}
    fn line(&self, _: &str, _: &str) {}
    fn done(&self, _: &str, _: &str, _: bool, _: f64) {}
    fn failed(&self, _: &str, _: &str, _: &[String]) {}
}
