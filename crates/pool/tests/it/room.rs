//! Pools that share a machine.

use std::sync::Arc;

use pilotlight_pool::fake::FakeLauncher;
use pilotlight_pool::{LeaseError, Pool, Room, Settings, Share};

use crate::support::{after, until};

const ONE: Share = Share { memory_mib: 100, cpu_millis: 100 };

/// A machine with room for so many.
fn room(count: usize) -> Room {
    Room::new(ONE.times(count))
}

/// A pool of that machine, its actor running.
fn pool(room: &Room, settings: Settings) -> (Pool, FakeLauncher) {
    let launcher = FakeLauncher::serving("/nowhere");
    let (pool, actor) = Pool::within(room, ONE, settings, Arc::new(launcher.clone()));
    tokio::spawn(actor);
    (pool, launcher)
}

#[tokio::test(start_paused = true)]
async fn an_idle_container_gives_way_to_another_functions_request() {
    let room = room(1);
    let (first, _) = pool(&room, Settings::default());
    let (second, launcher) = pool(&room, Settings::default());
    drop(first.lease(after(1)).await.unwrap());
    assert_eq!(room.used(), ONE);
    let lease = second.lease(after(1)).await.unwrap();
    assert_eq!(launcher.launched().len(), 1);
    until(&first, |stats| stats.ready + stats.leaving == 0).await;
    assert_eq!(room.used(), ONE);
    drop(lease);
    drop(first.lease(after(1)).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_does_not_give_way_and_who_waits_is_told_why() {
    let room = room(1);
    let (kept, _) = pool(&room, Settings { min_containers: 1, ..Settings::default() });
    until(&kept, |stats| stats.ready == 1).await;
    let (other, launcher) = pool(&room, Settings::default());
    assert!(matches!(other.lease(after(5)).await, Err(LeaseError::NoRoom)));
    assert_eq!((launcher.launched().len(), kept.stats().ready), (0, 1));
    kept.retire();
    drop(other.lease(after(5)).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_function_that_is_never_idle_shares_at_the_end_of_a_request() {
    let room = room(2);
    let (noisy, _) = pool(&room, Settings::default());
    let (first, second) = (noisy.lease(after(1)).await.unwrap(), noisy.lease(after(1)).await.unwrap());
    let next = tokio::spawn({
        let noisy = noisy.clone();
        async move { noisy.lease(after(60)).await }
    });
    until(&noisy, |stats| stats.waiting == 1).await;
    let (quiet, launcher) = pool(&room, Settings::default());
    let asked = tokio::spawn({
        let quiet = quiet.clone();
        async move { quiet.lease(after(60)).await }
    });
    // One of the two that are at work will leave, and has its request to the end.
    until(&noisy, |stats| stats.leaving == 1).await;
    assert!(!asked.is_finished() && launcher.launched().is_empty());
    drop((first, second));
    let (lease, _next) = (asked.await.unwrap().unwrap(), next.await.unwrap().unwrap());
    assert_eq!(room.used(), ONE.times(2));
    drop(lease);
}

#[tokio::test(start_paused = true)]
async fn what_is_larger_than_the_machine_is_refused_at_once() {
    let room = Room::new(Share { memory_mib: 99, cpu_millis: 100 });
    let (pool, launcher) = pool(&room, Settings::default());
    assert!(matches!(pool.lease(after(60)).await, Err(LeaseError::TooLarge)));
    assert!(launcher.launched().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_ends_leaves_its_room() {
    let room = room(3);
    let (pool, _) = pool(&room, Settings { min_containers: 2, ..Settings::default() });
    until(&pool, |stats| stats.ready == 2).await;
    assert_eq!(room.used(), ONE.times(2));
    pool.kill();
    until(&pool, |stats| stats.leaving + stats.ready == 0).await;
    assert_eq!(room.used(), Share::default());
}
