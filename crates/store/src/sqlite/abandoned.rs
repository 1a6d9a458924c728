//! Calls that nobody waits for any more and that may still run at their endpoint: they count against every limit (S1).

use std::collections::HashMap;

use beacon_domain::LeaseKey;
use beacon_spec::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    claim::{READY, Ready, ready_row},
    codec::{at, micros},
    writer::{Fault, Writer},
};
use crate::rules::Abandoned;

/// The calls that may still run at `now`, by endpoint.
pub(crate) fn counted(connection: &Connection, now: Timestamp) -> Result<HashMap<i64, Abandoned>, Fault> {
    const COUNTED: &str = "-- abandoned::counted
        SELECT abandoned.endpoint, count(*), min(until) FILTER (WHERE waits.n IS NULL)
        FROM abandoned LEFT JOIN executions AS waits ON waits.job = abandoned.job AND waits.n = abandoned.n
            AND waits.token = abandoned.token AND waits.state = 'queued' AND waits.resume IS NOT NULL
        WHERE until > ?1 GROUP BY abandoned.endpoint";
    let mut query = connection.prepare_cached(COUNTED)?;
    let of_endpoint = query.query_map([micros(now)], |row| {
        let until = row.get::<_, Option<i64>>(2)?.map(at);
        Ok((row.get(0)?, Abandoned { calls: row.get(1)?, until }))
    })?;
    Ok(of_endpoint.collect::<rusqlite::Result<_>>()?)
}

impl Writer {
    /// The call of this claim was left at `since`. One that can be found again counts from then until it is; another as long as
    /// its endpoint may go on with it. Whoever has the execution by now has its call as well, if that can be found again. What
    /// has ended by `now` is not noted.
    pub(crate) fn abandon(&self, lease: LeaseKey, since: Timestamp, now: Timestamp) -> Result<(), Fault> {
        const ABANDON: &str = "-- abandoned::note
            INSERT INTO abandoned (job, n, token, endpoint, until)
            SELECT job, n, ?3, endpoint, ?4 + span FROM (SELECT job, n, endpoint,
                    CASE WHEN token = ?3 AND executions.state = 'queued' AND resume IS NOT NULL THEN longest_call ELSE linger END AS span
                FROM executions JOIN endpoints ON endpoints.no = endpoint
                WHERE job = (SELECT no FROM jobs WHERE id = ?1) AND n = ?2 AND (token = ?3 OR resume IS NULL))
            WHERE ?4 + span > ?5
            ON CONFLICT (endpoint, job, n, token) DO UPDATE SET until = max(until, excluded.until)";
        let mut abandon = self.connection.prepare_cached(ABANDON)?;
        abandon.execute(params![
            lease.execution.job.as_bytes(),
            lease.execution.n,
            lease.token as i64,
            micros(since),
            micros(now)
        ])?;
        Ok(())
    }

    /// Nobody looks for the calls of this job any more: they count as long as any other.
    pub(crate) fn not_found_again(&self, job: i64, now: Timestamp) -> Result<(), Fault> {
        const SHORTEN: &str = "-- abandoned::not_found_again
            UPDATE abandoned SET until = min(until, ?2 + (SELECT linger FROM endpoints WHERE no = abandoned.endpoint))
            WHERE job = ?1";
        self.connection.prepare_cached(SHORTEN)?.execute([job, micros(now)])?;
        Ok(())
    }

    /// Forgets the calls that have ended by now.
    pub(crate) fn forget_abandoned(&mut self, now: Timestamp) -> Result<(), Fault> {
        const FORGET: &str = "-- abandoned::forget
            DELETE FROM abandoned WHERE until <= ?1";
        if self.connection.prepare_cached(FORGET)?.execute([micros(now)])? > 0 {
            self.wake_queue();
        }
        Ok(())
    }

    /// Executions of an endpoint whose calls still run there: whoever claims them takes no other slot.
    pub(crate) fn reattachable(&self, endpoint: i64, most: u32, now: i64) -> Result<Vec<Ready>, Fault> {
        let find = format!(
            "-- abandoned::reattachable
            SELECT {READY} FROM executions WHERE executions.state = 'queued' AND resume IS NOT NULL AND not_before <= ?2
                AND (executions.job, n, token) IN (SELECT job, n, token FROM abandoned WHERE abandoned.endpoint = ?1 AND until > ?2)
                AND job IN (SELECT no FROM jobs WHERE reason IS NULL AND paused_at IS NULL AND (cost_cap IS NULL OR cost < cost_cap))
            ORDER BY job, n LIMIT ?3"
        );
        if self.next_end(endpoint, now)?.is_none() {
            return Ok(Vec::new());
        }
        let mut query = self.connection.prepare_cached(&find)?;
        let found = query.query_map(params![endpoint, now, most], ready_row)?;
        Ok(found.collect::<rusqlite::Result<_>>()?)
    }

    /// Somebody waits for the call of this execution again.
    pub(crate) fn reattached(&self, endpoint: i64, ready: &Ready) -> Result<(), Fault> {
        const DELETE: &str = "-- abandoned::reattached
            DELETE FROM abandoned WHERE endpoint = ?4 AND job = ?1 AND n = ?2 AND token = ?3";
        if ready.resume.is_some() {
            let mut delete = self.connection.prepare_cached(DELETE)?;
            delete.execute(params![ready.job, ready.n, ready.token, endpoint])?;
        }
        Ok(())
    }

    /// When the first of the calls of an endpoint has ended.
    pub(crate) fn next_end(&self, endpoint: i64, now: i64) -> Result<Option<i64>, Fault> {
        const NEXT: &str = "-- abandoned::next_end
            SELECT until FROM abandoned WHERE endpoint = ?1 AND until > ?2 ORDER BY until LIMIT 1";
        let mut query = self.connection.prepare_cached(NEXT)?;
        Ok(query.query_row([endpoint, now], |row| row.get(0)).optional()?)
    }
}
