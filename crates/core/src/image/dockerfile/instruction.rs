//! Reads one instruction.

use super::line::{Document, Line};
use super::variable::words;

/// Names and the texts of their values, which variables are replaced in later.
pub type Words = Vec<(String, String)>;

/// What one instruction asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Instruction {
    /// `ARG`: names, and the text of a default where there is one.
    Arg(Vec<(String, Option<String>)>),
    /// `ENV`.
    Env(Words),
    /// `WORKDIR`.
    Workdir(String),
    /// `SHELL`.
    Shell(Vec<String>),
    /// `RUN`.
    Run(Run),
    /// `COPY`, and `ADD` of local files.
    Copy(Copy),
    /// `ENTRYPOINT` in its exec form; empty for none.
    Entrypoint(Vec<String>),
    /// `USER`.
    User(String),
    /// A stage begins here: the `ARG`s of the one before end.
    Stage,
    /// One that changes nothing here: `LABEL`, `EXPOSE`, `CMD`, and so on. A function's container runs the function.
    Nothing,
}

/// What `RUN` runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Run {
    /// A script for the shell.
    Shell(String),
    /// A program and its arguments.
    Exec(Vec<String>),
}

/// What `COPY` copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    /// Paths and patterns in the context.
    pub sources: Vec<String>,
    /// Here-documents: names and contents.
    pub texts: Vec<(String, String)>,
    /// Where to.
    pub target: String,
    /// `--chmod`, as permission bits.
    pub mode: Option<u32>,
    /// Whether archives are unpacked: `ADD`.
    pub unpacks: bool,
}

impl Instruction {
    /// Reads one; the error says what is wrong and what to do.
    pub(super) fn read(line: &Line) -> Result<Self, String> {
        let (keyword, rest) = line.text.split_once(char::is_whitespace).unwrap_or((&line.text, ""));
        let (name, rest) = (keyword.to_ascii_uppercase(), rest.trim());
        let empty = rest.is_empty() && name != "CMD" && name != "ENTRYPOINT";
        if empty {
            return Err(format!("{name} says nothing"));
        }
        match name.as_str() {
            "ARG" => Ok(Self::Arg(words(rest).iter().map(|word| arg(word)).collect())),
            "ENV" => env(rest).map(Self::Env),
            "WORKDIR" => Ok(Self::Workdir(rest.to_owned())),
            "SHELL" => match json(rest) {
                Some(command) if !command.is_empty() => Ok(Self::Shell(command)),
                _ => Err(r#"SHELL takes a list in double quotes: SHELL ["/bin/bash", "-c"]"#.to_owned()),
            },
            "RUN" => run(rest, &line.documents).map(Self::Run),
            "COPY" | "ADD" => copy(&name, rest, &line.documents).map(Self::Copy),
            "ENTRYPOINT" if rest.is_empty() => Ok(Self::Entrypoint(Vec::new())),
            "ENTRYPOINT" => json(rest).map(Self::Entrypoint).ok_or_else(|| {
                "ENTRYPOINT without a list is run by a shell that takes no arguments, and a function's container \
                 is its argument: write ENTRYPOINT [\"/entrypoint.sh\"], which ends in exec \"$@\""
                    .to_owned()
            }),
            "USER" => Ok(Self::User(rest.to_owned())),
            "CMD" | "LABEL" | "EXPOSE" | "MAINTAINER" | "STOPSIGNAL" | "HEALTHCHECK" | "VOLUME" => {
                Ok(Self::Nothing)
            }
            "FROM" => Err("FROM begins an image, and these commands go on with one: leave it out".to_owned()),
            "ONBUILD" => Err("ONBUILD is for images that others build on: leave it out".to_owned()),
            _ => Err(format!("`{keyword}` is no instruction of a Dockerfile")),
        }
    }
}

fn arg(word: &str) -> (String, Option<String>) {
    match word.split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
        None => (word.to_owned(), None),
    }
}

/// `ENV a=1 b=2`, or the old `ENV a 1 2`, whose value is the rest of the line.
fn env(rest: &str) -> Result<Words, String> {
    let parts = words(rest);
    if parts.first().is_some_and(|first| first.contains('=')) {
        let pairs = parts.iter().map(|part| match part.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
            _ => Err(format!("ENV takes name=value, and `{part}` is none")),
        });
        return pairs.collect();
    }
    match rest.split_once(char::is_whitespace) {
        Some((name, value)) => Ok(vec![(name.to_owned(), value.trim().to_owned())]),
        None => Err(format!("ENV takes name=value, and `{rest}` is none")),
    }
}

fn run(rest: &str, documents: &[Document]) -> Result<Run, String> {
    let (flags, rest) = flags(rest);
    for (flag, value) in flags {
        let cache = flag == "mount" && value.split(',').any(|part| part == "type=cache");
        let usual = (flag == "network" && value == "default") || (flag == "security" && value == "sandbox");
        // What a cache holds is never part of an image, and may always be empty.
        if !cache && !usual {
            return Err(format!("RUN --{flag}={value} is not built yet; a secret is given with secrets=[…]"));
        }
    }
    if let Some(argv) = json(rest) {
        return if argv.is_empty() { Err("RUN says nothing".to_owned()) } else { Ok(Run::Exec(argv)) };
    }
    match documents {
        [] if rest.is_empty() => Err("RUN says nothing".to_owned()),
        [] => Ok(Run::Shell(rest.to_owned())),
        // `RUN <<EOF` alone: the document is the script.
        [only] if rest.trim_start_matches("<<").trim_matches(['-', '"', '\'']) == only.name => {
            match only.text.lines().next().filter(|line| line.starts_with("#!")) {
                Some(line) => Err(format!(
                    "a script that begins with `{line}` is not built yet: copy it with COPY <<EOF /path and run that"
                )),
                None => Ok(Run::Shell(only.text.clone())),
            }
        }
        // The shell reads them itself, behind the command.
        several => {
            let behind = several.iter().map(|document| format!("{}{}\n", document.text, document.name));
            Ok(Run::Shell(format!("{rest}\n{}", behind.collect::<String>())))
        }
    }
}

fn copy(name: &str, rest: &str, documents: &[Document]) -> Result<Copy, String> {
    let (flags, rest) = flags(rest);
    let mut mode = None;
    for (flag, value) in flags {
        match flag {
            "chmod" => {
                let octal = u32::from_str_radix(value, 8).ok().filter(|mode| *mode <= 0o7777);
                let octal =
                    octal.ok_or_else(|| format!("--chmod={value} is no mode: write it as --chmod=755"))?;
                mode = Some(octal & 0o777);
            }
            // Files of an image belong to its root, which is who containers run as.
            "chown" | "link" => {}
            "from" => {
                return Err(format!(
                    "{name} --from={value}: files of another stage or image are not built yet: make them in this \
                     stage, or in the local folder"
                ));
            }
            _ => return Err(format!("{name} --{flag} is not built yet")),
        }
    }
    let mut parts = match json(rest) {
        Some(parts) => parts,
        None => words(rest),
    };
    let target = parts.pop().filter(|_| !parts.is_empty());
    let target =
        target.ok_or_else(|| format!("{name} takes what to copy and where to: {name} app.py /root/"))?;
    let (inline, sources): (Vec<String>, Vec<String>) =
        parts.into_iter().partition(|part| part.starts_with("<<"));
    let texts =
        documents.iter().take(inline.len()).map(|document| (document.name.clone(), document.text.clone()));
    let texts: Vec<_> = texts.collect();
    if let Some(document) = documents.iter().find(|document| document.expands && document.text.contains('$'))
    {
        return Err(format!(
            "variables in a here-document of {name} are not built yet: quote its word, <<'{}'",
            document.name
        ));
    }
    if name == "ADD" {
        let remote = |source: &&String| source.contains("://") || source.starts_with("git@");
        if let Some(source) = sources.iter().find(remote) {
            return Err(format!(
                "ADD {source}: only local files can be added; fetch it with RUN curl -fsSLO {source}"
            ));
        }
    }
    Ok(Copy { sources, texts, target, mode, unpacks: name == "ADD" })
}

/// The flags in front, `--name=value`, and what is behind them.
pub(super) fn flags(rest: &str) -> (Vec<(&str, &str)>, &str) {
    let mut found = Vec::new();
    let mut rest = rest;
    while let Some(flag) = rest.strip_prefix("--") {
        let (flag, behind) = flag.split_once(char::is_whitespace).unwrap_or((flag, ""));
        found.push(flag.split_once('=').unwrap_or((flag, "")));
        rest = behind.trim_start();
    }
    (found, rest)
}

/// The exec form: a JSON list of strings (RFC 8259 §5, §7). `None`: it is none, so it is the shell's.
fn json(text: &str) -> Option<Vec<String>> {
    let inside = text.trim().strip_prefix('[')?.strip_suffix(']')?;
    let mut letters = inside.chars().peekable();
    let mut found = Vec::new();
    let blank = |letters: &mut std::iter::Peekable<std::str::Chars<'_>>| {
        while letters.next_if(char::is_ascii_whitespace).is_some() {}
    };
    blank(&mut letters);
    if letters.peek().is_none() {
        return Some(found);
    }
    loop {
        blank(&mut letters);
        letters.next_if_eq(&'"')?;
        let mut word = String::new();
        loop {
            match letters.next()? {
                '"' => break,
                '\\' => word.push(escaped(&mut letters)?),
                letter => word.push(letter),
            }
        }
        found.push(word);
        blank(&mut letters);
        match letters.next() {
            Some(',') => {}
            None => return Some(found),
            Some(_) => return None,
        }
    }
}

/// The letter behind a backslash. Those beyond the basic plane, which JSON writes as two, are none here.
fn escaped(letters: &mut impl Iterator<Item = char>) -> Option<char> {
    match letters.next()? {
        letter @ ('"' | '\\' | '/') => Some(letter),
        'n' => Some('\n'),
        't' => Some('\t'),
        'r' => Some('\r'),
        'b' => Some('\u{8}'),
        'f' => Some('\u{c}'),
        'u' => {
            let digits: String = letters.take(4).collect();
            char::from_u32(u32::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 4)?)
        }
        _ => None,
    }
}
