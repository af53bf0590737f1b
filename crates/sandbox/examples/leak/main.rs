//! Starts and stops containers from a zygote, and compares what there is on the machine before and after. Needs root.
//!
//! `cargo run --release -p pilotlight-sandbox --example leak [-- COUNT]`

mod census;

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use fs_err as fs;
use pilotlight_sandbox::{
    Bind, Command, Event, Fds, Helper, Limits, Network, Options, Signal, Spec, helper_main,
};

use census::{Census, census, differences, entries, parent};

/// Cycles before the first count: by then every pool and cache is as large as it gets.
const WARM_UP: usize = 100;

/// How long the kernel may take to remove what has ended.
const SETTLED_WITHIN: Duration = Duration::from_secs(30);

/// A zygote in the host's Python; its forks end at once.
const ZYGOTE: &str = "
import os, socket, sys
sys.path.insert(0, '/opt')
from zygote import Zygote
print('lit', flush=True)
Zygote(socket.socket(fileno=5)).serve().confirm()
os._exit(0)
";

fn main() -> ExitCode {
    let argument = std::env::args().nth(1);
    if argument.as_deref() == Some("sandbox-helper") {
        return helper_main(&[]);
    }
    let count = argument.and_then(|count| count.parse().ok()).unwrap_or(1000);
    match run(count) {
        Ok(leaks) if leaks.is_empty() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(count: usize) -> Result<Vec<String>, Box<dyn Error>> {
    let name = format!("e{}", std::process::id());
    let run_dir = Path::new("/run/pilotlight").join(&name);
    let state = std::env::current_dir()?.join(format!(".leak-{name}"));
    let base = state.join("base");
    for directory in ["usr", "root", "proc", "dev", "tmp", "opt"] {
        fs::create_dir_all(base.join(directory))?;
    }
    fs::create_dir_all(state.join("scratch"))?;
    for link in ["bin", "lib", "lib64"] {
        fs::os::unix::fs::symlink(format!("usr/{link}"), base.join(link))?;
    }
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../python/_pilotlight_runner/zygote.py");
    fs::copy(module, base.join("opt/zygote.py"))?;
    let (helper, events) = Helper::spawn(&Options::new(&run_dir, &state))?;
    let mut out = std::io::stdout();

    let mut zygote = spec(&state, "zygote", Network::None);
    zygote.zygote = true;
    zygote.limits.pids = 4096;
    zygote.command.argv = ["/usr/bin/python3", "-B", "-c", ZYGOTE].map(str::to_owned).to_vec();
    let (lit, stdout) = std::io::pipe()?;
    let started = helper.start(&zygote, Fds { stdout: stdout.into(), ..null()? })?;
    let process = parent(started.pid.cast_unsigned()).ok_or("the helper is not to be found")?;
    let census = || -> Result<Census, Box<dyn Error>> {
        let mut census = census(process, &run_dir, &state)?;
        census.insert("descriptors of the server", entries(Path::new("/proc/self/fd")));
        Ok(census)
    };
    BufReader::new(lit).read_line(&mut String::new())?;

    let cycle = |number: usize| -> Result<(), Box<dyn Error>> {
        let mut spec = spec(&state, &number.to_string(), Network::Outbound);
        // In turns: from the zygote into a fresh shell, into one made ahead, one made ahead for nothing, and plain.
        match number % 4 {
            0 => spec.from = Some(zygote.id.clone()),
            1 => {
                spec.from = Some(zygote.id.clone());
                helper.prepare(&spec)?;
            }
            2 => {
                spec.from = Some(zygote.id.clone());
                helper.prepare(&spec)?;
                return Ok(helper.signal(&spec.id, Signal::Kill)?);
            }
            _ => {}
        }
        helper.start(&spec, null()?)?;
        let Event::Exited { .. } = events.recv()? else { return Err("the helper died".into()) };
        Ok(())
    };
    (0..WARM_UP).try_for_each(cycle)?;
    let before = settled(&census)?;
    let began = Instant::now();
    (WARM_UP..WARM_UP + count).try_for_each(cycle)?;
    let took = began.elapsed();
    let after = settled(&census)?;
    writeln!(out, "{count} cycles in {:.1} s", took.as_secs_f64())?;
    for (name, count) in &after {
        writeln!(out, "  {name:<34} {:>6} before {count:>6} after", before.get(name).copied().unwrap_or(0))?;
    }
    let leaks = differences(&before, &after);
    writeln!(out, "{}", if leaks.is_empty() { "nothing is left".to_owned() } else { leaks.join("\n") })?;
    helper.shutdown(Duration::from_secs(10));
    fs::remove_dir_all(&state)?;
    let _ = fs::remove_dir_all(&run_dir);
    Ok(leaks)
}

/// The count once it does not change any more: namespaces and their links are taken down in the background.
fn settled(count: &dyn Fn() -> Result<Census, Box<dyn Error>>) -> Result<Census, Box<dyn Error>> {
    let until = Instant::now() + SETTLED_WITHIN;
    let (_sender, never) = std::sync::mpsc::channel::<()>();
    let mut last = count()?;
    loop {
        let _ = never.recv_timeout(Duration::from_millis(500));
        let now = count()?;
        if now == last || Instant::now() > until {
            return Ok(now);
        }
        last = now;
    }
}

fn spec(state: &Path, name: &str, network: Network) -> Spec {
    let id = format!("co-{name}");
    Spec {
        scratch: state.join("scratch").join(&id),
        id,
        hostname: "leak".into(),
        lowers: vec![state.join("base")],
        binds: vec![Bind { source: "/usr".into(), target: "/usr".into(), writable: false }],
        network,
        limits: Limits { memory_mib: Some(256), cpu_millis: Some(1000), pids: 64, ..Limits::default() },
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
