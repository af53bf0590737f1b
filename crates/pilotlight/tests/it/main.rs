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
    // A setting in the environment would count as an argument.
    let output = Command::new(env!("CARGO_BIN_EXE_pilotlight")).env_clear().output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("Commands:\n  serve "));
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
    error: unexpected argument '-1' found

      tip: to pass '-1' as a value, use '-- -1'

    Usage: pilotlight serve [OPTIONS] <FILE>

    For more information, try '--help'.
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
