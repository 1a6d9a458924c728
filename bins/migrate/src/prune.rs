//! Retention: jobs that ended long ago are removed, after they were written out if that is asked.

use std::{
    io::{BufRead as _, IsTerminal as _, Write as _},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use beacon_domain::{AuditEntry, AuditTrail, COMMAND_LINE, JobFilter, JobSummary, JobView};
use beacon_spec::Timestamp;
use beacon_store::{PostgresOptions, PostgresStore};
use clap::Args;
use serde_json::json;

use crate::{export::export, schema::line};

/// Rows in one step: a transaction of a fraction of a second.
const ROWS: u32 = 5000;
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Which jobs go.
#[derive(Debug, Args)]
pub(crate) struct Prune {
    /// Jobs that ended more than so many days ago
    #[arg(long)]
    older_than_days: u32,
    /// Write each job's signed bytes, results, receipts and close into this folder first
    #[arg(long, value_name = "DIR")]
    export: Option<PathBuf>,
    /// Only say which jobs would go
    #[arg(long)]
    dry_run: bool,
    /// Do not ask, although every job that has ended goes (0 days)
    #[arg(long)]
    yes: bool,
}

impl Prune {
    /// Removes them.
    pub(crate) async fn run(&self, options: PostgresOptions, as_json: bool) -> anyhow::Result<()> {
        let store = PostgresStore::connect(options).await?;
        let age = DAY.checked_mul(self.older_than_days).context("so many days are more than there were")?;
        let before = store.clock().now().checked_sub(age).context("so many days are more than there were")?;
        let old = ended_before(&store, before).await?;
        if self.older_than_days == 0 && !self.dry_run && !self.yes {
            confirm(old.len())?;
        }
        if let Some(folder) = self.export.as_ref().filter(|_| !self.dry_run) {
            for job in &old {
                export(&store, job, folder).await?;
                if !as_json {
                    line(format_args!("exported {} ({})", job.id, job.name))?;
                }
            }
        }
        let count = u32::try_from(old.len()).unwrap_or(u32::MAX);
        let removed = if self.dry_run { 0 } else { remove(&store, before, count).await? };
        if as_json {
            let jobs: Vec<_> = old.iter().map(|job| job.id).collect();
            return line(json!({ "ended_before": before, "jobs": jobs, "removed": removed }));
        }
        if self.dry_run {
            old.iter().try_for_each(|job| line(format_args!("would remove {} ({})", job.id, job.name)))?;
            return line(format_args!("would remove {count} jobs that ended before {before}; removed none"));
        }
        line(format_args!("removed {removed} of {count} jobs that ended before {before}"))
    }
}

/// Removes them, entered into the audit trail first.
async fn remove(store: &PostgresStore, before: Timestamp, count: u32) -> anyhow::Result<u32> {
    if count > 0 {
        let entry = AuditEntry {
            at: store.clock().now(),
            who: COMMAND_LINE.to_owned(),
            action: "jobs.prune".to_owned(),
            subject: format!("{count} jobs"),
            detail: Some(format!("ended before {before}")),
            request_id: None,
        };
        store.note(entry).await?;
    }
    Ok(store.delete_ended_before(before, count, ROWS).await?)
}

/// With 0 days every job goes that has ended, also one that ended just now and whose answers nobody has fetched.
fn confirm(jobs: usize) -> anyhow::Result<()> {
    let what = format!(
        "--older-than-days 0 removes every job that has ended, {jobs} now, with its answers and receipts"
    );
    let stdin = std::io::stdin();
    ensure!(stdin.is_terminal(), "{what}; add --yes if that is meant, or --dry-run to see which");
    write!(std::io::stderr(), "{what}. Type yes to go on: ")?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer)?;
    ensure!(answer.trim() == "yes", "nothing was removed");
    Ok(())
}

/// Ended jobs of that age. Jobs are listed by when they were accepted, so all pages are looked at.
async fn ended_before(store: &PostgresStore, before: Timestamp) -> anyhow::Result<Vec<JobSummary>> {
    let (mut old, mut filter) = (Vec::new(), JobFilter { limit: 500, ..JobFilter::default() });
    loop {
        let page = store.jobs(filter.clone()).await?;
        old.extend(page.items.into_iter().filter(|job| job.ended_at.is_some_and(|ended| ended < before)));
        match page.next {
            Some(next) => filter.cursor = Some(next),
            None => return Ok(old),
        }
    }
}
