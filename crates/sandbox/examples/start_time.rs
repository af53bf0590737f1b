//! Measures how long starting a container takes, split into phases. Needs root.
//!
//! `cargo run --release -p pilotlight-sandbox --example start_time [-- COUNT]`

use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use fs_err as fs;
use pilotlight_sandbox::{
    Bind, Command, Event, Fds, Helper, Limits, Network, Options, Phases, Signal, Spec, Started, helper_main,
};

fn main() -> ExitCode {
    let argument = std::env::args().nth(1);
    if argument.as_deref() == Some("sandbox-helper") {
        return helper_main(&[]);
    }
    let count = argument.and_then(|count| count.parse().ok()).unwrap_or(50);
    match measure(count) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(count: usize) -> Result<(), Box<dyn Error>> {
    let name = format!("e{}", std::process::id());
    let run_dir = Path::new("/run/pilotlight").join(&name);
    let state = std::env::current_dir()?.join(format!(".start-time-{name}"));
    let base = state.join("base");
    for directory in ["usr", "root", "proc", "dev", "tmp"] {
        fs::create_dir_all(base.join(directory))?;
    }
    for link in ["bin", "lib", "lib64"] {
        fs::os::unix::fs::symlink(format!("usr/{link}"), base.join(link))?;
    }
    let (helper, events) = Helper::spawn(&Options::new(&run_dir, &state))?;
    for network in [Network::None, Network::Outbound] {
        let mut rounds = Vec::new();
        for number in 0..count {
            let begin = Instant::now();
            let started = helper.start(&spec(&state, &format!("{network:?}-{number}"), network), null()?)?;
            let call = begin.elapsed();
            let Event::Exited { .. } = events.recv()? else { return Err("the helper died".into()) };
            rounds.push((call, started, begin.elapsed()));
        }
        report(network, &rounds)?;
    }
    forks(&helper, &events, &state, count)?;
    at_once(&helper, &state, count)?;
    helper.shutdown(Duration::from_secs(10));
    fs::remove_dir_all(&state)?;
    fs::remove_dir_all(&run_dir)?;
    Ok(())
}

/// A zygote in the host's Python; its forks end at once.
const ZYGOTE: &str = "
import os, socket, sys
sys.path.insert(0, '/opt')
from zygote import Zygote
Zygote(socket.socket(fileno=5)).serve().confirm()
os._exit(0)
";

/// As the rounds of `measure`, but each container is a fork of a zygote.
fn forks(
    helper: &Helper,
    events: &Receiver<Event>,
    state: &Path,
    count: usize,
) -> Result<(), Box<dyn Error>> {
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../python/_pilotlight_runner/zygote.py");
    let mut zygote = spec(state, "zygote", Network::None);
    zygote.binds.push(Bind {
        source: fs::canonicalize(module)?,
        target: "/opt/zygote.py".into(),
        writable: false,
    });
    zygote.zygote = true;
    zygote.limits.pids = 4096;
    let command = ["/usr/bin/python3", "-B", "-c", ZYGOTE].map(str::to_owned);
    zygote.command.argv = command.to_vec();
    helper.start(&zygote, null()?)?;
    for (network, ahead) in [(Network::None, false), (Network::Outbound, false), (Network::Outbound, true)] {
        let mut rounds = Vec::new();
        for number in 0..count {
            let mut spec = spec(state, &format!("fork-{network:?}-{ahead}-{number}"), network);
            spec.from = Some(zygote.id.clone());
            if ahead {
                helper.prepare(&spec)?;
            }
            let begin = Instant::now();
            let started = helper.start(&spec, null()?)?;
            let call = begin.elapsed();
            let Event::Exited { .. } = events.recv()? else { return Err("the helper died".into()) };
            rounds.push((call, started, begin.elapsed()));
        }
        let shell = if ahead { "a shell made ahead" } else { "a fresh shell" };
        writeln!(std::io::stdout(), "forked from a zygote into {shell}:")?;
        report(network, &rounds)?;
    }
    Ok(helper.signal(&zygote.id, Signal::Kill)?)
}

/// A thread per start, all at the same time.
fn at_once(helper: &Helper, state: &Path, count: usize) -> Result<(), Box<dyn Error>> {
    let begin = Instant::now();
    std::thread::scope(|scope| {
        let start = |number| {
            move || {
                let spec = spec(state, &format!("once-{number}"), Network::Outbound);
                let fds = null().map_err(|source| pilotlight_sandbox::Error::RunDir {
                    path: "/dev/null".into(),
                    source,
                })?;
                helper.start(&spec, fds).map(drop)
            }
        };
        let threads: Vec<_> = (0..count).map(|number| scope.spawn(start(number))).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or(Err(pilotlight_sandbox::Error::HelperDied)))
    })?;
    let all = begin.elapsed();
    Ok(writeln!(
        std::io::stdout(),
        "{count} starts at once: {:.1} ms until the last one runs",
        all.as_secs_f64() * 1e3
    )?)
}

fn spec(state: &Path, name: &str, network: Network) -> Spec {
    let id = format!("co-{name}");
    Spec {
        scratch: state.join(&id),
        id,
        hostname: "bench".into(),
        lowers: vec![state.join("base")],
        binds: vec![Bind { source: "/usr".into(), target: "/usr".into(), writable: false }],
        network,
        limits: Limits { memory_mib: Some(256), cpu_millis: Some(1000), pids: 64, disk_mib: None },
        command: Command { argv: vec!["/bin/true".into()], env: vec![], cwd: "/".into() },
        keep_upper: None,
        zygote: false,
        from: None,
    }
}

fn null() -> std::io::Result<Fds> {
    let open = || fs::OpenOptions::new().write(true).open("/dev/null").map(|file| file.into_file().into());
    Ok(Fds { control: None, listener: None, stdout: open()?, stderr: open()? })
}

fn report(network: Network, rounds: &[(Duration, Started, Duration)]) -> std::io::Result<()> {
    let mut out = std::io::stdout();
    let mut line = |name: &str, pick: &dyn Fn(&(Duration, Started, Duration)) -> Duration| {
        let mut times: Vec<Duration> = rounds.iter().map(pick).collect();
        times.sort_unstable();
        let at = |part: usize| {
            times.get(times.len() * part / 100).copied().unwrap_or_default().as_secs_f64() * 1e3
        };
        writeln!(out, "  {name:<22} p50 {:7.3} ms   p95 {:7.3} ms", at(50), at(95))
    };
    let phase =
        |pick: fn(&Phases) -> Duration| move |round: &(Duration, Started, Duration)| pick(&round.1.phases);
    line(&format!("start() {network:?}"), &|round| round.0)?;
    line("  in the helper", &|round| round.1.setup)?;
    line("  slot, cgroup, limits", &phase(|phases| phases.limits))?;
    line("  clone, id maps", &phase(|phases| phases.process))?;
    line("  layers, overlay, binds", &phase(|phases| phases.mounts))?;
    line("  link", &phase(|phases| phases.network))?;
    line("  pid 1: shell", &phase(|phases| phases.shell))?;
    line("  pid 1: fork, exec", &phase(|phases| phases.run))?;
    line("until its end is told", &|round| round.2)
}
