//! Puts lines together: directives, comments, continuations, here-documents.

use super::DockerfileError;

/// An instruction's text on one line, without its continuations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Where it begins, counted from 1.
    pub(super) number: usize,
    /// Its text. Here-documents are behind.
    pub(super) text: String,
    /// What the here-documents hold, in the order in which the text names them.
    pub(super) documents: Vec<Document>,
}

/// A here-document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Document {
    /// Its word: `EOF` of `<<EOF`.
    pub(super) name: String,
    /// Its lines, each with its line feed.
    pub(super) text: String,
    /// Whether variables are replaced in it: the word was not quoted.
    pub(super) expands: bool,
}

/// The instructions of `text`.
pub(super) fn split(text: &str) -> Result<Vec<Line>, DockerfileError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = text.lines().enumerate().map(|(index, line)| (index + 1, line)).peekable();
    let escape = directives(&mut lines)?;
    let mut found = Vec::new();
    while let Some((number, first)) = lines.next() {
        if is_nothing(first) {
            continue;
        }
        let mut joined = String::new();
        let mut next = Some(first);
        while let Some(part) = next {
            let open = part.trim_end().strip_suffix(escape);
            joined.push_str(open.unwrap_or(part));
            // Comments and empty lines between continued ones are left out.
            next = match open {
                Some(_) => lines.by_ref().map(|(_, line)| line).find(|line| !is_nothing(line)),
                None => None,
            };
        }
        let text = joined.trim().to_owned();
        let mut documents = Vec::new();
        for opened in opened(&text) {
            let Opened { name, stripped, expands } = opened;
            let mut content = String::new();
            let ended = lines.by_ref().any(|(_, line)| {
                let line = if stripped { line.trim_start_matches('\t') } else { line };
                let end = line == name;
                if !end {
                    content.push_str(line);
                    content.push('\n');
                }
                end
            });
            if !ended {
                let message = format!("the here-document has no end: a line with nothing but `{name}`");
                return Err(DockerfileError { line: number, message });
            }
            documents.push(Document { name, text: content, expands });
        }
        found.push(Line { number, text, documents });
    }
    Ok(found)
}

fn is_nothing(line: &str) -> bool {
    let line = line.trim_start();
    line.is_empty() || line.starts_with('#')
}

/// The escape character: comments of the form `# name=value` at the very beginning are directives.
fn directives<'a>(
    lines: &mut std::iter::Peekable<impl Iterator<Item = (usize, &'a str)>>,
) -> Result<char, DockerfileError> {
    let mut escape = '\\';
    while let Some((number, line)) = lines.peek() {
        let Some((name, value)) = line.trim_start().strip_prefix('#').and_then(|said| said.split_once('='))
        else {
            break;
        };
        let name = name.trim().to_ascii_lowercase();
        if name == "escape" {
            escape = match value.trim() {
                "\\" => '\\',
                "`" => '`',
                other => {
                    let message = format!("escape={other} is not known: it is a backslash or a backtick");
                    return Err(DockerfileError { line: *number, message });
                }
            };
        } else if name != "syntax" && name != "check" {
            break;
        }
        lines.next();
    }
    Ok(escape)
}

struct Opened {
    name: String,
    stripped: bool,
    expands: bool,
}

/// The here-documents that `text` opens: `<<WORD`, `<<-WORD`, with the word quoted or not. Only in instructions that
/// take them.
fn opened(text: &str) -> Vec<Opened> {
    let keyword = text.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
    if !["RUN", "COPY", "ADD"].contains(&keyword.as_str()) {
        return Vec::new();
    }
    let words = text.split_whitespace().filter_map(|word| {
        // `2<<EOF` names a descriptor, as in a shell.
        let word = word.trim_start_matches(|letter: char| letter.is_ascii_digit()).strip_prefix("<<")?;
        let (stripped, word) = word.strip_prefix('-').map_or((false, word), |rest| (true, rest));
        let quoted = ['"', '\''].iter().find_map(|quote| word.strip_prefix(*quote)?.strip_suffix(*quote));
        let name = quoted.unwrap_or(word);
        let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '.';
        let named = !name.is_empty() && name.chars().all(plain);
        named.then(|| Opened { name: name.to_owned(), stripped, expands: quoted.is_none() })
    });
    words.collect()
}
