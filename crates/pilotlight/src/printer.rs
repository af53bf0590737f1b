//! All output goes through here: data to stdout, the rest to stderr; live lines on a terminal, plain ones elsewhere.

use std::collections::HashMap;
use std::io::{IsTerminal as _, Write as _};
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use owo_colors::OwoColorize as _;

/// How many of a failed step's last lines are shown.
const TAIL: usize = 20;

/// The one writer of a command.
pub(crate) struct Printer {
    quiet: bool,
    live: bool,
    bars: MultiProgress,
    steps: Mutex<HashMap<String, ProgressBar>>,
}

impl Printer {
    /// A printer for this process's stdout and stderr. `quiet` leaves out progress.
    pub(crate) fn new(quiet: bool) -> Self {
        let live = std::io::stderr().is_terminal() && !quiet;
        Self { quiet, live, bars: MultiProgress::new(), steps: Mutex::new(HashMap::new()) }
    }

    /// A step begins. On a terminal a live line with the seconds so far, else nothing until it is done.
    pub(crate) fn step(&self, id: &str, text: &str) {
        if self.quiet {
            return;
        }
        if !self.live {
            self.err(&format!("… {text}"));
            return;
        }
        let style = ProgressStyle::with_template("{spinner:.cyan} {msg} {elapsed:.dim} {prefix:.dim}")
            .expect("the template is a constant that parses")
            .tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ");
        let bar = self.bars.add(ProgressBar::new_spinner().with_style(style).with_message(text.to_owned()));
        bar.enable_steady_tick(Duration::from_millis(100));
        self.steps().insert(id.to_owned(), bar);
    }

    /// A line that a running step printed: the end of the live line shows the newest.
    pub(crate) fn step_output(&self, id: &str, line: &str) {
        if let Some(bar) = self.steps().get(id) {
            bar.set_prefix(line.chars().filter(|c| !c.is_control()).take(70).collect::<String>());
        }
    }

    /// A step succeeded.
    pub(crate) fn step_done(&self, id: &str, text: &str, seconds: f64, cached: bool) {
        self.clear(id);
        if self.quiet {
            return;
        }
        let note = if cached { "(cached)".to_owned() } else { format!("({seconds:.1}s)") };
        self.err(&format!("{} {text} {}", "✓".green(), note.dimmed()));
    }

    /// A step failed: its last lines, then its name.
    pub(crate) fn step_failed(&self, id: &str, text: &str, tail: &[String]) {
        self.clear(id);
        for line in &tail[tail.len().saturating_sub(TAIL)..] {
            self.err(&format!("  {}", line.dimmed()));
        }
        self.err(&format!("{} {text}", "✗".red()));
    }

    /// An endpoint's address: data, hence stdout.
    pub(crate) fn url(&self, verb: &str, name: &str, url: &str, note: Option<&str>) {
        let note = note.map(|note| format!(" {}", note.dimmed())).unwrap_or_default();
        self.out(&format!("{} {verb} {} => {}{note}", "✓".green(), name.bold(), url.cyan().underline()));
    }

    /// A line of a container: stdout to stdout, stderr to stderr, with the function's name before it.
    pub(crate) fn container_line(
        &self,
        function: &str,
        stream: pilotlight_api::progress::Stream,
        line: &str,
    ) {
        use pilotlight_api::progress::Stream;
        match stream {
            Stream::Stdout => self.out(&format!("{} {line}", format!("{function} |").blue())),
            Stream::Stderr => self.err(&format!("{} {line}", format!("{function} |").yellow())),
            Stream::System => self.err(&format!("{} {}", format!("{function} |").dimmed(), line.dimmed())),
        }
    }

    /// A fact worth a line of its own.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            self.err(text);
        }
    }

    /// A warning: something works, but not as the user may think.
    pub(crate) fn warning(&self, text: &str) {
        self.err(&format!("{} {text}", "warning:".yellow().bold()));
    }

    /// An error: detail first (a traceback is long), then the message, then what to do.
    pub(crate) fn error(&self, message: &str, hint: Option<&str>, detail: Option<&str>) {
        self.clear_steps();
        if let Some(detail) = detail {
            self.err(detail.trim_end());
        }
        self.err(&format!("{} {message}", "error:".red().bold()));
        if let Some(hint) = hint {
            self.err(&format!("{} {hint}", "hint:".cyan().bold()));
        }
    }

    /// A line of data.
    pub(crate) fn out(&self, line: &str) {
        // A closed pipe (`| head`) is no error of ours.
        self.bars.suspend(|| _ = writeln!(anstream::stdout(), "{line}"));
    }

    fn err(&self, line: &str) {
        self.bars.suspend(|| _ = writeln!(anstream::stderr(), "{line}"));
    }

    /// Takes the live lines of unfinished steps off the screen.
    pub(crate) fn clear_steps(&self) {
        for (_, bar) in self.steps().drain() {
            bar.finish_and_clear();
        }
    }

    fn clear(&self, id: &str) {
        if let Some(bar) = self.steps().remove(id) {
            bar.finish_and_clear();
        }
    }

    fn steps(&self) -> std::sync::MutexGuard<'_, HashMap<String, ProgressBar>> {
        self.steps.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
