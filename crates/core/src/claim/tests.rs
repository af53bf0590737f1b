//! Two apps that want the same, in every combination.

use super::*;
use crate::name::{DEFAULT_WORKSPACE, DEV_SUFFIX};

const DEV: Option<Ephemeral<'_>> = Some(Ephemeral { suffix: DEV_SUFFIX, instance: None });

const PLAIN: Naming<'_> = Naming {
    workspace: DEFAULT_WORKSPACE,
    app: "hello",
    function: "f",
    label: None,
    ephemeral: None,
    ambiguous: false,
};

fn deployed(number: u128, name: &str) -> Holder {
    Holder { app: AppId::from_entropy(number << 70), name: name.to_owned(), lifetime: Lifetime::Deployed }
}

fn session(number: u128) -> Holder {
    Holder { lifetime: Lifetime::Ephemeral, ..deployed(number, "hello") }
}

fn no_siblings() -> &'static BTreeSet<String> {
    static NONE: BTreeSet<String> = BTreeSet::new();
    &NONE
}

fn wish(naming: Naming<'_>) -> Wish<'_> {
    Wish { naming, kept: None, take_over: false, siblings: no_siblings() }
}

impl Hosts {
    /// Chooses, reserves and takes.
    fn have(&mut self, who: &Holder, wish: &Wish<'_>) -> (String, Option<Note>, Ticket, Taken) {
        let Choice { label, note } = self.label(who, wish).unwrap();
        let ticket = self.reserve(who, label.as_str());
        let taken = self.take(label.as_str(), ticket);
        (label.as_str().to_owned(), note, ticket, taken)
    }

    fn have_domain(&mut self, who: &Holder, domain: &str) -> Ticket {
        assert_eq!(self.domain(who, domain, false), Ok(Grant::Given));
        let ticket = self.reserve(who, domain);
        assert_ne!(self.take(domain, ticket), Taken::Lost);
        ticket
    }
}

#[test]
fn a_second_session_gets_a_label_of_its_own_and_steals_nothing() {
    let mut hosts = Hosts::default();
    let dev = wish(Naming { ephemeral: DEV, ..PLAIN });
    let (first, second) = (session(1), session(2));
    let (label, note, ticket, _) = hosts.have(&first, &dev);
    assert_eq!((label.as_str(), note), ("local--hello-f-dev", None));
    let (other, note, _, taken) = hosts.have(&second, &dev);
    assert_eq!(other, format!("local--hello-f-{}-dev", name::instance(&second.app)));
    assert_eq!((note, taken), (None, Taken::Free));
    assert!(hosts.owns(&label, ticket));
    // At its next version each has what it had.
    for (who, label) in [(&first, &label), (&second, &other)] {
        assert_eq!(hosts.label(who, &Wish { kept: Some(label), ..dev }).unwrap().label.as_str(), label);
    }
    // When the first is gone the second stays where it is, and a third gets the plain label.
    hosts.release(&label, ticket);
    assert_eq!(hosts.label(&second, &Wish { kept: Some(&other), ..dev }).unwrap().label.as_str(), other);
    assert_eq!(hosts.label(&session(3), &dev).unwrap().label.as_str(), label);
}

#[test]
fn a_session_that_takes_over_has_the_label_only_when_it_serves() {
    let mut hosts = Hosts::default();
    let dev = wish(Naming { ephemeral: DEV, ..PLAIN });
    let (first, second) = (session(1), session(2));
    let (label, _, ticket, _) = hosts.have(&first, &dev);
    let over = Wish { take_over: true, ..dev };
    let Choice { label: same, note } = hosts.label(&second, &over).unwrap();
    assert_eq!((same.as_str(), note), (label.as_str(), Some(Note::Stolen)));
    let failed = hosts.reserve(&second, &label);
    hosts.release(&label, failed);
    assert!(hosts.owns(&label, ticket), "an attempt that failed took nothing");
    let (_, _, stolen, taken) = hosts.have(&second, &over);
    assert_eq!(taken, Taken::From(first.clone()));
    assert!(hosts.owns(&label, stolen) && !hosts.owns(&label, ticket));
    // The loser's end takes nothing from the thief, and its next version does not take the label back.
    let next = hosts.label(&first, &Wish { kept: Some(&label), ..dev }).unwrap();
    assert_eq!(next.label.as_str(), format!("local--hello-f-{}-dev", name::instance(&first.app)));
    hosts.release(&label, ticket);
    assert!(hosts.owns(&label, stolen));
}

#[test]
fn an_ephemeral_app_never_gets_what_a_deployed_one_has() {
    let mut hosts = Hosts::default();
    let deployed = deployed(1, "hello-f");
    let (label, ..) = hosts.have(&deployed, &wish(Naming { label: Some("hello-f-dev"), ..PLAIN }));
    assert_eq!(label, "local--hello-f-dev");
    for take_over in [false, true] {
        let dev = Wish { take_over, ..wish(Naming { ephemeral: DEV, ..PLAIN }) };
        let Choice { label: other, note } = hosts.label(&session(2), &dev).unwrap();
        assert_ne!(other.as_str(), label);
        assert_eq!(note, None);
    }
}

#[test]
fn a_deployed_app_takes_what_an_ephemeral_one_has() {
    let mut hosts = Hosts::default();
    let first = session(1);
    let (label, _, ticket, _) = hosts.have(&first, &wish(Naming { ephemeral: DEV, ..PLAIN }));
    let wish = wish(Naming { label: Some("hello-f-dev"), ..PLAIN });
    let (same, note, _, taken) = hosts.have(&deployed(2, "other"), &wish);
    assert_eq!((same, note, taken), (label.clone(), Some(Note::Stolen), Taken::From(first)));
    assert!(!hosts.owns(&label, ticket));
}

#[test]
fn of_two_deployed_apps_with_one_default_label_the_second_gets_a_hash_and_keeps_it() {
    let mut hosts = Hosts::default();
    let (one, two) = (deployed(1, "a"), deployed(2, "a-b"));
    let (plain, _, ticket, _) = hosts.have(&one, &wish(Naming { app: "a", function: "b_c", ..PLAIN }));
    assert_eq!(plain, "local--a-b-c");
    let second = wish(Naming { app: "a-b", function: "c", ..PLAIN });
    let (hashed, note, ..) = hosts.have(&two, &second);
    assert_eq!(note, Some(Note::ConflictAvoidanceHash));
    assert!(hashed.starts_with("local--a-b-c-") && hashed.len() == plain.len() + 7, "{hashed}");
    hosts.release(&plain, ticket);
    let kept = Wish { kept: Some(&hashed), ..second };
    assert_eq!(hosts.label(&two, &kept).unwrap().label.as_str(), hashed, "a URL that was given away stays");
    // Unless the user says otherwise.
    let chosen = Wish { naming: Naming { label: Some("x"), ..second.naming }, ..kept };
    assert_eq!(hosts.label(&two, &chosen).unwrap().label.as_str(), "local--x");
}

#[test]
fn a_label_that_the_user_gave_is_refused_where_another_deployed_app_has_it() {
    let mut hosts = Hosts::default();
    let labelled = wish(Naming { label: Some("x"), ..PLAIN });
    let (label, _, ticket, _) = hosts.have(&deployed(1, "one"), &labelled);
    let refused = hosts.label(&deployed(2, "two"), &labelled).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the label `x` is used by the app `one`: choose another label, or stop that app"
    );
    // The same app may move it to another function, and when it is gone the label is free.
    assert!(hosts.label(&deployed(1, "one"), &labelled).is_ok());
    hosts.release(&label, ticket);
    assert!(hosts.label(&deployed(2, "two"), &labelled).is_ok());
}

#[test]
fn siblings_with_one_slug_are_told_apart_by_a_hash() {
    let hosts = Hosts::default();
    for (ephemeral, who) in [(None, deployed(1, "hello")), (DEV, session(1))] {
        let first = wish(Naming { function: "my_f", ephemeral, ..PLAIN });
        let first = hosts.label(&who, &first).unwrap().label;
        let siblings = BTreeSet::from([first.as_str().to_owned()]);
        let second = Wish { siblings: &siblings, ..wish(Naming { function: "my-f", ephemeral, ..PLAIN }) };
        let Choice { label, note } = hosts.label(&who, &second).unwrap();
        assert_eq!(note, Some(Note::ConflictAvoidanceHash), "{label:?}");
        assert!(label.as_str().starts_with("local--hello-my-f-") && label != first);
    }
}

#[test]
fn a_domain_is_one_apps() {
    let mut hosts = Hosts::default();
    let one = deployed(1, "one");
    let ticket = hosts.have_domain(&one, "api.example.com");
    let refused = hosts.domain(&deployed(2, "two"), "api.example.com", true).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the custom domain `api.example.com` is used by the app `one`: choose another one, or stop that app"
    );
    assert!(hosts.domain(&session(3), "api.example.com", true).is_err());
    // The next version of the same app has it, whichever function declares it.
    hosts.have_domain(&one, "api.example.com");
    hosts.release("api.example.com", ticket);
    assert!(hosts.domain(&deployed(2, "two"), "api.example.com", false).is_err());
}

#[test]
fn a_session_of_a_program_goes_without_the_domains_that_the_program_has_elsewhere() {
    let mut hosts = Hosts::default();
    hosts.have_domain(&deployed(1, "hello"), "a.example.com");
    assert_eq!(hosts.domain(&session(2), "a.example.com", true), Ok(Grant::Withheld));
    hosts.have_domain(&session(2), "b.example.com");
    assert_eq!(hosts.domain(&session(3), "b.example.com", false), Ok(Grant::Withheld));
    assert_eq!(hosts.domain(&session(3), "b.example.com", true), Ok(Grant::Given));
    assert_eq!(hosts.domain(&deployed(1, "hello"), "b.example.com", false), Ok(Grant::Given));
}

/// What happens to two hosts and five apps.
#[derive(Debug, Clone)]
enum Step {
    Reserve { app: usize, host: usize, take_over: bool },
    Take(usize),
    Release(usize),
}

fn steps() -> impl proptest::strategy::Strategy<Value = Vec<Step>> {
    use proptest::prelude::*;
    let step = prop_oneof![
        (0..5_usize, 0..2_usize, any::<bool>()).prop_map(|(app, host, take_over)| Step::Reserve {
            app,
            host,
            take_over
        }),
        (0..20_usize).prop_map(Step::Take),
        (0..20_usize).prop_map(Step::Release),
    ];
    proptest::collection::vec(step, 1..60)
}

proptest::proptest! {
    #[test]
    fn apps_that_come_one_after_the_other_all_have_labels_of_their_own(
        apps in proptest::collection::vec((0..3_usize, 0..3_usize, 0..4_u8), 1..12),
    ) {
        let mut hosts = Hosts::default();
        let mut had: Vec<(Holder, String, Ticket, bool)> = Vec::new();
        for (number, (index, function, kind)) in apps.into_iter().enumerate() {
            let (name, function) = (["a", "a-b", "a.b"][index], ["c", "b_c", "b-c"][function]);
            // One deployed app has a name; sessions are as many as there are terminals.
            let number = if kind == 0 { 100 + index } else { 1 + number };
            let holder = deployed(number as u128, name);
            let ephemeral = DEV.filter(|_| kind > 0);
            let lifetime = if kind > 0 { Lifetime::Ephemeral } else { Lifetime::Deployed };
            let who = Holder { lifetime, ..holder };
            let naming = Naming { app: name, function, ephemeral, ..PLAIN };
            let (label, _, ticket, taken) = hosts.have(&who, &Wish { take_over: kind == 3, ..wish(naming) });
            proptest::prop_assert_ne!(&taken, &Taken::Lost);
            for (before, its, old, robbed) in &mut had {
                if *its == label && !*robbed {
                    proptest::prop_assert!(!hosts.owns(its, *old), "{} has two owners", label);
                    if before.app != who.app {
                        proptest::prop_assert_eq!(&taken, &Taken::From(before.clone()));
                        proptest::prop_assert!(!is_deployed(before) && (kind == 0 || kind == 3));
                    }
                    *robbed = true;
                }
            }
            proptest::prop_assert!(hosts.owns(&label, ticket));
            had.push((who, label, ticket, false));
        }
        for (_, label, ticket, robbed) in had {
            proptest::prop_assert_eq!(hosts.owns(&label, ticket), !robbed);
        }
    }

    #[test]
    fn whatever_happens_a_host_is_one_apps_and_a_deployed_one_is_never_robbed(steps in steps()) {
        let apps: Vec<Holder> = (0..5_u8)
            .map(|number| match number {
                0..2 => deployed(number.into(), &format!("app-{number}")),
                _ => session(number.into()),
            })
            .collect();
        let mut hosts = Hosts::default();
        let mut tickets: Vec<(&'static str, Ticket, &Holder, bool)> = Vec::new();
        for step in steps {
            match step {
                Step::Reserve { app, host, take_over } => {
                    let (who, host) = (&apps[app], ["a.example.com", "b.example.com"][host]);
                    if hosts.domain(who, host, take_over) == Ok(Grant::Given) {
                        tickets.push((host, hosts.reserve(who, host), who, take_over));
                    }
                }
                Step::Take(at) if at < tickets.len() => {
                    let (host, ticket, who, take_over) = tickets[at];
                    let had = hosts.owns(host, ticket);
                    match hosts.take(host, ticket) {
                        Taken::From(robbed) => {
                            proptest::prop_assert_ne!(robbed.lifetime, Lifetime::Deployed);
                            proptest::prop_assert!(take_over || is_deployed(who) || robbed.app != who.app);
                        }
                        Taken::Lost => proptest::prop_assert!(!had && !hosts.owns(host, ticket)),
                        Taken::Free => proptest::prop_assert!(hosts.owns(host, ticket)),
                    }
                }
                Step::Release(at) if at < tickets.len() => {
                    let (host, ticket, ..) = tickets.remove(at);
                    hosts.release(host, ticket);
                    proptest::prop_assert!(!hosts.owns(host, ticket));
                }
                Step::Take(_) | Step::Release(_) => {}
            }
            for name in ["a.example.com", "b.example.com"] {
                let owners = tickets.iter().filter(|(host, ticket, ..)| *host == name && hosts.owns(name, *ticket));
                proptest::prop_assert!(owners.count() <= 1);
            }
        }
        for (host, ticket, ..) in tickets {
            hosts.release(host, ticket);
        }
        proptest::prop_assert!(hosts.by_host.is_empty(), "nothing is left");
    }
}
