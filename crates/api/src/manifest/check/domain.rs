//! What a custom domain may look like: a host name as RFC 1123 §2.1 has it, whose first label may be `*`.

use pilotlight_core::name::DNS_LABEL_MAX;

/// The longest host name, in characters (RFC 1035 §2.3.4).
const HOST_MAX: usize = 253;

/// What other endpoints' hosts end in.
const OURS: [&str; 2] = ["localhost", "pilotlight.internal"];

/// Says what is wrong with `domain`.
pub(super) fn check(domain: &str) -> Result<(), String> {
    if domain.len() > HOST_MAX {
        return Err(format!("it has more than {HOST_MAX} characters"));
    }
    if domain.contains(':') {
        return Err("it has a port or a scheme; only the host belongs here".to_owned());
    }
    let host = domain.strip_prefix("*.").unwrap_or(domain);
    let labels: Vec<&str> = host.split('.').collect();
    if let Some(bad) = labels.iter().find(|label| !is_label(label)) {
        return Err(format!("`{bad}` is no label of lower-case letters, digits and `-`"));
    }
    if labels.len() < 2 {
        return Err("it has one label only; `app.example.com` is one".to_owned());
    }
    if let Some(ours) = OURS.iter().find(|ours| host == **ours || host.ends_with(&format!(".{ours}"))) {
        return Err(format!("hosts that end in `{ours}` are pilotlight's own"));
    }
    if labels.last().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit())) {
        return Err("it ends like an IP address".to_owned());
    }
    Ok(())
}

fn is_label(label: &str) -> bool {
    let letters =
        label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    let ends = !label.starts_with('-') && !label.ends_with('-');
    (1..=DNS_LABEL_MAX).contains(&label.len()) && letters && ends
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn hosts_and_wildcards_are_taken() {
        let long = format!("{}.example.com", "a".repeat(63));
        for domain in ["api.example.com", "*.example.com", "1.example.com", "xn--bcher-kva.example", &long] {
            assert_eq!(check(domain), Ok(()), "{domain}");
        }
    }

    #[test]
    fn anything_else_is_told() {
        let table = [
            ("", "`` is no label of lower-case letters, digits and `-`"),
            ("API.example.com", "`API` is no label of lower-case letters, digits and `-`"),
            ("a.*.example.com", "`*` is no label of lower-case letters, digits and `-`"),
            ("-a.example.com", "`-a` is no label of lower-case letters, digits and `-`"),
            ("example.com.", "`` is no label of lower-case letters, digits and `-`"),
            ("a_b.example.com", "`a_b` is no label of lower-case letters, digits and `-`"),
            ("localhost", "it has one label only; `app.example.com` is one"),
            ("*.com", "it has one label only; `app.example.com` is one"),
            ("example.com:80", "it has a port or a scheme; only the host belongs here"),
            ("https://example.com", "it has a port or a scheme; only the host belongs here"),
            ("10.0.0.1", "it ends like an IP address"),
            ("local--a-f.localhost", "hosts that end in `localhost` are pilotlight's own"),
            ("*.pilotlight.internal", "hosts that end in `pilotlight.internal` are pilotlight's own"),
        ];
        for (domain, told) in table {
            assert_eq!(check(domain).unwrap_err(), told, "{domain}");
        }
        assert!(check(&"a.".repeat(127)).is_err());
    }
}
