//! The OpenAPI document: made of the handlers and the shapes, with the schema of signed jobs from where it is enforced.

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use beacon_spec::job_schema;
use http::header;
use serde_json::{Value, json};
use utoipa::{
    OpenApi, ToSchema,
    openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
};

use crate::{api::App, error::ErrorBody, refusals, router::documented, shapes::JobProgress};

/// A signed job. The whole schema is put in its place when the document is made.
#[derive(ToSchema)]
#[schema(value_type = Object)]
pub(crate) struct SignedJob(());

/// A signed job in an unsigned wrapper. The whole schema is put in its place when the document is made.
#[derive(ToSchema)]
#[schema(value_type = Object)]
pub(crate) struct WrappedJob(());

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Beacon",
        description = "Signed jobs in; states, events, results and signed records out. Every error has one envelope; \
            lists are paged by `cursor`; ids are opaque. The project's docs/API.md has a command for each route.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    components(schemas(ErrorBody, JobProgress)),
    tags(
        (name = "jobs", description = "Submitting, watching and ending jobs"),
        (name = "executions", description = "One cell of a job: question, model, region, run"),
        (name = "records", description = "What is signed by the runner"),
        (name = "endpoints", description = "Where models are served"),
        (name = "admin", description = "Who may do what, and what endpoints may do"),
        (name = "service", description = "The service itself"),
    ),
)]
struct Frame;

/// The document without its paths.
pub(crate) fn frame() -> utoipa::openapi::OpenApi {
    let mut frame = Frame::openapi();
    let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer);
    let token = token.description(Some("A token whose scope is wide enough: read, operate or admin")).build();
    let signature =
        "HTTP message signature (RFC 9421) by the key that submitted the job; with the header `signature`";
    let signature =
        SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description("signature-input", signature)));
    let components = frame.components.get_or_insert_default();
    components.add_security_scheme("token", SecurityScheme::Http(token));
    components.add_security_scheme("signature", signature);
    frame
}

/// The whole OpenAPI 3.1 document.
///
/// # Panics
/// Never: it has text keys only.
#[must_use]
pub fn document() -> Value {
    let document = documented().into_openapi();
    let mut document = serde_json::to_value(&document).expect("the document has text keys only");
    document["openapi"] = json!("3.1.0");
    jobs(&mut document["components"]["schemas"]);
    let paths = document["paths"].as_object_mut().into_iter().flat_map(|paths| paths.values_mut());
    for operation in paths.filter_map(Value::as_object_mut).flat_map(|path| path.values_mut()) {
        let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
        parameters.into_iter().flatten().for_each(|parameter| leave_out_null(&mut parameter["schema"]));
    }
    refusals::tell(&mut document);
    document
}

/// A parameter that may be left out is never null: in a query that would be a text.
fn leave_out_null(schema: &mut Value) {
    let is_null = |schema: &Value| schema["type"] == "null";
    if let Some(types) = schema["type"].as_array() {
        let only = types.iter().find(|name| *name != "null").cloned();
        schema["type"] = only.unwrap_or_default();
    }
    let only = schema["oneOf"].as_array().and_then(|any| any.iter().find(|one| !is_null(one))).cloned();
    if let (Some(only), Some(schema)) = (only.as_ref().and_then(Value::as_object), schema.as_object_mut()) {
        schema.remove("oneOf");
        for (name, value) in only {
            schema.entry(name.clone()).or_insert_with(|| value.clone());
        }
    }
}

/// Puts the schema of signed jobs in its place.
fn jobs(schemas: &mut Value) {
    let mut job = job_schema();
    let mut wrapper = job["$defs"]["wrapper"].take();
    if let Some(job) = job.as_object_mut() {
        job.remove("$defs");
        job.remove("$schema");
    }
    wrapper["properties"]["jobspec"] = json!({ "$ref": "#/components/schemas/SignedJob" });
    schemas["SignedJob"] = job;
    schemas["WrappedJob"] = wrapper;
}

/// This document
#[utoipa::path(get, path = "/openapi.json", tag = "service", operation_id = "openapi",
    responses((status = 200, description = "The OpenAPI 3.1 document", body = Object)))]
pub(crate) async fn served(State(app): State<Arc<App>>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], app.document.clone()).into_response()
}
