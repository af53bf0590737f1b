//! Decides which files of the context go where: the rules of `COPY`.

use super::super::{Content, CopiedFile};

/// Where files are to go.
pub(super) struct Target<'a> {
    /// The last word of the instruction.
    pub(super) path: String,
    /// What a relative path counts from.
    pub(super) workdir: &'a str,
    /// `--chmod`.
    pub(super) mode: Option<u32>,
}

impl Target<'_> {
    /// The whole path.
    pub(super) fn place(&self) -> String {
        join(self.workdir, &self.path)
    }
}

/// A file that is to be copied.
pub(super) struct Found {
    pub(super) file: CopiedFile,
    /// Its own name, where it was named by itself and not as a part of a folder.
    name: Option<String>,
}

impl Found {
    /// Whether it may be an archive that `ADD` unpacks. Only what is in it says whether it is one.
    pub(super) fn is_archive(&self) -> bool {
        const ENDS: [&str; 8] = [".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tbz", ".tar.xz", ".txz"];
        self.name.as_ref().is_some_and(|name| ENDS.iter().any(|end| name.ends_with(end)))
    }
}

/// The files that `sources` name, and the here-documents `texts` (name, content), at their places below `target`.
///
/// A folder's content is copied, not the folder; a target that ends in `/`, or more than one source, makes the target a
/// folder. A source outside of the context, or one that matches nothing, is an error.
pub(super) fn files(
    context: &[CopiedFile],
    sources: &[String],
    texts: &[(String, String)],
    target: &Target<'_>,
) -> Result<Vec<Found>, String> {
    let folder = target.path.ends_with('/') || target.path == "." || sources.len() + texts.len() > 1;
    let place = target.place();
    let below = |name: &str| join(&place, name);
    let mut found = Vec::new();
    for source in sources {
        let wanted = clean(source)?;
        let before = found.len();
        let all = wanted.is_empty();
        for file in context {
            let copied = |remote: String, name: Option<&str>| Found {
                file: CopiedFile {
                    remote,
                    mode: target.mode.unwrap_or(file.mode),
                    content: file.content.clone(),
                },
                name: name.map(str::to_owned),
            };
            let path = file.remote.trim_start_matches('/');
            let parts: Vec<&str> = path.split('/').collect();
            if all {
                found.push(copied(below(path), None));
            } else if let Some(depth) = matched(&wanted, &parts) {
                if depth < parts.len() {
                    found.push(copied(below(&parts[depth..].join("/")), None));
                } else if folder || is_pattern(source) {
                    found.push(copied(below(parts[depth - 1]), parts.last().copied()));
                } else {
                    found.push(copied(place.clone(), parts.last().copied()));
                }
            }
        }
        if found.len() == before {
            return Err(format!("`{source}` is not in the build context, or ignored there"));
        }
    }
    for (name, text) in texts {
        let remote = if folder { below(name) } else { place.clone() };
        let content = Content::Text(text.clone());
        let file = CopiedFile { remote, mode: target.mode.unwrap_or(0o644), content };
        found.push(Found { file, name: None });
    }
    // Of two for one place the later stays, as if they were copied one after the other.
    let mut last = std::collections::BTreeMap::new();
    for file in found {
        last.insert(file.file.remote.clone(), file);
    }
    Ok(last.into_values().collect())
}

/// The parts of a source; none for the whole context.
fn clean(source: &str) -> Result<Vec<&str>, String> {
    let mut parts = Vec::new();
    for part in source.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                if parts.pop().is_none() {
                    return Err(format!("`{source}` is outside of the build context"));
                }
            }
            _ => parts.push(part),
        }
    }
    Ok(parts)
}

/// How many parts of `path` the pattern covers, when it covers the file or a folder above it.
fn matched(pattern: &[&str], path: &[&str]) -> Option<usize> {
    let covers = path.len() >= pattern.len()
        && pattern.iter().zip(path).all(|(pattern, part)| part_matches(pattern, part));
    covers.then_some(pattern.len())
}

fn is_pattern(source: &str) -> bool {
    source.contains(['*', '?', '['])
}

/// `*`, `?` and `[…]` within one part of a path: Go's filepath.Match, which the Dockerfile reference names.
fn part_matches(pattern: &str, part: &str) -> bool {
    let mut pattern = pattern.chars();
    match pattern.next() {
        None => part.is_empty(),
        Some('*') => {
            let rest = pattern.as_str();
            let ends = part.char_indices().map(|(at, _)| at).chain([part.len()]);
            ends.into_iter().any(|at| part_matches(rest, &part[at..]))
        }
        Some(first) => {
            let mut part = part.chars();
            let Some(letter) = part.next() else { return false };
            let fits = match first {
                '?' => true,
                '[' => match class(&mut pattern, letter) {
                    Some(fits) => fits,
                    None => return false,
                },
                '\\' => pattern.next() == Some(letter),
                _ => first == letter,
            };
            fits && part_matches(pattern.as_str(), part.as_str())
        }
    }
}

/// Whether `letter` is in the class that `pattern` is inside of; leaves `pattern` behind the bracket. `None`: no end.
fn class(pattern: &mut std::str::Chars<'_>, letter: char) -> Option<bool> {
    let negated = pattern.as_str().starts_with('^');
    if negated {
        pattern.next();
    }
    let mut found = false;
    loop {
        let low = match pattern.next()? {
            ']' => return Some(found != negated),
            '\\' => pattern.next()?,
            low => low,
        };
        let mut high = low;
        let rest = pattern.as_str();
        if rest.starts_with('-') && !rest.starts_with("-]") {
            pattern.next();
            high = pattern.next()?;
        }
        found |= (low..=high).contains(&letter);
    }
}

/// `path` as it is seen from `workdir`, without `.`, `..` and a slash at the end.
pub(super) fn join(workdir: &str, path: &str) -> String {
    let from = if path.starts_with('/') { "" } else { workdir };
    let mut parts: Vec<&str> = Vec::new();
    for part in from.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop(),
            _ => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}
