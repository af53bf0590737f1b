//! The vocabulary is whole: every error has a page, every page an error, and the index both.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use http_body_util::BodyExt as _;

use super::*;

/// One of each. The compiler asks for a new one's place in the chain.
fn all() -> Vec<Refusal> {
    let after = |refusal: &Refusal| match refusal {
        Refusal::BadRequest(_) => Some(Refusal::EndpointNotFound(Vec::new())),
        Refusal::EndpointNotFound(_) => Some(Refusal::RateLimited(Duration::from_millis(1500))),
        Refusal::RateLimited(_) => Some(Refusal::TargetTooLong),
        Refusal::TargetTooLong => Some(Refusal::HeadTooLarge),
        Refusal::HeadTooLarge => Some(Refusal::BodyTooLarge(4 << 30)),
        Refusal::BodyTooLarge(_) => Some(Refusal::RequestTimeout),
        Refusal::RequestTimeout => Some(Refusal::ContainerDied),
        Refusal::ContainerDied => Some(Refusal::ContainerFailedToStart),
        Refusal::ContainerFailedToStart => Some(Refusal::InvalidAnswer),
        Refusal::InvalidAnswer => Some(Refusal::EndpointReplaced),
        Refusal::EndpointReplaced => Some(Refusal::FunctionFailedToStart("…".into())),
        Refusal::FunctionFailedToStart(_) => Some(Refusal::QueueFull),
        Refusal::QueueFull => Some(Refusal::NoContainerInTime),
        Refusal::NoContainerInTime => Some(Refusal::MachineFull),
        Refusal::MachineFull => Some(Refusal::MachineTooSmall),
        Refusal::MachineTooSmall => Some(Refusal::ResponseTimeout),
        Refusal::ResponseTimeout => Some(Refusal::TotalTimeout),
        Refusal::TotalTimeout => Some(Refusal::ResultNotFound),
        Refusal::ResultNotFound => Some(Refusal::ResultTooLarge),
        Refusal::ResultTooLarge => None,
    };
    std::iter::successors(Some(Refusal::BadRequest("…")), after).collect()
}

fn pages() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors")
}

#[test]
fn every_code_has_a_page_and_every_page_a_code() {
    let mut expected: Vec<String> = all().iter().map(|refusal| format!("{}.md", refusal.code())).collect();
    expected.push("README.md".to_owned());
    let mut found: Vec<String> = std::fs::read_dir(pages())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    expected.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, expected);
    for refusal in all() {
        let page = std::fs::read_to_string(pages().join(format!("{}.md", refusal.code()))).unwrap();
        let title = format!("# {} ({})\n", refusal.code(), refusal.status().as_u16());
        assert!(page.starts_with(&title), "{title}");
    }
}

#[test]
fn the_index_lists_every_error() {
    let mark = "<!-- the table -->\n";
    let mut table = "\n| code | status | `Retry-After` | message |\n|---|---|---|---|\n".to_owned();
    let mut errors = all();
    errors.sort_by_key(|refusal| (refusal.status().as_u16(), refusal.code()));
    for refusal in errors {
        let (code, status) = (refusal.code(), refusal.status().as_u16());
        let retry = match &refusal {
            Refusal::RateLimited(_) => "…".to_owned(),
            refusal => refusal.retry_after().map(|seconds| seconds.to_string()).unwrap_or_default(),
        };
        writeln!(table, "| [`{code}`]({code}.md) | {status} | {retry} | {refusal} |").unwrap();
    }
    let path = pages().join("README.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (text, found) = page.split_once(mark).unwrap();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, format!("{text}{mark}{table}")).unwrap();
        return;
    }
    assert_eq!(found, table, "write it anew with UPDATE=1 cargo test -p pilotlight-gateway");
}

#[test]
fn an_error_is_json_that_names_its_page() {
    let text = json(&Refusal::FunctionFailedToStart("ImportError: \"x\"".into()));
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["error"]["code"], "function_failed_to_start");
    assert_eq!(value["error"]["docs"], "docs/errors/function_failed_to_start.md");
    assert!(value["error"]["message"].as_str().unwrap().contains("ImportError: \"x\""));
}

fn asker(method: &str, headers: &[(&str, &str)]) -> Asker {
    let mut request = Request::builder().method(method);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Asker::of(&request.body(()).unwrap())
}

async fn text(response: Response<Body>) -> String {
    let bytes = response.into_body().collect().await.unwrap_or_else(|error| panic!("{error}")).to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn every_accept_line_counts_and_the_code_is_in_the_head() {
    let one = [("accept", "text/plain"), ("accept", "application/json;q=0.5")];
    let other = [("accept", "text/plain;q=0.4"), ("accept", "application/json;q=0.5")];
    for (headers, start) in [(one, "pilotlight: too many"), (other, r#"{"error":{"code":"queue_full""#)] {
        let response = refuse(&Refusal::QueueFull, &asker("GET", &headers));
        assert_eq!(response.headers()["pilotlight-error"], "queue_full");
        let text = text(response).await;
        assert!(text.starts_with(start), "{text}");
    }
    let response = refuse(&Refusal::QueueFull, &asker("HEAD", &[]));
    assert_eq!(response.headers()["pilotlight-error"], "queue_full");
    assert_ne!(response.headers()["content-length"], "0");
    assert_eq!(text(response).await, "");
}

#[test]
fn a_page_may_read_every_error() {
    for refusal in all() {
        let response = refuse(&refusal, &asker("GET", &[("origin", "https://a.example")]));
        let headers = response.headers();
        assert_eq!(headers["access-control-allow-origin"], "https://a.example", "{refusal}");
        assert_eq!(headers["access-control-allow-credentials"], "true", "{refusal}");
        assert_eq!(headers["access-control-expose-headers"], "pilotlight-error, retry-after", "{refusal}");
        let response = refuse(&refusal, &asker("GET", &[]));
        assert_eq!(response.headers()["access-control-allow-origin"], "*", "{refusal}");
        assert!(!response.headers().contains_key("access-control-allow-credentials"), "{refusal}");
    }
}

#[test]
fn a_browser_may_send_only_what_no_app_will_get() {
    let question = [
        ("origin", "https://a.example"),
        ("access-control-request-method", "PUT"),
        ("access-control-request-headers", "x-one,x-two"),
    ];
    for refusal in all() {
        let response = refuse(&refusal, &asker("OPTIONS", &question));
        let headers = response.headers();
        if refusal == Refusal::EndpointNotFound(Vec::new()) {
            assert_eq!(response.status(), StatusCode::NO_CONTENT);
            assert_eq!(headers["access-control-allow-origin"], "https://a.example");
            assert_eq!(headers["access-control-allow-methods"], "PUT");
            assert_eq!(headers["access-control-allow-headers"], "x-one,x-two");
        } else {
            assert_eq!(response.status(), refusal.status());
            assert!(!headers.contains_key("access-control-allow-methods"), "{refusal}");
        }
    }
    // Not a browser's question.
    for (method, headers) in [("OPTIONS", &question[..1]), ("OPTIONS", &question[1..]), ("PUT", &question)] {
        let response = refuse(&Refusal::EndpointNotFound(Vec::new()), &asker(method, headers));
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn the_endpoints_there_are_stand_in_both_forms_and_are_for_no_page() {
    let (app, function, url) = ("hello".to_owned(), "f".to_owned(), "http://localhost:8001".to_owned());
    let refusal = Refusal::EndpointNotFound(vec![Elsewhere { app, function, url }]);
    let response = refuse(&refusal, &asker("GET", &[]));
    assert!(!response.headers().keys().any(|name| name.as_str().starts_with("access-control")));
    let value: serde_json::Value = serde_json::from_str(&text(response).await).unwrap();
    let expected = serde_json::json!([{"app": "hello", "function": "f", "url": "http://localhost:8001"}]);
    assert_eq!(value["error"]["endpoints"], expected);
    let response = refuse(&refusal, &asker("GET", &[("accept", "text/plain")]));
    assert!(text(response).await.ends_with("\nhello.f: http://localhost:8001\n"));
    let plain = json(&Refusal::EndpointNotFound(Vec::new()));
    assert!(!plain.contains("endpoints"), "{plain}");
}
