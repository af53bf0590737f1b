//! Tables of names.

use super::*;

const PLAIN: Naming<'_> = Naming {
    workspace: DEFAULT_WORKSPACE,
    app: "hello",
    function: "f",
    label: None,
    ephemeral: None,
    ambiguous: false,
};

const DEV: Option<Ephemeral<'_>> = Some(Ephemeral { suffix: DEV_SUFFIX, instance: None });

const INSTANCE: Option<Ephemeral<'_>> = Some(Ephemeral { suffix: DEV_SUFFIX, instance: Some("abcd2345") });

fn label(naming: &Naming<'_>) -> String {
    naming.host_label().unwrap().0.as_str().to_owned()
}

#[test]
fn app_names() {
    for good in ["hello", "Hello_World.v2", "a", "-", "9", &"x".repeat(64)] {
        assert_eq!(check_app(good), Ok(()), "{good}");
    }
    assert_eq!(check_app(""), Err(Error::AppEmpty));
    assert!(matches!(check_app(&"x".repeat(65)), Err(Error::AppTooLong { length: 65, .. })));
    for (bad, character) in [("a b", ' '), ("a/b", '/'), ("größe", 'ö'), ("a\n", '\n'), ("a:b", ':')] {
        match check_app(bad) {
            Err(Error::AppCharacter { found, .. }) => assert_eq!(found, character),
            other => panic!("{bad}: {other:?}"),
        }
    }
    assert_eq!(
        check_app("my app").unwrap_err().to_string(),
        r#"the app name "my app" contains ' ': only letters, digits, '-', '_' and '.' are allowed"#
    );
}

#[test]
fn slugs() {
    let table = [
        ("hello", "hello"),
        ("Hello_World", "hello-world"),
        ("a.b.c", "a-b-c"),
        ("__init__", "init"),
        ("a__b", "a--b"),
        ("Model.predict", "model-predict"),
        ("größe", "gr--e"),
        ("函数", ""),
        ("...", ""),
    ];
    for (text, expected) in table {
        assert_eq!(slug(text), expected, "{text}");
    }
}

#[test]
fn hosts() {
    assert_eq!(PLAIN.host_label().unwrap().0.host("localhost"), "local--hello-f.localhost");
    assert_eq!(PLAIN.host_label().unwrap().0.host(".Example.COM."), "local--hello-f.example.com");
    let table = [
        (Naming { ephemeral: DEV, ..PLAIN }, "local--hello-f-dev"),
        (Naming { label: Some("x"), ..PLAIN }, "local--x"),
        (Naming { label: Some("x"), ephemeral: DEV, ..PLAIN }, "local--x-dev"),
        (Naming { workspace: "ecorp", app: "My.App", function: "say_hi", ..PLAIN }, "ecorp--my-app-say-hi"),
        (Naming { workspace: "7", ..PLAIN }, "7--hello-f"),
        (Naming { function: "Model.predict", ..PLAIN }, "local--hello-model-predict"),
        (Naming { ephemeral: INSTANCE, ..PLAIN }, "local--hello-f-abcd2345-dev"),
        (Naming { label: Some("x"), ephemeral: INSTANCE, ..PLAIN }, "local--x-abcd2345-dev"),
    ];
    for (naming, expected) in table {
        let (host, note) = naming.host_label().unwrap();
        assert_eq!((host.as_str(), note), (expected, None));
    }
}

#[test]
fn a_label_of_the_user_is_used_as_it_is_or_refused() {
    let table = [
        ("", LabelFault::Empty),
        ("Upper", LabelFault::Character('U')),
        ("a_b", LabelFault::Character('_')),
        ("a.b", LabelFault::Character('.')),
        ("-a", LabelFault::DashAtEnd),
        ("a-", LabelFault::DashAtEnd),
        ("123", LabelFault::AllDigits),
    ];
    for (text, reason) in table {
        let naming = Naming { label: Some(text), ..PLAIN };
        assert_eq!(naming.host_label().unwrap_err(), Error::Label { label: text.to_owned(), reason });
    }
    let long = "x".repeat(64);
    let naming = Naming { label: Some(&long), ..PLAIN };
    assert!(matches!(naming.host_label(), Err(Error::Label { reason: LabelFault::TooLong(64), .. })));
}

#[test]
fn workspaces_are_refused_where_no_host_could_be_made() {
    for (text, reason) in [
        ("", LabelFault::Empty),
        ("xn", LabelFault::Reserved),
        ("A", LabelFault::Character('A')),
        ("a-", LabelFault::DashAtEnd),
    ] {
        let naming = Naming { workspace: text, ..PLAIN };
        assert_eq!(naming.host_label().unwrap_err(), Error::Workspace { workspace: text.to_owned(), reason });
    }
    let long = "w".repeat(50);
    assert!(Naming { workspace: &long, ..PLAIN }.host_label().is_err());
}

#[test]
fn a_long_label_is_cut_to_56_characters_and_a_hash() {
    let function = "a_function_with_a_name_that_goes_on_and_on_until_nobody_reads_it";
    let naming = Naming { function, ..PLAIN };
    let (host, note) = naming.host_label().unwrap();
    assert_eq!(note, Some(Note::Truncated));
    assert_eq!(note.unwrap().to_string(), "(label truncated)");
    assert_eq!(host.as_str().len(), 63);
    let (stem, hash) = host.as_str().split_at(56);
    assert!("local--hello-a-function-with-a-name-that-goes-on-and-on-until".starts_with(stem));
    assert!(hash.starts_with('-') && hash[1..].bytes().all(|b| b.is_ascii_hexdigit()));

    let dev = label(&Naming { ephemeral: DEV, ..naming });
    assert_eq!(dev.len(), 63);
    assert!(dev.ends_with("-dev"), "{dev}");
}

#[test]
fn what_an_ephemeral_label_ends_in_is_never_cut() {
    let function = "x".repeat(200);
    let host = label(&Naming { function: &function, ephemeral: INSTANCE, ..PLAIN });
    assert_eq!(host.len(), 63);
    assert!(host.ends_with("-abcd2345-dev"), "{host}");
}

#[test]
fn a_suffix_of_the_user_takes_the_place_of_dev() {
    let ends =
        |suffix| Naming { ephemeral: Some(Ephemeral { suffix, instance: None }), ..PLAIN }.host_label();
    assert_eq!(ends("ana7").unwrap().0.as_str(), "local--hello-f-ana7");
    for bad in ["", "a-b", "Ana", "ninechars", "é"] {
        assert_eq!(ends(bad).unwrap_err(), Error::Suffix { suffix: bad.to_owned() });
    }
}

#[test]
fn an_instance_is_eight_characters_of_the_apps_id() {
    let (one, two) = (AppId::from_entropy(u128::MAX / 3), AppId::from_entropy(u128::MAX / 7));
    assert_eq!(instance(&one).len(), 8);
    assert_ne!(instance(&one), instance(&two));
    assert!(one.as_str().starts_with(&format!("ap-{}", instance(&one))));
}

#[test]
fn two_long_names_with_the_same_beginning_differ() {
    let one = format!("{}_one", "x".repeat(60));
    let two = format!("{}_two", "x".repeat(60));
    assert_ne!(label(&Naming { function: &one, ..PLAIN }), label(&Naming { function: &two, ..PLAIN }));
}

#[test]
fn an_ambiguous_name_gets_a_hash_of_its_own() {
    let (underscore, note) = Naming { function: "my_f", ambiguous: true, ..PLAIN }.host_label().unwrap();
    let (dash, _) = Naming { function: "my-f", ambiguous: true, ..PLAIN }.host_label().unwrap();
    assert_eq!(note.unwrap().to_string(), "(label includes conflict-avoidance hash)");
    assert!(underscore.as_str().starts_with("local--hello-my-f-"));
    assert_ne!(underscore, dash);
}

#[test]
fn a_name_without_a_latin_letter_still_gets_a_host() {
    let (host, note) = Naming { app: "...", function: "函数", ..PLAIN }.host_label().unwrap();
    assert_eq!(note, Some(Note::ConflictAvoidanceHash));
    assert!(host.as_str().starts_with("local--") && host.as_str().len() == 7 + 6, "{host:?}");
}

/// Any naming: of each kind of app, with and without what may be left out.
fn namings() -> impl proptest::strategy::Strategy<Value = (String, String, Option<String>, u8, bool, String)>
{
    use proptest::prelude::*;
    let label =
        "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?".prop_filter("not digits only", |it| check_dns_label(it).is_ok());
    (
        "[a-zA-Z0-9._-]{1,64}",
        "\\PC{0,80}",
        proptest::option::of(label),
        0..3_u8,
        any::<bool>(),
        "[a-z]([a-z0-9-]{0,32}[a-z0-9])?".prop_filter("reserved", |it| it != "xn"),
    )
}

fn end(kind: u8) -> Option<Ephemeral<'static>> {
    [None, DEV, INSTANCE][usize::from(kind)]
}

proptest::proptest! {
    #[test]
    fn every_host_label_is_a_dns_label(
        (app, function, given, kind, ambiguous, workspace) in namings(),
    ) {
        let naming = Naming {
            workspace: &workspace, app: &app, function: &function, label: given.as_deref(), ephemeral: end(kind), ambiguous,
        };
        let (host, note) = naming.host_label().unwrap();
        let text = host.as_str();
        proptest::prop_assert_eq!(check_dns_label(text), Ok(()), "{}", text);
        proptest::prop_assert_eq!(text, label(&naming), "it is the same each time");
        proptest::prop_assert_eq!(&text[..workspace.len() + 2], format!("{workspace}--"));
        match kind {
            0 => {}
            1 => proptest::prop_assert!(text.ends_with("-dev")),
            _ => proptest::prop_assert!(text.ends_with("-abcd2345-dev")),
        }
        match note {
            Some(Note::Truncated) => proptest::prop_assert_eq!(text.len(), DNS_LABEL_MAX),
            Some(_) => {}
            // Nothing was done to it: it is made of its parts and no more.
            None => {
                let tail = ["", "-dev", "-abcd2345-dev"][usize::from(kind)];
                let own = given.unwrap_or_else(|| {
                    [slug(&app), slug(&function)].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
                });
                proptest::prop_assert_eq!(text, format!("{workspace}--{own}{tail}"));
            }
        }
    }

    #[test]
    fn labels_that_are_cut_differ_where_their_names_do(
        one in "[a-z_]{1,20}", two in "[a-z_]{1,20}", kind in 0..3_u8, stem in "[a-z]{60}",
    ) {
        proptest::prop_assume!(one != two);
        let [one, two] = [one, two].map(|end| format!("{stem}{end}"));
        let label = |function| label(&Naming { function, ephemeral: end(kind), ..PLAIN });
        proptest::prop_assert_ne!(label(&one), label(&two));
    }

    #[test]
    fn a_slug_is_its_own_slug_and_has_no_other_characters(text in "\\PC{0,80}") {
        let made = slug(&text);
        proptest::prop_assert!(made.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
        proptest::prop_assert_eq!(slug(&made), made.clone());
    }
}
