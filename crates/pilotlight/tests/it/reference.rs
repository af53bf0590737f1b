//! `docs/reference/cli.md` shows the help of every command as it is.

use std::fmt::Write as _;
use std::process::Command;

const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/cli.md");

/// What stands before the command line of a help text, and after the text.
const BEGIN: &str = "```console\n$ pilotlight ";
const END: &str = "```\n";

fn help(command: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_pilotlight"))
        .args(command.split_whitespace())
        .env_clear()
        .output()
        .unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The commands that a help text lists.
fn listed(help: &str) -> Vec<&str> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let indented = lines.take_while(|line| !line.is_empty());
    // The description of a long name stands on a line of its own, deeper.
    indented
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .collect()
}

/// The document with the help texts that the command gives now.
fn updated(document: &str) -> (String, Vec<String>) {
    let (mut text, mut commands, mut rest) = (String::new(), Vec::new(), document);
    while let Some(begin) = rest.find(BEGIN) {
        let (before, block) = rest.split_at(begin + BEGIN.len());
        let (command, block) = block.split_once('\n').expect("a block has a first line");
        let end = block.find(END).expect("a block has an end");
        write!(text, "{before}{command}\n{}", help(command)).unwrap();
        commands.push(command.strip_suffix("--help").expect("only help is shown").trim().to_owned());
        rest = &block[end..];
    }
    (text + rest, commands)
}

#[test]
fn the_committed_reference_is_what_the_help_says() {
    let committed = fs_err::read_to_string(COMMITTED).unwrap();
    let (text, documented) = updated(&committed);
    let mut wanted = vec![String::new()];
    let mut next = 0;
    while next < wanted.len() {
        let command = wanted[next].clone();
        let text = help(&format!("{command} --help"));
        wanted.extend(listed(&text).iter().map(|sub| format!("{command} {sub}").trim().to_owned()));
        next += 1;
    }
    let missing: Vec<_> = wanted.iter().filter(|command| !documented.contains(command)).collect();
    assert!(missing.is_empty(), "docs/reference/cli.md shows no help of {missing:?}");
    if std::env::var_os("UPDATE").is_some() {
        fs_err::write(COMMITTED, &text).unwrap();
    }
    let committed = fs_err::read_to_string(COMMITTED).unwrap();
    assert!(
        committed == text,
        "docs/reference/cli.md is not what the command says: run `UPDATE=1 cargo test -p pilotlight --test it`"
    );
}
