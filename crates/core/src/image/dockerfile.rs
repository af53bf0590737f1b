//! Reads a Dockerfile, and decides which build steps its instructions are.
//!
//! The grammar is that of the Dockerfile reference (docs.docker.com/reference/dockerfile): comments, continuations, the
//! `escape` directive, here-documents, shell and exec forms, variables. What needs a builder that this is not (stages,
//! remote sources) is refused by name and line.

mod copy;
mod instruction;
mod line;
mod variable;
mod whole;

use std::collections::BTreeMap;
use std::fmt;

use super::{CopiedFile, Step};

pub use instruction::{Copy, Instruction, Run, Words};
pub use whole::Whole;

/// What stands in a Dockerfile that cannot be built, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct DockerfileError {
    /// The line of the instruction, counted from 1.
    pub line: usize,
    /// What is wrong with it and what to do, as a sentence without a period.
    pub message: String,
}

impl fmt::Display for DockerfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

/// A Dockerfile, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dockerfile {
    /// Its instructions, each with the line on which it begins.
    pub instructions: Vec<(usize, Instruction)>,
}

impl Dockerfile {
    /// Reads `text`. The first instruction that cannot be built is the error.
    pub fn parse(text: &str) -> Result<Self, DockerfileError> {
        let lines = line::split(text)?;
        let read = lines.into_iter().map(|line| {
            let read = Instruction::read(&line);
            read.map(|instruction| (line.number, instruction))
                .map_err(|message| DockerfileError { line: line.number, message })
        });
        Ok(Self { instructions: read.collect::<Result<_, _>>()? })
    }
}

/// What the instructions go on from, and leave for those behind them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Variables of the image so far: `ENV`, and those of the base.
    pub env: BTreeMap<String, String>,
    /// The working directory; `/` when empty.
    pub workdir: String,
    /// What `--build-arg` and `build_args=` say: values for `ARG`.
    pub build_args: BTreeMap<String, String>,
}

/// The steps that `file` is, on top of an image that already has a base. `context` are the local files it may copy, their
/// places relative to the context's root.
pub fn steps(
    file: &Dockerfile,
    context: &[CopiedFile],
    scope: &mut Scope,
) -> Result<Vec<Step>, DockerfileError> {
    let mut args = BTreeMap::new();
    let mut steps = Vec::new();
    for (line, instruction) in &file.instructions {
        let mut expansion = Expansion { context, scope, args: &mut args, steps: &mut steps };
        expansion.add(instruction).map_err(|message| DockerfileError { line: *line, message })?;
    }
    Ok(steps)
}

struct Expansion<'a> {
    context: &'a [CopiedFile],
    scope: &'a mut Scope,
    /// `ARG`s with a value.
    args: &'a mut BTreeMap<String, String>,
    steps: &'a mut Vec<Step>,
}

impl Expansion<'_> {
    fn add(&mut self, instruction: &Instruction) -> Result<(), String> {
        match instruction {
            Instruction::Arg(declared) => {
                for (name, default) in declared {
                    let given = self.scope.build_args.get(name).cloned();
                    let default = default.as_ref().map(|text| self.expand(text)).transpose()?;
                    if let Some(value) = given.or(default) {
                        self.args.insert(name.clone(), value);
                    }
                }
            }
            Instruction::Env(pairs) => {
                // Each sees the variables before this instruction, and not its neighbours.
                let vars = pairs.iter().map(|(name, text)| Ok((name.clone(), self.expand(text)?)));
                let vars = vars.collect::<Result<Vec<_>, String>>()?;
                self.scope.env.extend(vars.iter().cloned());
                self.steps.push(Step::Env { vars });
            }
            Instruction::Workdir(text) => {
                let path = copy::join(&self.scope.workdir, &self.expand(text)?);
                self.scope.workdir.clone_from(&path);
                self.steps.push(Step::Workdir { path });
            }
            Instruction::Entrypoint(words) => self.steps.push(Step::Entrypoint { command: words.clone() }),
            Instruction::User(text) => self.steps.push(Step::User { name: self.expand(text)? }),
            Instruction::Shell(words) => self.steps.push(Step::Shell { command: words.clone() }),
            Instruction::Run(run) => {
                let step = match run {
                    Run::Shell(script) => Step::RunCommands { commands: vec![script.clone()] },
                    Run::Exec(argv) => Step::Exec { argv: argv.clone() },
                };
                // Arguments are variables of the commands, and not of containers.
                let hidden = |name: &String| self.scope.env.contains_key(name);
                let env = self.args.iter().filter(|(name, _)| !hidden(name));
                let env: Vec<_> = env.map(|(name, value)| (name.clone(), value.clone())).collect();
                self.steps.push(if env.is_empty() { step } else { Step::with(env, Vec::new(), step) });
            }
            Instruction::Copy(wanted) => {
                let expand = |text: &String| self.expand(text);
                let sources = wanted.sources.iter().map(expand).collect::<Result<Vec<_>, _>>()?;
                let target = copy::Target {
                    path: self.expand(&wanted.target)?,
                    workdir: &self.scope.workdir,
                    mode: wanted.mode,
                };
                let (archives, files) = copy::files(self.context, &sources, &wanted.texts, &target)?
                    .into_iter()
                    .partition::<Vec<_>, _>(|found| wanted.unpacks && found.is_archive());
                let of = |found: Vec<copy::Found>| found.into_iter().map(|found| found.file).collect();
                if !files.is_empty() {
                    self.steps.push(Step::CopyFiles { files: of(files) });
                }
                if !archives.is_empty() {
                    self.steps.push(Step::Unpack { files: of(archives), to: target.place() });
                }
            }
            Instruction::Stage => self.args.clear(),
            Instruction::Nothing => {}
        }
        Ok(())
    }

    /// `ENV` wins over `ARG`, whichever comes first.
    fn expand(&self, text: &str) -> Result<String, String> {
        variable::expand(text, &|name| {
            self.scope.env.get(name).or_else(|| self.args.get(name)).map(String::as_str)
        })
    }
}

#[cfg(test)]
mod tests;
