//! `beacon results` and `receipts`: what came of a job, streamed in pages.

use std::process::ExitCode;

use beacon_boot::{Access, Runtime};
use beacon_domain::{ExecutionRecord, JobId, RESULT_COLUMNS, result_row};

use super::{jobs::find, line, remote};
use crate::{
    args::{self, Format, OneJob},
    database,
    out::remark,
    server,
};

const PAGE: u32 = 500;

/// Exports answers.
pub(crate) async fn results(command: &args::Results, as_json: bool) -> anyhow::Result<ExitCode> {
    let format = command.format;
    anyhow::ensure!(
        !as_json || format == Format::Jsonl,
        "--json prints one object per line; leave out --format, or --json"
    );
    if let Some(server) = server::of(&command.job.on)? {
        return remote::results(&server, &command.job.job, format).await;
    }
    anyhow::ensure!(
        format != Format::Parquet,
        "--format parquet needs --server; of a database take --format csv or jsonl"
    );
    let source = Source::open(&command.job).await?;
    if format == Format::Csv {
        line(csv(RESULT_COLUMNS)?)?;
    }
    source
        .for_each_record(|record| match format {
            Format::Jsonl => Ok(line(serde_json::to_string(record)?)?),
            Format::Csv => Ok(line(csv(result_row(record))?)?),
            Format::Table | Format::Parquet => Ok(line(row(record))?),
        })
        .await?;
    Ok(ExitCode::SUCCESS)
}

/// Exports receipts, then the close.
pub(crate) async fn receipts(command: &OneJob) -> anyhow::Result<ExitCode> {
    if let Some(server) = server::of(&command.on)? {
        return remote::receipts(&server, &command.job).await;
    }
    let source = Source::open(command).await?;
    source
        .for_each_record(|record| match &record.receipt {
            Some(receipt) => Ok(line(serde_json::to_string(receipt)?)?),
            None => Ok(()),
        })
        .await?;
    let Some(job) = source.runtime.view.job(source.job).await? else { return Ok(ExitCode::SUCCESS) };
    match job.close {
        Some(close) => line(serde_json::to_string(&close)?)?,
        // The worker that closes it is about to.
        None if job.state.is_terminal() => remark(format_args!(
            "note: the job has ended and has no close yet, without which its receipts cannot be verified; ask again in a moment"
        )),
        None => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// One job's records.
struct Source {
    runtime: Runtime,
    job: JobId,
}

impl Source {
    async fn open(command: &OneJob) -> anyhow::Result<Self> {
        let runtime = database::open(&command.database, Access::Shared).await?;
        let job = find(runtime.view.as_ref(), &command.job).await?.id;
        Ok(Self { runtime, job })
    }

    async fn for_each_record(
        &self,
        mut each: impl FnMut(&ExecutionRecord) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut after = None;
        loop {
            let records = self.runtime.view.records(self.job, after, PAGE).await?;
            let Some(last) = records.last() else { return Ok(()) };
            after = Some(last.id.n);
            records.iter().try_for_each(&mut each)?;
        }
    }
}

fn row(record: &ExecutionRecord) -> String {
    let cell = &record.cell;
    let text = match (&record.answer, &record.error) {
        (Some(answer), _) => answer.text.clone(),
        (None, Some(error)) => error.to_string(),
        (None, None) => String::new(),
    };
    table_row([cell.question.as_str(), cell.model.as_str(), cell.region.as_str(), cell.state.as_str()], &text)
}

/// One line of the table: question, model, region, state, and the beginning of what came.
pub(crate) fn table_row([question, model, region, state]: [&str; 4], text: &str) -> String {
    let text: String = beacon_boot::harmless(text).replace('\n', " ").chars().take(60).collect();
    format!("{question:<22} {model:<14} {region:<13} {state:<10} {text}")
}

/// One line of RFC 4180.
fn csv<T: AsRef<[u8]>>(fields: impl IntoIterator<Item = T>) -> anyhow::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(fields)?;
    let line = String::from_utf8(writer.into_inner()?)?;
    Ok(line.trim_end_matches('\n').to_owned())
}
