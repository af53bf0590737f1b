use super::*;

/// The contract's example, whole.
const EXAMPLE: &str = r#"{
  "manifest": 1, "sdk": "0.1.0", "era": "stub",
  "python": {"version": "3.11.7", "executable": "/usr/bin/python3.11", "base_prefix": "/usr"},
  "app": {"name": null, "description": "hello.py"},
  "images": {"im-0": {"base": {"kind": "debian_slim", "python_version": null}, "steps": [
    {"kind": "pip_install", "packages": ["boto3"], "find_links": null, "index_url": null,
     "extra_index_url": null, "pre": false, "options": [], "git": false},
    {"kind": "apt_install", "packages": ["git"]}, {"kind": "run_commands", "commands": ["true"]},
    {"kind": "env", "vars": {"A": "b"}}, {"kind": "workdir", "path": "/x"}], "force_build": 2}},
  "files": [{"remote": "/root/hello.py", "local": "/abs/hello.py", "mode": 420, "digest": null, "size": null}],
  "functions": [{"name": "f", "module": "hello", "qualname": "f", "image": "im-0",
    "web": {"kind": "endpoint", "method": "GET", "docs": true, "cors": true}, "label": null,
    "custom_domains": ["api.example.com"], "wait_for_response": true, "cls": null, "pickled": null, "context": "{}",
    "min_containers": 0, "max_containers": null, "scaledown_window": 60.0, "timeout": 300.0, "total_timeout": null, "startup_timeout": null, "max_inputs": 1,
    "target_inputs": null, "buffer_containers": 0, "single_use": false, "cpu": null, "memory": null, "ephemeral_disk": null, "rate_limit": null, "block_network": false, "snapshot": null,
    "env": {"TOKEN": "hush"}}],
  "watch": ["/abs/hello.py"], "notices": ["one"], "build": "0a1b", "imports": []
}"#;

fn example() -> Manifest {
    serde_json::from_str(EXAMPLE).unwrap()
}

fn named(manifest: &mut Manifest, name: &str) {
    manifest.era = Era::App;
    manifest.app.name = Some(name.to_owned());
}

/// The only problem of the example after `change`.
fn problem(change: impl FnOnce(&mut Manifest)) -> String {
    let mut manifest = example();
    change(&mut manifest);
    let problems = manifest.check().unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems[0].to_string()
}

#[test]
fn the_contract_is_read_and_written_back_unchanged() {
    let manifest = example();
    manifest.check().unwrap();
    let read: serde_json::Value = serde_json::from_str(EXAMPLE).unwrap();
    assert_eq!(serde_json::to_value(&manifest).unwrap(), read);
}

#[test]
fn other_kinds_of_web_functions_are_read() {
    for (text, web) in [(r#"{"kind":"asgi"}"#, Web::Asgi), (r#"{"kind":"wsgi"}"#, Web::Wsgi)] {
        assert_eq!(serde_json::from_str::<Web>(text).unwrap(), web);
        assert_eq!(serde_json::to_string(&web).unwrap(), text);
    }
}

#[test]
fn a_server_insists_on_digests() {
    let mut manifest = example();
    let problems = manifest.check_sent().unwrap_err();
    assert_eq!(
        problems[0].to_string(),
        "files./root/hello.py: the digest and size of its content are missing"
    );
    manifest.files[0].digest = Some("ab".repeat(32));
    manifest.files[0].size = Some(3);
    manifest.check_sent().unwrap();
}

#[test]
fn functions_may_have_different_files_at_one_path() {
    let mut manifest = example();
    manifest.functions.push(manifest.functions[0].clone());
    let other = &mut manifest.functions[1];
    (other.name, other.label) = ("g".to_owned(), None);
    other.custom_domains.clear();
    manifest.files.push(manifest.files[0].clone());
    manifest.files[0].functions = vec!["f".to_owned()];
    manifest.files[1].functions = vec!["g".to_owned()];
    manifest.check().unwrap();
    assert!(manifest.files[1].is_for("g") && !manifest.files[1].is_for("f"));
}

#[test]
fn what_is_pickled_stands_in_the_manifest_and_is_secret() {
    let mut manifest = example();
    manifest.functions[0].qualname = "make.<locals>.f".to_owned();
    assert!(manifest.check().is_err(), "what is imported cannot stand in a function");
    manifest.functions[0].pickled = Some("f".to_owned());
    manifest.pickles = [("f".to_owned(), "aGk=".into())].into();
    manifest.check().unwrap();
    manifest.functions[0].env.clear();
    assert!(manifest.holds_secrets());
    assert!(!format!("{manifest:?}").contains("aGk="));
    let sent = serde_json::to_value(&manifest).unwrap();
    assert_eq!(sent["pickles"]["f"], "aGk=");
    manifest.pickles.clear();
    assert!(!manifest.holds_secrets());
}

#[test]
fn a_method_of_a_class_is_named_by_both() {
    let mut manifest = example();
    manifest.functions[0].cls = Some("Model".to_owned());
    manifest.functions[0].qualname = "Model.web".to_owned();
    manifest.check().unwrap();
    manifest.functions[0].qualname = "Models.web".to_owned();
    assert!(manifest.check().is_err());
}

#[test]
fn values_of_the_environment_are_in_no_message() {
    let shown = format!("{:?}", example());
    assert!(shown.contains("TOKEN") && !shown.contains("hush"), "{shown}");
    for wrong in ["4711", "-4711", "4711.5", "true", "[4711]", "{\"4711\": 1}", "null"] {
        let text = EXAMPLE.replace("\"hush\"", wrong);
        let error = serde_json::from_str::<Manifest>(&text).unwrap_err().to_string();
        assert!(!error.contains("4711") && !error.contains("true"), "{error}");
    }
}

#[test]
fn paths_that_leave_their_place_are_refused() {
    for remote in ["root/x.py", "/root/../etc/passwd", "/root/./x", "", "/root/", "/"] {
        let mut manifest = example();
        manifest.files[0].remote = remote.to_owned();
        assert!(manifest.check().is_err(), "{remote}");
    }
    let text = problem(|manifest| manifest.files[0].remote = "/root/../x".to_owned());
    assert_eq!(text, "files./root/../x: `/root/../x` must be an absolute path without `.` and `..`");
}

#[test]
fn each_rule_is_told_in_a_sentence() {
    type Case = (fn(&mut Manifest), &'static str);
    let table: [Case; 28] = [
        (
            |m| m.manifest = 2,
            "manifest: this is format 2, and only format 1 is understood: update pilotlight",
        ),
        (|m| named(m, "my app"), "app.name: the app name \"my app\" contains ' '"),
        (
            |m| named(m, "ap-abcdefghijklmnop"),
            "app.name: `ap-abcdefghijklmnop` looks like an app id: choose a name that does not begin with `ap-`",
        ),
        (
            |m| {
                m.functions.push(m.functions[0].clone());
                m.functions[1].custom_domains.clear();
            },
            "functions.f: two functions have this name",
        ),
        (
            |m| m.functions[0].image = "im-9".to_owned(),
            "functions.f: its image `im-9` is not in the manifest",
        ),
        (|m| m.files.push(m.files[0].clone()), "files./root/hello.py: two files have this path"),
        (
            |m| {
                m.files.push(m.files[0].clone());
                m.files[0].functions = vec!["f".to_owned()];
            },
            "files./root/hello.py: two files have this path",
        ),
        (
            |m| m.files[0].functions = vec!["g".to_owned()],
            "files./root/hello.py: it is for `g`, which is no function",
        ),
        (|m| m.files[0].mode = 0o1777, "files./root/hello.py: 1023 are no permission bits"),
        (
            |m| m.functions[0].timeout = 0.0,
            "functions.f.timeout: 0 s is not between 0 (exclusive) and 86400 s",
        ),
        (
            |m| m.functions[0].max_containers = Some(0),
            "functions.f.max_containers: 0 is not between 1 and 10000",
        ),
        (
            |m| m.functions[0].buffer_containers = 20_000,
            "functions.f.buffer_containers: 20000 is more than 10000",
        ),
        (
            |m| {
                m.functions[0].max_inputs = 2;
                m.functions[0].single_use = true;
            },
            "functions.f.single_use: a container for a single use handles one input at a time, not 2",
        ),
        (|m| m.functions[0].max_inputs = 0, "functions.f.max_inputs: 0 is not between 1 and 1000"),
        (
            |m| {
                m.functions[0].min_containers = 3;
                m.functions[0].max_containers = Some(2);
            },
            "functions.f.min_containers: 3 is more than max_containers, 2",
        ),
        (|m| m.functions[0].module = "a/b".to_owned(), "functions.f: `a/b` is no module name"),
        (|m| m.functions[0].memory = Some(0), "functions.f.memory: 0 MiB are not between 1 and 16777216"),
        (
            |m| m.functions[0].env = [("A=B".to_owned(), Hidden::default())].into(),
            "functions.f: `A=B` is no name for an environment variable",
        ),
        (
            |m| m.functions[0].env = [("A".to_owned(), "hush\0".into())].into(),
            "functions.f: the value of `A` contains a NUL",
        ),
        (
            |m| m.functions[0].custom_domains = vec!["a.example.com".to_owned(); 2],
            "functions.f: the custom domain `a.example.com` is used twice",
        ),
        (
            |m| m.functions[0].custom_domains = vec!["example".to_owned()],
            "functions.f: `example` is no custom domain: it has one label only; `app.example.com` is one",
        ),
        (
            |m| m.functions[0].pickled = Some("f".to_owned()),
            "functions.f: its pickle `f` is not in the manifest",
        ),
        (
            |m| m.pickles = [("f".to_owned(), "x".repeat(49 * 1024 * 1024).into())].into(),
            "pickles: functions with serialized=True take 49 MiB together, and at most 48 MiB can be sent",
        ),
        (
            |m| m.functions[0].env = [("A".to_owned(), "x".repeat(200 * 1024).into())].into(),
            "functions.f: its environment variables and secrets take 200 KiB, and at most 128 KiB fit",
        ),
        (|m| m.functions[0].cls = Some("C".to_owned()), "functions.f: `f` is no method of the class `C`"),
        (
            |m| m.functions[0].context = Some("x".repeat(65_537)),
            "functions.f: its context is longer than 65536 bytes or contains a NUL",
        ),
        (
            |m| m.functions[0].target_inputs = Some(2),
            "functions.f.target_inputs: 2 is not between 1 and max_inputs, 1",
        ),
        (|m| m.files[0].local = "hello.py".into(), "files./root/hello.py: `hello.py` is no absolute path"),
    ];
    for (change, expected) in table {
        let text = problem(change);
        assert!(text.starts_with(expected), "{text}");
    }
}

#[test]
fn a_stub_may_have_any_text_for_a_name() {
    let mut manifest = example();
    manifest.app.name = Some("my first app".to_owned());
    manifest.check().unwrap();
}

#[test]
fn labels_are_dns_labels() {
    for label in ["", "-a", "a-", "A", "a_b", "123", &"a".repeat(64), "a.b", "ä"] {
        let text = problem(|manifest| manifest.functions[0].label = Some(label.to_owned()));
        assert!(text.contains("cannot be part of a URL"), "{label}: {text}");
    }
    for label in ["a", "a1", "1a", "hello-f", &"a".repeat(63)] {
        let mut manifest = example();
        manifest.functions[0].label = Some(label.to_owned());
        manifest.check().unwrap();
    }
}

#[test]
fn options_do_not_pass_for_packages() {
    for package in ["", " ", "--index-url=x", "-r", " -r x", "a\nb"] {
        let step = Step::AptInstall { packages: vec![package.to_owned()] };
        let text = problem(|manifest| manifest.images.get_mut("im-0").unwrap().steps.push(step));
        assert!(text.ends_with("is no package"), "{text}");
    }
}

#[test]
fn options_of_installers_are_options_and_groups_are_names() {
    let told = |step: Step| problem(|manifest| manifest.images.get_mut("im-0").unwrap().steps.push(step));
    let sync = |options: &[&str], groups: &[&str]| {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let (options, groups) = (words(options), words(groups));
        Step::UvSync { files: Vec::new(), groups, extras: Vec::new(), frozen: true, options }
    };
    assert!(told(sync(&["evil-package"], &[])).contains("`evil-package` is no option"));
    assert!(told(sync(&[], &["--x"])).contains("`--x` is no name of a group"));
    assert!(told(sync(&[], &["a b"])).contains("`a b` is no name of a group"));
}

#[test]
fn files_of_build_steps_are_held_to_the_rules_of_all_files() {
    let file = |remote: &str| File {
        remote: remote.to_owned(),
        local: "/home/a".into(),
        mode: 0o644,
        digest: None,
        size: None,
        functions: Vec::new(),
    };
    let told = |step: Step| problem(|manifest| manifest.images.get_mut("im-0").unwrap().steps.push(step));
    let copy = |remote: &str| Step::CopyFiles { files: vec![file(remote)] };
    assert!(told(copy("a")).contains("must be an absolute path"));
    assert!(told(copy("/srv/../a")).contains("must be an absolute path"));
    let (commands, build_args) = (vec!["COPY a /".to_owned()], BTreeMap::new());
    let lines = Step::DockerfileCommands { commands, context: vec![file("../a")], build_args };
    assert!(told(lines).contains("must be an absolute path"));
    let with = |step| Step::With { env: BTreeMap::new(), secrets: BTreeMap::new(), step: Box::new(step) };
    assert!(told(with(copy("a"))).contains("must be an absolute path"));
    assert!(told(with(with(copy("/a")))).contains("has its variables once"));
    let mut manifest = example();
    manifest.images.get_mut("im-0").unwrap().steps.push(with(copy("/a")));
    manifest.check().unwrap();
    let missing = manifest.check_sent().unwrap_err();
    assert!(missing.iter().any(|problem| problem.path == "files./a"), "{missing:?}");
}

#[test]
fn a_steps_secrets_are_secrets() {
    let mut manifest = example();
    manifest.functions.iter_mut().for_each(|function| function.env.clear());
    manifest.pickles.clear();
    assert!(!manifest.holds_secrets());
    let step = Box::new(Step::RunCommands { commands: vec!["a".to_owned()] });
    let secrets = BTreeMap::from([("TOKEN".to_owned(), Hidden::from("hush"))]);
    let with = Step::With { env: BTreeMap::new(), secrets, step };
    assert!(!format!("{with:?}").contains("hush"));
    manifest.images.get_mut("im-0").unwrap().steps.push(with);
    assert!(manifest.holds_secrets());
}

#[test]
fn python_versions_are_supported_ones() {
    let with = |version: &str| {
        let mut manifest = example();
        manifest.images.get_mut("im-0").unwrap().base =
            Base::DebianSlim { python_version: Some(version.to_owned()) };
        manifest.check().is_ok()
    };
    assert!(with("3.11") && with("3.11.7") && with("3.9"));
    for version in ["3", "2.7", "3.x", "3.11.7.1", "", "3.-1", "3.99"] {
        assert!(!with(version), "{version}");
    }
}

#[test]
fn packages_of_conda_need_a_prefix_and_are_no_options() {
    let with = |base: Base, package: &str, channel: &str| {
        let mut manifest = example();
        let image = manifest.images.get_mut("im-0").unwrap();
        let (packages, channels) = (vec![package.to_owned()], vec![channel.to_owned()]);
        image.base = base;
        image.steps.clear();
        image.force_build = None;
        image.steps.push(Step::CondaInstall { packages, channels, files: Vec::new(), exclude_newer: None });
        manifest.check().map_err(|problems| format!("{problems:?}"))
    };
    let conda = || Base::Conda { python_version: Some("3.11".to_owned()) };
    assert_eq!(with(conda(), "numpy>=1.26,<2", "conda-forge"), Ok(()));
    for (package, channel) in [("--file=/x", "c"), ("a", "-c"), ("", "c"), ("a", " "), ("a\nb", "c")] {
        let refused = with(conda(), package, channel).unwrap_err();
        assert!(refused.contains("is no package and no channel"), "{refused}");
    }
    let refused = with(Base::DebianSlim { python_version: None }, "numpy", "c").unwrap_err();
    assert!(refused.contains("an image that begins with Image.micromamba()"), "{refused}");
}
