//! Reads a Dockerfile that begins an image: what stands before and in its `FROM`.

use std::collections::BTreeMap;

use super::instruction::{Instruction, flags};
use super::{Dockerfile, DockerfileError, line, variable};

/// A Dockerfile with its base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whole {
    /// The line of its `FROM`, counted from 1.
    pub line: usize,
    /// The image that it names.
    pub from: String,
    /// The kind of machine that it asks for: `linux/arm64`.
    pub platform: Option<String>,
    /// What is done to that.
    pub rest: Dockerfile,
}

impl Whole {
    /// Reads `text`; `build_args` are values for the `ARG`s that its `FROM` may use.
    pub fn parse(text: &str, build_args: &BTreeMap<String, String>) -> Result<Self, DockerfileError> {
        let lines = line::split(text)?;
        let mut args: BTreeMap<String, Option<String>> = BTreeMap::new();
        let mut base: Option<(usize, From)> = None;
        let mut rest = Vec::new();
        for line in &lines {
            let told = |message| DockerfileError { line: line.number, message };
            let (keyword, words) = line.text.split_once(char::is_whitespace).unwrap_or((&line.text, ""));
            let is_from = keyword.eq_ignore_ascii_case("FROM");
            match (&base, is_from) {
                (None, true) => {
                    base = Some((line.number, from(words.trim(), &args, build_args).map_err(told)?));
                }
                (None, false) => match Instruction::read(line).map_err(told)? {
                    Instruction::Arg(declared) => args.extend(declared),
                    _ => return Err(told(format!("{keyword} stands before FROM, where only ARG may"))),
                },
                (Some(_), true) => {
                    let message =
                        "a second FROM begins another stage, and stages are not built yet: build the parts \
                                   into an image of their own"
                            .to_owned();
                    return Err(told(message));
                }
                (Some(_), false) => {
                    let read = Instruction::read(line).map_err(told)?;
                    rest.push((line.number, inherited(read, &args)));
                }
            }
        }
        let (line, (from, platform)) = base.ok_or_else(|| {
            let message = "it has no FROM, which names the image that it begins with".to_owned();
            DockerfileError { line: 1, message }
        })?;
        Ok(Self { line, from, platform, rest: Dockerfile { instructions: rest } })
    }
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
