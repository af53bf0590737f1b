//! Reads a Dockerfile that begins an image: what stands before and in its `FROM`s, and which stages make it.

use std::collections::BTreeMap;

use super::instruction::{Instruction, flags};
use super::line::{self, Line};
use super::{Dockerfile, DockerfileError, variable};

/// A Dockerfile with its base: its last stage, and those that it begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whole {
    /// The line of the `FROM` that names the image, counted from 1.
    pub line: usize,
    /// The image that it names.
    pub from: String,
    /// The kind of machine that it asks for: `linux/arm64`.
    pub platform: Option<String>,
    /// What is done to that.
    pub rest: Dockerfile,
}

impl Whole {
    /// Reads `text`; `build_args` are values for the `ARG`s that its `FROM`s may use. A stage that the last one does not begin
    /// with is not read: nothing of it would be in the image.
    pub fn parse(text: &str, build_args: &BTreeMap<String, String>) -> Result<Self, DockerfileError> {
        let lines = line::split(text)?;
        let begins = |line: &Line| keyword(line).eq_ignore_ascii_case("FROM");
        let first = lines.iter().position(begins).unwrap_or(lines.len());
        let args = args(&lines[..first])?;
        let stages: Vec<&[Line]> = lines[first..].chunk_by(|_, next| !begins(next)).collect();
        let mut at = stages.len().checked_sub(1).ok_or_else(|| {
            let message = "it has no FROM, which names the image that it begins with".to_owned();
            DockerfileError { line: 1, message }
        })?;
        let mut chain = Vec::new();
        let (line, (from, platform)) = loop {
            let (head, lines) = stages[at].split_first().expect("a chunk has a line");
            let told = |message| DockerfileError { line: head.number, message };
            let from = from(behind(head), &args, build_args).map_err(told)?;
            chain.push((head.number, lines));
            // Of two stages of one name it is the nearest above.
            let is_parent =
                |stage: &&[Line]| name(&stage[0]).is_some_and(|name| name.eq_ignore_ascii_case(&from.0));
            match stages[..at].iter().rposition(is_parent) {
                Some(parent) => at = parent,
                None => break (head.number, from),
            }
        };
        let mut instructions = Vec::new();
        for (number, lines) in chain.into_iter().rev() {
            instructions.push((number, Instruction::Stage));
            for line in lines {
                let told = |message| DockerfileError { line: line.number, message };
                let read = Instruction::read(line).map_err(told)?;
                instructions.push((line.number, inherited(read, &args)));
            }
        }
        Ok(Self { line, from, platform, rest: Dockerfile { instructions } })
    }
}

fn keyword(line: &Line) -> &str {
    line.text.split_whitespace().next().unwrap_or_default()
}

/// What stands behind the keyword.
fn behind(line: &Line) -> &str {
    line.text[keyword(line).len()..].trim()
}

/// The name of the stage that a `FROM` begins.
fn name(from: &Line) -> Option<&str> {
    let (_, words) = flags(behind(from));
    let mut words = words.split_whitespace().skip(1);
    words.next().filter(|between| between.eq_ignore_ascii_case("AS"))?;
    words.next()
}

/// The `ARG`s of before the first `FROM`.
fn args(lines: &[Line]) -> Result<BTreeMap<String, Option<String>>, DockerfileError> {
    let mut args = BTreeMap::new();
    for line in lines {
        let told = |message| DockerfileError { line: line.number, message };
        match Instruction::read(line).map_err(told)? {
            Instruction::Arg(declared) => args.extend(declared),
            _ => return Err(told(format!("{} stands before FROM, where only ARG may", keyword(line)))),
        }
    }
    Ok(args)
}

/// An image, and the kind of machine.
type From = (String, Option<String>);

/// An `ARG` of before `FROM` is known behind it only where it is named again, without a value of its own.
fn inherited(read: Instruction, args: &BTreeMap<String, Option<String>>) -> Instruction {
    let Instruction::Arg(declared) = read else { return read };
    let declared = declared.into_iter().map(|(name, default)| {
        let default = default.or_else(|| args.get(&name).cloned().flatten());
        (name, default)
    });
    Instruction::Arg(declared.collect())
}

/// The image of `FROM [--platform=…] image [AS name]`.
fn from(
    words: &str,
    args: &BTreeMap<String, Option<String>>,
    build_args: &BTreeMap<String, String>,
) -> Result<From, String> {
    let (flags, words) = flags(words);
    if let Some((flag, _)) = flags.iter().find(|(flag, _)| *flag != "platform") {
        return Err(format!("FROM has no option --{flag}"));
    }
    let words: Vec<&str> = words.split_whitespace().collect();
    let image = match words[..] {
        [image] => image,
        [image, between, _] if between.eq_ignore_ascii_case("AS") => image,
        _ => return Err("FROM takes an image, and perhaps `AS name`".to_owned()),
    };
    let value = |name: &str| {
        let declared = args.get(name)?;
        build_args.get(name).or(declared.as_ref()).map(String::as_str)
    };
    let image = variable::expand(image, &value)?;
    let platform = flags.first().map(|(_, text)| variable::expand(text, &value)).transpose()?;
    // Variables of the builder's own name this machine.
    let platform = platform.filter(|platform| !platform.is_empty());
    match image.as_str() {
        "" => Err("FROM names no image; an ARG of it has no value".to_owned()),
        "scratch" => Err("FROM scratch has no Python: begin with an image that has one".to_owned()),
        _ => Ok((image, platform)),
    }
}
