//! Commands that ask a server in the place of a database.

use std::{collections::BTreeMap, io, process::ExitCode};

use beacon_client::{ClientError, Include, JobAnswer, ResultsFormat};
use beacon_domain::{Cancelled, JobSummary, Progress};
use serde::Deserialize;

use super::{failures, jobs, line, results::table_row};
use crate::{
    args::Format,
    out::{LineWriter, OutputError},
    server::Server,
};

/// Pages of what waits that are counted; beyond them people see that there are many.
const PAGES: u32 = 20;

/// What `beacon show` shows.
pub(crate) async fn show(server: &Server, job: &str, as_json: bool) -> anyhow::Result<ExitCode> {
    let job = server.find(job).await?;
    let mut answer = server.client.job(job.id, Include::EndpointsAndFailures).await?;
    let why = std::mem::take(&mut answer.failures);
    let progress = progress(answer);
    if as_json {
        let mut object = serde_json::to_value(&progress)?;
        object["failures"] = serde_json::to_value(&why)?;
        line(object)?;
        return Ok(ExitCode::SUCCESS);
    }
    jobs::print(&progress)?;
    failures::print(&why)?;
    waiting(server, &progress.job).await?;
    Ok(ExitCode::SUCCESS)
}

/// The answer in the words of the domain.
pub(crate) fn progress(answer: JobAnswer) -> Progress {
    Progress {
        job: answer.job,
        batches: answer.batches.into_iter().map(Into::into).collect(),
        endpoints: answer.endpoints.into_iter().map(Into::into).collect(),
    }
}

/// Why executions wait, counted by reason (S11).
async fn waiting(server: &Server, job: &JobSummary) -> anyhow::Result<()> {
    let mut reasons: BTreeMap<String, u32> = BTreeMap::new();
    let mut cursor = None;
    for _ in 0..PAGES {
        let page = server.client.explain(job.id, cursor.as_deref()).await?;
        for one in page.waiting {
            let endpoint = one.endpoint.map_or_else(String::new, |endpoint| format!("{endpoint}: "));
            let until = one.until.map_or_else(String::new, |until| format!(", until {until}"));
            *reasons.entry(format!("{endpoint}{}{until}", one.explanation)).or_default() += 1;
        }
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    for (reason, count) in reasons {
        line(format_args!("  {count:>5} wait on {}", beacon_boot::harmless(&reason)))?;
    }
    if cursor.is_some() {
        line("        and more that were not counted")?;
    }
    Ok(())
}

/// Cancels a job.
pub(crate) async fn cancel(server: &Server, job: &str, as_json: bool) -> anyhow::Result<ExitCode> {
    let job = server.find(job).await?;
    let cancelled = server.client.cancel(job.id).await?;
    let cancelled = Cancelled {
        already_ended: cancelled.already_ended,
        state: cancelled.state,
        waiting: cancelled.cancelled_waiting,
        in_flight: cancelled.cancelled_in_flight,
        reason: None,
    };
    jobs::tell_cancelled(&job, &cancelled, as_json)
}

/// Exports answers as the server writes them; the table is made of them here.
pub(crate) async fn results(server: &Server, job: &str, format: Format) -> anyhow::Result<ExitCode> {
    let job = server.find(job).await?.id;
    let written = match format {
        Format::Table => {
            let mut rows = LineWriter::new(row);
            server.client.results(job, ResultsFormat::Jsonl, &mut rows).await
        }
        Format::Jsonl => server.client.results(job, ResultsFormat::Jsonl, &mut io::stdout()).await,
        Format::Csv => server.client.results(job, ResultsFormat::Csv, &mut io::stdout()).await,
        Format::Parquet => server.client.results(job, ResultsFormat::Parquet, &mut io::stdout()).await,
    };
    exported(written)
}

/// Exports receipts, then the close.
pub(crate) async fn receipts(server: &Server, job: &str) -> anyhow::Result<ExitCode> {
    let job = server.find(job).await?.id;
    exported(server.client.receipts(job, &mut io::stdout()).await)
}

fn exported(written: Result<u64, ClientError>) -> anyhow::Result<ExitCode> {
    match written {
        Ok(_) => Ok(ExitCode::SUCCESS),
        // What is no row of results is the server's fault, not that of standard output.
        Err(ClientError::Writer { source, .. }) if source.kind() != io::ErrorKind::InvalidData => {
            Err(OutputError(source).into())
        }
        Err(error) => Err(error.into()),
    }
}

/// What the table shows of a line of results.
#[derive(Deserialize)]
struct Row {
    question_id: String,
    model_id: String,
    region: String,
    state: String,
    answer: Option<Text>,
    error: Option<Problem>,
}

#[derive(Deserialize)]
struct Text {
    text: String,
}

#[derive(Deserialize)]
struct Problem {
    code: String,
    message: String,
}

fn row(json: &[u8]) -> io::Result<()> {
    let row: Row = serde_json::from_slice(json)?;
    let text = match (row.answer, row.error) {
        (Some(answer), _) => answer.text,
        (None, Some(error)) => format!("{}: {}", error.code, error.message),
        (None, None) => String::new(),
    };
    let columns = [&row.question_id, &row.model_id, &row.region, &row.state].map(String::as_str);
    line(table_row(columns, &text)).map_err(|OutputError(error)| error)
}
