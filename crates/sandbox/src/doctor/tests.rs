//! The facts of machines that these tests do not run on, and what is said about each.

use super::*;

fn debian() -> Facts {
    Facts {
        user: 0,
        user_name: Some("root".into()),
        capabilities: NEEDED.iter().chain(&["CAP_SYS_RESOURCE"]).map(|&name| name.into()).collect(),
        open_files: Some(1_048_576),
        kernel: "6.1.0-13-amd64".into(),
        distribution: "debian".into(),
        container: None,
        user_namespaces: UserNamespaces {
            exist: true,
            max: Some(96_365),
            clone: Some(true),
            apparmor: None,
            refused: None,
        },
        subordinate: Subordinate { users: 0, groups: 0, tools: None },
        overlay: true,
        seccomp: true,
        landlock: Some(2),
        proc_covered: false,
        cgroups: Cgroups {
            version: 2,
            controllers: ["cpu", "io", "memory", "pids"].map(str::to_owned).to_vec(),
            read_only: false,
            systemd: true,
        },
        nf_tables: None,
        obstacle: None,
        ip_forward: true,
        tun: true,
        programs: ["mmdebstrap"].map(str::to_owned).to_vec(),
    }
}

/// An ordinary account with all that such a one can have.
fn user() -> Facts {
    Facts {
        user: 1000,
        user_name: Some("ann".into()),
        capabilities: Vec::new(),
        subordinate: Subordinate { users: 65_536, groups: 65_536, tools: Some(String::new()) },
        programs: ["pasta", "mmdebstrap"].map(str::to_owned).to_vec(),
        ..debian()
    }
}

fn of(facts: &Facts, feature: &str) -> Finding {
    let found = examine(facts).into_iter().find(|finding| finding.feature == feature);
    found.unwrap_or_else(|| panic!("nothing is said about {feature}"))
}

/// The features that are not fine, with the command or sentence that helps.
fn complaints(facts: &Facts) -> Vec<(&'static str, State, String)> {
    let found = examine(facts).into_iter().filter(|finding| finding.state != State::Fine);
    found.map(|found| (found.feature, found.state, found.remedy.unwrap_or_default())).collect()
}

#[test]
fn nothing_is_wrong_with_root_on_debian() {
    assert_eq!(complaints(&debian()), []);
}

#[test]
fn an_ordinary_user_shares_a_range_and_that_is_all() {
    let found = complaints(&user());
    assert_eq!(found, [("idmapped mounts", State::Weaker, "run the server as root".to_owned())]);
}

#[test]
fn ubuntu_24_04_takes_the_rights_of_user_namespaces_away() {
    let mut facts = Facts { distribution: "ubuntu".into(), kernel: "6.8.0-45-generic".into(), ..user() };
    facts.user_namespaces.apparmor = Some(true);
    facts.user_namespaces.refused = Some("write failed /proc/self/uid_map: Operation not permitted".into());
    let found = of(&facts, "user namespaces");
    assert_eq!(found.state, State::Missing);
    assert!(found.text.contains("AppArmor") && found.text.contains("apparmor_restrict_unprivileged_userns"));
    let remedy = "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0";
    assert_eq!(found.remedy.as_deref(), Some(remedy));
    // A profile of its own lets the program have them.
    facts.user_namespaces.refused = None;
    assert_eq!(of(&facts, "user namespaces").state, State::Fine);
    // And it does not concern root.
    let root = Facts { distribution: "ubuntu".into(), ..debian() };
    assert_eq!(of(&root, "user namespaces").state, State::Fine);
}

#[test]
fn a_default_docker_container_lacks_nearly_everything() {
    let mut facts = Facts { container: Some(Container::Docker), proc_covered: true, ..debian() };
    facts
        .capabilities
        .retain(|name| !["CAP_SYS_ADMIN", "CAP_NET_ADMIN", "CAP_SYS_RESOURCE"].contains(&&**name));
    facts.user_namespaces.refused = Some("unshare failed: Operation not permitted".into());
    facts.cgroups.read_only = true;
    let missing: Vec<_> =
        complaints(&facts).into_iter().filter(|(_, state, _)| *state == State::Missing).collect();
    let features: Vec<_> = missing.iter().map(|(feature, ..)| *feature).collect();
    assert_eq!(features, ["rights", "surroundings", "user namespaces", "/proc", "cgroups"]);
    assert_eq!(missing[0].2, "start this container with `docker run --privileged`");
    assert!(missing.iter().all(|(_, _, remedy)| remedy.contains("--privileged")), "{missing:?}");
    assert!(missing[1].2.contains("--isolation=process"));
}

#[test]
fn a_privileged_container_is_fine() {
    let facts = Facts { container: Some(Container::Docker), ..debian() };
    assert_eq!(complaints(&facts), []);
}

#[test]
fn wsl2_is_a_kernel_like_others_unless_it_is_old() {
    let facts = Facts { kernel: "5.15.153.1-microsoft-standard-WSL2".into(), ..debian() };
    let found = of(&facts, "kernel");
    assert_eq!(
        (found.state, found.remedy.as_deref()),
        (State::Missing, Some("run `wsl --update` in Windows"))
    );
    // An ordinary user's overlay has no idmapped layers.
    assert_eq!(of(&Facts { kernel: facts.kernel, ..user() }, "kernel").state, State::Fine);
    assert_eq!(
        of(&Facts { kernel: "6.6.36.3-microsoft-standard-WSL2".into(), ..debian() }, "kernel").state,
        State::Fine
    );
}

#[test]
fn without_subordinate_ids_containers_run_with_less() {
    let facts =
        Facts { subordinate: Subordinate { users: 0, groups: 0, tools: Some(String::new()) }, ..user() };
    let found = of(&facts, "subordinate ids");
    assert_eq!(found.state, State::Weaker);
    assert!(found.text.contains("apt_install"), "{}", found.text);
    let remedy = "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 ann";
    assert_eq!(found.remedy.as_deref(), Some(remedy));
    // Groups count as well.
    let facts = Facts { subordinate: Subordinate { users: 65_536, groups: 0, tools: None }, ..user() };
    assert_eq!(of(&facts, "subordinate ids").remedy.as_deref(), Some(remedy));
}

#[test]
fn the_tools_of_subordinate_ids_must_be_there_and_have_their_rights() {
    let tools = |tools: Option<&str>| Facts {
        subordinate: Subordinate { users: 65_536, groups: 65_536, tools: tools.map(str::to_owned) },
        ..user()
    };
    let found = of(&tools(None), "subordinate ids");
    assert_eq!(found.remedy.as_deref(), Some("sudo apt-get install uidmap"));
    let found = of(&tools(Some("newuidmap is not set-user-id root")), "subordinate ids");
    assert_eq!(found.state, State::Weaker);
    assert!(found.remedy.unwrap().contains("chmod u+s"));
}

#[test]
fn red_hats_distributions_get_their_own_commands() {
    let facts = Facts {
        distribution: "rhel".into(),
        kernel: "5.14.0-427.el9.x86_64".into(),
        programs: Vec::new(),
        subordinate: Subordinate { users: 65_536, groups: 65_536, tools: None },
        ..user()
    };
    assert_eq!(of(&facts, "kernel").state, State::Fine);
    assert_eq!(of(&facts, "network").remedy.as_deref(), Some("sudo dnf install passt"));
    assert_eq!(of(&facts, "subordinate ids").remedy.as_deref(), Some("sudo dnf install shadow-utils"));
    assert_eq!(of(&facts, "mmdebstrap").remedy, None, "it is Debian's alone");
    // As root the same kernel is too old for idmapped layers of overlays.
    let root = Facts { kernel: facts.kernel, ..debian() };
    assert_eq!(of(&root, "kernel").state, State::Missing);
}

#[test]
fn settings_that_turn_user_namespaces_off_are_named() {
    let mut facts = user();
    facts.user_namespaces.clone = Some(false);
    let found = of(&facts, "user namespaces");
    assert_eq!(found.remedy.as_deref(), Some("sudo sysctl -w kernel.unprivileged_userns_clone=1"));
    assert_eq!(of(&Facts { user: 0, ..facts.clone() }, "user namespaces").state, State::Fine);
    facts.user_namespaces.max = Some(0);
    let found = of(&facts, "user namespaces");
    assert_eq!(found.remedy.as_deref(), Some("sudo sysctl -w user.max_user_namespaces=15000"));
}

#[test]
fn limits_need_what_systemd_delegates() {
    let mut facts = user();
    // What a user manager hands down by itself.
    facts.cgroups.controllers = ["memory", "pids"].map(str::to_owned).to_vec();
    let found = of(&facts, "cgroups");
    assert_eq!(found.state, State::Weaker);
    assert!(found.text.contains("without cpu for you") && found.remedy.unwrap().contains("Delegate="));
    facts.cgroups = Cgroups { version: 3, controllers: Vec::new(), ..facts.cgroups };
    assert!(of(&facts, "cgroups").remedy.unwrap().contains("unified_cgroup_hierarchy"));
}

#[test]
fn root_needs_the_memory_controller_and_can_do_without_others() {
    let mut facts = debian();
    facts.cgroups.controllers = vec!["memory".into()];
    assert_eq!(of(&facts, "cgroups").state, State::Weaker);
    facts.cgroups.controllers.clear();
    assert_eq!(of(&facts, "cgroups").state, State::Missing);
}

#[test]
fn a_missing_cap_sys_resource_matters_where_few_files_may_be_open() {
    let mut facts = debian();
    facts.capabilities.retain(|name| name != "CAP_SYS_RESOURCE");
    assert_eq!(of(&facts, "rights").state, State::Fine);
    assert!(of(&facts, "rights").text.contains("CAP_SYS_RESOURCE"));
    facts.open_files = Some(4096);
    let found = of(&facts, "rights");
    assert_eq!(found.state, State::Weaker);
    assert!(found.text.contains("4096") && found.remedy.unwrap().contains("LimitNOFILE"));
}

#[test]
fn a_firewall_that_drops_what_is_forwarded_is_told_in_the_probes_words() {
    let facts = Facts { obstacle: Some("the packet filter drops".into()), ..debian() };
    let found = of(&facts, "network");
    assert_eq!((found.state, found.text.as_str()), (State::Weaker, "the packet filter drops"));
    // A user's containers do not pass through the machine's forward chain.
    assert_eq!(of(&Facts { obstacle: facts.obstacle, ..user() }, "network").state, State::Fine);
}

#[test]
fn without_a_way_out_a_users_containers_have_no_network() {
    let found = of(&Facts { programs: Vec::new(), ..user() }, "network");
    assert_eq!(found.remedy.as_deref(), Some("sudo apt-get install passt"));
    let found = of(&Facts { tun: false, ..user() }, "network");
    assert!(found.text.contains("/dev/net/tun"));
}
