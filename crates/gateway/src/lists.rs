//! Lists in header fields. Pure.

/// The parts of a list; a separator inside quotes is none (RFC 9110 §5.6.1, §5.6.4).
pub(crate) fn unquoted(list: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    list.split(move |character| {
        let was_escaped = std::mem::take(&mut escaped);
        match character {
            '\\' if quoted => escaped = !was_escaped,
            '"' if !was_escaped => quoted = !quoted,
            _ => {}
        }
        character == separator && !quoted
    })
}
