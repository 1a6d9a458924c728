//! Recordings under a lease that is not held any more: replays, late answers, and lost leases.

use std::collections::BTreeMap;

use beacon_domain::{ExecutionState, Recorded, Recording};
use tokio_postgres::types::Type;

use super::{
    codec::{int, named},
    error::Fault,
    lease::{columns, let_go},
    record::{Cell, token},
    result::Attempts,
    transaction::Tx,
};

/// A recording whose execution was not taken.
pub(crate) struct Stale<'a> {
    /// Its place in the group.
    pub(crate) at: usize,
    /// Its execution.
    pub(crate) cell: Cell,
    /// What it says.
    pub(crate) recording: &'a Recording,
}

/// What becomes of each: a replay was recorded before, an answer after the end is kept as late, the rest is lost.
pub(crate) async fn stale(tx: &Tx, others: &[Stale<'_>]) -> Result<Vec<(usize, Recorded)>, Fault> {
    const KNOWN: &str = "-- stale::known
        SELECT asked.at, executions.state, coalesce(attempts.late, CASE WHEN results.token = asked.token THEN false END)
        FROM unnest($1::int4[], $2::int8[], $3::int4[], $4::int4[], $5::int8[]) AS asked (at, job, n, number, token)
        JOIN beacon.executions ON executions.job = asked.job AND executions.n = asked.n
        LEFT JOIN beacon.attempts ON attempts.job = asked.job AND attempts.n = asked.n
            AND attempts.number = asked.number AND attempts.token = asked.token
        LEFT JOIN beacon.results ON results.job = asked.job AND results.n = asked.n";
    if others.is_empty() {
        return Ok(Vec::new());
    }
    let places: Vec<i32> = (0..).take(others.len()).collect();
    let jobs: Vec<i64> = others.iter().map(|other| other.cell.0).collect();
    let cells: Vec<i32> = others.iter().map(|other| other.cell.1).collect();
    let numbers: Vec<i32> = others.iter().map(|other| int(other.recording.attempt.number)).collect();
    let tokens: Vec<i64> = others.iter().map(|other| token(other.recording.lease)).collect();
    let values = [
        (&places as _, Type::INT4_ARRAY),
        (&jobs as _, Type::INT8_ARRAY),
        (&cells as _, Type::INT4_ARRAY),
        (&numbers as _, Type::INT4_ARRAY),
        (&tokens as _, Type::INT8_ARRAY),
    ];
    let mut answers = Vec::new();
    let mut late = Attempts::default();
    for line in tx.rows(KNOWN, &values).await? {
        let Some(other) = usize::try_from(line.get::<i32>(0)?).ok().and_then(|at| others.get(at)) else {
            continue;
        };
        let ended = matches!(named(&line, 1)?, ExecutionState::Cancelled | ExecutionState::TimedOut);
        let answer = match line.get::<Option<bool>>(2)? {
            Some(true) => Recorded::Late,
            Some(false) => Recorded::Recorded,
            None if ended => {
                late.push(other.cell, other.recording, true)?;
                Recorded::Late
            }
            None => Recorded::Lost,
        };
        answers.push((other.at, answer));
    }
    late.write(tx).await?;
    // Whoever answers late has no call any more.
    let ended: BTreeMap<Cell, i64> = answers
        .iter()
        .filter(|(_, answer)| *answer == Recorded::Late)
        .filter_map(|(at, _)| others.iter().find(|other| other.at == *at))
        .map(|other| (other.cell, token(other.recording.lease)))
        .collect();
    if !ended.is_empty() {
        let (jobs, places, tokens) = columns(&ended);
        let_go(tx, &jobs, &places, &tokens).await?;
    }
    Ok(answers)
}
