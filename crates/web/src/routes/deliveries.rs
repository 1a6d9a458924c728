//! The log of a job's webhook deliveries.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    access::Reader,
    api::App,
    error::ApiError,
    extract::{Asked, JobPath},
    limits::{self, Rows},
    shapes::{Deliveries, names},
};

/// Which page of a job's deliveries.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeliveriesQuery {
    /// Where the page before ended: its `next`.
    #[param(pattern = "^msg_[0-9a-z_]{1,80}$")]
    cursor: Option<String>,
    /// The most rows.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500, default = 50)]
    limit: Option<Rows>,
}

/// What was, or is to be, told of a job by webhooks, in the order in which it happened
///
/// A token of the scope `operate` shows the addresses too that a receiver's name led to.
#[utoipa::path(get, path = "/api/v1/jobs/{id}/deliveries", tag = "jobs", operation_id = "deliveries",
    params(("id" = inline(names::JobId), Path, description = "The job"), DeliveriesQuery),
    responses((status = 200, description = "A page of deliveries", body = Deliveries)))]
pub(crate) async fn of_job(
    State(app): State<Arc<App>>,
    JobPath(job): JobPath,
    reader: Reader,
    Asked(query): Asked<DeliveriesQuery>,
) -> Result<Json<Deliveries>, ApiError> {
    let (after, limit) = (limits::delivery_cursor(query.cursor)?, limits::rows(query.limit));
    app.api.view.job(job).await?.ok_or_else(ApiError::no_job)?;
    // One more says whether there is a next page.
    let deliveries = app.api.operations.deliveries(job, after, limit + 1).await?;
    Ok(Json(Deliveries::page(deliveries, limit, reader.may_operate())))
}
