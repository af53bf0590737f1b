//! The built command, run as a user runs it: what it prints and how it ends. Nothing here needs root or a network.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails by panicking")]

use std::path::Path;
use std::process::{Command, Stdio};

use insta::assert_snapshot;

mod reference;

/// Runs the command with an empty home and a state directory of its own; gives exit code, stdout and stderr.
fn run(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let home = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_pilotlight"))
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", home.path())
        .env("PILOTLIGHT_STATE_DIR", home.path().join("state"))
        .envs(environment.iter().copied())
        .current_dir(Path::new("/"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    format!(
        "exit code: {}\n----- stdout -----\n{}----- stderr -----\n{}",
        output.status.code().unwrap(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[test]
fn version() {
    assert_snapshot!(run(&["--version"], &[]), @r#"
    exit code: 0
    ----- stdout -----
    pilotlight 0.1.0
    ----- stderr -----
    "#);
}

#[test]
fn no_command_is_answered_with_the_help() {
    for variables in [&[][..], &[("PILOTLIGHT_STATE_DIR", "/x"), ("PILOTLIGHT_PYTHON", "/y")]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pilotlight"));
        let output = command.env_clear().envs(variables.iter().copied()).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8(output.stderr).unwrap().contains("Commands:\n  serve "));
    }
}

#[test]
fn what_is_said_of_usage_names_neither_settings_nor_hidden_commands() {
    let settings = [("PILOTLIGHT_STATE_DIR", "/x"), ("PILOTLIGHT_PYTHON", "/y")];
    assert!(run(&["serve"], &settings).contains("Usage: pilotlight serve <REF>\n"));
    let said = run(&["--quiet"], &settings);
    assert!(said.contains("[subcommands: serve, deploy, run, app, image, server, doctor]"), "{said}");
    assert!(run(&["app", "--quiet"], &[]).contains("[subcommands: list, logs, stop, scale]"));
}

#[test]
fn an_unknown_command() {
    assert_snapshot!(run(&["server", "restart"], &[]), @r#"
    exit code: 2
    ----- stdout -----
    ----- stderr -----
    error: unrecognized subcommand 'restart'

      tip: a similar subcommand exists: 'start'

    Usage: pilotlight server [OPTIONS] [COMMAND]

    For more information, try '--help'.
    "#);
}

#[test]
fn a_file_that_does_not_exist() {
    assert_snapshot!(run(&["serve", "nowhere.py"], &[]), @r#"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: there is no file `nowhere.py`
    hint: check the path; it is taken from /
    "#);
}

#[test]
fn a_port_that_is_none() {
    assert_snapshot!(run(&["app", "list"], &[("PILOTLIGHT_PORT", "many")]), @r#"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: `PILOTLIGHT_PORT` is not a port: `many`
    hint: give a number from 1 to 64535; the thousand ports from there are used
    "#);
}

#[test]
fn a_timeout_that_is_none() {
    assert_snapshot!(run(&["serve", "x.py", "--timeout", "-1"], &[]), @r#"
    exit code: 2
    ----- stdout -----
    ----- stderr -----
    error: invalid value '-1' for '--timeout <SECONDS>': give a number of seconds that is not negative, for example 60

    For more information, try '--help'.
    "#);
    let modal = run(&["serve", "x.py"], &[("MODAL_SERVE_TIMEOUT", "soon")]);
    assert_eq!(modal, run(&["serve", "x.py"], &[("PILOTLIGHT_SERVE_TIMEOUT", "soon")]));
    assert_snapshot!(modal, @r#"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: the serve timeout in the environment is no time: `soon`
    hint: give a number of seconds that is not negative, for example 60
    "#);
}

#[test]
fn without_a_server() {
    assert_snapshot!(run(&["app", "list"], &[]), @r#"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: no server is running
    hint: start it with `pilotlight server start`
    "#);
    assert_snapshot!(run(&["server", "status"], &[]), @r#"
    exit code: 1
    ----- stdout -----
    stopped
    ----- stderr -----
    Start it with `pilotlight server start`
    "#);
    assert_snapshot!(run(&["server", "stop"], &[]), @r#"
    exit code: 0
    ----- stdout -----
    ----- stderr -----
    No server is running
    "#);
}

#[test]
fn a_forgotten_verb() {
    assert_snapshot!(run(&["hello.py"], &[]), @r#"
    exit code: 2
    ----- stdout -----
    ----- stderr -----
    error: `hello.py` is a program, and what to do with it is missing
    hint: `pilotlight serve hello.py` tries it at temporary URLs; `pilotlight deploy hello.py` gives it URLs that stay
    "#);
    assert_snapshot!(run(&["hello.py::app", "--timeout", "3"], &[]), @r#"
    exit code: 2
    ----- stdout -----
    ----- stderr -----
    error: `hello.py::app` is a program, and what to do with it is missing
    hint: `pilotlight serve hello.py::app` tries it at temporary URLs; `pilotlight deploy hello.py::app` gives it URLs that stay
    "#);
}

#[test]
fn a_slip_of_the_fingers() {
    assert_snapshot!(run(&["depoly", "x.py"], &[]), @r#"
    exit code: 2
    ----- stdout -----
    ----- stderr -----
    error: there is no command `pilotlight depoly`
    hint: did you mean `pilotlight deploy`?
    "#);
    assert_snapshot!(run(&["app", "log"], &[]), @r#"
    exit code: 2
    ----- stdout -----
    ----- stderr -----
    error: there is no command `pilotlight app log`
    hint: did you mean `pilotlight app logs`?
    "#);
    assert_snapshot!(run(&["xyzzy"], &[]), @r#"
    exit code: 2
    ----- stdout -----
    ----- stderr -----
    error: there is no command `pilotlight xyzzy`
    hint: `pilotlight --help` lists the commands
    "#);
}

#[test]
fn verbs_of_modal_that_are_not_here() {
    assert_snapshot!(run(&["shell", "x.py", "--cmd", "bash"], &[]), @r#"
    exit code: 2
    ----- stdout -----
    ----- stderr -----
    error: there is no `pilotlight shell`: a shell in a container is not built yet
    hint: put what you want to try into a web endpoint and `pilotlight serve` it; `pilotlight app logs` shows what containers print
    "#);
    assert_snapshot!(run(&["secret", "create", "x", "KEY=VALUE"], &[]), @r#"
    exit code: 2
    ----- stdout -----
    ----- stderr -----
    error: there is no `pilotlight secret`: named secrets are not built yet
    hint: give the values in the program: `modal.Secret.from_dict`, `from_dotenv` or `from_local_environ`
    "#);
    assert_snapshot!(run(&["volume", "ls", "x"], &[]), @r#"
    exit code: 2
    ----- stdout -----
    ----- stderr -----
    error: there is no `pilotlight volume`: volumes are not built yet, and what containers write is gone with them
    hint: files to read go along with `Image.add_local_dir` or `modal.Mount`
    "#);
    assert_snapshot!(run(&["token", "new"], &[]), @r#"
    exit code: 2
    ----- stdout -----
    ----- stderr -----
    error: there is no `pilotlight token`: there is no account, the server is this machine
    hint: `pilotlight server start` starts it
    "#);
    assert_snapshot!(run(&["env", "current"], &[]), @r#"
    exit code: 2
    ----- stdout -----
    ----- stderr -----
    error: there is no `pilotlight env`: there is one environment here
    hint: give apps names of their own with `--name`
    "#);
    assert_snapshot!(run(&["app", "rollback", "x"], &[]), @r#"
    exit code: 2
    ----- stdout -----
    ----- stderr -----
    error: there is no `pilotlight app rollback`: older versions cannot be brought back yet
    hint: check out the older program and `pilotlight deploy` it again
    "#);
    assert_snapshot!(run(&["app", "shell", "x.py"], &[]), @r#"
    exit code: 2
    ----- stdout -----
    ----- stderr -----
    error: there is no `pilotlight app shell`: a shell in a container is not built yet
    hint: put what you want to try into a web endpoint and `pilotlight serve` it; `pilotlight app logs` shows what containers print
    "#);
}

#[test]
fn every_verb_of_modal_is_answered_with_2() {
    let verbs = "billing changelog cluster config container curl dashboard dict endpoint env environment function \
                 launch nfs profile queue sandbox secret setup shell skills token volume workspace";
    for verb in verbs.split_whitespace().chain(["image names", "image pull"]) {
        let words: Vec<&str> = verb.split(' ').chain(["--some", "thing"]).collect();
        let told = run(&words, &[]);
        assert!(told.starts_with("exit code: 2\n"), "{told}");
        assert!(
            told.contains(&format!("error: there is no `pilotlight {verb}`: ")) && told.contains("hint: "),
            "{told}"
        );
    }
}

#[test]
fn old_spellings_mean_the_new_ones() {
    for verb in ["deploy", "run"] {
        let old = run(&["app", verb, "nowhere.py:stub", "--name", "x"], &[]);
        assert!(old.contains("nowhere.py") || old.contains("no server is running"), "{old}");
    }
    assert_snapshot!(run(&["app", "run", "nowhere.py:stub", "--function-name", "f", "--no-detach"], &[]), @r#"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: there is no file `nowhere.py`
    hint: check the path; it is taken from /
    "#);
    assert_snapshot!(run(&["app", "list", "--env", "main"], &[]), @r#"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    warning: `--env main` has no effect: there is one environment here
    error: no server is running
    hint: start it with `pilotlight server start`
    "#);
    assert_snapshot!(run(&["run", "--detach", "-i", "nowhere.py"], &[]), @r#"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    warning: `--detach` has no effect: the app ends with the command; `pilotlight deploy` makes one that stays
    warning: `--interactive` has no effect: containers have no terminal
    error: there is no file `nowhere.py`
    hint: check the path; it is taken from /
    "#);
    assert_snapshot!(run(&["deploy", "x.py", "--strategy", "sideways"], &[]), @r#"
    exit code: 2
    ----- stdout -----
    ----- stderr -----
    error: invalid value 'sideways' for '--strategy <STRATEGY>'
      [possible values: rolling, recreate]

    For more information, try '--help'.
    "#);
}

#[test]
fn a_reference_that_leads_nowhere() {
    assert_snapshot!(run(&["serve", "package.module"], &[]), @r#"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: there is no file `package.module`
    hint: check the path; it is taken from /
    "#);
    assert_snapshot!(run(&["run", "-"], &[]), @r#"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: a program cannot be read from standard input
    hint: save it into a file, and give its name
    "#);
    assert_snapshot!(run(&["serve", "/usr"], &[]), @r#"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: `/usr` is a directory
    hint: name the Python file in it, or a module with `-m`
    "#);
}

#[test]
fn times_of_logs() {
    assert_snapshot!(run(&["app", "logs", "x", "--since", "yesterday"], &[]), @r#"
    exit code: 2
    ----- stdout -----
    ----- stderr -----
    error: invalid value 'yesterday' for '--since <AGE>': give a number and a unit: 30s, 10m, 2h or 1d

    For more information, try '--help'.
    "#);
}
