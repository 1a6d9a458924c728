//! All that a server says about one job, by every route that shows executions.

use std::collections::BTreeSet;

use beacon_client::{ClientError, Execution, Include, JobAnswer, Matrix, ResultsFormat, Submitted};
use beacon_spec::{JobSpec, RecordsCheck, RecordsReport, Sha256Digest, SignedText, Timestamp};
use serde::Deserialize;

use crate::{out::LineWriter, server::Server};

/// What was found.
pub(crate) struct Evidence {
    pub(crate) spec: JobSpec,
    pub(crate) submitted: Submitted,
    pub(crate) job: JobAnswer,
    pub(crate) matrix: Matrix,
    pub(crate) executions: Vec<Execution>,
    pub(crate) results: Vec<ResultRow>,
    pub(crate) receipts: RecordsReport,
}

/// A cell by its names: question, model, region, run.
pub(crate) type Named = (String, String, String, u32);

/// One line of results. What is missing is empty, so that the checklist can say so.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ResultRow {
    pub(crate) question_id: String,
    pub(crate) model_id: String,
    pub(crate) region: String,
    pub(crate) run: u32,
    pub(crate) state: String,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) completed_at: Option<Timestamp>,
    pub(crate) history: Vec<AttemptRow>,
    pub(crate) answer: Option<AnswerRow>,
    pub(crate) has_receipt: bool,
}

/// One attempt.
#[derive(Debug, Deserialize)]
pub(crate) struct AttemptRow {
    pub(crate) queued_at: Timestamp,
    pub(crate) dispatched_at: Timestamp,
    pub(crate) finished_at: Timestamp,
    pub(crate) duration_s: f64,
}

/// An answer.
#[derive(Debug, Deserialize)]
pub(crate) struct AnswerRow {
    pub(crate) text: String,
}

impl ResultRow {
    pub(crate) fn named(&self) -> Named {
        (self.question_id.clone(), self.model_id.clone(), self.region.clone(), self.run)
    }
}

impl Evidence {
    /// Asks for all of it.
    pub(crate) async fn gather(
        server: &Server,
        signed: &SignedText,
        submitted: &Submitted,
        check: RecordsCheck,
    ) -> Result<Self, ClientError> {
        let (client, id) = (&server.client, submitted.job_id);
        let mut results = Vec::new();
        let mut lines = LineWriter::new(|line: &[u8]| {
            results.push(serde_json::from_slice(line)?);
            Ok(())
        });
        client.results(id, ResultsFormat::Jsonl, &mut lines).await?;
        let mut check = check.about(Sha256Digest::of(&signed.bytes));
        let mut lines = LineWriter::new(|line: &[u8]| {
            check.push(line);
            Ok(())
        });
        client.receipts(id, &mut lines).await?;
        Ok(Self {
            spec: signed.spec.clone(),
            submitted: submitted.clone(),
            job: client.job(id, Include::EndpointsAndFailures).await?,
            matrix: client.matrix(id).await?,
            executions: client.executions(id, None).await?.executions,
            results,
            receipts: check.finish(),
        })
    }

    /// The cells of the matrix, of the list of executions, and of the results.
    pub(crate) fn cells(&self) -> [(&'static str, Vec<Named>); 3] {
        let named = |cell: &beacon_client::Cell| {
            let (question, model) = (cell.question_id.to_string(), cell.model_id.to_string());
            (question, model, cell.region.to_string(), cell.run)
        };
        [
            ("matrix", self.matrix.cells.iter().map(named).collect()),
            ("executions", self.executions.iter().map(|execution| named(&execution.cell)).collect()),
            ("results", self.results.iter().map(ResultRow::named).collect()),
        ]
    }

    /// The cells that were signed.
    pub(crate) fn asked(&self) -> BTreeSet<Named> {
        let mut cells = BTreeSet::new();
        for question in &self.spec.questions {
            for model in &self.spec.models {
                for region in &model.regions {
                    cells.extend(
                        (1..=self.spec.runs).map(|run| {
                            (question.id.to_string(), model.id.to_string(), region.to_string(), run)
                        }),
                    );
                }
            }
        }
        cells
    }
}
