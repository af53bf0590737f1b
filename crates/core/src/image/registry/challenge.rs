//! Reads what a registry asks for before it answers: `WWW-Authenticate`, RFC 9110 § 11.6.1.

/// How a registry wants to know who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// By a token, which is to be had elsewhere: <https://distribution.github.io/distribution/spec/auth/token/>.
    Bearer {
        /// The address that gives tokens.
        realm: String,
        /// What to call the registry there.
        service: Option<String>,
        /// What the token is to be good for.
        scope: Option<String>,
    },
    /// By name and password with each request.
    Basic,
}

impl Challenge {
    /// The best of the challenges in a header's value; none where nothing is known of any.
    pub fn choose(value: &str) -> Option<Self> {
        let schemes = schemes(value);
        let bearer = schemes.iter().find_map(|(name, parameters)| {
            let get = |wanted: &str| {
                parameters.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value)
            };
            let realm = get("realm").filter(|_| name.eq_ignore_ascii_case("bearer"))?;
            let (service, scope) = (get("service").cloned(), get("scope").cloned());
            Some(Self::Bearer { realm: realm.clone(), service, scope })
        });
        let basic = || schemes.iter().any(|(name, _)| name.eq_ignore_ascii_case("basic"));
        bearer.or_else(|| basic().then_some(Self::Basic))
    }
}

/// The schemes with their parameters.
fn schemes(value: &str) -> Vec<(String, Vec<(String, String)>)> {
    let mut found: Vec<(String, Vec<(String, String)>)> = Vec::new();
    let mut rest = value.trim_start_matches([' ', '\t', ',']);
    while !rest.is_empty() {
        let end = rest.find([' ', '\t', ',', '=']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if word.is_empty() {
            // Something between the words that has no place there.
            break;
        }
        let after = after.trim_start_matches([' ', '\t']);
        rest = match (after.strip_prefix('='), found.last_mut()) {
            (Some(text), Some((_, parameters))) => {
                let Some((read, left)) = parameter(text.trim_start_matches([' ', '\t'])) else { break };
                parameters.push((word.to_owned(), read));
                left
            }
            (Some(_), None) => break,
            (None, _) => {
                found.push((word.to_owned(), Vec::new()));
                after
            }
        };
        rest = rest.trim_start_matches([' ', '\t', ',']);
    }
    found
}

/// A word or a text in quotes, and what follows it.
fn parameter(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([' ', '\t', ',']).unwrap_or(text.len());
        let (word, rest) = text.split_at(end);
        return Some((word.to_owned(), rest));
    };
    let mut read = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((read, &quoted[at + 1..])),
            '\\' => read.push(chars.next()?.1),
            c => read.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
        let own = |text: Option<&str>| text.map(str::to_owned);
        Challenge::Bearer { realm: realm.to_owned(), service: own(service), scope: own(scope) }
    }

    #[test]
    fn the_challenges_of_known_registries_are_read() {
        let hub = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a:pull,push""#;
        let (service, scope) = (Some("registry.docker.io"), Some("repository:a:pull,push"));
        assert_eq!(Challenge::choose(hub), Some(bearer("https://auth.docker.io/token", service, scope)));
        assert_eq!(Challenge::choose(r#"Basic realm="a, b""#), Some(Challenge::Basic));
        let both = r#"Basic realm="x", bearer Realm = "https://a/\"t\"" , service=s"#;
        assert_eq!(Challenge::choose(both), Some(bearer("https://a/\"t\"", Some("s"), None)));
    }

    #[test]
    fn what_is_none_is_none() {
        for value in
            ["", ",", "=", "Digest realm=\"x\"", "Bearer", "Bearer realm=\"open", "realm=\"x\"", "Bearer =x"]
        {
            assert_eq!(Challenge::choose(value), None, "{value:?}");
        }
    }
}
