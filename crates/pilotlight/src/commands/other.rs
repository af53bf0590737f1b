//! A word in the place of a verb that is none: what was meant, in one sentence.

use std::ffi::OsString;

use clap::CommandFactory as _;

use crate::cli::{self, Cli};
use crate::exit::Status;
use crate::printer::Printer;

/// Tells what is wrong with `words`, which stand behind `pilotlight` and `below` (`app ` or nothing).
pub(crate) fn refuse(below: &str, words: &[OsString], printer: &Printer) -> Status {
    let word = words.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
    let verb = format!("{below}{word}");
    if below.is_empty() && cli::is_program(&word) {
        printer.error(
            &format!("`{word}` is a program, and what to do with it is missing"),
            Some(&format!(
                "`pilotlight serve {word}` tries it at temporary URLs; `pilotlight deploy {word}` gives it URLs that stay"
            )),
            None,
        );
    } else if let Some((why, hint)) = cli::of_modal(&verb) {
        printer.error(&format!("there is no `pilotlight {verb}`: {why}"), Some(hint), None);
    } else {
        let mut command = Cli::command();
        if let Some(app) = command.find_subcommand_mut(below.trim_end()) {
            command = app.clone();
        }
        let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set()).map(clap::Command::get_name);
        let hint = cli::nearest(&word, verbs).map_or_else(
            || format!("`pilotlight {below}--help` lists the commands"),
            |verb| format!("did you mean `pilotlight {below}{verb}`?"),
        );
        printer.error(&format!("there is no command `pilotlight {verb}`"), Some(&hint), None);
    }
    Status::Usage
}
