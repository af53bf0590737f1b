//! Trials, warm containers and settings that change.

use std::time::Duration;

use pilotlight_pool::fake::{FakeLauncher, Outcome};
use pilotlight_pool::{Address, Pool, Settings, Stage, StartFailure};

use crate::support::{after, pool, until};

#[tokio::test(start_paused = true)]
async fn a_trial_leaves_a_warm_container() {
    let launcher = FakeLauncher::serving("/run/a.sock");
    let (pool, _actor) = pool(Settings::default(), &launcher);
    pool.warm().await.unwrap();
    pool.warm().await.unwrap();
    assert_eq!(pool.lease(after(9)).await.unwrap().waited, None);
    assert_eq!(launcher.launched().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_trial_that_fails_says_why() {
    let failure = StartFailure::new(Stage::Import, "SyntaxError: invalid syntax");
    let launcher = FakeLauncher::planned({
        let failure = failure.clone();
        move |_| Outcome::Fail(failure.clone())
    });
    let (pool, _actor) = pool(Settings::default(), &launcher);
    assert_eq!(pool.warm().await.unwrap_err(), failure);
}

#[tokio::test(start_paused = true)]
async fn a_trial_ends_with_its_pool() {
    let launcher = FakeLauncher::holding();
    let (pool, actor) = pool(Settings::default(), &launcher);
    let retire = async {
        launcher.nth_launch(0).await;
        pool.retire();
    };
    let (trial, ()) = tokio::join!(pool.warm(), retire);
    assert_eq!(trial.unwrap_err().stage, Stage::Retired);
    actor.await.unwrap();
    assert_eq!(pool.warm().await.unwrap_err().stage, Stage::Retired);
}

#[tokio::test(start_paused = true)]
async fn a_trial_that_takes_too_long_ends() {
    let launcher = FakeLauncher::holding();
    let (pool, _actor) = pool(Settings::default(), &launcher);
    assert_eq!(pool.warm().await.unwrap_err().stage, Stage::Timeout);
}

#[tokio::test(start_paused = true)]
async fn warm_containers_follow_the_settings() {
    let launcher = FakeLauncher::serving("/run/a.sock");
    let (pool, _actor) = pool(Settings { min_containers: 2, ..Settings::default() }, &launcher);
    until(&pool, |stats| stats.ready == 2).await;
    change(&pool, Settings { min_containers: 4, ..Settings::default() });
    until(&pool, |stats| stats.ready == 4).await;
    change(&pool, Settings { max_containers: Some(1), ..Settings::default() });
    until(&pool, |stats| stats.ready == 1).await;
    until(&pool, |stats| stats.ready == 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_warm_container_that_dies_is_replaced_but_not_in_a_loop() {
    let failing = StartFailure::new(Stage::App, "RuntimeError: boom");
    let launcher = FakeLauncher::planned(move |_| Outcome::Fail(failing.clone()));
    let (pool, _actor) = pool(Settings { min_containers: 1, ..Settings::default() }, &launcher);
    tokio::time::sleep(Duration::from_mins(10)).await;
    // 1 + 2 + 4 + 8 + 16 + 32 s, then one a minute.
    assert_eq!(launcher.launched().len(), 7 + 8);
    launcher.plan(|_| Outcome::Ready(Address::new("/run/a.sock".into())));
    until(&pool, |stats| stats.ready == 1).await;
}

fn change(pool: &Pool, settings: Settings) {
    let Ok(()) = pool.change::<std::convert::Infallible>(|now| {
        *now = settings;
        Ok(())
    });
}
