//! Where the time of starts went: in histograms, of the last ones exactly, and as a line each in a log file.
//!
//! What a container says about itself (how long its import took) is written down as it was said; the path and the
//! totals are this server's own.

use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pilotlight_api::progress::StartTimes;
use pilotlight_core::id::ContainerId;
use pilotlight_pool::{Receipt, StartReceipt};
use pilotlight_store::logs::Logs;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use serde::Serialize;

use super::logs::unix_seconds;

/// The name of the log file, beside those of the apps: `starts.jsonl`. It is bounded as they are.
const LOG: &str = "starts";

/// Lines that may wait for the disk.
const LINES_MAX: usize = 1024;

/// Starts that are remembered exactly, per path.
const LAST_MAX: usize = 1000;

/// Upper bounds, seconds: a start takes from a few milliseconds to a minute.
const BOUNDS: [f64; 18] = [
    0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 5.0, 20.0,
    60.0,
];

/// A request that waited for no start, but for another request to end.
const FOR_NO_START: &str = "warm";

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// The records of all starts of a server. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Starts(Arc<Shared>);

struct Shared {
    registry: Registry,
    totals: Histograms<PathLabel>,
    phases: Histograms<PhaseLabel>,
    waits: Histograms<PathLabel>,
    last: Mutex<BTreeMap<&'static str, Last>>,
    lines: Option<SyncSender<String>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PathLabel {
    path: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PhaseLabel {
    path: &'static str,
    phase: &'static str,
}

/// The last starts of one path.
#[derive(Default)]
struct Last {
    count: u64,
    took: VecDeque<Duration>,
}

/// Whose start it was.
#[derive(Clone, Copy)]
pub(crate) struct Who<'who> {
    pub(crate) app: &'who str,
    pub(crate) function: &'who str,
    pub(crate) container: &'who ContainerId,
}

/// A line of the log.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Line<'line> {
    /// A container became ready.
    Start {
        at: f64,
        app: &'line str,
        function: &'line str,
        container: &'line str,
        path: &'line str,
        sandbox_ms: f64,
        fork_ms: f64,
        import_ms: f64,
        app_ms: f64,
        total_ms: f64,
    },
    /// A request had waited for it, or for a place in it.
    Wait {
        at: f64,
        app: &'line str,
        function: &'line str,
        container: &'line str,
        path: &'line str,
        queue_ms: f64,
    },
}

impl Starts {
    /// No start yet. Each start, and each wait, is also a line for `lines`, if there is somebody who takes them.
    pub(crate) fn new(lines: Option<SyncSender<String>>) -> Self {
        let new: fn() -> Histogram = || Histogram::new(BOUNDS);
        let (totals, phases, waits) = (
            Histograms::new_with_constructor(new),
            Histograms::new_with_constructor(new),
            Histograms::new_with_constructor(new),
        );
        let mut registry = Registry::with_prefix("pilotlight");
        let mut told = |name: &str, help: &str, totals: &Histograms<PathLabel>| {
            registry.register_with_unit(name, help, Unit::Seconds, totals.clone());
        };
        told("start", "From the order to start a container until it is ready", &totals);
        told("wait", "How long requests waited for a container beyond its start", &waits);
        let help = "The parts of a start: sandbox, fork, import, app";
        registry.register_with_unit("start_phase", help, Unit::Seconds, phases.clone());
        Self(Arc::new(Shared { registry, totals, phases, waits, last: Mutex::default(), lines }))
    }

    /// A container became ready `total` after it was ordered.
    pub(crate) fn ready(&self, who: Who<'_>, receipt: &StartReceipt, total: Duration) {
        let StartReceipt { sandbox, fork, import, app, path } = *receipt;
        self.0.totals.get_or_create(&PathLabel { path }).observe(total.as_secs_f64());
        for (phase, took) in [("sandbox", sandbox), ("fork", fork), ("import", import), ("app", app)] {
            self.0.phases.get_or_create(&PhaseLabel { path, phase }).observe(took.as_secs_f64());
        }
        self.0.last.lock().unwrap_or_else(PoisonError::into_inner).entry(path).or_default().add(total);
        self.write(&Line::Start {
            at: unix_seconds(),
            app: who.app,
            function: who.function,
            container: who.container.as_str(),
            path,
            sandbox_ms: milliseconds(sandbox),
            fork_ms: milliseconds(fork),
            import_ms: milliseconds(import),
            app_ms: milliseconds(app),
            total_ms: milliseconds(total),
        });
    }

    /// A request that waited was given to a container.
    pub(crate) fn waited(&self, who: Who<'_>, receipt: &Receipt) {
        let path = if receipt.start.path.is_empty() { FOR_NO_START } else { receipt.start.path };
        self.0.waits.get_or_create(&PathLabel { path }).observe(receipt.queue.as_secs_f64());
        self.write(&Line::Wait {
            at: unix_seconds(),
            app: who.app,
            function: who.function,
            container: who.container.as_str(),
            path,
            queue_ms: milliseconds(receipt.queue),
        });
    }

    /// All histograms as OpenMetrics text.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.0.registry)
            .expect("a string takes all that is written to it");
        text
    }

    /// How long the last starts took, by path.
    pub(crate) fn times(&self) -> Vec<StartTimes> {
        let last = self.0.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.iter().map(|(path, last)| last.times(path)).collect()
    }

    fn write(&self, line: &Line<'_>) {
        let Ok(text) = serde_json::to_string(line) else { return };
        tracing::info!(target: "pilotlight::starts", "{text}");
        if let Some(lines) = &self.0.lines {
            // A disk that does not keep up costs records, and no request.
            _ = lines.try_send(text);
        }
    }
}

/// Takes lines into the log file, on a thread of its own: they come from where requests wait. Ends with their senders.
pub(crate) fn keep(log: Arc<Logs>) -> std::io::Result<SyncSender<String>> {
    let (sender, lines) = sync_channel::<String>(LINES_MAX);
    let write = move || {
        for line in lines {
            if let Err(error) = log.append(LOG, &line) {
                tracing::warn!(%error, "cannot write the log of starts");
            }
        }
    };
    std::thread::Builder::new().name("start records".into()).spawn(write)?;
    Ok(sender)
}

impl Last {
    fn add(&mut self, took: Duration) {
        self.count += 1;
        if self.took.len() == LAST_MAX {
            self.took.pop_front();
        }
        self.took.push_back(took);
    }

    fn times(&self, path: &str) -> StartTimes {
        let mut sorted: Vec<Duration> = self.took.iter().copied().collect();
        sorted.sort_unstable();
        // The smallest that so many of a hundred do not exceed: the nearest rank.
        let most = |percent: usize| {
            let rank = (sorted.len() * percent).div_ceil(100).max(1);
            sorted.get(rank - 1).copied().map_or(0.0, milliseconds)
        };
        StartTimes { path: path.to_owned(), count: self.count, p50_ms: most(50), p99_ms: most(99) }
    }
}

/// To a thousandth.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000_000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(container: &ContainerId) -> Who<'_> {
        Who { app: "shop", function: "f", container }
    }

    #[test]
    fn a_start_is_counted_in_every_record() {
        let (sender, written) = sync_channel(3);
        let starts = Starts::new(Some(sender));
        let container = ContainerId::from_entropy(7);
        let ms = Duration::from_millis;
        let receipt =
            StartReceipt { sandbox: ms(3), fork: ms(4), import: ms(0), app: ms(1), path: "function-zygote" };
        starts.ready(who(&container), &receipt, ms(9));
        starts.waited(who(&container), &Receipt { queue: ms(2), start: receipt });
        starts.waited(who(&container), &Receipt { queue: ms(40), ..Receipt::default() });

        let text = starts.text();
        for line in [
            "# TYPE pilotlight_start_seconds histogram",
            "pilotlight_start_seconds_sum{path=\"function-zygote\"} 0.009",
            "pilotlight_start_seconds_bucket{le=\"0.0075\",path=\"function-zygote\"} 0",
            "pilotlight_start_seconds_bucket{le=\"0.01\",path=\"function-zygote\"} 1",
            "pilotlight_start_phase_seconds_sum{path=\"function-zygote\",phase=\"fork\"} 0.004",
            "pilotlight_wait_seconds_count{path=\"function-zygote\"} 1",
            "pilotlight_wait_seconds_sum{path=\"warm\"} 0.04",
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "no line `{line}` in\n{text}");
        }

        // More than there is room for is lost, and nobody waits.
        starts.waited(who(&container), &Receipt::default());
        drop(starts);
        let lines: Vec<String> = written.iter().collect();
        let told: Vec<serde_json::Value> =
            lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let names = ["event", "app", "function", "container", "path"];
        assert_eq!(
            names.map(|name| told[0][name].as_str().unwrap()),
            ["start", "shop", "f", container.as_str(), "function-zygote"]
        );
        let phases = ["sandbox_ms", "fork_ms", "import_ms", "app_ms", "total_ms"];
        assert_eq!(phases.map(|name| told[0][name].to_string()), ["3.0", "4.0", "0.0", "1.0", "9.0"]);
        assert_eq!((told[1]["event"].as_str(), told[1]["queue_ms"].as_f64()), (Some("wait"), Some(2.0)));
        assert_eq!((told[2]["path"].as_str(), lines.len()), (Some("warm"), 3));
    }

    #[test]
    fn percentiles_are_of_the_last_thousand() {
        let starts = Starts::new(None);
        let container = ContainerId::from_entropy(7);
        assert_eq!(starts.times(), []);
        let receipt = StartReceipt { path: "plain", ..StartReceipt::default() };
        for ms in (0..200).map(|_| 90_000).chain(1..=1000) {
            starts.ready(who(&container), &receipt, Duration::from_millis(ms));
        }
        let times = StartTimes { path: "plain".to_owned(), count: 1200, p50_ms: 500.0, p99_ms: 990.0 };
        assert_eq!(starts.times(), [times]);
    }
}
