//! What must hold of the smoke test's job.

use std::collections::{BTreeMap, BTreeSet};

use beacon_domain::JobState;

use super::evidence::{Evidence, Named, ResultRow};

/// Three models in three regions.
const EXECUTIONS: usize = 9;
const GROUPS: usize = 3;

/// One line of the list: what must hold, and what was found, for good or ill.
pub(crate) struct Check {
    pub(crate) what: &'static str,
    pub(crate) found: Result<String, String>,
}

/// Everything that must hold.
pub(crate) fn checklist(evidence: &Evidence) -> Vec<Check> {
    let check = |what, found| Check { what, found };
    vec![
        check("accepted with 9 executions", accepted(evidence)),
        check("every execution completed", completed(evidence)),
        check("9 rows in matrix, executions and results", rows(evidence)),
        check("model_id and question_id on every row", names(evidence)),
        check("3 model groups x 3 regions", groups(evidence)),
        check("no cell twice, and none that was not asked", unique(evidence)),
        check("model_id and question_id in every answer", answers(evidence)),
        check("timings are there and in order", timings(evidence)),
        check("receipts hold and name the signed job", receipts(evidence)),
        check("the close holds and counts 9 completed", close(evidence)),
    ]
}

fn expect(holds: bool, found: String) -> Result<String, String> {
    if holds { Ok(found) } else { Err(found) }
}

fn accepted(evidence: &Evidence) -> Result<String, String> {
    let submitted = &evidence.submitted;
    let anew = if submitted.idempotent { "known before" } else { "new" };
    let holds = submitted.executions as usize == EXECUTIONS && !submitted.idempotent;
    expect(holds, format!("{} executions, {anew}", submitted.executions))
}

fn completed(evidence: &Evidence) -> Result<String, String> {
    let job = &evidence.job.job;
    let holds = job.state == JobState::Completed && job.counts.completed as usize == EXECUTIONS;
    let mut found = format!("{} of {}, job {}", job.counts.completed, job.counts.total(), job.state);
    if let Some(first) = evidence.job.failures.first() {
        found += &format!("; {} by {}: {}", first.executions, first.code, first.message);
    }
    expect(holds, found)
}

fn rows(evidence: &Evidence) -> Result<String, String> {
    let cells = evidence.cells();
    let holds = cells.iter().all(|(_, cells)| cells.len() == EXECUTIONS);
    let found: Vec<String> = cells.iter().map(|(of, cells)| format!("{} in {of}", cells.len())).collect();
    expect(holds, found.join(", "))
}

fn names(evidence: &Evidence) -> Result<String, String> {
    let cells = evidence.cells();
    let nameless =
        |(question, model, region, _): &&Named| [question, model, region].into_iter().any(String::is_empty);
    let lacking: usize = cells.iter().map(|(_, cells)| cells.iter().filter(nameless).count()).sum();
    let all: usize = cells.iter().map(|(_, cells)| cells.len()).sum();
    expect(lacking == 0 && all > 0, format!("{} of {all} rows", all - lacking))
}

fn groups(evidence: &Evidence) -> Result<String, String> {
    let mut groups: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for row in &evidence.results {
        groups.entry(&row.model_id).or_default().insert(&row.region);
    }
    let regions: BTreeSet<&str> = groups.values().flatten().copied().collect();
    let holds = groups.len() == GROUPS
        && regions.len() == GROUPS
        && groups.values().all(|of_model| of_model.len() == GROUPS);
    let found: Vec<String> =
        groups.iter().map(|(model, regions)| format!("{model} in {}", regions.len())).collect();
    expect(holds, found.join(", "))
}

fn unique(evidence: &Evidence) -> Result<String, String> {
    let asked = evidence.asked();
    for (of, cells) in evidence.cells() {
        let count = cells.len();
        let set: BTreeSet<Named> = cells.into_iter().collect();
        if set.len() != count {
            return Err(format!("{} of {count} rows of the {of} repeat a cell", count - set.len()));
        }
        if set != asked {
            let (missing, strange) = (asked.difference(&set).count(), set.difference(&asked).count());
            return Err(format!("the {of} lack {missing} cells and have {strange} that were not asked"));
        }
    }
    Ok(format!("{} cells, the same everywhere", asked.len()))
}

fn answers(evidence: &Evidence) -> Result<String, String> {
    let asked = evidence.asked();
    let good = |row: &&ResultRow| {
        let has_text = row.answer.as_ref().is_some_and(|answer| !answer.text.is_empty());
        row.state == "completed" && has_text && asked.contains(&row.named())
    };
    let found = evidence.results.iter().filter(good).count();
    expect(found == EXECUTIONS, format!("{found} of {EXECUTIONS} answers with text"))
}

fn timings(evidence: &Evidence) -> Result<String, String> {
    let (began, ended) = (evidence.job.job.started_at, evidence.job.job.ended_at);
    let (Some(began), Some(ended)) = (began, ended) else {
        return Err("the job has no start or no end".to_owned());
    };
    let in_order = |row: &&ResultRow| {
        let (Some(started), Some(completed)) = (row.started_at, row.completed_at) else { return false };
        let attempts = row.history.iter().all(|attempt| {
            attempt.queued_at <= attempt.dispatched_at
                && attempt.dispatched_at <= attempt.finished_at
                && attempt.duration_s > 0.0
        });
        !row.history.is_empty() && attempts && began <= started && started <= completed && completed <= ended
    };
    let found = evidence.results.iter().filter(in_order).count();
    let took = ended.duration_since(began).as_secs_f64();
    expect(found == EXECUTIONS, format!("{found} of {EXECUTIONS} rows, the job took {took:.2} s"))
}

fn receipts(evidence: &Evidence) -> Result<String, String> {
    let report = &evidence.receipts;
    let with = evidence.results.iter().filter(|row| row.has_receipt).count();
    let holds = report.receipts as usize == EXECUTIONS && with == EXECUTIONS && report.problems_total == 0;
    let mut found = format!("{} receipts, {} problems", report.receipts, report.problems_total);
    if let Some(problem) = report.problems.first() {
        found += &format!(": {problem}");
    }
    expect(holds, found)
}

fn close(evidence: &Evidence) -> Result<String, String> {
    let Some(close) = &evidence.receipts.close else { return Err("there is none".to_owned()) };
    let body = &close.body;
    let as_shown = evidence.job.job.close.as_ref() == Some(close);
    let holds = as_shown
        && evidence.receipts.problems_total == 0
        && [body.expected, body.completed, body.receipts].iter().all(|count| *count as usize == EXECUTIONS);
    let shown = if as_shown { "" } else { ", another than the job shows" };
    expect(
        holds,
        format!("{} of {} completed, {} receipts{shown}", body.completed, body.expected, body.receipts),
    )
}
