//! What each instruction becomes, and what is refused.

use super::super::Content;
use super::*;

fn file(path: &str) -> CopiedFile {
    CopiedFile { remote: path.to_owned(), mode: 0o644, content: Content::Blob(format!("of {path}")) }
}

fn built(text: &str) -> Result<Vec<Step>, DockerfileError> {
    let context = ["app.py", "conf/a.toml", "conf/sub/b.toml", "data.txt"].map(file);
    let mut scope = Scope {
        env: [("PATH".to_owned(), "/bin".to_owned())].into(),
        build_args: [("GIVEN".to_owned(), "yes".to_owned())].into(),
        ..Scope::default()
    };
    steps(&Dockerfile::parse(text)?, &context, &mut scope)
}

fn run(command: &str) -> Step {
    Step::RunCommands { commands: vec![command.to_owned()] }
}

fn env(vars: &[(&str, &str)]) -> Step {
    Step::Env { vars: vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect() }
}

/// Places and contents of the files that a `COPY` makes.
fn copied(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for step in built(text).unwrap() {
        let Step::CopyFiles { files } = step else { continue };
        found.extend(files.into_iter().map(|file| match file.content {
            Content::Blob(digest) => (file.remote, digest.trim_start_matches("of ").to_owned()),
            Content::Text(text) => (file.remote, text),
        }));
    }
    found
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(at, what)| ((*at).to_owned(), (*what).to_owned())).collect()
}

#[test]
fn comments_and_continuations_are_put_together() {
    let text = "# a comment\n\nRUN one \\\n  # between\n\n  && two\nrun three\n";
    assert_eq!(built(text).unwrap(), [run("one   && two"), run("three")]);
    let text = "# escape=`\nRUN one `\n two \\\n";
    assert_eq!(built(text).unwrap(), [run("one  two \\")]);
    assert_eq!(built("").unwrap(), []);
}

#[test]
fn commands_take_every_form() {
    let exec = Step::Exec { argv: vec!["pip".into(), "install".into(), "a b".into()] };
    assert_eq!(built(r#"RUN ["pip", "install", "a b"]"#).unwrap(), [exec]);
    assert_eq!(
        built("RUN <<EOF\none\n\ttwo $HOME\nEOF\nRUN x").unwrap(),
        [run("one\n\ttwo $HOME\n"), run("x")]
    );
    assert_eq!(built("RUN <<-'E'\n\tone\n\tE").unwrap(), [run("one\n")]);
    assert_eq!(built("RUN cat <<A > /a\nin it\nA\n").unwrap(), [run("cat <<A > /a\nin it\nA\n")]);
    assert_eq!(built("RUN --mount=type=cache,target=/x make").unwrap(), [run("make")]);
    let shell = Step::Shell { command: vec!["/bin/bash".into(), "-ec".into()] };
    assert_eq!(built(r#"SHELL ["/bin/bash", "-ec"]"#).unwrap(), [shell]);
}

#[test]
fn what_containers_begin_with_and_their_user_are_remembered() {
    let entrypoint =
        |words: &[&str]| Step::Entrypoint { command: words.iter().map(|&word| word.to_owned()).collect() };
    assert_eq!(built(r#"ENTRYPOINT ["tini", "--"]"#).unwrap(), [entrypoint(&["tini", "--"])]);
    assert_eq!(built("ENTRYPOINT []\nENTRYPOINT").unwrap(), [entrypoint(&[]), entrypoint(&[])]);
    let user = Step::User { name: "app:1".to_owned() };
    assert_eq!(built("ARG WHO=app\nUSER $WHO:1").unwrap(), [user]);
}

#[test]
fn a_list_is_one_only_where_json_says_so() {
    let argv = |words: &[&str]| Step::Exec { argv: words.iter().map(|word| (*word).to_owned()).collect() };
    let listed = [
        (r#"RUN [ "a" ,"b\"\\\u0041\n" ]"#, argv(&["a", "b\"\\A\n"])),
        (r#"RUN ["a", 'b']"#, run(r#"["a", 'b']"#)),
        (r#"RUN ["a" "b"]"#, run(r#"["a" "b"]"#)),
        (r#"RUN ["a",]"#, run(r#"["a",]"#)),
        (r#"RUN ["\x"]"#, run(r#"["\x"]"#)),
        (r#"RUN ["a"] && b"#, run(r#"["a"] && b"#)),
        ("RUN [ -e /x ]", run("[ -e /x ]")),
    ];
    for (text, expected) in listed {
        assert_eq!(built(text).unwrap(), [expected], "{text}");
    }
}

#[test]
fn variables_come_from_before() {
    let text = r#"
ENV A=1 B="two words" PATH=/opt:$PATH
ENV C=${A}${B:-x} D=${NONE:-none} E=${A:+set} F='$A' G=\$A
ENV OLD the rest of it
WORKDIR /srv
WORKDIR $A/x/../y
"#;
    let expected = [
        env(&[("A", "1"), ("B", "two words"), ("PATH", "/opt:/bin")]),
        env(&[("C", "1two words"), ("D", "none"), ("E", "set"), ("F", "$A"), ("G", "$A")]),
        env(&[("OLD", "the rest of it")]),
        Step::Workdir { path: "/srv".into() },
        Step::Workdir { path: "/srv/1/y".into() },
    ];
    assert_eq!(built(text).unwrap(), expected);
    // All of one instruction see what was before it.
    assert_eq!(built("ENV X=1\nENV X=2 Y=$X").unwrap()[1], env(&[("X", "2"), ("Y", "1")]));
}

#[test]
fn arguments_are_for_commands_alone() {
    let text = "ARG GIVEN=no OTHER=1\nARG UNSET\nENV E=$GIVEN\nRUN x\nENV OTHER=2\nRUN y";
    let with = |vars: &[(&str, &str)], command| {
        let vars = vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Step::with(vars.collect(), Vec::new(), run(command))
    };
    let expected = [
        env(&[("E", "yes")]),
        with(&[("GIVEN", "yes"), ("OTHER", "1")], "x"),
        env(&[("OTHER", "2")]),
        with(&[("GIVEN", "yes")], "y"),
    ];
    assert_eq!(built(text).unwrap(), expected);
}

#[test]
fn files_go_where_docker_puts_them() {
    assert_eq!(copied("COPY app.py /srv/main.py"), pairs(&[("/srv/main.py", "app.py")]));
    assert_eq!(copied("COPY app.py /srv/"), pairs(&[("/srv/app.py", "app.py")]));
    assert_eq!(copied("WORKDIR /srv\nCOPY ./app.py ."), pairs(&[("/srv/app.py", "app.py")]));
    let conf = pairs(&[("/etc/x/a.toml", "conf/a.toml"), ("/etc/x/sub/b.toml", "conf/sub/b.toml")]);
    assert_eq!(copied("COPY conf /etc/x"), conf);
    assert_eq!(copied("COPY conf/ /etc/x/"), conf);
    assert_eq!(copied("COPY . /all").len(), 4);
    assert_eq!(
        copied("COPY *.py d?ta.[a-z]xt /a/"),
        pairs(&[("/a/app.py", "app.py"), ("/a/data.txt", "data.txt")])
    );
    assert_eq!(copied("COPY c*/[^b]*.toml /a/"), pairs(&[("/a/a.toml", "conf/a.toml")]));
    assert_eq!(copied(r#"COPY ["app.py", "/with space/"]"#), pairs(&[("/with space/app.py", "app.py")]));
    assert_eq!(copied("ADD --chown=1:1 --chmod=755 app.py /a"), pairs(&[("/a", "app.py")]));
    assert_eq!(
        copied("COPY <<'one' <<two /etc/\n$x\none\n2\ntwo"),
        pairs(&[("/etc/one", "$x\n"), ("/etc/two", "2\n")])
    );
    assert_eq!(copied("COPY app.py conf/../app.py /x/"), pairs(&[("/x/app.py", "app.py")]));
}

#[test]
fn added_archives_are_unpacked_and_copied_ones_are_not() {
    let context = ["a.tar.gz", "b.tgz", "c.txt", "sub/d.tar"].map(file);
    let built = |text: &str| {
        let mut scope = Scope { workdir: "/srv".into(), ..Scope::default() };
        let steps = steps(&Dockerfile::parse(text).unwrap(), &context, &mut scope).unwrap();
        let told = steps.into_iter().map(|step| match step {
            Step::CopyFiles { files } => {
                ("copy", files.into_iter().map(|file| file.remote).collect(), String::new())
            }
            Step::Unpack { files, to } => ("unpack", files.into_iter().map(|file| file.remote).collect(), to),
            other => panic!("{other:?}"),
        });
        told.collect::<Vec<(_, Vec<String>, _)>>()
    };
    let files = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    assert_eq!(built("ADD a.tar.gz data"), [("unpack", files(&["/srv/data"]), "/srv/data".to_owned())]);
    assert_eq!(
        built("ADD *.t* /x/"),
        [
            ("copy", files(&["/x/c.txt"]), String::new()),
            ("unpack", files(&["/x/a.tar.gz", "/x/b.tgz"]), "/x".to_owned())
        ]
    );
    assert_eq!(built("COPY a.tar.gz /x"), [("copy", files(&["/x"]), String::new())]);
    assert_eq!(built("ADD sub /x"), [("copy", files(&["/x/d.tar"]), String::new())]);
}

#[test]
fn what_cannot_be_built_is_refused_by_line_and_name() {
    let refused = [
        ("RUN a\nFROM debian", "line 2: FROM begins an image"),
        ("RUN", "line 1: RUN says nothing"),
        ("COPY ../secret /x", "line 1: `../secret` is outside of the build context"),
        ("COPY a/../../b /x", "line 1: `a/../../b` is outside"),
        ("COPY none.py /x", "line 1: `none.py` is not in the build context"),
        ("COPY app.py", "line 1: COPY takes what to copy and where to"),
        ("COPY --from=builder /a /b", "line 1: COPY --from=builder: files of another stage"),
        ("COPY --chmod=rw app.py /b", "line 1: --chmod=rw is no mode"),
        ("ADD https://example.org/x /x", "line 1: ADD https://example.org/x: only local files"),
        ("RUN --mount=type=secret,id=x cat", "line 1: RUN --mount=type=secret,id=x is not built yet"),
        ("RUN <<E\n#!/usr/bin/perl\nE", "line 1: a script that begins with `#!/usr/bin/perl`"),
        ("\n\nRUN <<EOF\nx", "line 3: the here-document has no end"),
        ("ENTRYPOINT /x", "line 1: ENTRYPOINT without a list is run by a shell that takes no arguments"),
        ("ONBUILD RUN x", "line 1: ONBUILD is for images"),
        ("SHELL bash", "line 1: SHELL takes a list"),
        ("ENV =1", "line 1: ENV takes name=value"),
        ("ENV A='1", "line 1: ' is not closed"),
        ("WORKDIR ${A:?x}", "line 1: a variable in ${A:?x}"),
        ("WORKDIR ${A", "line 1: a brace is not closed"),
        ("ENTRYPOINT []\nUSER root\nCMD x\nLABEL a=b\nWHAT x", "line 5: `WHAT` is no instruction"),
        ("# escape=x\nRUN a", "line 1: escape=x is not known"),
    ];
    for (text, expected) in refused {
        let told = built(text).expect_err(text).to_string();
        assert!(told.starts_with(expected), "{text:?}: {told}");
    }
}

#[test]
fn any_text_is_read_or_refused() {
    use proptest::prelude::*;
    let letters = "[A-Z$ {}:<\\\\\"'\\[\\]\n=#./*-]{0,60}";
    let line = prop_oneof![
        Just("RUN ".to_owned()),
        Just("COPY ".to_owned()),
        Just("ENV ".to_owned()),
        Just("<<E".to_owned()),
        letters
    ];
    proptest!(|(lines in proptest::collection::vec(line, 0..8))| {
        _ = built(&lines.concat());
    });
}

#[test]
fn the_last_stage_is_made_of_those_it_begins_with() {
    let built = |text: &str, build_args: &[(&str, &str)]| {
        let build_args: BTreeMap<_, _> =
            build_args.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let whole = Whole::parse(text, &build_args).unwrap();
        let mut scope = Scope { build_args, ..Scope::default() };
        (whole.line, whole.from, steps(&whole.rest, &[], &mut scope).unwrap())
    };
    let text = "ARG KIND=prod\nFROM python:3.11 AS base\nARG A=1\nENV E=$A\nRUN one\n\
                FROM node AS Assets\nRUN npm\nCOPY --from=x /y /z\n\
                FROM Base AS dev\nRUN two $A\nfrom base as PROD\nRUN three\n\
                FROM ${KIND}\nENV F=$E$A\nRUN four";
    let with = |command| Step::with(vec![("A".into(), "1".into())], Vec::new(), run(command));
    let base = || vec![env(&[("E", "1")]), with("one")];
    let last = || vec![env(&[("F", "1")]), run("four")];
    let prod = [base(), vec![run("three")], last()].concat();
    assert_eq!(built(text, &[]), (2, "python:3.11".to_owned(), prod));
    let dev = [base(), vec![run("two $A")], last()].concat();
    assert_eq!(built(text, &[("KIND", "dev")]), (2, "python:3.11".to_owned(), dev));
    let other = built(text, &[("KIND", "elsewhere/x")]);
    assert_eq!(other, (13, "elsewhere/x".to_owned(), vec![env(&[("F", "")]), run("four")]));
    // A stage may have the name of what it begins with, and of one before.
    let twice = "FROM a AS x\nRUN one\nFROM x AS x\nRUN two\nFROM x\nRUN three";
    assert_eq!(built(twice, &[]), (1, "a".to_owned(), vec![run("one"), run("two"), run("three")]));
    assert_eq!(built("FROM a AS a\nRUN one", &[]), (1, "a".to_owned(), vec![run("one")]));
}

#[test]
fn a_whole_dockerfile_names_its_base() {
    let args = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let text = "# syntax=docker/dockerfile:1\nARG TAG=3.11 WHO\nFROM --platform=linux/amd64 python:${TAG}-slim AS base\n\
                ARG TAG\nARG WHO\nRUN echo $TAG";
    let whole = Whole::parse(text, &args(&[])).unwrap();
    assert_eq!((whole.line, whole.from.as_str()), (3, "python:3.11-slim"));
    assert_eq!((whole.rest.instructions.len(), whole.platform.as_deref()), (4, Some("linux/amd64")));
    let inherited = vec![("TAG".to_owned(), Some("3.11".to_owned()))];
    assert_eq!(whole.rest.instructions[0], (3, Instruction::Stage));
    assert_eq!(whole.rest.instructions[1], (4, Instruction::Arg(inherited)));
    let other = Whole::parse(text, &args(&[("TAG", "3.12"), ("OTHER", "x")])).unwrap();
    assert_eq!(other.from, "python:3.12-slim");
    for (text, told) in [
        ("RUN a", "line 1: RUN stands before FROM"),
        ("", "line 1: it has no FROM"),
        ("FROM scratch", "line 1: FROM scratch has no Python"),
        ("FROM $NEVER", "line 1: FROM names no image"),
        ("FROM a b", "line 1: FROM takes an image"),
        ("FROM --x=y a", "line 1: FROM has no option --x"),
        ("FROM a\nCOPY --from=b x y", "line 2: COPY --from=b: files of another stage"),
        ("FROM scratch AS a\nFROM b\nFROM a", "line 1: FROM scratch has no Python"),
        ("FROM b AS a\nWHAT x\nFROM a", "line 2: `WHAT` is no instruction"),
    ] {
        let error = Whole::parse(text, &args(&[])).unwrap_err().to_string();
        assert!(error.starts_with(told), "{error}");
    }
}
