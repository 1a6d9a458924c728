//! The whole grid of a job in one answer, whatever its size: small ones in one piece with an ETag, large ones as a stream.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use beacon_domain::{CellFilter, CellView, JobId, Page};
use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, header};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::{
    api::App,
    error::ApiError,
    etag,
    export::grid::{Form, Grid, grid},
    extract::{Asked, JobPath},
    limits::{CELLS_AT_ONCE, WHOLE_MATRIX},
    shapes::{Cell, names},
};

/// In which form.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct MatrixQuery {
    /// `cells`, the default: an object per cell, with names. `rows`: a row of numbers per cell, and the names once; about a fifth of
    /// the size.
    #[param(inline)]
    form: Option<Form>,
}

/// Every cell of a job with its state.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only for the document; the cells are written as they are read")]
pub(crate) struct Matrix {
    #[schema(value_type = names::JobId)]
    job_id: String,
    /// `cells` or `rows`.
    form: String,
    /// With the form `cells`: one per execution, in the order of the plan.
    #[schema(required = false)]
    cells: Vec<Cell<'static>>,
    /// With the form `rows`: what the numbers of a row are. A name ending in `_id`, the region, the endpoint and the state
    /// are places in the list of that name in `names`.
    #[schema(required = false)]
    columns: Vec<String>,
    /// With the form `rows`: one row per execution, in the order of the plan.
    #[schema(required = false)]
    rows: Vec<Vec<Option<u32>>>,
    /// With the form `rows`: the names that rows point to, by column.
    #[schema(required = false, value_type = Object)]
    names: (),
}

/// The whole grid of a job
#[utoipa::path(get, path = "/api/v1/jobs/{id}/matrix", tag = "jobs",
    params(("id" = inline(names::JobId), Path, description = "The job"), MatrixQuery),
    responses(
        (status = 200, description = "Every cell. Above 10000 cells it is streamed, without an ETag", body = Matrix),
        (status = 304, description = "Nothing has changed since the ETag in `if-none-match`"),
    ))]
pub(crate) async fn matrix(
    State(app): State<Arc<App>>,
    JobPath(job): JobPath,
    Asked(query): Asked<MatrixQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let first = cells(&app, job, None, WHOLE_MATRIX).await?;
    let mut grid = grid(job, query.form.unwrap_or_default());
    let mut body = grid.begin();
    body.extend(grid.cells(&first.items));
    let Some(next) = first.next else {
        body.extend(grid.end());
        return Ok(etag::tagged(&headers, body.into()));
    };
    let rest = Rest { app, job, grid, next: Some(next), first: Some(body.into()) };
    let body = Body::from_stream(stream::try_unfold(rest, Rest::piece));
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

/// What is still to be sent.
struct Rest {
    app: Arc<App>,
    job: JobId,
    grid: Box<dyn Grid>,
    next: Option<String>,
    first: Option<Bytes>,
}

impl Rest {
    /// The next piece. A failure ends the body in the middle, which the client sees as a broken answer.
    async fn piece(mut self) -> Result<Option<(Bytes, Self)>, axum::BoxError> {
        if let Some(first) = self.first.take() {
            return Ok(Some((first, self)));
        }
        let Some(after) = self.next.take() else { return Ok(None) };
        let page = cells(&self.app, self.job, after.parse().ok(), CELLS_AT_ONCE).await;
        let page = page.map_err(|error| format!("{error:?}"))?;
        let mut piece = self.grid.cells(&page.items);
        self.next = page.next;
        if self.next.is_none() {
            piece.extend(self.grid.end());
        }
        Ok(Some((piece.into(), self)))
    }
}

async fn cells(app: &App, job: JobId, after: Option<u32>, limit: u32) -> Result<Page<CellView>, ApiError> {
    let filter = CellFilter { after, limit, ..CellFilter::default() };
    Ok(app.api.board.cells(job, filter).await?)
}
