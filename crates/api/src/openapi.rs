//! The OpenAPI document, made from the routes and wire types. `docs/reference/openapi.json` is a committed copy.

use utoipa::OpenApi as _;

use crate::server::routes;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "pilotlight control API",
        description = "Deploys, watches and stops apps. Streams are lines of JSON (`application/x-ndjson`): one \
                       object per line. Every error has the same body, `ApiError`."
    ),
    paths(
        routes::status,
        routes::metrics,
        routes::missing_blobs,
        routes::put_blob,
        routes::list_apps,
        routes::create_app,
        routes::update_app,
        routes::app_logs,
        routes::stop_app,
        routes::scale_function,
        routes::list_images,
        routes::build_images,
        routes::prune_images,
        routes::remove_image,
        routes::image_log,
        routes::shutdown,
        routes::openapi
    ),
    tags(
        (name = "apps", description = "Making, updating, watching and stopping apps."),
        (name = "blobs", description = "The content of the user's files, by digest."),
        (name = "images", description = "What apps run in, on disk."),
        (name = "server", description = "The server itself.")
    )
)]
struct Document;

/// The document.
pub fn openapi() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// The document as the committed file has it: indented JSON with a line feed at the end.
pub fn document() -> String {
    let mut text = openapi().to_pretty_json().expect("the document has text keys only");
    text.push('\n');
    text
}
