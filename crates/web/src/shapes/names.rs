//! Closed sets and ids as the OpenAPI document tells them. Only for the document: values are written by the types of the
//! domain, whose names a test compares with these.

#![expect(dead_code, reason = "these types exist for the document that is derived from them")]

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, schema::Type},
};

/// Where a job stands.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(crate) enum JobState {
    Queued,
    Running,
    Completed,
    CompletedWithFailures,
    Failed,
    Cancelled,
    TimedOut,
}

/// Where an execution stands.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(crate) enum ExecutionState {
    Blocked,
    Queued,
    Running,
    Completed,
    Failed,
    Cancelled,
    TimedOut,
    Unsupported,
}

/// Where a webhook delivery stands.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(crate) enum DeliveryState {
    Pending,
    Delivered,
    Failed,
}

/// Where a question batch stands.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(crate) enum BatchState {
    Blocked,
    Open,
    Done,
}

/// How questions follow each other.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(crate) enum Batching {
    Question,
    Endpoint,
}

/// Where a model is served.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
pub(crate) enum Region {
    UsEast,
    EuWest,
    AsiaPacific,
}

/// A job's id: 32 hex digits.
pub(crate) struct JobId;

/// An execution's id: the job's id and the place in its plan.
pub(crate) struct ExecutionId;

impl PartialSchema for JobId {
    fn schema() -> RefOr<Schema> {
        text("^[0-9a-f]{32}$")
    }
}

impl ToSchema for JobId {}

impl PartialSchema for ExecutionId {
    fn schema() -> RefOr<Schema> {
        text("^[0-9a-f]{32}-(0|[1-9][0-9]{0,8})$")
    }
}

impl ToSchema for ExecutionId {}

fn text(pattern: &str) -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern)).into()
}
