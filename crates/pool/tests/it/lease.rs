//! Leases: who gets one, when, and what becomes of it.

use std::time::Duration;

use pilotlight_pool::fake::{FakeLauncher, Outcome};
use pilotlight_pool::{
    Address, LeaseError, Receipt, Settings, Stage, StartFailure, StartReceipt, Stop, TimeLimit,
};

use crate::support::{after, pool, until};

#[tokio::test(start_paused = true)]
async fn the_first_request_starts_a_container_and_the_second_reuses_it() {
    let launcher = FakeLauncher::serving("/run/a.sock");
    let (pool, _actor) = pool(Settings::default(), &launcher);
    until(&pool, |stats| stats.starting == 0).await;
    assert_eq!(launcher.alive(), 0);

    let first = pool.lease(after(10)).await.unwrap();
    assert_eq!(first.address, Address::new("/run/a.sock".into()));
    assert!(first.waited.is_some());
    let container = first.container.clone();
    drop(first);
    until(&pool, |stats| stats.busy == 0).await;

    let second = pool.lease(after(10)).await.unwrap();
    assert_eq!((second.container.clone(), second.waited), (container, None));
    assert_eq!(launcher.launched().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_idle_container_is_drained_after_its_time() {
    let launcher = FakeLauncher::serving("/run/a.sock");
    let (pool, _actor) = pool(Settings::default(), &launcher);
    drop(pool.lease(after(10)).await.unwrap());
    let (_, stop) = launcher.nth_stop(0).await;
    assert_eq!(stop, Stop::Drain);
    until(&pool, |stats| *stats == pilotlight_pool::Stats::default()).await;
}

#[tokio::test(start_paused = true)]
async fn the_receipt_tells_the_start_from_the_queue() {
    let launcher = FakeLauncher::planned(|_| {
        Outcome::ReadyAfter(Duration::from_secs(2), Address::new("/run/a.sock".into()))
    });
    let millis = Duration::from_millis;
    let told = StartReceipt {
        sandbox: millis(200),
        fork: millis(100),
        import: millis(1500),
        app: millis(200),
        path: "image-zygote",
    };
    launcher.set_receipt(told);
    let clock = launcher.clone();
    tokio::spawn(async move { clock.run().await });
    let settings = Settings { max_containers: Some(1), ..Settings::default() };
    let (pool, _actor) = pool(settings, &launcher);

    let lease = pool.lease(after(10)).await.unwrap();
    assert_eq!(lease.waited, Some(Receipt { queue: Duration::ZERO, start: told }));

    let hold = async {
        tokio::time::sleep(millis(700)).await;
        drop(lease);
    };
    let (next, ()) = tokio::join!(pool.lease(after(10)), hold);
    assert_eq!(next.unwrap().waited, Some(Receipt { queue: millis(700), ..Receipt::default() }));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_finds_nothing_in_time_learns_it_and_is_forgotten() {
    let launcher = FakeLauncher::holding();
    let (pool, _actor) = pool(Settings::default(), &launcher);
    assert_eq!(pool.lease(after(1)).await.unwrap_err(), LeaseError::Deadline);
    until(&pool, |stats| stats.waiting == 0).await;
    // The container that was started for it serves the next.
    launcher.ready(&launcher.nth_launch(0).await, "/run/a.sock");
    pool.lease(after(1)).await.unwrap();
    assert_eq!(launcher.launched().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_given_by_the_standard_clock_works_too() {
    let launcher = FakeLauncher::serving("/run/a.sock");
    let (pool, _actor) = pool(Settings::default(), &launcher);
    pool.lease(std::time::Instant::now() + Duration::from_secs(5)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_frees_its_place_in_the_queue() {
    let launcher = FakeLauncher::holding();
    let settings = Settings { queue_max: 1, ..Settings::default() };
    let (pool, _actor) = pool(settings, &launcher);
    let waiting = tokio::spawn({
        let pool = pool.clone();
        async move { pool.lease(after(60)).await.map(|_| ()) }
    });
    until(&pool, |stats| stats.waiting == 1).await;
    assert_eq!(pool.lease(after(60)).await.unwrap_err(), LeaseError::Full);
    waiting.abort();
    until(&pool, |stats| stats.waiting == 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_lease_for_a_client_that_has_just_left_is_returned() {
    let launcher = FakeLauncher::holding();
    let (pool, _actor) = pool(Settings::default(), &launcher);
    let mut lease = Box::pin(pool.lease(after(60)));
    assert!(futures_poll(&mut lease).await.is_pending());
    until(&pool, |stats| stats.waiting == 1).await;
    launcher.ready(&launcher.nth_launch(0).await, "/run/a.sock");
    // The answer is on its way, and is never read.
    until(&pool, |stats| stats.busy == 1).await;
    drop(lease);
    until(&pool, |stats| stats.ready == 1 && stats.busy == 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_start_that_fails_is_told_to_all_who_wait() {
    let launcher = FakeLauncher::holding();
    let settings = Settings { max_containers: Some(1), ..Settings::default() };
    let (pool, _actor) = pool(settings, &launcher);
    let failure = StartFailure {
        stage: Stage::Import,
        summary: "ModuleNotFoundError: No module named 'x'".into(),
        traceback: Some("Traceback".into()),
    };
    let fail = async { launcher.fail(&launcher.nth_launch(0).await, failure.clone()) };
    let (one, two, ()) = tokio::join!(pool.lease(after(9)), pool.lease(after(9)), fail);
    assert_eq!(one.unwrap_err(), LeaseError::Start(failure.clone()));
    assert_eq!(two.unwrap_err(), LeaseError::Start(failure));
    // The next request tries again, and works.
    launcher.plan(|_| Outcome::Ready(Address::new("/run/b.sock".into())));
    pool.lease(after(9)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_container_that_is_never_ready_is_killed_and_said() {
    let launcher = FakeLauncher::holding();
    let settings = Settings { startup_timeout: Duration::from_secs(20), ..Settings::default() };
    let (pool, _actor) = pool(settings, &launcher);
    let LeaseError::Start(failure) = pool.lease(after(60)).await.unwrap_err() else { panic!("not a start") };
    assert_eq!(failure.stage, Stage::Timeout);
    assert_eq!(failure.summary, "the container was not ready within 20s");
    assert_eq!(launcher.nth_stop(0).await.1, Stop::Kill);
}

#[tokio::test(start_paused = true)]
async fn a_container_that_exits_before_it_is_ready_failed() {
    let launcher = FakeLauncher::holding();
    let (pool, _actor) = pool(Settings::default(), &launcher);
    let exit = async { launcher.exit(&launcher.nth_launch(0).await) };
    let (lease, ()) = tokio::join!(pool.lease(after(9)), exit);
    let LeaseError::Start(failure) = lease.unwrap_err() else { panic!("not a start") };
    assert_eq!(failure.stage, Stage::Exited);
}

#[tokio::test(start_paused = true)]
async fn a_broken_container_is_replaced_and_killed_when_its_last_request_ends() {
    let launcher = FakeLauncher::serving("/run/a.sock");
    let settings = Settings { max_inputs: 2, ..Settings::default() };
    let (pool, _actor) = pool(settings, &launcher);
    let one = pool.lease(after(9)).await.unwrap();
    let two = pool.lease(after(9)).await.unwrap();
    assert_eq!(one.container, two.container);
    one.broken();
    one.broken();
    until(&pool, |stats| stats.leaving == 1).await;
    let three = pool.lease(after(9)).await.unwrap();
    assert_ne!(three.container, one.container);
    let container = one.container.clone();
    drop(one);
    assert!(launcher.stopped().is_empty());
    drop(two);
    assert_eq!(launcher.nth_stop(0).await, (container, Stop::Kill));
}

#[tokio::test(start_paused = true)]
async fn why_a_container_is_ended_is_told_before_it_is() {
    let launcher = FakeLauncher::serving("/run/a.sock");
    let (pool, _actor) = pool(Settings::default(), &launcher);
    let lease = pool.lease(after(9)).await.unwrap();
    let container = lease.container.clone();
    let limit = TimeLimit { name: "timeout", after: Duration::from_secs(3) };
    lease.overdue(limit);
    lease.overdue(limit);
    drop(lease);
    assert_eq!(launcher.nth_stop(0).await, (container.clone(), Stop::Kill));
    assert_eq!(launcher.overdue(), [(container, limit)]);
}

#[tokio::test(start_paused = true)]
async fn a_hundred_requests_at_once_get_a_container_each() {
    let launcher = FakeLauncher::serving("/run/a.sock");
    let (pool, _actor) = pool(Settings::default(), &launcher);
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let pool = pool.clone();
        clients.spawn(async move {
            let _lease = pool.lease(after(5)).await.unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
        });
    }
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    assert!(launcher.launched().len() <= 100);
    let names: std::collections::HashSet<_> = launcher.launched().into_iter().collect();
    assert_eq!(names.len(), launcher.launched().len());
    until(&pool, |stats| stats.ready == 0 && stats.leaving == 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_lease_outlives_its_container_without_harm() {
    let launcher = FakeLauncher::serving("/run/a.sock");
    let (pool, _actor) = pool(Settings::default(), &launcher);
    let lease = pool.lease(after(9)).await.unwrap();
    launcher.exit(&lease.container);
    until(&pool, |stats| stats.ready == 0).await;
    let next = pool.lease(after(9)).await.unwrap();
    drop(lease);
    assert_ne!(pool.lease(after(9)).await.unwrap().container, next.container);
}

/// Polls a future once.
async fn futures_poll<F: Future + Unpin>(future: &mut F) -> std::task::Poll<F::Output> {
    let mut future = std::pin::Pin::new(future);
    std::future::poll_fn(|context| std::task::Poll::Ready(future.as_mut().poll(context))).await
}
