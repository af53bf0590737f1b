//! All output goes through here: data to stdout, the rest to stderr; live lines on a terminal, plain ones elsewhere.

use std::collections::{HashMap, HashSet};
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
    timestamps: bool,
    live: bool,
    bars: MultiProgress,
    steps: Mutex<HashMap<String, ProgressBar>>,
    warned: Mutex<HashSet<String>>,
}

impl Printer {
    /// A printer for this process's stdout and stderr. `quiet` leaves out progress; `timestamps` puts the time before
    /// containers' lines.
    pub(crate) fn new(quiet: bool, timestamps: bool) -> Self {
        let live = std::io::stderr().is_terminal() && !quiet;
        Self {
            quiet,
            timestamps,
            live,
            bars: MultiProgress::new(),
            steps: Mutex::default(),
            warned: Mutex::default(),
        }
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

    /// Another URL at which the endpoint above answers as well, and what it is.
    pub(crate) fn also(&self, what: &str, url: &str) {
        self.out(&format!("  {what}: {}", url.cyan().underline()));
    }

    /// A line of a container: stdout to stdout, stderr to stderr, with the function's name before it.
    pub(crate) fn container_line(
        &self,
        function: &str,
        stream: pilotlight_api::progress::Stream,
        at: f64,
        line: &str,
    ) {
        use pilotlight_api::progress::Stream;
        let at = if self.timestamps { format!("{} ", timestamp(at).dimmed()) } else { String::new() };
        match stream {
            Stream::Stdout => self.out(&format!("{at}{} {line}", format!("{function} |").blue())),
            Stream::Stderr => self.err(&format!("{at}{} {line}", format!("{function} |").yellow())),
            Stream::System => {
                self.err(&format!("{at}{} {}", format!("{function} |").dimmed(), line.dimmed()));
            }
        }
    }

    /// A fact worth a line of its own.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            self.err(text);
        }
    }

    /// A question to the user, who cannot answer one that is not seen.
    pub(crate) fn question(&self, text: &str) {
        self.err(text);
    }

    /// Whether only results and errors are printed.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// A warning: something works, but not as the user may think.
    pub(crate) fn warning(&self, text: &str) {
        self.err(&format!("{} {text}", "warning:".yellow().bold()));
    }

    /// A warning that comes again with each version of a file that is served.
    pub(crate) fn warning_once(&self, text: &str) {
        let mut warned = self.warned.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if warned.insert(text.to_owned()) {
            self.warning(text);
        }
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

    /// Rows of data below each other, the first of them titles.
    pub(crate) fn table<const COLUMNS: usize>(&self, rows: &[[String; COLUMNS]]) {
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: [usize; COLUMNS] = std::array::from_fn(width);
        for row in rows {
            let cells: Vec<String> =
                row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
            self.out(cells.join("  ").trim_end());
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

/// Seconds since the epoch as RFC 3339 has them, in UTC: `2026-11-22T21:05:57.123Z`.
pub(crate) fn timestamp(at: f64) -> String {
    let millis = Duration::try_from_secs_f64(at).unwrap_or_default().as_millis();
    let (seconds, millis) = (millis / 1000, millis % 1000);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(u64::try_from(days).unwrap_or_default());
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// Year, month and day of a day after 1970-01-01. Years are counted from March on, so that the leap day is the last:
/// <https://howardhinnant.github.io/date_algorithms.html#civil_from_days>.
fn date(days: u64) -> (u64, u64, u64) {
    // 719468 days from 0000-03-01; 146097 days are 400 years.
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_utc() {
        assert_eq!(timestamp(0.0), "1970-01-01T00:00:00.000Z");
        assert_eq!(timestamp(951_782_400.5), "2000-02-29T00:00:00.500Z");
        assert_eq!(timestamp(1_795_381_557.125), "2026-11-22T21:05:57.125Z");
        assert_eq!(timestamp(-1.0), "1970-01-01T00:00:00.000Z");
    }
}
