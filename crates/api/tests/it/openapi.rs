//! The committed OpenAPI document is the one that the code makes.

use fs_err as fs;

/// Rewrite it with `UPDATE=1 cargo test -p pilotlight-api openapi`.
const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/openapi.json");

#[test]
fn the_committed_document_is_up_to_date() {
    let made = pilotlight_api::openapi::document();
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(std::path::Path::new(COMMITTED).parent().unwrap()).unwrap();
        fs::write(COMMITTED, &made).unwrap();
    }
    let committed = fs::read_to_string(COMMITTED).unwrap_or_default();
    assert!(
        committed == made,
        "docs/reference/openapi.json is not what the code says: run `UPDATE=1 cargo test -p pilotlight-api openapi`"
    );
}

#[test]
fn every_route_and_type_is_in_the_document() {
    let document: serde_json::Value = serde_json::from_str(&pilotlight_api::openapi::document()).unwrap();
    let paths: Vec<_> = document["paths"].as_object().unwrap().keys().cloned().collect();
    let expected = [
        "/v1/apps",
        "/v1/apps/{app}",
        "/v1/apps/{app}/functions/{function}/scaling",
        "/v1/apps/{app}/logs",
        "/v1/blobs/missing",
        "/v1/blobs/{digest}",
        "/v1/images",
        "/v1/images/prune",
        "/v1/images/{image}",
        "/v1/images/{image}/log",
        "/v1/metrics",
        "/v1/openapi.json",
        "/v1/shutdown",
        "/v1/status",
    ];
    assert_eq!(paths, expected);
    for operation in
        document["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap())
    {
        let (method, operation) = operation;
        for response in operation["responses"].as_object().unwrap().values() {
            assert!(!response["description"].as_str().unwrap_or_default().is_empty(), "{method} {operation}");
        }
    }
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for name in
        ["Manifest", "Function", "Step", "Progress", "LogLine", "AppSummary", "Status", "ApiError", "Code"]
    {
        assert!(schemas.contains_key(name), "{name}");
    }
    // A reference to a schema that is not there would break every generator of clients.
    let text = document.to_string();
    for part in text.split("#/components/schemas/").skip(1) {
        let name = part.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "{name}");
    }
}
