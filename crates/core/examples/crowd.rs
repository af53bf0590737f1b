//! What `cargo xtask bench pool` measures with: the pool machine alone, in the crowd of the crate's tests.
//!
//! ```text
//! crowd CONTAINERS WAVES   # prints JSON
//! ```
//!
//! A decision is what the pool's actor asks for each event: the step, the counts, the next deadline.

#[path = "../tests/it/crowd.rs"]
mod crowd;
#[path = "../tests/it/random.rs"]
mod random;

use std::error::Error;
use std::hint::black_box;
use std::io::Write as _;
use std::time::{Duration, Instant};

use crowd::Crowd;

/// A decision is too short for one look at the clock: each sample is the mean of so many.
const SAMPLE: u32 = 100;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [containers, waves] = arguments.as_slice() else {
        return Err("usage: crowd CONTAINERS WAVES".into());
    };
    let mut crowd = Crowd::new(containers.parse()?);
    let mut samples = Vec::new();
    let (mut sum, mut count) = (Duration::ZERO, 0);
    crowd.run(waves.parse()?, &mut |pool, now, event, out| {
        let begun = Instant::now();
        pool.step(now, event, out);
        black_box((pool.stats(), pool.deadline()));
        sum += begun.elapsed();
        count += 1;
        if count == SAMPLE {
            samples.push((sum / SAMPLE).as_nanos());
            (sum, count) = (Duration::ZERO, 0);
        }
    });
    let Crowd { arrived, served, most, .. } = crowd;
    let told = format!(
        "{{\"arrived\": {arrived}, \"served\": {served}, \"most\": {most}, \"samples_ns\": {samples:?}}}"
    );
    Ok(writeln!(std::io::stdout(), "{told}")?)
}
