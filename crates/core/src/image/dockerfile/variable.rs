//! Replaces variables: `$name`, `${name}`, `${name:-word}`, `${name:+word}`, and takes quotes away.

/// `text` with its variables replaced and its quotes taken away, as `ENV`, `WORKDIR`, `COPY` and `ARG` read it. In single
/// quotes and behind a backslash nothing is replaced. A variable that is not set is empty.
pub(super) fn expand<'v>(text: &str, value: &dyn Fn(&str) -> Option<&'v str>) -> Result<String, String> {
    let mut found = String::new();
    let mut rest = text.chars().peekable();
    let mut quote = None;
    while let Some(letter) = rest.next() {
        match (letter, quote) {
            ('\'' | '"', None) => quote = Some(letter),
            (_, Some(open)) if letter == open => quote = None,
            ('\\', None) => found.extend(rest.next()),
            // In double quotes it is an escape for what means something there (POSIX 2.2.3).
            ('\\', Some('"')) => match rest.next_if(|next| "\"$\\".contains(*next)) {
                Some(escaped) => found.push(escaped),
                None => found.push('\\'),
            },
            ('$', None | Some('"')) => {
                if rest.next_if_eq(&'{').is_some() {
                    found.push_str(&braced(&mut rest, text, value)?);
                } else {
                    let name = name(&mut rest);
                    if name.is_empty() {
                        found.push('$');
                    }
                    found.push_str(value(&name).unwrap_or_default());
                }
            }
            _ => found.push(letter),
        }
    }
    match quote {
        Some(open) => Err(format!("{open} is not closed in {text}")),
        None => Ok(found),
    }
}

type Letters<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn name(rest: &mut Letters<'_>) -> String {
    std::iter::from_fn(|| rest.next_if(|letter| letter.is_ascii_alphanumeric() || *letter == '_')).collect()
}

fn braced<'v>(
    rest: &mut Letters<'_>,
    text: &str,
    value: &dyn Fn(&str) -> Option<&'v str>,
) -> Result<String, String> {
    let unknown =
        || format!("a variable in {text} is not one of ${{name}}, ${{name:-word}}, ${{name:+word}}");
    let name = name(rest);
    if name.is_empty() {
        return Err(unknown());
    }
    let mut depth = 1;
    let mut inside = String::new();
    for letter in rest.by_ref() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        inside.push(letter);
    }
    if depth > 0 {
        return Err(format!("a brace is not closed in {text}"));
    }
    let set = value(&name).filter(|value| !value.is_empty());
    if inside.is_empty() {
        return Ok(set.unwrap_or_default().to_owned());
    }
    if let Some(word) = inside.strip_prefix(":-") {
        return set.map_or_else(|| expand(word, value), |set| Ok(set.to_owned()));
    }
    let word = inside.strip_prefix(":+").ok_or_else(unknown)?;
    set.map_or_else(|| Ok(String::new()), |_| expand(word, value))
}

/// Splits at white space that is in no quotes. Quotes and escapes stay, for [`expand`].
pub(super) fn words(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (letter, quote) {
            ('\\', None | Some('"')) => {
                word.push(letter);
                word.extend(letters.next());
                continue;
            }
            ('\'' | '"', None) => quote = Some(letter),
            (_, Some(open)) if open == letter => quote = None,
            (_, None) if letter.is_whitespace() => {
                if !word.is_empty() {
                    found.push(std::mem::take(&mut word));
                }
                continue;
            }
            _ => {}
        }
        word.push(letter);
    }
    if !word.is_empty() {
        found.push(word);
    }
    found
}
