//! One test per rule of the pool machine. The model beside the crate tries what nobody thought of.

use std::time::Duration;

use super::Action::{Assign, Reject, Start, TrialFailed, TrialPassed};
use super::Event::{
    Abandoned, Arrived, Broken, Configure, Exited, Finished, Retire, StartFailed, Started, Trial, Woke,
};
use super::Stop::{Drain, Kill};
use super::*;

/// A pool and its clock. Every step is followed by a check.
struct Bench {
    pool: Pool,
    now: Instant,
}

impl Bench {
    fn new(settings: Settings) -> Self {
        Self { pool: Pool::new(settings), now: Instant::now() }
    }

    /// A pool of `max_inputs: 1` and the like, with its first container ready and idle.
    fn with_one_ready(settings: Settings) -> Self {
        let mut bench = Self::new(settings);
        assert_eq!(bench.step(Arrived(r(0))), [Start(c(0))]);
        assert_eq!(bench.step(Started(c(0))), [Assign(r(0), c(0))]);
        assert_eq!(bench.step(Finished(c(0), r(0))), []);
        bench
    }

    fn step(&mut self, event: Event) -> Vec<Action> {
        let mut out = Vec::new();
        self.pool.step(self.now, event, &mut out);
        self.pool.check();
        assert!(self.pool.deadline().is_none_or(|deadline| deadline > self.now), "a deadline in the past");
        out
    }

    fn after(&mut self, seconds: u64, event: Event) -> Vec<Action> {
        self.now += Duration::from_secs(seconds);
        self.step(event)
    }

    /// Sleeps until the pool wants to be woken, and says how long that was.
    fn wake(&mut self) -> (u64, Vec<Action>) {
        let deadline = self.pool.deadline().expect("the pool wants to be woken");
        let slept = (deadline - self.now).as_secs();
        self.now = deadline;
        (slept, self.step(Woke))
    }
}

fn c(number: u64) -> ContainerNumber {
    ContainerNumber(number)
}

fn r(number: u64) -> RequestId {
    RequestId(number)
}

fn stop(number: u64, stop: Stop) -> Action {
    Action::Stop(c(number), stop)
}

fn bounded(max: usize) -> Settings {
    Settings { max_containers: Some(max), ..Settings::default() }
}

fn warm(min: usize) -> Settings {
    Settings { min_containers: min, ..Settings::default() }
}

#[test]
fn nothing_starts_without_a_request() {
    let mut bench = Bench::new(Settings::default());
    assert_eq!(bench.step(Woke), []);
    assert_eq!(bench.pool.deadline(), None);
}

#[test]
fn a_free_container_is_given_at_once_and_the_one_used_last_comes_first() {
    let mut bench = Bench::new(Settings::default());
    bench.step(Arrived(r(1)));
    bench.step(Arrived(r(2)));
    bench.step(Started(c(0)));
    bench.step(Started(c(1)));
    bench.after(1, Finished(c(1), r(2)));
    bench.after(1, Finished(c(0), r(1)));
    assert_eq!(bench.after(1, Arrived(r(3))), [Assign(r(3), c(0))]);
    assert_eq!(bench.after(1, Arrived(r(4))), [Assign(r(4), c(1))]);
}

#[test]
fn requests_wait_in_order_and_start_what_they_need() {
    let mut bench = Bench::new(bounded(2));
    assert_eq!(bench.step(Arrived(r(1))), [Start(c(0))]);
    assert_eq!(bench.step(Arrived(r(2))), [Start(c(1))]);
    assert_eq!(bench.step(Arrived(r(3))), [], "the bound holds");
    assert_eq!(bench.step(Started(c(1))), [Assign(r(1), c(1))]);
    assert_eq!(bench.step(Finished(c(1), r(1))), [Assign(r(2), c(1))]);
    assert_eq!(bench.step(Started(c(0))), [Assign(r(3), c(0))]);
}

#[test]
fn slots_that_are_starting_already_count() {
    let mut bench = Bench::new(Settings { max_inputs: 3, ..Settings::default() });
    assert_eq!(bench.step(Arrived(r(1))), [Start(c(0))]);
    assert_eq!(bench.step(Arrived(r(2))), []);
    assert_eq!(bench.step(Arrived(r(3))), []);
    assert_eq!(bench.step(Arrived(r(4))), [Start(c(1))]);
    assert_eq!(bench.step(Started(c(0))), [Assign(r(1), c(0)), Assign(r(2), c(0)), Assign(r(3), c(0))]);
    assert_eq!(bench.step(Finished(c(0), r(2))), [Assign(r(4), c(0))]);
}

#[test]
fn above_the_target_another_container_starts_and_takes_the_next() {
    let settings = Settings { max_inputs: 4, target_inputs: Some(2), ..Settings::default() };
    let mut bench = Bench::with_one_ready(settings);
    assert_eq!(bench.step(Arrived(r(1))), [Assign(r(1), c(0))]);
    assert_eq!(bench.step(Arrived(r(2))), [Assign(r(2), c(0))]);
    // Nobody waits for the new container: there is room up to the limit.
    assert_eq!(bench.step(Arrived(r(3))), [Assign(r(3), c(0)), Start(c(1))]);
    assert_eq!(bench.step(Arrived(r(4))), [Assign(r(4), c(0))]);
    assert_eq!(bench.step(Started(c(1))), []);
    assert_eq!(bench.step(Finished(c(0), r(4))), []);
    assert_eq!(bench.step(Arrived(r(5))), [Assign(r(5), c(1))]);
    assert_eq!(bench.step(Finished(c(1), r(5))), []);
    // Three are more than one container should hold: the idle one stays.
    assert_eq!(bench.after(3600, Woke), []);
    assert_eq!(bench.step(Finished(c(0), r(3))), [stop(1, Drain)]);
}

#[test]
fn the_target_starts_no_more_than_the_limit() {
    let settings = Settings { max_inputs: 4, target_inputs: Some(1), ..bounded(2) };
    let mut bench = Bench::new(settings);
    assert_eq!(bench.step(Arrived(r(1))), [Start(c(0))]);
    assert_eq!(bench.step(Arrived(r(2))), [Start(c(1))]);
    assert_eq!(bench.step(Arrived(r(3))), []);
    assert_eq!(bench.step(Started(c(0))), [Assign(r(1), c(0)), Assign(r(2), c(0)), Assign(r(3), c(0))]);
    assert_eq!(bench.step(Started(c(1))), []);
    assert_eq!(bench.step(Arrived(r(4))), [Assign(r(4), c(1))]);
    assert_eq!(bench.step(Arrived(r(5))), [Assign(r(5), c(1))]);
}

#[test]
fn the_queue_is_bounded_and_those_who_leave_make_room() {
    let mut bench = Bench::new(Settings { queue_max: 2, ..bounded(1) });
    bench.step(Arrived(r(1)));
    bench.step(Arrived(r(2)));
    assert_eq!(bench.step(Arrived(r(3))), [Reject(r(3), Reason::Full)]);
    assert_eq!(bench.step(Abandoned(r(1))), []);
    assert_eq!(bench.step(Arrived(r(4))), []);
    assert_eq!(bench.step(Started(c(0))), [Assign(r(2), c(0))]);
}

#[test]
fn a_start_that_takes_too_long_is_killed_and_counts_as_failed() {
    let mut bench = Bench::new(Settings { startup_timeout: Duration::from_secs(20), ..bounded(1) });
    bench.step(Arrived(r(1)));
    let (slept, actions) = bench.wake();
    assert_eq!(slept, 20);
    assert_eq!(actions, [stop(0, Kill), Reject(r(1), Reason::StartTimeout)]);
    assert_eq!(bench.step(Started(c(0))), [], "too late");
    assert_eq!(bench.step(Arrived(r(2))), [], "it is not gone yet, and counts");
    assert_eq!(bench.step(Exited(c(0))), [Start(c(1))]);
}

#[test]
fn a_request_is_not_refused_for_a_start_that_ran_out_in_the_same_instant() {
    let mut bench = Bench::new(Settings::default());
    bench.step(Arrived(r(1)));
    let actions = bench.after(300, Arrived(r(2)));
    assert_eq!(actions, [stop(0, Kill), Reject(r(1), Reason::StartTimeout), Start(c(1))]);
}

#[test]
fn a_failed_start_rejects_all_who_have_nothing_else_to_wait_for() {
    let mut bench = Bench::new(Settings::default());
    bench.step(Arrived(r(1)));
    bench.step(Arrived(r(2)));
    assert_eq!(bench.step(StartFailed(c(0))), [], "the other may work");
    assert_eq!(
        bench.step(StartFailed(c(1))),
        [Reject(r(1), Reason::StartFailed), Reject(r(2), Reason::StartFailed)]
    );
    assert_eq!(bench.step(StartFailed(c(1))), [], "said twice");
}

#[test]
fn after_a_failure_one_container_is_tried_for_all() {
    let mut bench = Bench::new(Settings::default());
    bench.step(Arrived(r(1)));
    bench.step(Exited(c(0)));
    assert_eq!(bench.step(Arrived(r(2))), [Start(c(1))], "a request is reason enough not to pause");
    assert_eq!(bench.step(Arrived(r(3))), [], "but one try at a time");
    assert_eq!(bench.after(5, Woke), [], "however long it takes");
    assert_eq!(bench.step(Started(c(1))), [Assign(r(2), c(1)), Start(c(2))]);
}

#[test]
fn with_a_container_that_works_a_failed_start_is_repeated_after_a_pause() {
    let mut bench = Bench::with_one_ready(Settings::default());
    bench.step(Arrived(r(1)));
    assert_eq!(bench.step(Arrived(r(2))), [Start(c(1))]);
    assert_eq!(bench.step(StartFailed(c(1))), []);
    assert_eq!(bench.wake(), (1, vec![Start(c(2))]));
    assert_eq!(bench.step(StartFailed(c(2))), []);
    assert_eq!(bench.wake(), (2, vec![Start(c(3))]));
    assert_eq!(bench.step(Finished(c(0), r(1))), [Assign(r(2), c(0))]);
}

#[test]
fn idle_containers_stop_and_the_floor_stays() {
    let mut bench = Bench::new(warm(1));
    assert_eq!(bench.step(Woke), [Start(c(0))]);
    bench.step(Started(c(0)));
    bench.step(Arrived(r(1)));
    assert_eq!(bench.step(Arrived(r(2))), [Start(c(1))]);
    bench.step(Started(c(1)));
    bench.after(5, Finished(c(1), r(2)));
    bench.after(5, Finished(c(0), r(1)));
    assert_eq!(bench.wake(), (55, vec![stop(1, Drain)]));
    assert_eq!(bench.step(Exited(c(1))), []);
    assert_eq!(bench.pool.deadline(), None, "the floor is never drained");
}

#[test]
fn an_idle_time_of_zero_stops_a_container_after_each_request() {
    let mut bench = Bench::new(Settings { idle: Duration::ZERO, ..Settings::default() });
    bench.step(Arrived(r(1)));
    bench.step(Started(c(0)));
    assert_eq!(bench.step(Finished(c(0), r(1))), [stop(0, Drain)]);
}

#[test]
fn a_stopped_container_gets_nothing_and_is_killed_if_it_stays() {
    let mut bench = Bench::with_one_ready(Settings::default());
    assert_eq!(bench.wake(), (60, vec![stop(0, Drain)]));
    assert_eq!(bench.step(Started(c(0))), []);
    assert_eq!(bench.step(Arrived(r(1))), [Start(c(1))]);
    bench.step(Started(c(1)));
    assert_eq!(bench.wake(), (30, vec![stop(0, Kill)]));
    assert_eq!(bench.step(Exited(c(0))), []);
}

#[test]
fn a_warm_container_that_served_is_replaced_at_once() {
    let mut bench = Bench::new(warm(1));
    bench.step(Woke);
    bench.step(Started(c(0)));
    bench.step(Arrived(r(1)));
    bench.step(Finished(c(0), r(1)));
    assert_eq!(bench.after(3, Exited(c(0))), [Start(c(1))]);
}

#[test]
fn a_warm_container_that_crashes_again_and_again_is_started_ever_less_often() {
    let mut bench = Bench::new(warm(1));
    bench.step(Woke);
    bench.step(StartFailed(c(0)));
    let mut pauses = Vec::new();
    for number in 1..10 {
        let (slept, actions) = bench.wake();
        assert_eq!(actions, [Start(c(number))]);
        pauses.push(slept);
        // Whether it becomes ready before it dies makes no difference.
        if number % 2 == 0 {
            bench.step(Started(c(number)));
        }
        assert_eq!(bench.step(Exited(c(number))), []);
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
}

#[test]
fn many_failures_at_once_make_one_pause() {
    let mut bench = Bench::new(warm(10));
    bench.step(Woke);
    for number in 0..10 {
        bench.step(StartFailed(c(number)));
    }
    assert_eq!(bench.wake(), (1, vec![Start(c(10))]));
    assert_eq!(bench.step(Started(c(10))).len(), 9, "it works again");
}

#[test]
fn requests_die_with_their_container_and_are_never_given_to_another() {
    let mut bench = Bench::new(bounded(1));
    bench.step(Arrived(r(1)));
    bench.step(Started(c(0)));
    bench.step(Arrived(r(2)));
    assert_eq!(bench.step(Exited(c(0))), [Start(c(1))]);
    assert_eq!(bench.step(Started(c(1))), [Assign(r(2), c(1))]);
    assert_eq!(bench.step(Finished(c(0), r(1))), []);
    assert_eq!(bench.step(Finished(c(1), r(1))), []);
}

#[test]
fn a_crash_inside_a_request_is_no_failed_start() {
    let mut bench = Bench::new(warm(1));
    assert_eq!(bench.step(Woke), [Start(c(0))]);
    assert_eq!(bench.step(Started(c(0))), []);
    assert_eq!(bench.step(Arrived(r(0))), [Assign(r(0), c(0))]);
    // It never ended a request, but it had one: the next is not made to wait for a pause.
    assert_eq!(bench.step(Exited(c(0))), [Start(c(1))]);
    assert_eq!(bench.step(Started(c(1))), []);
}

#[test]
fn a_broken_container_finishes_what_it_holds_and_is_killed() {
    let mut bench = Bench::new(Settings { max_inputs: 2, ..Settings::default() });
    bench.step(Arrived(r(1)));
    bench.step(Arrived(r(2)));
    bench.step(Started(c(0)));
    assert_eq!(bench.step(Broken(c(0))), []);
    assert_eq!(bench.step(Finished(c(0), r(1))), []);
    assert_eq!(bench.step(Arrived(r(3))), [Start(c(1))]);
    assert_eq!(bench.step(Finished(c(0), r(2))), [stop(0, Kill)]);
    assert_eq!(bench.step(Broken(c(0))), []);
}

#[test]
fn a_broken_container_is_killed_though_its_pool_only_drains() {
    let mut bench = Bench::new(Settings::default());
    bench.step(Arrived(r(1)));
    bench.step(Started(c(0)));
    bench.step(Broken(c(0)));
    bench.step(Retire(Drain));
    assert_eq!(bench.step(Finished(c(0), r(1))), [stop(0, Kill)]);
}

#[test]
fn a_container_is_filled_before_the_next_is_used() {
    let mut bench = Bench::new(Settings { max_inputs: 2, min_containers: 2, ..Settings::default() });
    bench.step(Woke);
    bench.step(Started(c(0)));
    bench.after(1, Started(c(1)));
    for request in 0..4 {
        bench.step(Arrived(r(request)));
    }
    // The one used last is the second, then both are at one request each.
    bench.after(1, Finished(c(0), r(2)));
    bench.after(1, Finished(c(0), r(3)));
    bench.after(1, Finished(c(1), r(0)));
    bench.after(1, Finished(c(1), r(1)));
    assert_eq!(bench.after(1, Arrived(r(4))), [Assign(r(4), c(1))]);
    bench.after(1, Finished(c(1), r(4)));
    bench.after(1, Arrived(r(5)));
    assert_eq!(bench.after(1, Arrived(r(6))), [Assign(r(6), c(1))]);
    assert_eq!(bench.after(1, Arrived(r(7))), [Assign(r(7), c(0))]);
}

#[test]
fn spare_containers_are_kept_while_there_is_work() {
    let mut bench = Bench::new(Settings { buffer_containers: 1, ..Settings::default() });
    assert_eq!(bench.step(Arrived(r(1))), [Start(c(0)), Start(c(1))]);
    bench.step(Started(c(0)));
    bench.step(Started(c(1)));
    assert_eq!(bench.step(Arrived(r(2))), [Assign(r(2), c(1)), Start(c(2))]);
    bench.step(Started(c(2)));
    bench.step(Finished(c(1), r(2)));
    assert_eq!(bench.wake(), (60, vec![stop(1, Drain)]), "two are left, one of them spare");
    assert_eq!(bench.wake(), (30, vec![stop(1, Kill)]));
    assert_eq!(bench.pool.deadline(), None);
}

#[test]
fn spare_containers_are_never_more_than_the_bound() {
    let mut bench = Bench::new(Settings { buffer_containers: 5, ..bounded(2) });
    assert_eq!(bench.step(Arrived(r(1))), [Start(c(0)), Start(c(1))]);
    bench.step(Started(c(0)));
    bench.step(Started(c(1)));
    assert_eq!(bench.step(Arrived(r(2))), [Assign(r(2), c(1))]);
}

#[test]
fn a_container_for_a_single_use_leaves_with_its_request() {
    let mut bench = Bench::new(Settings { max_inputs: 4, single_use: true, ..bounded(2) });
    assert_eq!(bench.step(Arrived(r(1))), [Start(c(0))]);
    assert_eq!(bench.step(Started(c(0))), [Assign(r(1), c(0))]);
    assert_eq!(bench.step(Arrived(r(2))), [Start(c(1))], "nobody waits for a container that is used up");
    assert_eq!(bench.step(Started(c(1))), [Assign(r(2), c(1))]);
    assert_eq!(bench.step(Arrived(r(3))), [], "those that leave count");
    assert_eq!(bench.step(Finished(c(0), r(1))), [stop(0, Drain)]);
    assert_eq!(bench.step(Exited(c(0))), [Start(c(2))]);
    assert_eq!(bench.step(Finished(c(1), r(2))), [stop(1, Drain)]);
    assert_eq!(bench.step(Started(c(2))), [Assign(r(3), c(2))]);
}

#[test]
fn what_is_kept_warm_for_a_single_use_is_replaced_when_it_is_given_away() {
    let mut bench = Bench::new(Settings { single_use: true, ..warm(1) });
    assert_eq!(bench.step(Woke), [Start(c(0))]);
    assert_eq!(bench.step(Started(c(0))), []);
    assert_eq!(bench.step(Arrived(r(1))), [Assign(r(1), c(0)), Start(c(1))]);
    assert_eq!(bench.step(Started(c(1))), []);
    assert_eq!(bench.step(Finished(c(0), r(1))), [stop(0, Drain)]);
    assert_eq!(bench.step(Exited(c(0))), []);
}

#[test]
fn spare_containers_for_a_single_use_are_kept_while_there_is_work() {
    let mut bench = Bench::new(Settings { buffer_containers: 1, single_use: true, ..Settings::default() });
    assert_eq!(bench.step(Arrived(r(1))), [Start(c(0)), Start(c(1))]);
    assert_eq!(bench.step(Started(c(0))), [Assign(r(1), c(0))]);
    assert_eq!(bench.step(Started(c(1))), []);
    assert_eq!(bench.after(100, Woke), [], "a request is at work");
    assert_eq!(bench.step(Finished(c(0), r(1))), [stop(0, Drain), stop(1, Drain)]);
}

#[test]
fn a_container_is_for_as_many_requests_as_when_it_was_started() {
    let mut bench = Bench::with_one_ready(Settings::default());
    assert_eq!(bench.step(Configure(Settings { single_use: true, ..Settings::default() })), []);
    assert_eq!(bench.step(Arrived(r(1))), [Assign(r(1), c(0))]);
    assert_eq!(bench.step(Finished(c(0), r(1))), []);
    assert_eq!(bench.step(Arrived(r(2))), [Assign(r(2), c(0))]);
}

#[test]
fn a_trial_starts_one_container_that_stays() {
    let mut bench = Bench::new(Settings::default());
    assert_eq!(bench.step(Trial), [Start(c(0))]);
    assert_eq!(bench.step(Trial), []);
    assert_eq!(bench.step(Started(c(0))), [TrialPassed]);
    assert_eq!(bench.step(Trial), [TrialPassed]);
    assert_eq!(bench.step(Arrived(r(1))), [Assign(r(1), c(0))]);
}

#[test]
fn a_trial_that_fails_says_so_and_is_not_repeated() {
    let mut bench = Bench::new(Settings::default());
    bench.step(Trial);
    assert_eq!(bench.step(StartFailed(c(0))), [TrialFailed(Reason::StartFailed)]);
    assert_eq!(bench.pool.deadline(), None);
    assert_eq!(bench.step(Trial), [Start(c(1))]);
    assert_eq!(bench.wake(), (300, vec![stop(1, Kill), TrialFailed(Reason::StartTimeout)]));
}

#[test]
fn a_retired_pool_drains_the_idle_and_waits_for_the_busy() {
    let mut bench = Bench::new(bounded(3));
    for number in 0..3 {
        bench.step(Arrived(r(number)));
    }
    bench.step(Arrived(r(3)));
    bench.step(Started(c(0)));
    bench.step(Started(c(1)));
    assert_eq!(bench.step(Finished(c(1), r(1))), [Assign(r(2), c(1))]);
    assert_eq!(bench.step(Finished(c(1), r(2))), [Assign(r(3), c(1))]);
    bench.step(Finished(c(1), r(3)));
    bench.step(Arrived(r(4)));
    bench.step(Arrived(r(5)));
    assert_eq!(bench.step(Retire(Drain)), [Reject(r(5), Reason::Retired), stop(2, Kill)]);
    assert_eq!(bench.step(Arrived(r(6))), [Reject(r(6), Reason::Retired)]);
    assert_eq!(bench.step(Trial), [TrialFailed(Reason::Retired)]);
    assert_eq!(bench.step(Finished(c(0), r(0))), [stop(0, Drain)]);
    assert_eq!(bench.step(Finished(c(1), r(4))), [stop(1, Drain)]);
    bench.step(StartFailed(c(2)));
    bench.step(Exited(c(0)));
    assert!(!bench.pool.is_over());
    bench.step(Exited(c(1)));
    assert!(bench.pool.is_over());
}

#[test]
fn a_pool_that_is_killed_kills_the_busy_and_those_that_drain() {
    let mut bench = Bench::new(warm(2));
    bench.step(Woke);
    bench.step(Started(c(0)));
    bench.step(Started(c(1)));
    bench.step(Arrived(r(1)));
    assert_eq!(bench.step(Retire(Drain)), [stop(0, Drain)]);
    assert_eq!(bench.step(Retire(Kill)), [stop(0, Kill), stop(1, Kill)]);
    assert_eq!(bench.step(Retire(Kill)), []);
    assert_eq!(bench.step(Finished(c(1), r(1))), []);
    assert_eq!(bench.pool.deadline(), None);
}

#[test]
fn settings_take_effect_at_once() {
    let mut bench = Bench::new(bounded(1));
    bench.step(Arrived(r(1)));
    bench.step(Arrived(r(2)));
    bench.step(Arrived(r(3)));
    assert_eq!(bench.step(Configure(bounded(2))), [Start(c(1))]);
    bench.step(Started(c(0)));
    bench.step(Started(c(1)));
    assert_eq!(bench.step(Configure(bounded(1))), [], "both are busy");
    assert_eq!(bench.step(Finished(c(0), r(1))), [stop(0, Drain)], "the one used longest ago goes");
    assert_eq!(bench.step(Finished(c(1), r(2))), [Assign(r(3), c(1))]);
}

#[test]
fn more_inputs_hold_for_containers_that_start_from_now_on() {
    let mut bench = Bench::with_one_ready(Settings::default());
    bench.step(Configure(Settings { max_inputs: 2, ..Settings::default() }));
    assert_eq!(bench.step(Arrived(r(1))), [Assign(r(1), c(0))]);
    assert_eq!(bench.step(Arrived(r(2))), [Start(c(1))]);
    assert_eq!(bench.step(Arrived(r(3))), []);
    assert_eq!(bench.step(Started(c(1))), [Assign(r(2), c(1)), Assign(r(3), c(1))]);
}

#[test]
fn settings_out_of_range_are_brought_into_it() {
    let settings = Settings {
        max_containers: Some(0),
        max_inputs: 0,
        min_containers: 9,
        queue_max: 0,
        startup_timeout: Duration::MAX,
        ..Settings::default()
    };
    let mut bench = Bench::new(settings);
    assert_eq!(bench.step(Arrived(r(1))), [Start(c(0))]);
    assert_eq!(bench.step(Started(c(0))), [Assign(r(1), c(0))]);
}

#[test]
fn starts_take_turns_and_a_slow_one_does_not_count() {
    let pace = Some(Pace { starts: 2, slow: Duration::from_secs(1) });
    let mut bench = Bench::new(Settings { pace, ..Settings::default() });
    assert_eq!(bench.step(Arrived(r(0))), [Start(c(0))]);
    assert_eq!(bench.step(Arrived(r(1))), [Start(c(1))]);
    assert_eq!(bench.step(Arrived(r(2))), []);
    assert_eq!(bench.step(Arrived(r(3))), []);
    // The one that is ready serves those who waited, who then want fewer.
    assert_eq!(bench.step(Started(c(0))), [Assign(r(0), c(0)), Start(c(2))]);
    assert_eq!(bench.step(Finished(c(0), r(0))), [Assign(r(1), c(0))]);
    assert_eq!(bench.step(Finished(c(0), r(1))), [Assign(r(2), c(0))]);
    assert_eq!(bench.step(Arrived(r(4))), []);
    assert_eq!(bench.step(Arrived(r(5))), []);
    assert_eq!(bench.wake(), (1, vec![Start(c(3))]));
}
