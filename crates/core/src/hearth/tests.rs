use super::*;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn what_is_unused_for_too_long_goes_however_much_room_there_is() {
    let began = Instant::now();
    let budget = Budget { kib: 1000, unused: seconds(60) };
    let zygote = |used| Zygote { used: began + seconds(used), kib: 1, busy: false };
    let zygotes = [zygote(50), zygote(0), zygote(39), zygote(40)];
    assert_eq!(to_put_out(began + seconds(100), budget, &zygotes), [1, 2]);
}

#[test]
fn those_used_longest_ago_make_room_until_the_rest_fits() {
    let began = Instant::now();
    let budget = Budget { kib: 250, unused: seconds(1000) };
    let zygote = |used| Zygote { used: began + seconds(used), kib: 100, busy: false };
    let zygotes = [zygote(4), zygote(1), zygote(3), zygote(2)];
    assert_eq!(to_put_out(began + seconds(5), budget, &zygotes), [1, 3]);
}

#[test]
fn one_that_is_forked_from_stays_and_counts() {
    let began = Instant::now();
    let budget = Budget { kib: 100, unused: seconds(10) };
    let zygote = |used, busy| Zygote { used: began + seconds(used), kib: 100, busy };
    let zygotes = [zygote(0, true), zygote(1, false)];
    assert_eq!(to_put_out(began + seconds(60), budget, &zygotes), [1]);
    assert_eq!(to_put_out(began + seconds(2), budget, &zygotes), [1]);
}

/// Many lists, made of a counter: the rules hold whatever is in them.
#[test]
fn whatever_burns_no_more_goes_than_must_and_never_the_wrong_one() {
    let began = Instant::now();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = |bound: u64| {
        // xorshift64: any spread of values will do.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % bound
    };
    for _ in 0..5000 {
        let budget = Budget { kib: draw(2000), unused: seconds(draw(100)) };
        let now = began + seconds(100);
        let zygotes: Vec<Zygote> = (0..draw(9))
            .map(|_| Zygote { used: began + seconds(draw(100)), kib: draw(600), busy: draw(4) == 0 })
            .collect();
        let out = to_put_out(now, budget, &zygotes);
        let stays: Vec<usize> = (0..zygotes.len()).filter(|place| !out.contains(place)).collect();
        let kib = |places: &[usize]| places.iter().map(|place| zygotes[*place].kib).sum::<u64>();
        let overdue = |place: &usize| now - zygotes[*place].used > budget.unused;

        assert!(out.iter().all(|place| !zygotes[*place].busy), "{zygotes:?}");
        assert!(stays.iter().all(|place| zygotes[*place].busy || !overdue(place)), "{zygotes:?}");
        assert!(kib(&stays) <= budget.kib || stays.iter().all(|place| zygotes[*place].busy), "{zygotes:?}");
        // The last one to go would not have fitted, or was overdue.
        if let Some((last, _)) = out.split_last() {
            let with_last = [stays.as_slice(), &[*last]].concat();
            assert!(overdue(last) || kib(&with_last) > budget.kib, "{zygotes:?}");
        }
        // What stays and could have gone was used later than whatever went.
        let newest = out.iter().map(|place| zygotes[*place].used).max();
        for place in stays.iter().filter(|place| !zygotes[**place].busy) {
            assert!(newest.is_none_or(|newest| newest <= zygotes[*place].used), "{zygotes:?}");
        }
    }
}

#[test]
fn a_shell_takes_the_place_of_one_whose_function_was_used_before() {
    let began = Instant::now();
    let at = |used| began + seconds(used);
    let kept = [(1, at(5)), (2, at(3)), (3, at(9))];
    assert_eq!(room_for_shell(&kept, 4, at(10), 4), Room::Free);
    assert_eq!(room_for_shell(&kept, 4, at(10), 3), Room::InPlaceOf(1));
    // Not its own, and not one that is worth more.
    assert_eq!(room_for_shell(&kept, 2, at(10), 3), Room::InPlaceOf(0));
    assert_eq!(room_for_shell(&kept, 4, at(2), 3), Room::None);
}
