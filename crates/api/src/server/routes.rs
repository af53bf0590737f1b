//! The routes: checks what comes in, asks the [`Control`] port, and turns its answer into HTTP.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, get, patch, post, put};
use axum::{Json, Router};
use http::{StatusCode, header};
use tokio::sync::Semaphore;

use super::body;
use crate::control::Control;
use crate::error::{ApiError, Code};
use crate::images::{BuildImages, BuildLine, Images, Prune, Removed};
use crate::manifest::{app_name_problem, is_digest};
use crate::progress::{AppSummary, LogLine, Progress, Status};
use crate::wire::{BLOB_MAX, BlobAnswer, BlobQuery, CreateApp, LogQuery, Mode, Scaling, UpdateApp};

/// Uploads that are held in memory at a time.
const UPLOADS_MAX: usize = 4;

/// How long an upload waits for its turn.
const UPLOAD_WAIT: Duration = Duration::from_mins(1);

/// The most digests of one question.
const DIGESTS_MAX: usize = 100_000;

/// The most log lines that are sent of the past.
const TAIL_MAX: u32 = 100_000;

/// The media type of metrics.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What every handler can reach.
#[derive(Clone)]
pub(crate) struct Context {
    control: Arc<dyn Control>,
    uploads: Arc<Semaphore>,
}

/// The API's router.
pub(crate) fn router(control: Arc<dyn Control>) -> Router {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/metrics", get(metrics))
        .route("/v1/blobs/missing", post(missing_blobs))
        .route("/v1/blobs/{digest}", put(put_blob))
        .route("/v1/apps", get(list_apps).post(create_app))
        .route("/v1/apps/{app}", put(update_app).delete(stop_app))
        .route("/v1/apps/{app}/logs", get(app_logs))
        .route("/v1/apps/{app}/functions/{function}/scaling", patch(scale_function))
        .route("/v1/images", get(list_images).post(build_images))
        .route("/v1/images/prune", post(prune_images))
        .route("/v1/images/{image}", delete(remove_image))
        .route("/v1/images/{image}/log", get(image_log))
        .route("/v1/shutdown", post(shutdown))
        .route("/v1/openapi.json", get(openapi))
        .fallback(async |request: Request| {
            ApiError::new(Code::NotFound, format!("there is no route {}", request.uri().path()))
        })
        .method_not_allowed_fallback(async |request: Request| {
            let message = format!("{} does not answer {}", request.uri().path(), request.method());
            ApiError::new(Code::MethodNotAllowed, message)
        })
        .with_state(Context { control, uploads: Arc::new(Semaphore::new(UPLOADS_MAX)) })
}

/// The server's state.
#[utoipa::path(
    get, path = "/v1/status", tag = "server",
    responses((status = 200, body = Status, description = "The state."))
)]
pub(crate) async fn status(State(context): State<Context>) -> Result<Json<Status>, ApiError> {
    context.control.status().await.map(Json)
}

/// Histograms of starts and waits, for Prometheus and its kin.
#[utoipa::path(
    get, path = "/v1/metrics", tag = "server",
    responses((
        status = 200, body = String, content_type = "application/openmetrics-text",
        description = "OpenMetrics 1.0: `pilotlight_start_seconds{path}`, `pilotlight_start_phase_seconds{path, phase}` \
                       and `pilotlight_wait_seconds{path}`."
    ))
)]
pub(crate) async fn metrics(State(context): State<Context>) -> Result<Response, ApiError> {
    let text = context.control.metrics().await?;
    Ok(([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response())
}

/// Which files the server does not have yet.
#[utoipa::path(
    post, path = "/v1/blobs/missing", tag = "blobs", request_body = BlobQuery,
    responses(
        (status = 200, body = BlobAnswer, description = "The ones to upload."),
        (status = 400, body = ApiError, description = "A digest is not well formed."),
    )
)]
pub(crate) async fn missing_blobs(
    State(context): State<Context>,
    request: Request,
) -> Result<Json<BlobAnswer>, ApiError> {
    let BlobQuery { digests } = body::read_json(request.into_body()).await?;
    if digests.len() > DIGESTS_MAX {
        let message = format!("{} digests are more than {DIGESTS_MAX}", digests.len());
        return Err(ApiError::new(Code::Invalid, message).hint("ask in several requests"));
    }
    digests.iter().try_for_each(|digest| check_digest(digest))?;
    let missing = context.control.missing_blobs(digests).await?;
    Ok(Json(BlobAnswer { missing }))
}

/// Uploads a file under the SHA-256 of its content.
#[utoipa::path(
    put, path = "/v1/blobs/{digest}", tag = "blobs",
    params(("digest" = String, Path, description = "SHA-256 of the content, lower-case hex")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "At most 256 MiB."),
    responses(
        (status = 204, description = "The server has the file."),
        (status = 413, body = ApiError, description = "The content is too large."),
        (status = 422, body = ApiError, description = "The content has another digest."),
    )
)]
pub(crate) async fn put_blob(
    State(context): State<Context>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<StatusCode, ApiError> {
    let digest = segment(path)?;
    check_digest(&digest)?;
    let Ok(Ok(_turn)) = tokio::time::timeout(UPLOAD_WAIT, context.uploads.acquire()).await else {
        return Err(ApiError::new(Code::Unavailable, "too many uploads at a time").hint("try again"));
    };
    let content = body::read(request.into_body(), BLOB_MAX).await?;
    context.control.put_blob(digest, content).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists the apps, those that were stopped included.
#[utoipa::path(
    get, path = "/v1/apps", tag = "apps",
    responses((status = 200, body = Vec<AppSummary>, description = "The apps."))
)]
pub(crate) async fn list_apps(State(context): State<Context>) -> Result<Json<Vec<AppSummary>>, ApiError> {
    context.control.list().await.map(Json)
}

/// Makes an app. The answer is a line of JSON per message; an ephemeral app lives as long as it is read.
#[utoipa::path(
    post, path = "/v1/apps", tag = "apps", request_body = CreateApp,
    responses(
        (status = 200, body = Progress, content_type = "application/x-ndjson", description = "One object per line."),
        (status = 422, body = ApiError, description = "The manifest breaks a rule, or files were not uploaded."),
    )
)]
pub(crate) async fn create_app(
    State(context): State<Context>,
    request: Request,
) -> Result<Response, ApiError> {
    let create: CreateApp = body::read_json(request.into_body()).await?;
    create.manifest.check_sent()?;
    if create.mode == Mode::Deploy {
        let name = create.app_name().ok_or_else(|| {
            ApiError::new(Code::Invalid, "a deployed app needs a name")
                .hint("give one with `--name NAME`, or in the file: `App(\"NAME\")`")
        })?;
        if let Some(problem) = app_name_problem(name) {
            return Err(ApiError::new(Code::Invalid, problem.message));
        }
    }
    if let Some(problem) = create.suffix_problem() {
        return Err(ApiError::new(Code::Invalid, problem.to_string()));
    }
    context.control.create_app(create).await.map(body::stream)
}

/// Moves a running app to a new manifest at the same URLs. If that fails, the version before goes on serving.
#[utoipa::path(
    put, path = "/v1/apps/{app}", tag = "apps", request_body = UpdateApp,
    params(("app" = String, Path, description = "The app's id")),
    responses(
        (status = 200, body = Progress, content_type = "application/x-ndjson", description = "One object per line."),
        (status = 404, body = ApiError, description = "There is no such app."),
        (status = 422, body = ApiError, description = "The manifest breaks a rule, or files were not uploaded."),
    )
)]
pub(crate) async fn update_app(
    State(context): State<Context>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, ApiError> {
    let app = segment(path)?;
    let UpdateApp { manifest } = body::read_json(request.into_body()).await?;
    manifest.check_sent()?;
    context.control.update_app(app, manifest).await.map(body::stream)
}

/// Log lines of an app: the last ones, and with `follow` those to come.
#[utoipa::path(
    get, path = "/v1/apps/{app}/logs", tag = "apps",
    params(("app" = String, Path, description = "The app's id or name"), LogQuery),
    responses(
        (status = 200, body = LogLine, content_type = "application/x-ndjson", description = "One object per line."),
        (status = 404, body = ApiError, description = "There is no such app."),
    )
)]
pub(crate) async fn app_logs(
    State(context): State<Context>,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<LogQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let app = segment(path)?;
    let Query(mut query) = query.map_err(|error| ApiError::new(Code::BadRequest, error.body_text()))?;
    query.tail = query.tail.min(TAIL_MAX);
    context.control.logs(app, query).await.map(body::stream)
}

/// Stops an app. Its name, versions and ports are kept for the next deploy.
#[utoipa::path(
    delete, path = "/v1/apps/{app}", tag = "apps",
    params(("app" = String, Path, description = "The app's id or name")),
    responses(
        (status = 204, description = "It takes no more requests."),
        (status = 404, body = ApiError, description = "There is no such app."),
    )
)]
pub(crate) async fn stop_app(
    State(context): State<Context>,
    path: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, ApiError> {
    context.control.stop(segment(path)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Changes how many containers a function has, until the next deployment.
#[utoipa::path(
    patch, path = "/v1/apps/{app}/functions/{function}/scaling", tag = "apps",
    params(
        ("app" = String, Path, description = "The app's id or name"),
        ("function" = String, Path, description = "The function's name"),
    ),
    request_body = Scaling,
    responses(
        (status = 204, description = "It holds."),
        (status = 400, body = ApiError, description = "The numbers do not go together, or are out of range."),
        (status = 404, body = ApiError, description = "There is no such app or function."),
    )
)]
pub(crate) async fn scale_function(
    State(context): State<Context>,
    path: Result<Path<(String, String)>, PathRejection>,
    request: Request,
) -> Result<StatusCode, ApiError> {
    let Path((app, function)) = path.map_err(|error| ApiError::new(Code::BadRequest, error.body_text()))?;
    let scaling: Scaling = body::read_json(request.into_body()).await?;
    if let Some(problem) = scaling.problem() {
        return Err(ApiError::new(Code::Invalid, format!("{}: {}", problem.path, problem.message)));
    }
    context.control.scale(app, function, scaling).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists the images, and what they take on disk.
#[utoipa::path(
    get, path = "/v1/images", tag = "images",
    responses((status = 200, body = Images, description = "The images."))
)]
pub(crate) async fn list_images(State(context): State<Context>) -> Result<Json<Images>, ApiError> {
    context.control.images().await.map(Json)
}

/// Builds the images of a program. The answer is a line of JSON per message; who stops reading cancels the build.
#[utoipa::path(
    post, path = "/v1/images", tag = "images", request_body = BuildImages,
    responses(
        (status = 200, body = Progress, content_type = "application/x-ndjson", description = "One object per line."),
        (status = 422, body = ApiError, description = "The manifest breaks a rule, or files were not uploaded."),
    )
)]
pub(crate) async fn build_images(
    State(context): State<Context>,
    request: Request,
) -> Result<Response, ApiError> {
    let BuildImages { manifest } = body::read_json(request.into_body()).await?;
    manifest.check_sent()?;
    context.control.build_images(manifest).await.map(body::stream)
}

/// Removes what nobody uses, least recently used first.
#[utoipa::path(
    post, path = "/v1/images/prune", tag = "images", request_body = Prune,
    responses((status = 200, body = Removed, description = "What was removed."))
)]
pub(crate) async fn prune_images(
    State(context): State<Context>,
    request: Request,
) -> Result<Json<Removed>, ApiError> {
    let prune: Prune = body::read_json(request.into_body()).await?;
    context.control.prune_images(prune).await.map(Json)
}

/// Removes an image, and of its layers those that no other image has.
#[utoipa::path(
    delete, path = "/v1/images/{image}", tag = "images",
    params(("image" = String, Path, description = "The image's id")),
    responses(
        (status = 200, body = Removed, description = "What was removed."),
        (status = 404, body = ApiError, description = "There is no such image."),
        (status = 409, body = ApiError, description = "It is in use."),
    )
)]
pub(crate) async fn remove_image(
    State(context): State<Context>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<Removed>, ApiError> {
    context.control.remove_image(segment(path)?).await.map(Json)
}

/// What the steps of an image printed when they were built, from the bottom up.
#[utoipa::path(
    get, path = "/v1/images/{image}/log", tag = "images",
    params(("image" = String, Path, description = "The image's id, or six digits or more of a layer's key")),
    responses(
        (status = 200, body = BuildLine, content_type = "application/x-ndjson", description = "One object per line."),
        (status = 404, body = ApiError, description = "There is no such image or layer."),
    )
)]
pub(crate) async fn image_log(
    State(context): State<Context>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    context.control.image_log(segment(path)?).await.map(body::stream)
}

/// Shuts the server down.
#[utoipa::path(post, path = "/v1/shutdown", tag = "server", responses((status = 202, description = "It has begun.")))]
pub(crate) async fn shutdown(State(context): State<Context>) -> Result<StatusCode, ApiError> {
    context.control.shutdown().await?;
    Ok(StatusCode::ACCEPTED)
}

/// This document.
#[utoipa::path(
    get, path = "/v1/openapi.json", tag = "server",
    responses((status = 200, content_type = "application/json", description = "OpenAPI 3.1."))
)]
pub(crate) async fn openapi() -> Response {
    Json(crate::openapi::openapi()).into_response()
}

fn segment(path: Result<Path<String>, PathRejection>) -> Result<String, ApiError> {
    path.map(|Path(segment)| segment).map_err(|error| ApiError::new(Code::BadRequest, error.body_text()))
}

fn check_digest(digest: &str) -> Result<(), ApiError> {
    if is_digest(digest) {
        return Ok(());
    }
    let message = format!("`{digest}` is no SHA-256 digest: 64 lower-case hex digits are expected");
    Err(ApiError::new(Code::BadRequest, message))
}
