//! The question catalogue.

use std::collections::BTreeMap;

use axum::Json;
use beacon_spec::question_catalogue;
use serde::Serialize;
use utoipa::ToSchema;

/// Questions that a job can name by id, by category.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Questions {
    categories: BTreeMap<&'static str, Vec<QuestionLine>>,
}

/// One question.
#[derive(Debug, Serialize, ToSchema)]
struct QuestionLine {
    question_id: &'static str,
    /// The text as it is sent.
    question: &'static str,
}

/// Questions that a job can name by id
#[utoipa::path(get, path = "/api/v1/questions", tag = "jobs",
    responses((status = 200, description = "The catalogue", body = Questions)))]
pub(crate) async fn questions() -> Json<Questions> {
    let mut categories: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (question_id, question, category) in question_catalogue() {
        categories.entry(category).or_default().push(QuestionLine { question_id, question });
    }
    Json(Questions { categories })
}
