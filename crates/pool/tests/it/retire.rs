//! The end of a pool.

use std::time::Duration;

use pilotlight_pool::fake::FakeLauncher;
use pilotlight_pool::{LeaseError, Settings, Stop};

use crate::support::{after, pool, until};

#[tokio::test(start_paused = true)]
async fn a_retired_pool_finishes_what_it_holds_and_ends() {
    let launcher = FakeLauncher::serving("/run/a.sock");
    let (pool, actor) = pool(Settings::default(), &launcher);
    let held = pool.lease(after(9)).await.unwrap();
    drop(pool.lease(after(9)).await.unwrap());
    pool.retire();
    assert_eq!(pool.lease(after(9)).await.unwrap_err(), LeaseError::Retired);
    until(&pool, |stats| stats.ready == 0 && stats.leaving == 1).await;
    assert!(!actor.is_finished());
    let container = held.container.clone();
    drop(held);
    actor.await.unwrap();
    assert_eq!(launcher.stopped().last(), Some(&(container, Stop::Drain)));
    assert_eq!(pool.lease(after(9)).await.unwrap_err(), LeaseError::Retired);
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_at_a_retired_pool_are_sent_away() {
    let launcher = FakeLauncher::holding();
    let (pool, actor) = pool(Settings::default(), &launcher);
    let retire = async {
        launcher.nth_launch(0).await;
        pool.retire();
    };
    let (lease, ()) = tokio::join!(pool.lease(after(9)), retire);
    assert_eq!(lease.unwrap_err(), LeaseError::Retired);
    actor.await.unwrap();
    assert_eq!(launcher.alive(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_killed_pool_waits_for_nobody() {
    let launcher = FakeLauncher::serving("/run/a.sock");
    let (pool, actor) = pool(Settings::default(), &launcher);
    let held = pool.lease(after(9)).await.unwrap();
    pool.retire();
    pool.kill();
    actor.await.unwrap();
    assert_eq!(launcher.stopped(), [(held.container.clone(), Stop::Kill)]);
}

#[tokio::test(start_paused = true)]
async fn a_container_that_does_not_drain_is_killed() {
    let launcher = FakeLauncher::serving("/run/a.sock");
    launcher.hold_stops(true);
    let settings = Settings { drain_timeout: Duration::from_secs(5), ..Settings::default() };
    let (pool, actor) = pool(settings, &launcher);
    drop(pool.lease(after(9)).await.unwrap());
    pool.retire();
    assert_eq!(launcher.nth_stop(0).await.1, Stop::Drain);
    let (container, stop) = launcher.nth_stop(1).await;
    assert_eq!(stop, Stop::Kill);
    assert!(!actor.is_finished());
    launcher.exit(&container);
    actor.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_pool_without_handles_retires() {
    let launcher = FakeLauncher::serving("/run/a.sock");
    let settings = Settings { min_containers: 1, ..Settings::default() };
    let (pool, actor) = pool(settings, &launcher);
    launcher.nth_launch(0).await;
    drop(pool);
    actor.await.unwrap();
    assert_eq!(launcher.alive(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_pool_whose_last_order_was_to_die_obeys_though_its_handle_is_gone() {
    let launcher = FakeLauncher::serving("/run/a.sock");
    let (pool, actor) = pool(Settings::default(), &launcher);
    let held = pool.lease(after(9)).await.unwrap();
    pool.kill();
    drop(pool);
    actor.await.unwrap();
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn a_container_whose_end_is_decided_before_it_was_launched_ends() {
    let launcher = FakeLauncher::serving("/run/a.sock");
    let (pool, actor) = pool(Settings::default(), &launcher);
    until(&pool, |stats| stats.starting == 0).await;
    let mut lease = Box::pin(pool.lease(after(9)));
    // The actor does not run between these two.
    let arrived = std::future::poll_fn(|cx| std::task::Poll::Ready(lease.as_mut().poll(cx))).await;
    pool.kill();
    assert!(arrived.is_pending());
    assert_eq!(lease.await.unwrap_err(), LeaseError::Retired);
    tokio::time::timeout(Duration::from_mins(1), actor).await.expect("the pool ends").unwrap();
    assert_eq!((launcher.launched().len(), launcher.alive()), (1, 0));
}
