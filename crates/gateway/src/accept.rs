//! Which form of an error a client would rather read: `Accept` with its weights (RFC 9110 §12.5.1). Pure.

use crate::lists::unquoted;

/// The form of an error's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// `{"error": {…}}`.
    Json,
    /// One line.
    Text,
}

/// How much something is wanted, in thousandths, and by how special a range that is said: the most special one counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Wish {
    rank: u8,
    weight: u16,
}

impl Wish {
    /// Of two ranges as special as each other the one that wants more counts.
    fn hear(&mut self, rank: u8, weight: u16) {
        if (rank, weight) > (self.rank, self.weight) {
            *self = Self { rank, weight };
        }
    }
}

impl Form {
    /// The form that an `Accept` asks for; JSON where it does not prefer text. Nobody is refused an error for its form, so
    /// who wants neither gets JSON too.
    ///
    /// `application/problem+json` and its like ask for JSON, and `text/html`, as browsers and their like ask, for text.
    pub(crate) fn of(accept: &str) -> Self {
        let (mut json, mut text) = (Wish::default(), Wish::default());
        for range in unquoted(accept, ',') {
            let mut parameters = unquoted(range, ';');
            let kind = parameters.next().unwrap_or_default().trim();
            let Some(weight) = weight(parameters) else { continue };
            let Some((kind, subtype)) = kind.split_once('/') else { continue };
            let is = |known: &str| kind.eq_ignore_ascii_case(known);
            let below = |known: &str| subtype.eq_ignore_ascii_case(known);
            match subtype {
                "*" if is("*") => {
                    json.hear(1, weight);
                    text.hear(1, weight);
                }
                "*" if is("application") => json.hear(2, weight),
                "*" if is("text") => text.hear(2, weight),
                _ if is("application") && (below("json") || has_suffix(subtype, "+json")) => {
                    json.hear(3, weight);
                }
                _ if is("text") && (below("plain") || below("html")) => text.hear(3, weight),
                _ => {}
            }
        }
        if text.weight > json.weight { Self::Text } else { Self::Json }
    }
}

fn has_suffix(text: &str, suffix: &str) -> bool {
    let (text, suffix) = (text.as_bytes(), suffix.as_bytes());
    text.len() >= suffix.len() && text[text.len() - suffix.len()..].eq_ignore_ascii_case(suffix)
}

/// The weight that parameters give (RFC 9110 §12.4.2), 1000 where they give none. None where it is not one.
fn weight<'a>(parameters: impl Iterator<Item = &'a str>) -> Option<u16> {
    for parameter in parameters {
        let Some((name, value)) = parameter.split_once('=') else { continue };
        if name.trim().eq_ignore_ascii_case("q") {
            return thousandths(value.trim());
        }
    }
    Some(1000)
}

fn thousandths(value: &str) -> Option<u16> {
    let (whole, places) = value.split_once('.').unwrap_or((value, ""));
    if places.len() > 3 || !places.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let part = places.bytes().chain(*b"000").take(3).fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    match (whole, part) {
        ("0", part) => Some(part),
        ("1", 0) => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_form_follows_accept() {
        let table = [
            ("", Form::Json),
            ("*/*", Form::Json),
            ("application/json", Form::Json),
            ("APPLICATION/JSON;Q=1", Form::Json),
            ("application/problem+json, text/plain", Form::Json),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Form::Text),
            ("text/plain", Form::Text),
            ("text/*", Form::Text),
            ("text/plain;q=0.4, application/json;q=0.5", Form::Json),
            ("text/plain;q=0.5, application/json;q=0.45", Form::Text),
            ("text/plain;q=0.5, application/json;q=0.500", Form::Json),
            // The most special range counts, whatever the others say.
            ("*/*, application/json;q=0.1", Form::Text),
            ("application/json;q=0, */*;q=0.1", Form::Text),
            ("text/plain;q=0, text/*", Form::Json),
            ("text/*;q=0.1, */*", Form::Json),
            // Neither is wanted.
            ("text/event-stream", Form::Json),
            ("image/png, application/xml;q=0.5", Form::Json),
            ("text/plain;q=0", Form::Json),
            // No ranges, no weights.
            ("text/plain;q=2", Form::Json),
            ("text/plain;q=0.1234, text", Form::Json),
            ("text/plain;q=, application/json;q=0.1", Form::Json),
            // Separators in quotes are none.
            ("text/plain;a=\"x, application/json;q=1\";q=0.9, application/json;q=0.8", Form::Text),
            ("text/plain;a=\"\\\",application/json\"", Form::Text),
        ];
        for (accept, form) in table {
            assert_eq!(Form::of(accept), form, "{accept:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in r#"[a-z*/+;,q=0-9." \\]{0,40}"#) {
            Form::of(&text);
        }

        #[test]
        fn who_wants_one_form_more_gets_it(json in 0_u16..=1000, text in 0_u16..=1000) {
            let q = |weight: u16| format!("{}.{:03}", weight / 1000, weight % 1000);
            let accept = format!("application/json;q={}, text/plain; q={}", q(json), q(text));
            let expected = if text > json { Form::Text } else { Form::Json };
            prop_assert_eq!(Form::of(&accept), expected);
        }
    }
}
