//! One test per rule of the room. The worlds beside the crate try it together with pools.

use super::*;

const A: Tenant = Tenant(1);
const B: Tenant = Tenant(2);
const C: Tenant = Tenant(3);

/// A machine of 1000 MiB and ten processors. Every step is followed by a check.
struct Bench {
    room: Room,
    now: Instant,
}

impl Bench {
    /// With these tenants, whose containers ask for so much memory, and for one processor.
    fn new(tenants: &[(Tenant, u64)]) -> Self {
        let room = Room::new(Share { memory_mib: 1000, cpu_millis: 10_000 });
        let mut bench = Self { room, now: Instant::now() };
        for (tenant, memory_mib) in tenants {
            bench.step(Event::Joined(*tenant, Share { memory_mib: *memory_mib, cpu_millis: 1000 }));
        }
        bench
    }

    fn step(&mut self, event: Event) -> Vec<Tenant> {
        let mut out = Vec::new();
        self.room.step(self.now, event, &mut out);
        self.room.check();
        out
    }

    fn wants(&mut self, tenant: Tenant, now: usize) -> Vec<Tenant> {
        self.step(Event::Wants(tenant, Want { now, ..Want::default() }))
    }
}

fn idle(tenant: Tenant, since: Instant) -> (Tenant, Spare) {
    (tenant, Spare { idle_since: Some(since), ..Spare::default() })
}

fn busy(tenant: Tenant, busy: usize) -> (Tenant, Spare) {
    (tenant, Spare { busy, ..Spare::default() })
}

fn leaving(tenant: Tenant, leaving: usize) -> (Tenant, Spare) {
    (tenant, Spare { leaving, ..Spare::default() })
}

#[test]
fn grants_are_given_while_there_is_room_of_both_kinds() {
    let mut bench = Bench::new(&[(A, 300), (B, 10)]);
    assert_eq!(bench.wants(A, 4), [A, A, A]);
    assert_eq!(bench.wants(A, 0), []);
    // A hundred MiB are left, and seven processors.
    assert_eq!(bench.wants(B, 8), [B; 7]);
    assert_eq!(bench.step(Event::Returned(A, 1)), [B]);
}

#[test]
fn who_has_least_of_the_machine_comes_first_and_then_who_waits_for_longest() {
    let mut bench = Bench::new(&[(A, 100), (B, 100), (C, 100)]);
    assert_eq!(bench.wants(A, 20), [A; 10]);
    assert_eq!(bench.wants(B, 20), []);
    bench.now += Duration::from_millis(1);
    assert_eq!(bench.wants(C, 20), []);
    let got: Vec<Tenant> = (0..6).flat_map(|_| bench.step(Event::Returned(A, 1))).collect();
    assert_eq!(got, [B, C, B, C, B, C]);
}

#[test]
fn what_is_free_is_kept_for_the_first_in_line_but_not_for_ever() {
    let mut bench = Bench::new(&[(A, 100), (B, 900), (C, 100)]);
    assert_eq!(bench.wants(A, 9), [A; 9]);
    assert_eq!(bench.wants(B, 1), []);
    let until = bench.now + KEPT;
    bench.now += Duration::from_secs(1);
    // A hundred MiB are free, and B came first.
    assert_eq!(bench.wants(C, 1), []);
    assert_eq!(bench.room.deadline(), Some(until));
    bench.now += KEPT;
    assert_eq!(bench.step(Event::Woke), [C]);
    // B is passed for as long, and then not.
    bench.step(Event::Returned(C, 1));
    bench.now = bench.room.deadline().unwrap();
    assert_eq!(bench.step(Event::Woke), []);
    assert_eq!(bench.wants(C, 1), []);
    assert_eq!(bench.step(Event::Returned(A, 9)), [B, C]);
    assert_eq!(bench.room.deadline(), None);
}

#[test]
fn nothing_is_kept_for_one_that_never_fits_beside_what_others_keep() {
    let mut bench = Bench::new(&[(A, 100), (B, 900), (C, 100)]);
    assert_eq!(bench.step(Event::Wants(A, Want { now: 2, kept: 2, ..Want::default() })), [A, A]);
    assert_eq!(bench.wants(B, 1), []);
    assert_eq!(bench.room.give_way(bench.now, &[busy(A, 0), idle(C, bench.now)]), None);
    assert_eq!(bench.wants(C, 1), [C]);
}

#[test]
fn spare_containers_are_for_room_that_nobody_waits_for() {
    let mut bench = Bench::new(&[(A, 600), (B, 100)]);
    assert_eq!(bench.wants(A, 2), [A]);
    let want = Want { ahead: 5, ..Want::default() };
    assert_eq!(bench.step(Event::Wants(B, want)), []);
    assert_eq!(bench.room.give_way(bench.now, &[idle(A, bench.now)]), None, "only others give way");
    assert_eq!(bench.wants(A, 0), [B; 4]);
    assert!(!bench.room.is_short(), "nobody gives way for the fifth");
}

#[test]
fn the_proof_of_a_version_is_let_in_and_idle_ones_make_good_for_it() {
    let mut bench = Bench::new(&[(A, 1000), (B, 1000)]);
    assert_eq!(bench.wants(A, 1), [A]);
    assert_eq!(bench.step(Event::Wants(B, Want { now: 1, trial: true, ..Want::default() })), [B]);
    assert!(bench.room.is_short());
    assert_eq!(bench.room.give_way(bench.now, &[idle(A, bench.now), busy(B, 1)]), Some(A));
    assert_eq!(bench.room.give_way(bench.now, &[leaving(A, 1), busy(B, 1)]), None);
}

#[test]
fn the_idle_give_way_first_and_of_them_the_one_used_longest_ago() {
    let mut bench = Bench::new(&[(A, 100), (B, 400), (C, 500)]);
    assert_eq!(bench.wants(B, 1), [B]);
    assert_eq!(bench.wants(C, 1), [C]);
    assert_eq!(bench.wants(A, 2), [A]);
    let later = bench.now + Duration::from_secs(1);
    assert_eq!(bench.room.give_way(bench.now, &[idle(B, later), idle(C, bench.now)]), Some(C));
    // What leaves already is enough.
    assert_eq!(bench.room.give_way(bench.now, &[idle(B, later), leaving(C, 1)]), None);
    assert_eq!(bench.wants(A, 0), []);
    assert_eq!(bench.room.give_way(bench.now, &[idle(B, later), idle(C, bench.now)]), None, "nobody waits");
}

#[test]
fn of_those_at_work_the_richest_gives_way_until_both_have_the_same() {
    let mut bench = Bench::new(&[(A, 100), (B, 100), (C, 100)]);
    assert_eq!(bench.wants(A, 6), [A; 6]);
    assert_eq!(bench.wants(B, 4), [B; 4]);
    assert_eq!(bench.wants(C, 9), []);
    assert_eq!(bench.room.give_way(bench.now, &[busy(A, 6), busy(B, 4)]), Some(A));
    for _ in 0..3 {
        assert_eq!(bench.step(Event::Returned(A, 1)), [C]);
    }
    // C has three, A three, B four: none would still have four with one less.
    assert_eq!(bench.room.give_way(bench.now, &[busy(A, 3), busy(B, 4)]), None);
}

#[test]
fn who_has_nothing_comes_before_who_has_several_and_takes_turns_with_who_has_one() {
    let mut bench = Bench::new(&[(A, 300), (B, 800), (C, 900)]);
    assert_eq!(bench.wants(A, 2), [A, A]);
    assert_eq!(bench.wants(B, 1), []);
    // With one A would have less than B.
    assert_eq!(bench.room.give_way(bench.now, &[busy(A, 2)]), Some(A));
    assert_eq!(bench.step(Event::Returned(A, 1)), []);
    assert_eq!(bench.room.give_way(bench.now, &[busy(A, 1)]), None);
    bench.now += 2 * KEPT;
    assert_eq!(bench.room.give_way(bench.now, &[busy(A, 1)]), Some(A));
    assert_eq!(bench.step(Event::Returned(A, 1)), [B]);
}

#[test]
fn who_leaves_leaves_its_room() {
    let mut bench = Bench::new(&[(A, 500), (B, 500)]);
    assert_eq!(bench.wants(A, 3), [A, A]);
    assert_eq!(bench.wants(B, 1), []);
    assert_eq!(bench.step(Event::Left(A)), [B]);
    assert_eq!(bench.room.used(), Share { memory_mib: 500, cpu_millis: 1000 });
    assert_eq!(bench.step(Event::Returned(A, 1)), [], "late news of one that is gone");
}
