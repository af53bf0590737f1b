//! What keys and command lines promise.

use super::*;

fn plan(steps: Vec<Step>) -> Plan {
    Plan { base: Base::DebianSlim { python: PythonVersion::new(3, 11) }, era: Era::Stub, steps }
}

fn pip(packages: &[&str]) -> Step {
    let packages = packages.iter().map(|&name| name.to_owned()).collect();
    Step::PipInstall(PipInstall { packages, ..PipInstall::default() })
}

fn env(name: &str, value: &str) -> Step {
    Step::Env { vars: vec![(name.to_owned(), value.to_owned())] }
}

fn on(plan: &Plan, base_identity: &str, sets: &Sets) -> Layers {
    layers(plan, plan.base.python().unwrap(), base_identity, sets)
}

fn of(steps: Vec<Step>) -> Layers {
    on(&plan(steps), "debian-test", &Sets::default())
}

#[test]
fn the_same_plan_gives_the_same_keys_everywhere() {
    let sets = Sets {
        stub: PackageSet { packages: vec!["a<2".into()], imports: vec!["a".into()] },
        ..Sets::default()
    };
    let made = on(&plan(vec![pip(&["six"])]), "debian-test", &sets);
    assert_eq!(made.layers[0].key.short(), "be744afcb62b");
    assert_eq!(made.layers[1].key.short(), "24532900008d");
    assert_eq!(made.key, made.layers[1].key);
}

#[test]
fn the_order_of_packages_and_white_space_do_not_matter() {
    assert_eq!(of(vec![pip(&["b", " a"])]), of(vec![pip(&["a", "b ", "a"])]));
    assert_ne!(of(vec![pip(&["a"]), pip(&["b"])]).key, of(vec![pip(&["a", "b"])]).key);
}

#[test]
fn base_python_era_and_sets_change_every_key() {
    let plain = of(vec![]);
    let mut other = plan(vec![]);
    other.era = Era::App;
    assert_ne!(on(&other, "debian-test", &Sets::default()).key, plain.key);
    other = plan(vec![]);
    other.base = Base::DebianSlim { python: PythonVersion::new(3, 12) };
    assert_ne!(on(&other, "debian-test", &Sets::default()).key, plain.key);
    assert_ne!(on(&plan(vec![]), "another", &Sets::default()).key, plain.key);
}

#[test]
fn an_entrypoint_is_another_image_of_the_same_layers() {
    let entrypoint = |word: &str| Step::Entrypoint { command: vec![word.to_owned()] };
    let none = Step::Entrypoint { command: Vec::new() };
    let plain = of(vec![pip(&["a"])]);
    let early = of(vec![entrypoint("x"), pip(&["a"])]);
    let late = of(vec![none.clone(), pip(&["a"]), entrypoint("x")]);
    assert_eq!(early.layers, plain.layers);
    assert_eq!(early, late);
    assert_eq!(early.entrypoint, Some(vec!["x".to_owned()]));
    assert_ne!(early.key, plain.key);
    assert_ne!(of(vec![pip(&["a"]), entrypoint("y")]).key, early.key);
    assert_eq!((plain.entrypoint, of(vec![none]).entrypoint), (None, Some(Vec::new())));
    let user = of(vec![Step::User { name: "one".into() }, Step::User { name: "two".into() }]);
    assert_eq!(user.user.as_deref(), Some("two"));
}

#[test]
fn env_and_workdir_make_no_layer_but_change_what_follows() {
    let plain = of(vec![pip(&["a"])]);
    let with = of(vec![
        env("B", "1"),
        env("A", "2"),
        env("B", "3"),
        Step::Workdir { path: "/srv".into() },
        pip(&["a"]),
    ]);
    assert_eq!(with.layers.len(), 2);
    assert_eq!(with.layers[0], plain.layers[0]);
    assert_ne!(with.layers[1].key, plain.layers[1].key);
    let expected = vec![("A".to_owned(), "2".to_owned()), ("B".to_owned(), "3".to_owned())];
    assert_eq!(with.layers[1].env, expected);
    assert_eq!(with.env, expected);
    assert_eq!(with.layers[1].workdir.as_deref(), Some("/srv"));
    let after = of(vec![pip(&["a"]), env("A", "2")]);
    assert_eq!(after.layers, plain.layers);
    assert_ne!(after.key, plain.key);
}

#[test]
fn empty_steps_change_nothing() {
    let nothing = vec![pip(&[]), Step::AptInstall { packages: vec![] }, Step::Env { vars: vec![] }];
    assert_eq!(of(nothing), of(vec![]));
}

#[test]
fn pip_options_become_those_of_uv() {
    let step = Step::PipInstall(PipInstall {
        packages: vec!["torch".into()],
        index_url: Some("https://a.test/simple".into()),
        extra_index_url: Some("https://b.test/simple".into()),
        find_links: Some("/wheels".into()),
        pre: true,
        options: vec!["--no-deps".into()],
    });
    let made = of(vec![step]);
    let expected = "/opt/pilotlight/bin/uv pip install --python /opt/venv/bin/python --compile-bytecode \
                    --find-links /wheels --default-index https://a.test/simple --index https://b.test/simple \
                    --index-strategy unsafe-best-match --prerelease allow --no-deps torch";
    assert_eq!(made.layers[1].command.join(" "), expected);
    assert_eq!(made.layers[1].find_links.as_deref(), Some("/wheels"));
}

#[test]
fn hashes_are_told_by_lines_and_every_package_needs_one() {
    let made = |options: &[&str]| {
        let options = options.iter().map(|&option| option.to_owned()).collect();
        let packages = vec!["b==1 --hash=sha256:00 --hash=sha256:11".to_owned(), "a".to_owned()];
        of(vec![Step::PipInstall(PipInstall { packages, options, ..PipInstall::default() })]).layers[1]
            .clone()
    };
    let layer = made(&[]);
    assert_eq!(layer.text, "pip install a b==1");
    let script = "printf '%s\\n' a 'b==1 --hash=sha256:00 --hash=sha256:11' | /opt/pilotlight/bin/uv pip install \
                  --python /opt/venv/bin/python --compile-bytecode --require-hashes -r -";
    assert_eq!(layer.command, ["/bin/sh", "-c", script]);
    assert_eq!(made(&["--require-hashes"]).command, layer.command);
}

#[test]
fn git_comes_before_private_packages_and_knows_no_secret() {
    let pip = PipInstall { packages: vec!["git+https://me@github.com/a/b".into()], ..PipInstall::default() };
    let secret = |name: &str, value: &str| Secret { name: name.to_owned(), value: value.to_owned() };
    let made = |value| {
        let secrets = vec![secret("GITHUB_TOKEN", value)];
        of(vec![Step::with(vec![("A".into(), "b".into())], secrets, Step::PrivateRepos(pip.clone()))])
    };
    let [_, git, private] = &made("hush").layers[..] else { panic!("two steps") };
    assert_eq!((git.kind, git.own_env.len(), git.secrets.len(), git.files.len()), (LayerKind::Run, 0, 0, 0));
    assert_eq!(
        (private.kind, private.secrets.as_slice()),
        (LayerKind::Pip, &[secret("GITHUB_TOKEN", "hush")][..])
    );
    let asks = ("GIT_ASKPASS".to_owned(), "/opt/pilotlight/build/copied/askpass".to_owned());
    assert!(private.own_env.contains(&asks) && private.own_env.contains(&("A".to_owned(), "b".to_owned())));
    assert_eq!(made("another").key, made("hush").key);
}

#[test]
fn what_a_project_locks_goes_into_the_images_environment() {
    let file = CopiedFile { remote: "/uv.lock".into(), mode: 0o644, content: Content::Blob("00".into()) };
    let sync = UvSync {
        files: vec![file.clone()],
        groups: vec!["g".into()],
        frozen: true,
        options: vec!["--no-dev".into()],
        ..UvSync::default()
    };
    let made = of(vec![Step::UvSync(sync)]);
    let expected = "/usr/bin/env UV_PROJECT_ENVIRONMENT=/opt/venv /opt/pilotlight/bin/uv sync --project \
                    /opt/pilotlight/build/copied --python /opt/venv/bin/python --inexact --no-install-workspace \
                    --compile-bytecode --frozen --group=g --no-dev";
    assert_eq!(made.layers[1].command.join(" "), expected);
    assert_eq!((made.layers[1].kind, made.layers[1].files.len()), (LayerKind::Pip, 1));
    let poetry = PoetryInstall { only: vec!["main".into(), "g".into()], ..PoetryInstall::default() };
    let made = of(vec![Step::PoetryInstall(poetry)]);
    let script = &made.layers[1].command[2];
    assert!(script.contains(" --only=main,g && ") || script.contains("'--only=main,g' && "), "{script}");
}

#[test]
fn a_function_is_what_it_does_and_not_the_program_around_it() {
    let run = |source: &str, digest: &str, arguments: &str| {
        let content = Content::Blob(digest.into());
        let files = vec![CopiedFile { remote: "/root/p.py".into(), mode: 0o644, content }];
        let (module, qualname) = ("p".into(), "f".into());
        let (source, arguments) = (source.into(), arguments.into());
        of(vec![Step::RunFunction(RunFunction { module, qualname, source, arguments, files })])
    };
    let made = run("s", "00", "a");
    assert_eq!((made.layers[1].kind, made.layers[1].files.len()), (LayerKind::Function, 1));
    assert_eq!(run("s", "01", "a").key, made.key);
    assert_ne!(run("t", "00", "a").key, made.key);
    assert_ne!(run("s", "00", "b").key, made.key);
}

#[test]
fn options_among_the_packages_keep_their_place() {
    let made = of(vec![pip(&["zope.interface", "--no-deps", "-c /c.txt", "attrs"])]);
    let tail: Vec<&str> = made.layers[1].command.iter().rev().take(5).rev().map(String::as_str).collect();
    assert_eq!(tail, ["zope.interface", "--no-deps", "-c", "/c.txt", "attrs"]);
}

#[test]
fn the_venv_is_made_filled_and_tried() {
    let made = of(vec![]);
    let [shell, flag, script] = &made.layers[0].command[..] else { panic!("a shell command") };
    assert_eq!((shell.as_str(), flag.as_str()), ("/bin/sh", "-c"));
    let parts: Vec<&str> = script.split(" && ").collect();
    assert!(parts[0].ends_with("--python /opt/python/bin/python3.11 /opt/venv"), "{script}");
    assert!(parts[1].contains("'pydantic>=1.10.13,<2'"), "{script}");
    assert!(parts[2].contains("'import aiohttp, "), "{script}");
}

#[test]
fn each_command_has_its_own_shell_and_layer() {
    let made = of(vec![Step::RunCommands { commands: vec!["cd /tmp".into(), "echo 'hi'".into()] }]);
    assert_eq!(made.layers.len(), 3);
    assert_eq!(made.layers[2].command, ["/bin/sh", "-c", "echo 'hi'"]);
}

#[test]
fn the_shell_of_an_image_runs_what_comes_after_it() {
    let shell = Step::Shell { command: vec!["/bin/bash".into(), "-c".into()] };
    let exec = Step::Exec { argv: vec!["true".into(), "a b".into()] };
    let made = of(vec![shell, Step::RunCommands { commands: vec!["x".into()] }, exec]);
    assert_eq!(made.layers[1].command, ["/bin/bash", "-c", "x"]);
    assert_eq!((made.layers[2].command.len(), made.layers[2].text.as_str()), (2, "run true 'a b'"));
}

#[test]
fn a_forced_build_makes_the_later_layers_anew() {
    let run = |command: &str| Step::RunCommands { commands: vec![command.into()] };
    let forced = |build: &str| {
        let made = of(vec![run("a"), Step::ForceBuild { build: build.into() }, run("b")]);
        made.layers.into_iter().map(|layer| layer.key).collect::<Vec<_>>()
    };
    let (one, other) = (forced("1"), forced("2"));
    assert_eq!(one[..2], other[..2]);
    assert_ne!(one[2], other[2]);
    assert_eq!(forced("1"), one);
}

#[test]
fn a_steps_own_variables_are_its_own_and_a_secrets_value_names_nothing() {
    let run = || Step::RunCommands { commands: vec!["x".into()] };
    let secret = |value: &str| Secret { name: "TOKEN".into(), value: value.into() };
    let with = |value: &str, secret: Secret| {
        of(vec![Step::with(vec![("A".into(), value.into())], vec![secret], run()), run()])
    };
    let made = with("1", secret("hush"));
    assert_eq!(made.layers[1].own_env, [("A".to_owned(), "1".to_owned())]);
    assert_eq!(made.layers[1].secrets[0].value, "hush");
    assert_eq!((made.layers[2].own_env.len(), made.layers[2].secrets.len(), made.env.len()), (0, 0, 0));
    assert_eq!(with("1", secret("changed")).key, made.key);
    assert_ne!(with("2", secret("hush")).key, made.key);
    assert_ne!(of(vec![run(), run()]).key, made.key);
    assert!(!format!("{made:?}").contains("hush"), "{made:?}");
}

#[test]
fn a_step_within_a_step_has_the_variables_of_both() {
    let inner = Step::with(
        vec![("A".into(), "1".into())],
        Vec::new(),
        Step::RunCommands { commands: vec!["x".into()] },
    );
    let made = of(vec![Step::with(vec![("B".into(), "2".into())], Vec::new(), inner)]);
    let expected = [("A".to_owned(), "1".to_owned()), ("B".to_owned(), "2".to_owned())];
    assert_eq!(made.layers[1].own_env, expected);
}

#[test]
fn copied_files_are_what_their_layer_is() {
    let file = |remote: &str, mode, content| CopiedFile { remote: remote.into(), mode, content };
    let of =
        |remote: &str, mode, content| of(vec![Step::CopyFiles { files: vec![file(remote, mode, content)] }]);
    let made = of("/srv/a", 0o644, Content::Blob("00".into()));
    assert_eq!((made.layers[1].text.as_str(), made.layers[1].files.len()), ("copy /srv/a", 1));
    let others = [
        of("/srv/b", 0o644, Content::Blob("00".into())),
        of("/srv/a", 0o600, Content::Blob("00".into())),
        of("/srv/a", 0o644, Content::Blob("01".into())),
        of("/srv/a", 0o644, Content::Text("00".into())),
    ];
    assert!(others.iter().all(|other| other.key != made.key));
    assert_eq!(
        on(&plan(vec![Step::CopyFiles { files: vec![] }]), "debian-test", &Sets::default()).layers.len(),
        1
    );
}

#[test]
fn apt_names_are_quoted() {
    let made = of(vec![Step::AptInstall { packages: vec!["git".into(), "a;b".into()] }]);
    assert!(made.layers[1].command[2].contains("install -y -- 'a;b' git && "), "{:?}", made.layers[1]);
}

#[test]
fn versions_drop_the_patch_and_know_their_bounds() {
    assert_eq!("3.11.7".parse(), Ok(PythonVersion::new(3, 11)));
    assert_eq!("3.13.0rc1".parse(), Ok(PythonVersion::new(3, 13)));
    for wrong in ["", "3", "three.one", "3.11.", "3.11.7.1", "3.300", "3.11.x"] {
        assert!(wrong.parse::<PythonVersion>().is_err(), "{wrong}");
    }
    assert_eq!(PythonVersion::new(3, 9).supported(), Ok(PythonVersion::new(3, 9)));
    let old = PythonVersion::new(3, 7).supported();
    assert_eq!(old.expect_err("too old").to_string(), "python 3.7 is not supported; choose 3.9 to 3.14");
    assert!(PythonVersion::new(3, 15).supported().is_err());
    assert!(PythonVersion::new(3, 9) < PythonVersion::new(3, 10));
}

#[test]
fn on_a_host_only_packages_are_installed_and_nothing_else_is_done() {
    let tools =
        Tools { uv: "/t/uv".into(), python: "/usr/bin/python3".into(), venv: "/v".into(), relocatable: true };
    let on_host = |steps| on_host(&plan(steps), &Sets::default(), &tools);
    let commands = on_host(vec![pip(&["six"]), env("A", "1"), pip(&[])]).unwrap();
    assert!(commands[0][2].starts_with(
        "/t/uv venv --quiet --no-project --python /usr/bin/python3 --relocatable /v && /t/uv pip install "
    ));
    assert!(commands[0].iter().all(|word| !word.contains(VENV) && !word.contains(UV)), "{commands:?}");
    let pip_install = ["/t/uv", "pip", "install", "--python", "/v/bin/python", "--compile-bytecode", "six"];
    assert_eq!(commands[1..], [pip_install.map(str::to_owned).to_vec()]);
    let step = Step::AptInstall { packages: vec!["tree".into()] };
    assert_eq!(on_host(vec![step]), Err("apt_install(tree)".to_owned()));
    let step = Step::RunCommands { commands: vec!["id".into()] };
    assert_eq!(on_host(vec![step]), Err("run_commands(id)".to_owned()));
}

#[test]
fn packages_of_a_registrys_image_stay_in_sight_of_its_environment() {
    let mut of_registry = plan(vec![pip(&["six"])]);
    let reference = "r.example/a".parse().unwrap();
    of_registry.base = Base::Registry(Registry { reference, add_python: None, login: None });
    let made = layers(&of_registry, PythonVersion::new(3, 11), "debian-test", &Sets::default());
    let plain = of(vec![pip(&["six"])]);
    let script = |layers: &Layers| layers.layers[0].command.last().unwrap().clone();
    assert!(script(&made).contains(" --system-site-packages /opt/venv && "), "{}", script(&made));
    assert!(!script(&plain).contains("--system-site-packages"));
    assert_eq!(made.layers[1].command, plain.layers[1].command);
    assert_ne!(made.key, plain.key);
}

#[test]
fn packages_of_conda_are_named_by_all_that_decides_them() {
    let file = |digest: &str| CopiedFile {
        remote: "/environment.yml".into(),
        mode: 0o644,
        content: Content::Blob(digest.repeat(64)),
    };
    let made = |packages: &[&str], channels: &[&str], files: Vec<CopiedFile>| {
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        let (packages, channels) = (words(packages), words(channels));
        let step = CondaInstall { packages, channels, files, exclude_newer: None };
        let base = Base::Conda { python: PythonVersion::new(3, 11) };
        let plan = Plan { base, era: Era::App, steps: vec![Step::CondaInstall(step)] };
        on(&plan, "conda-test", &Sets::default())
    };
    let plain = made(&["b", "a=1"], &["c"], vec![]);
    assert_eq!(plain, made(&["a=1", "b"], &["c"], vec![]));
    assert_eq!(plain.layers[1].text, "conda install a=1 b");
    assert_eq!(plain.layers[1].kind, LayerKind::Conda);
    for other in [
        made(&["b"], &["c"], vec![]),
        made(&["b", "a=1"], &["d"], vec![]),
        made(&["b", "a=1"], &["c", "d"], vec![]),
        made(&["b", "a=1"], &["c"], vec![file("0")]),
        made(&["b", "a=1"], &["c"], vec![file("1")]),
    ] {
        assert_ne!(other.key, plain.key);
    }
    let (one, two) = (made(&[], &[], vec![file("0")]), made(&[], &[], vec![file("1")]));
    assert_ne!(one.key, two.key);
    assert_eq!(one.layers[1].text, "conda install environment.yml");
    assert_eq!(made(&[], &["c"], vec![]).layers.len(), 1);
    // The prefix is an environment already.
    assert!(!plain.layers[0].command.join(" ").contains("uv venv"));
}

#[test]
fn what_conda_is_given_is_one_word_each() {
    let (packages, exclude_newer) = (vec!["numpy>=1; rm".into()], Some("2022-11-30".into()));
    let step = CondaInstall { packages, exclude_newer, ..CondaInstall::default() };
    let base = Base::Conda { python: PythonVersion::new(3, 11) };
    let plan = Plan { base, era: Era::App, steps: vec![Step::CondaInstall(step)] };
    let script = on(&plan, "conda-test", &Sets::default()).layers[1].command[2].clone();
    assert!(script.contains("--python 3.11 --exclude-newer=2022-11-30 -- 'numpy>=1; rm' && "), "{script}");
    assert!(script.contains("-r /tmp/conda-pip.txt --exclude-newer=2022-11-30"), "{script}");
    let refused = on_host(&plan, &Sets::default(), &Tools::inside(PythonVersion::new(3, 11)));
    assert_eq!(refused, Err("conda install numpy>=1; rm".to_owned()));
}
