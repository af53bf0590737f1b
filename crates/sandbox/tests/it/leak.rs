//! Nothing is left of containers that have ended.

#[path = "../../examples/leak/census.rs"]
mod census;

use census::{Census, differences};
use pilotlight_sandbox::{Network, Signal};

use crate::world::{World, until};
use crate::zygote::{fork, light};

/// Cycles; the example `leak` does as many as it is told.
const CYCLES: usize = 200;

#[test]
fn containers_that_came_and_went_leave_nothing() {
    let mut world = World::new();
    let (zygote, _pipes) = light(&world);
    let (run_dir, state) = (world.run_dir.clone(), world.state.path().to_owned());
    // Whose child every pid 1 is that is below no zygote.
    let idle = world.spec(&["sleep", "60"]);
    let (started, _idle) = world.start(&idle);
    let process = census::parent(started.pid.cast_unsigned()).unwrap();
    world.helper().signal(&idle.id, Signal::Kill).unwrap();
    world.ended(&idle.id);
    let mut cycle = |number: usize| {
        let mut spec = match number % 4 {
            3 => world.spec(&["true"]),
            _ => fork(&world, &zygote, "pass"),
        };
        spec.network = Network::Outbound;
        if matches!(number % 4, 1 | 2) {
            world.helper().prepare(&spec).unwrap();
        }
        if number % 4 == 2 {
            world.helper().signal(&spec.id, Signal::Kill).unwrap();
        } else {
            world.run(&spec);
        }
    };
    let census = || census::census(process, &run_dir, &state).unwrap();
    let lit = census();
    (0..8).for_each(&mut cycle);
    // The last one is still being cleared up. Descriptors and the like are counted when the first ones have been.
    // Links of other tests' containers may be going too: the kernel takes those away some time after their holders.
    let at_rest = |now: &Census| {
        let own = ["processes", "cgroups", "namespaces"].iter().all(|it| now[it] == lit[it]);
        own && now["links without a holder"] == 0
    };
    until("the first ones are gone", || at_rest(&census()));
    let before = census();
    (8..8 + CYCLES).for_each(&mut cycle);
    until("all is as before", || differences(&before, &census()).is_empty());
}
