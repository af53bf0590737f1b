//! A pool on a fake launcher, its actor spawned.

use std::sync::Arc;
use std::time::Duration;

use pilotlight_pool::fake::FakeLauncher;
use pilotlight_pool::{Pool, Settings, Stats};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

/// A pool, its actor running, and the launcher behind it.
pub(crate) fn pool(settings: Settings, launcher: &FakeLauncher) -> (Pool, JoinHandle<()>) {
    let (pool, actor) = Pool::new(settings, Arc::new(launcher.clone()));
    (pool, tokio::spawn(actor))
}

/// A moment so many seconds from now.
pub(crate) fn after(seconds: u64) -> Instant {
    Instant::now() + Duration::from_secs(seconds)
}

/// Lets the clock run (it is paused, so no time passes) until the pool looks as wanted.
pub(crate) async fn until(pool: &Pool, wanted: impl Fn(&Stats) -> bool) {
    let look = async {
        while !wanted(&pool.stats()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let waited = timeout(Duration::from_hours(1), look).await;
    assert!(waited.is_ok(), "the pool stays at {:?}", pool.stats());
}
