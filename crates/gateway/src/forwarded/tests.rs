//! What is believed of what stands in `X-Forwarded-*` and `Forwarded`.

use proptest::prelude::*;

use super::*;

fn networks() -> Vec<Network> {
    ["10.0.0.0/8", "2001:db8:1::/48"].map(|text| text.parse().unwrap()).into()
}

fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(HeaderName::from_static(name), value.parse().unwrap());
    }
    headers
}

/// The hops, the scheme and the host, with 10.0.0.0/8 and `2001:db8:1::/48` trusted.
fn say(fields: &[(&'static str, &str)]) -> String {
    let Told { hops, scheme, host } = told(&headers(fields), &networks());
    let hops: Vec<String> = hops.iter().map(ToString::to_string).collect();
    let scheme = scheme.map_or("?", Scheme::as_str);
    format!("{} {scheme} {}", hops.join(","), host.as_deref().unwrap_or("?"))
}

#[test]
fn the_client_is_the_last_that_is_no_trusted_proxy() {
    let table = [
        ("203.0.113.9", "203.0.113.9 ? ?"),
        ("1.1.1.1, 203.0.113.9", "203.0.113.9 ? ?"),
        ("1.1.1.1, 203.0.113.9, 10.0.0.2,10.0.0.3", "203.0.113.9,10.0.0.2,10.0.0.3 ? ?"),
        // A client that is in the trusted network itself.
        ("10.0.0.2, 10.0.0.3", "10.0.0.2,10.0.0.3 ? ?"),
        // Whoever is before an unknown one is nobody's word.
        ("203.0.113.9, unknown, 10.0.0.3", "10.0.0.3 ? ?"),
        ("203.0.113.9, unknown", " ? ?"),
        ("203.0.113.9, ", " ? ?"),
        ("", " ? ?"),
        ("203.0.113.9:4711", "203.0.113.9 ? ?"),
        ("[2001:db8::1]:4711, [2001:db8:1::1], 2001:db8:1::2", "2001:db8::1,2001:db8:1::1,2001:db8:1::2 ? ?"),
        ("::ffff:203.0.113.9, ::ffff:10.0.0.2", "203.0.113.9,10.0.0.2 ? ?"),
    ];
    for (list, expected) in table {
        assert_eq!(say(&[("x-forwarded-for", list)]), expected, "{list}");
    }
    // Several lines are one list.
    let lines = [("x-forwarded-for", "203.0.113.9"), ("x-forwarded-for", "10.0.0.2")];
    assert_eq!(say(&lines), "203.0.113.9,10.0.0.2 ? ?");
}

#[test]
fn scheme_and_host_are_those_the_client_used() {
    let two = ("x-forwarded-for", "203.0.113.9, 10.0.0.2");
    let table = [
        (("x-forwarded-proto", "https"), "https ?"),
        (("x-forwarded-proto", "HTTP"), "http ?"),
        (("x-forwarded-proto", "wss"), "https ?"),
        (("x-forwarded-proto", "gopher"), "? ?"),
        // As many as there are addresses: the client's.
        (("x-forwarded-proto", "https, http"), "https ?"),
        // Nobody knows whose is whose.
        (("x-forwarded-proto", "https, http, http"), "? ?"),
        (("x-forwarded-host", "a.example"), "? a.example"),
        (("x-forwarded-host", "a.example, b.example"), "? a.example"),
        (("x-forwarded-host", ""), "? ?"),
    ];
    for (field, expected) in table {
        assert_eq!(say(&[two, field]), format!("203.0.113.9,10.0.0.2 {expected}"), "{field:?}");
    }
    // A claim of the client's before what proxies added.
    let claimed = [("x-forwarded-for", "1.1.1.1, 203.0.113.9"), ("x-forwarded-proto", "https, http")];
    assert_eq!(say(&claimed), "203.0.113.9 http ?");
    // A proxy that says the scheme and nothing else.
    assert_eq!(say(&[("x-forwarded-proto", "https")]), " https ?");
}

#[test]
fn forwarded_is_read_as_rfc_7239_has_it() {
    let table = [
        ("for=203.0.113.9;proto=https;host=a.example", "203.0.113.9 https a.example"),
        ("For=\"203.0.113.9:4711\"; Proto=http ;by=10.0.0.1", "203.0.113.9 http ?"),
        (
            "for=1.1.1.1;proto=https, for=203.0.113.9;proto=http, for=10.0.0.2;proto=https",
            "203.0.113.9,10.0.0.2 http ?",
        ),
        ("for=\"[2001:db8::1]:4711\", for=\"[2001:db8:1::1]\"", "2001:db8::1,2001:db8:1::1 ? ?"),
        ("for=203.0.113.9;host=\"a\\\"b:80\"", "203.0.113.9 ? a\"b:80"),
        ("for=\"_hidden, for=203.0.113.9\"", " ? ?"),
        ("for=203.0.113.9, for=_hidden, for=10.0.0.2", "10.0.0.2 ? ?"),
        ("for=unknown;proto=https", " https ?"),
        ("proto=https", " https ?"),
        // Not what the RFC says: nothing of it is believed.
        ("for=203.0.113.9;for=1.1.1.1", " ? ?"),
        ("203.0.113.9", " ? ?"),
        ("for=\"203.0.113.9", " ? ?"),
        ("for=203.0.113.9, nonsense", " ? ?"),
        ("for=", " ? ?"),
    ];
    for (line, expected) in table {
        assert_eq!(say(&[("forwarded", line)]), expected, "{line}");
    }
}

#[test]
fn what_a_proxy_writes_comes_before_what_it_passes_on() {
    let both = [("forwarded", "for=1.1.1.1;proto=https"), ("x-forwarded-for", "203.0.113.9")];
    assert_eq!(say(&both), "203.0.113.9 ? ?");
}

/// What an app reads of a request with these fields from this address: for, host, proto, `Forwarded`, and the rest.
fn read(address: &str, fields: &[(&'static str, &str)]) -> [String; 5] {
    let client = Client::new(address.parse().unwrap(), Scheme::Http, &networks());
    let mut headers = headers(fields);
    tell(&mut headers, &HeaderValue::from_static("a:80"), &client, &networks());
    let mut take = |name: HeaderName| {
        let lines: Vec<_> =
            headers.get_all(&name).iter().map(|line| line.to_str().unwrap().to_owned()).collect();
        headers.remove(name);
        lines.join(" | ")
    };
    let [one, two, three, four] =
        [FORWARDED_FOR, FORWARDED_HOST, FORWARDED_PROTO, header::FORWARDED].map(&mut take);
    let mut rest: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
    rest.sort_unstable();
    [one, two, three, four, rest.join(" ")]
}

#[test]
fn an_app_is_told_what_is_certain_or_vouched_for() {
    let claims = [
        ("x-forwarded-for", "1.1.1.1"),
        ("x-forwarded-for", "203.0.113.9"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "b.example"),
        ("x-forwarded-port", "443"),
        ("x-forwarded-prefix", "/p"),
        ("forwarded", "for=1.1.1.1"),
    ];
    let stranger = read("::ffff:192.0.2.1", &claims);
    assert_eq!(stranger, ["192.0.2.1", "a:80", "http", "for=192.0.2.1;proto=http;host=\"a:80\"", ""]);
    let stranger = read("2001:db8::1", &[]);
    assert_eq!(
        stranger,
        ["2001:db8::1", "a:80", "http", "for=\"[2001:db8::1]\";proto=http;host=\"a:80\"", ""]
    );
    assert_eq!(
        read("2001:db8:1::1", &claims),
        [
            "203.0.113.9, 2001:db8:1::1",
            "b.example",
            "https",
            "for=203.0.113.9;proto=https;host=\"b.example\", for=\"[2001:db8:1::1]\"",
            "x-forwarded-port x-forwarded-prefix",
        ]
    );
    // A proxy that writes the standard's field, one that says how it was asked but not by whom, and a silent one.
    let standard = [("forwarded", "for=203.0.113.9;proto=https;host=\"a\\\"b\"")];
    let element = "for=203.0.113.9;proto=https;host=\"a\\\"b\", for=10.0.0.1";
    assert_eq!(read("10.0.0.1", &standard), ["203.0.113.9, 10.0.0.1", "a\"b", "https", element, ""]);
    let element = "for=10.0.0.1;proto=https;host=\"a:80\"";
    assert_eq!(
        read("10.0.0.1", &[("x-forwarded-proto", "https")]),
        ["10.0.0.1", "a:80", "https", element, ""]
    );
    let element = "for=10.0.0.1;proto=http;host=\"a:80\"";
    assert_eq!(read("10.0.0.1", &[]), ["10.0.0.1", "a:80", "http", element, ""]);
}

#[test]
fn networks_are_read_and_hold_their_addresses() {
    let network = |text: &str| text.parse::<Network>();
    let table = [
        ("127.0.0.1", "127.0.0.1", true),
        ("127.0.0.1", "127.0.0.2", false),
        ("127.0.0.1", "::ffff:127.0.0.1", true),
        ("10.0.0.0/8", "10.255.0.1", true),
        ("10.0.0.0/8", "11.0.0.1", false),
        ("0.0.0.0/0", "203.0.113.9", true),
        ("0.0.0.0/0", "::1", false),
        ("::/0", "::1", true),
        ("::/0", "127.0.0.1", false),
        ("2001:db8::/33", "2001:db8:7fff::1", true),
        ("2001:db8::/33", "2001:db8:8000::1", false),
        ("::1", "::1", true),
    ];
    for (text, address, inside) in table {
        assert_eq!(network(text).unwrap().contains(address.parse().unwrap()), inside, "{text} {address}");
    }
    for text in
        ["", "x", "10.0.0.0/33", "::/129", "10.0.0.1/8", "::1/0", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8/8"]
    {
        assert!(network(text).is_err(), "{text}");
    }
    assert_eq!(network("10.0.0.0/8").unwrap().to_string(), "10.0.0.0/8");
}

proptest! {
    #[test]
    fn no_claim_goes_past_the_first_stranger(
        claims in proptest::collection::vec("[a-z0-9:.,=;\"\\[\\] ]{0,20}", 0..4),
        proxies in 0_u8..4,
    ) {
        let mut list = claims;
        list.push("203.0.113.9".to_owned());
        list.extend((0..proxies).map(|number| format!("10.0.0.{number}")));
        let told = told(&headers(&[("x-forwarded-for", &list.join(", "))]), &["10.0.0.0/8".parse().unwrap()]);
        prop_assert_eq!(told.hops.len(), usize::from(proxies) + 1);
        prop_assert_eq!(told.hops[0].to_string(), "203.0.113.9");
    }

    #[test]
    fn any_forwarded_is_read(text in "(for|proto|host|[=;,\"\\\\ \\[\\]:.0-9a-f]){0,20}") {
        told(&headers(&[("forwarded", &text)]), &[]);
    }
}
