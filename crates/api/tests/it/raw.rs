//! Requests that no good client would send, as bytes on the socket.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use crate::fake::{DIGEST, Server, manifest, soon};

/// Sends `request` as it stands and returns status and JSON body.
async fn send(server: &Server, request: String) -> (u16, Value) {
    let mut stream = UnixStream::connect(&server.socket).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    soon(stream.read_to_end(&mut answer)).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    if status >= 400 {
        assert!(head.contains("content-type: application/json"), "{head}");
    }
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

/// A request with a body whose length is told.
fn with_body(line: &str, body: &str) -> String {
    format!("{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn what_is_not_json_is_a_bad_request() {
    let server = Server::start();
    let (status, body) = send(&server, with_body("POST /v1/blobs/missing", "{\"digests\": [")).await;
    assert_eq!((status, &body["code"]), (400, &json!("bad_request")));
    let message = body["message"].as_str().unwrap();
    assert!(message.starts_with("the body is not JSON: EOF while parsing a list at line 1"), "{message}");
}

#[tokio::test]
async fn json_of_another_shape_is_invalid() {
    let server = Server::start();
    let (status, body) = send(&server, with_body("POST /v1/apps", r#"{"mode": "deploy"}"#)).await;
    assert_eq!((status, &body["code"]), (422, &json!("invalid")));
    assert_eq!(body["message"], "the body has the wrong shape: missing field `manifest` at line 1 column 18");
    assert!(body["hint"].as_str().unwrap().contains("openapi.json"));
    let wrong = json!({"manifest": manifest(), "mode": "forever"}).to_string();
    let (status, body) = send(&server, with_body("POST /v1/apps", &wrong)).await;
    assert_eq!(status, 422);
    assert!(body["message"].as_str().unwrap().contains("unknown variant `forever`"), "{body}");
}

#[tokio::test]
async fn a_file_that_is_too_large_is_refused_unread() {
    let server = Server::start();
    let length = 256 * 1024 * 1024 + 1;
    let head = format!(
        "PUT /v1/blobs/{DIGEST} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    let (status, body) = send(&server, head).await;
    assert_eq!((status, &body["code"]), (413, &json!("too_large")));
    assert_eq!(body["message"], "the body is larger than 256 MiB");
}

#[tokio::test]
async fn json_that_is_too_large_is_refused() {
    let server = Server::start();
    let head = "POST /v1/apps HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 99999999\r\n\r\n";
    let (status, body) = send(&server, head.to_owned()).await;
    assert_eq!((status, &body["code"]), (413, &json!("too_large")));
}

#[tokio::test]
async fn unknown_routes_and_methods_have_the_same_body() {
    let server = Server::start();
    let (status, body) = send(&server, with_body("GET /v2/status", "")).await;
    assert_eq!(
        (status, &body["code"], &body["message"]),
        (404, &json!("not_found"), &json!("there is no route /v2/status"))
    );
    let (status, body) = send(&server, with_body("DELETE /v1/status", "")).await;
    assert_eq!((status, &body["code"]), (405, &json!("method_not_allowed")));
    let (status, body) = send(&server, with_body("GET /v1/apps/%ff/logs", "")).await;
    assert_eq!((status, &body["code"]), (400, &json!("bad_request")));
    let (status, body) = send(&server, with_body("GET /v1/apps/hello/logs?tail=many", "")).await;
    assert_eq!((status, &body["code"]), (400, &json!("bad_request")));
}

#[tokio::test]
async fn streams_are_lines_of_json() {
    let server = Server::start();
    let mut stream = UnixStream::connect(&server.socket).await.unwrap();
    let request = "GET /v1/apps/hello/logs HTTP/1.0\r\nhost: x\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("content-type: application/x-ndjson"), "{head}");
    let lines: Vec<Value> = body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        lines[0],
        json!({"at": 3.5, "function": "f", "container": "co-a", "stream": "stdout", "line": "one"})
    );
    assert_eq!(lines.len(), 2);
}
