//! Every request in every standing, and with every wrong number of descriptors.

use super::Standing::{Errand, Leaving, Making, Nothing, Parked, UnderWay};
use super::*;
use crate::message::{Given, Hello};
use crate::{Owner, Signal};

const STANDINGS: [Standing; 8] = [
    Nothing,
    Making,
    Parked { same: true },
    Parked { same: false },
    UnderWay,
    Leaving { unused: true },
    Leaving { unused: false },
    Errand,
];

fn hello() -> Request {
    Request::Hello(Hello {
        run_dir: "/r".into(),
        state_dir: "/s".into(),
        shown: vec![],
        owner: Owner::default(),
        private: crate::PrivateNetworks::default(),
    })
}

fn start(control: bool, listener: bool, orders: bool) -> Request {
    let spec = Box::new(crate::spec::example());
    Request::Start { number: 1, spec, given: Given { control, listener, orders } }
}

fn prepare() -> Request {
    Request::Prepare { number: 1, spec: Box::new(crate::spec::example()) }
}

fn signal(signal: Signal) -> Request {
    Request::Signal { number: 1, id: "co-1".into(), signal }
}

fn errand() -> Request {
    let target = "/s/layers/x".into();
    Request::Errand { number: 1, id: "co-1".into(), name: "n".into(), argument: "a".into(), target }
}

fn erase() -> Request {
    Request::Erase { number: 1, path: "/s/layers/x".into() }
}

fn look() -> Request {
    Request::Look { number: 1, id: "co-1".into() }
}

fn open() -> Request {
    Request::Open { number: 1, id: "co-1".into(), doors: vec![] }
}

/// Every kind of request that a server may send after the hello.
fn requests() -> Vec<Request> {
    let start = start(true, false, false);
    let signals = [signal(Signal::Kill), signal(Signal::Terminate)];
    [start, prepare(), errand(), erase(), look(), open()].into_iter().chain(signals).collect()
}

/// In which standings a request is done; in all others it is refused.
fn legal(request: &Request) -> Vec<Standing> {
    match request {
        Request::Hello(_) => vec![],
        Request::Start { .. } => vec![Nothing, Parked { same: true }, Leaving { unused: true }],
        Request::Prepare { .. } | Request::Errand { .. } => vec![Nothing],
        Request::Signal { .. } => {
            vec![Making, Parked { same: true }, Parked { same: false }, UnderWay, Errand]
        }
        Request::Look { .. } => vec![Making, Parked { same: true }, Parked { same: false }, UnderWay],
        Request::Open { .. } => vec![Parked { same: true }, Parked { same: false }, UnderWay],
        Request::Erase { .. } => STANDINGS.to_vec(),
    }
}

#[test]
fn every_request_is_done_in_its_standings_and_refused_in_all_others() {
    for request in requests() {
        for standing in STANDINGS {
            let verdict = judge(&request, request.descriptors(), true, standing);
            let done = legal(&request).contains(&standing);
            assert_eq!(verdict == Verdict::Act, done, "{request:?} {standing:?}: {verdict:?}");
            assert_eq!(matches!(verdict, Verdict::Refuse(_)), !done, "{request:?} {standing:?}: {verdict:?}");
        }
    }
}

#[test]
fn what_is_in_the_way_is_named() {
    let refusal = |request: Request, standing| judge(&request, request.descriptors(), true, standing);
    let exists = Verdict::Refuse(Failure::Exists { id: "co-1".into() });
    let unknown = Verdict::Refuse(Failure::Unknown { id: "co-1".into() });
    for standing in [Making, UnderWay, Leaving { unused: false }, Errand] {
        assert_eq!(refusal(start(false, false, false), standing), exists);
        assert_eq!(refusal(prepare(), standing), exists);
        assert_eq!(refusal(errand(), standing), exists);
    }
    assert_eq!(refusal(prepare(), Parked { same: true }), exists);
    for standing in [Nothing, Leaving { unused: true }, Leaving { unused: false }] {
        assert_eq!(refusal(signal(Signal::Kill), standing), unknown);
        assert_eq!(refusal(look(), standing), unknown);
    }
    let other = refusal(start(false, false, false), Parked { same: false });
    assert!(matches!(other, Verdict::Refuse(Failure::Invalid { .. })), "{other:?}");
}

#[test]
fn nothing_comes_before_the_hello_and_no_hello_after_it() {
    assert_eq!(judge(&hello(), 1, false, Nothing), Verdict::Act);
    for request in requests() {
        for descriptors in 0..6 {
            assert_eq!(judge(&request, descriptors, false, Nothing), Verdict::End, "{request:?}");
        }
    }
    for standing in STANDINGS {
        for descriptors in 0..3 {
            assert_eq!(judge(&hello(), descriptors, true, standing), Verdict::End);
        }
    }
}

#[test]
fn a_hello_without_its_lock_is_none() {
    for descriptors in [0, 2, 253] {
        assert_eq!(judge(&hello(), descriptors, false, Nothing), Verdict::End);
    }
}

#[test]
fn every_other_number_of_descriptors_is_refused_in_every_standing() {
    let starts = [(false, false, 2), (true, false, 3), (false, true, 3), (true, true, 4)];
    for (control, listener, wanted) in starts {
        assert_eq!(start(control, listener, false).descriptors(), wanted);
    }
    let others = starts.map(|(control, listener, _)| start(control, listener, false));
    for request in requests().into_iter().chain(others) {
        for descriptors in (0..8).chain([253]).filter(|count| *count != request.descriptors()) {
            for standing in STANDINGS {
                let verdict = judge(&request, descriptors, true, standing);
                let refused = matches!(verdict, Verdict::Refuse(Failure::Refused { .. }));
                assert!(refused, "{request:?} with {descriptors}: {verdict:?}");
            }
        }
    }
}

#[test]
fn a_channel_for_orders_is_the_helpers_to_make() {
    for (control, listener) in [(false, false), (true, true)] {
        let request = start(control, listener, true);
        for descriptors in 0..6 {
            let verdict = judge(&request, descriptors, true, Nothing);
            assert!(matches!(verdict, Verdict::Refuse(Failure::Refused { .. })), "{verdict:?}");
        }
    }
}
