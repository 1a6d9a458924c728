//! Receipts and the close over them, read line by line.

use std::io::{self, BufRead, Read as _};

use anyhow::Context as _;
use beacon_boot::read_bounded;
use beacon_spec::{CLOSE_SCHEMA, RECEIPT_SCHEMA, RecordsCheck, RecordsReport, Sha256Digest};
use serde::Deserialize;
use serde_json::json;

use super::{Checked, LIMIT};
use crate::args;

/// The member by which a record is known. The rest of a line, which may be hostile, takes no memory here.
#[derive(Deserialize)]
struct Head {
    schema: String,
}

/// Whether a first line is a record.
pub(super) fn is_record(line: &[u8]) -> bool {
    let head = serde_json::from_slice::<Head>(line);
    head.is_ok_and(|head| [RECEIPT_SCHEMA, CLOSE_SCHEMA].contains(&head.schema.as_str()))
}

/// Checks the first line and all that follow.
pub(super) fn check(command: &args::Verify, first: &[u8], rest: impl BufRead) -> anyhow::Result<Checked> {
    anyhow::ensure!(command.canonical.is_none(), "--canonical is for signed jobs, and these are receipts");
    let mut check = signed_by(command.runner_key.as_deref())?;
    if let Some(job) = &command.job {
        check = check.about(Sha256Digest::of(&read_bounded(job, LIMIT).context("the job of the receipts")?));
    }
    check.push(first);
    push_all(&mut check, rest).with_context(|| format!("cannot read all of {}", command.file.display()))?;
    Ok(report(&check.finish(), command))
}

/// A check that wants this runner's key, as `--runner-key` gave it, or takes any.
pub(in crate::commands) fn signed_by(runner_key: Option<&str>) -> anyhow::Result<RecordsCheck> {
    let Some(key) = runner_key else { return Ok(RecordsCheck::new()) };
    let no_key = |why| anyhow::anyhow!("--runner-key {key:?} {why}; `beacon runner-key` prints the runner's");
    RecordsCheck::new().signed_by(key).map_err(no_key)
}

fn push_all(check: &mut RecordsCheck, mut lines: impl BufRead) -> io::Result<()> {
    let mut line = Vec::new();
    while lines.by_ref().take(LIMIT).read_until(b'\n', &mut line)? > 0 {
        check.push(&line);
        line.clear();
    }
    Ok(())
}

fn report(found: &RecordsReport, command: &args::Verify) -> Checked {
    let good = found.problems_total == 0;
    let verdict = if good { "good" } else { "bad" };
    let state = found.close.as_ref().map(|close| close.body.state.as_str());
    let object = json!({
        "kind": "receipts", "verdict": verdict, "profile": null, "canonical_length": 0, "canonical_sha256": null,
        "receipts": found.receipts, "job": found.job, "spec_digest": found.spec_digest, "state": state,
        "runner_key": found.runner_key, "runner_key_given": command.runner_key.is_some(),
        "problems": found.problems, "problems_total": found.problems_total,
    });
    let unknown = || "none".to_owned();
    let mut text = vec![
        format!("verdict     {verdict}: {} receipts, {} problems", found.receipts, found.problems_total),
        format!("job         {}", found.job.clone().unwrap_or_else(unknown)),
        format!("spec sha256 {}", found.spec_digest.map_or_else(unknown, |digest| digest.to_string())),
        format!("runner key  {}", found.runner_key.clone().unwrap_or_else(unknown)),
    ];
    if command.runner_key.is_none() {
        text.push(
            "            compare it with the key of the runner that you trust, or give it as --runner-key"
                .to_owned(),
        );
    }
    text.extend(found.problems.iter().map(|problem| format!("  {problem}")));
    if found.problems_total > found.problems.len() {
        text.push(format!("  and {} more", found.problems_total - found.problems.len()));
    }
    Checked { good, object, text }
}
