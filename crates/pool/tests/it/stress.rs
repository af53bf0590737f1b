//! Many clients on several threads and the real clock: nothing is lost, nothing is given twice.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pilotlight_pool::fake::FakeLauncher;
use pilotlight_pool::{ContainerId, LeaseError, Settings};
use tokio::task::{JoinSet, yield_now};
use tokio::time::timeout;

use crate::support::{after, pool};

const CLIENTS: usize = 64;
const REQUESTS: usize = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_no_slot_is_lost_or_given_twice() {
    let launcher = FakeLauncher::serving("/run/a.sock");
    let settings = Settings { max_containers: Some(4), max_inputs: 3, ..Settings::default() };
    let (pool, actor) = pool(settings, &launcher);
    let held: Arc<Mutex<HashMap<ContainerId, usize>>> = Arc::default();
    let served = Arc::new(AtomicUsize::new(0));
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let (pool, launcher, held, served) =
            (pool.clone(), launcher.clone(), Arc::clone(&held), Arc::clone(&served));
        clients.spawn(async move {
            for request in 0..REQUESTS {
                // Some leave at once, some while they wait; some containers crash, some break.
                let lease = match (client + request) % 7 {
                    0 => timeout(Duration::ZERO, pool.lease(after(30))).await.ok(),
                    1 => timeout(Duration::from_millis(1), pool.lease(after(30))).await.ok(),
                    _ => Some(pool.lease(after(30)).await),
                };
                let Some(lease) = lease else { continue };
                let lease = match lease {
                    Ok(lease) => lease,
                    // Its container was made to exit before it was ready.
                    Err(LeaseError::Start(_)) => continue,
                    Err(error) => panic!("{error}"),
                };
                let now = *held
                    .lock()
                    .unwrap()
                    .entry(lease.container.clone())
                    .and_modify(|held| *held += 1)
                    .or_insert(1);
                assert!(now <= 3, "{now} requests in one container");
                yield_now().await;
                match (client * REQUESTS + request) % 501 {
                    0 => launcher.exit(&lease.container),
                    1 => lease.broken(),
                    _ => {}
                }
                *held.lock().unwrap().get_mut(&lease.container).unwrap() -= 1;
                served.fetch_add(1, Ordering::Relaxed);
                drop(lease);
            }
        });
    }
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    assert!(served.load(Ordering::Relaxed) > CLIENTS * REQUESTS / 2);
    // Every slot came back, or the pool would wait for it for ever.
    pool.retire();
    timeout(Duration::from_secs(30), actor).await.unwrap().unwrap();
    assert_eq!(launcher.alive(), 0);
}
