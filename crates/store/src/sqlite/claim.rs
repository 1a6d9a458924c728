//! Claiming: who gets work next, within every limit (S1, S4).

use std::{
    collections::{VecDeque, hash_map::Entry},
    sync::Arc,
    time::Duration,
};

use beacon_domain::{
    BatchStarted, Bound, CallRequest, Claim, Claimed, ExecutionId, Lease, LeaseKey, ResumeToken, Room,
};
use rusqlite::{OptionalExtension, params};

use super::{
    codec::{at, load_frozen, micros, region},
    writer::{Fault, Writer},
};
use crate::{fair::Candidate, frozen::Frozen, rules::SharedRoom};

/// Jobs whose frozen part is kept at hand.
const FROZEN: usize = 64;

/// The columns that [`ready_row`] reads.
pub(crate) const READY: &str =
    "job, n, batch, model, region, run, attempts, failures, throttles, token, resume, queued_at, started_at";

/// One execution that is ready.
pub(crate) struct Ready {
    pub(crate) job: i64,
    pub(crate) n: u32,
    batch: u32,
    model: u32,
    region: beacon_spec::Region,
    run: u32,
    attempts: u32,
    failures: u32,
    throttles: u32,
    pub(crate) token: i64,
    pub(crate) resume: Option<String>,
    queued_at: Option<i64>,
    started_at: Option<i64>,
}

impl Writer {
    /// See [`beacon_domain::WorkQueue::claim`].
    pub(crate) fn claim(&mut self, claim: &Claim) -> Result<Claimed, Fault> {
        let mut claimed = Claimed::default();
        let mut shared = self.shared_room(claim)?;
        let mut waiting: Option<i64> = None;
        for room in &claim.rooms {
            let endpoint = self.endpoint_no(&room.endpoint)?;
            let limit = self.limit(endpoint, room)?;
            let wanted = self.reattach(claim, room, (endpoint, limit), &mut shared, &mut claimed)?;
            let room = &Room { free: wanted, ..room.clone() };
            let (bound, free) = match limit {
                Some(limit) => self.free(claim, room, (endpoint, limit), shared)?,
                None => (Bound::Drain, 0),
            };
            let ready = if free > 0 { self.ready(endpoint, free, claim)? } else { Vec::new() };
            shared.take(ready.len() as u32);
            let room_now = Room { limit: limit.unwrap_or(0), ..room.clone() };
            let bound = (ready.len() as u32 == free).then_some(bound);
            self.keep_room(endpoint, &room_now, claim.longest_call, bound)?;
            for ready in ready {
                let (lease, started) = self.lease(claim, room, ready)?;
                claimed.leases.push(lease);
                claimed.started.extend(started);
            }
            let ends = self.next_end(endpoint, micros(claim.now))?;
            waiting = waiting.into_iter().chain(self.next_ready(endpoint, claim)?).chain(ends).min();
        }
        claimed.next_ready_at = waiting.map(at);
        Ok(claimed)
    }

    /// Leases whose calls run already come first; tells how many more are wanted for the endpoint.
    fn reattach(
        &mut self,
        claim: &Claim,
        room: &Room,
        (endpoint, limit): (i64, Option<u32>),
        shared: &mut SharedRoom,
        claimed: &mut Claimed,
    ) -> Result<u32, Fault> {
        let wanted = room.free.min(shared.worker);
        let Some(limit) = limit.filter(|_| shared.spendable && wanted > 0) else { return Ok(wanted) };
        let free = limit.saturating_sub(self.live(endpoint)?).min(wanted);
        let resumed = self.reattachable(endpoint, free, micros(claim.now))?;
        let left = wanted - resumed.len() as u32;
        for ready in resumed {
            shared.reattach();
            self.reattached(endpoint, &ready)?;
            let (lease, started) = self.lease(claim, room, ready)?;
            claimed.leases.push(lease);
            claimed.started.extend(started);
        }
        Ok(left)
    }

    /// The executions that get the slots of one endpoint.
    fn ready(&mut self, endpoint: i64, free: u32, claim: &Claim) -> Result<Vec<Ready>, Fault> {
        let candidates = self.candidates(endpoint)?;
        let mut lane = self.lanes.remove(&endpoint).unwrap_or_default();
        let mut fetched: std::collections::HashMap<i64, VecDeque<Ready>> = std::collections::HashMap::new();
        let given = lane.share_out(candidates, free, |job| {
            if let Entry::Vacant(place) = fetched.entry(job) {
                place.insert(self.ready_of(endpoint, job, free, micros(claim.now))?);
            }
            Ok::<_, Fault>(fetched.get_mut(&job).and_then(VecDeque::pop_front))
        });
        self.lanes.insert(endpoint, lane);
        given
    }

    /// The jobs with something queued on an endpoint: one index seek per job, however many executions wait.
    fn candidates(&self, endpoint: i64) -> Result<Vec<Candidate<i64>>, Fault> {
        const NEXT: &str = "-- claim::next_job
            SELECT job FROM executions INDEXED BY executions_queued
            WHERE state = 'queued' AND endpoint = ?1 AND job > ?2 ORDER BY job LIMIT 1";
        const JOB: &str = "-- claim::job
            SELECT key, weight FROM jobs WHERE no = ?1 AND reason IS NULL AND paused_at IS NULL AND (cost_cap IS NULL OR cost < cost_cap)";
        let mut next = self.connection.prepare_cached(NEXT)?;
        let mut job_row = self.connection.prepare_cached(JOB)?;
        let mut candidates = Vec::new();
        let mut last = 0;
        while let Some(job) = next.query_row([endpoint, last], |row| row.get(0)).optional()? {
            last = job;
            let candidate =
                job_row.query_row([job], |row| Ok(Candidate { key: row.get(0)?, weight: row.get(1)?, job }));
            candidates.extend(candidate.optional()?);
        }
        Ok(candidates)
    }

    /// A job's next executions on an endpoint: retries that are due, then the plan's order.
    fn ready_of(&self, endpoint: i64, job: i64, most: u32, now: i64) -> Result<VecDeque<Ready>, Fault> {
        const DUE: &str = "-- claim::due
            SELECT job, n, batch, model, region, run, attempts, failures, throttles, token, resume, queued_at, started_at
            FROM executions INDEXED BY executions_queued WHERE state = 'queued' AND endpoint = ?1 AND job = ?2
                AND not_before > 0 AND not_before <= ?3
            ORDER BY not_before, n LIMIT ?4";
        const FRESH: &str = "-- claim::fresh
            SELECT job, n, batch, model, region, run, attempts, failures, throttles, token, resume, queued_at, started_at
            FROM executions INDEXED BY executions_queued WHERE state = 'queued' AND endpoint = ?1 AND job = ?2
                AND not_before = 0
            ORDER BY n LIMIT ?3";
        let mut due = self.connection.prepare_cached(DUE)?;
        let mut ready = due
            .query_map(params![endpoint, job, now, most], ready_row)?
            .collect::<rusqlite::Result<VecDeque<_>>>()?;
        let missing = most.saturating_sub(ready.len() as u32);
        let mut fresh = self.connection.prepare_cached(FRESH)?;
        for row in fresh.query_map(params![endpoint, job, missing], ready_row)? {
            ready.push_back(row?);
        }
        Ok(ready)
    }

    fn next_ready(&self, endpoint: i64, claim: &Claim) -> Result<Option<i64>, Fault> {
        const NEXT: &str = "-- claim::next_ready
            SELECT not_before FROM executions INDEXED BY executions_backing_off
            WHERE state = 'queued' AND not_before > 0 AND endpoint = ?1 AND not_before > ?2 ORDER BY not_before LIMIT 1";
        let mut query = self.connection.prepare_cached(NEXT)?;
        Ok(query.query_row([endpoint, micros(claim.now)], |row| row.get(0)).optional()?)
    }

    fn lease(
        &mut self,
        claim: &Claim,
        room: &Room,
        ready: Ready,
    ) -> Result<(Lease, Option<BatchStarted>), Fault> {
        const TAKE: &str = "-- claim::take
            UPDATE executions SET state = 'running', token = ?3, attempts = ?4, worker = ?5, lease_until = ?6,
                started_at = coalesce(started_at, ?7) WHERE job = ?1 AND n = ?2";
        let frozen = self.frozen(ready.job)?;
        let resumes = ready.resume.is_some() && ready.attempts > 0;
        let attempt = if resumes { ready.attempts } else { ready.attempts + 1 };
        let token = ready.token + 1;
        let expires_at = claim.now.checked_add(claim.lease).unwrap_or(beacon_spec::Timestamp::MAX);
        self.connection.prepare_cached(TAKE)?.execute(params![
            ready.job,
            ready.n,
            token,
            attempt,
            claim.worker.as_str(),
            micros(expires_at),
            micros(claim.now)
        ])?;
        let started = self.count_in_batch(&frozen, &ready, claim)?;
        self.wake_job(frozen.id);
        let question = frozen.question(ready.batch as usize, 2)?;
        let request = CallRequest {
            model: frozen.models.get(ready.model as usize).cloned().ok_or(out_of_range(3, ready.model))?,
            region: ready.region,
            prompt: question.text.clone(),
            sampling: frozen.sampling,
        };
        let lease = Lease {
            key: LeaseKey { execution: ExecutionId { job: frozen.id, n: ready.n }, token: token as u64 },
            attempt,
            failures: ready.failures,
            throttles: ready.throttles,
            expires_at,
            endpoint: room.endpoint.clone(),
            request,
            question: question.id.clone(),
            batch: ready.batch + 1,
            run: ready.run,
            resume: ready.resume.map(ResumeToken),
            queued_at: ready.queued_at.map_or(claim.now, at),
            started_at: ready.started_at.map_or(claim.now, at),
            job_deadline: frozen.deadline,
            provider_timeout: frozen.provider_timeout,
            spec_digest: frozen.digest,
            trace_id: frozen.trace_id.clone(),
        };
        Ok((lease, started))
    }

    /// One queued execution of a batch runs; tells when it is the batch's, and maybe the job's, first.
    fn count_in_batch(
        &self,
        frozen: &Frozen,
        ready: &Ready,
        claim: &Claim,
    ) -> Result<Option<BatchStarted>, Fault> {
        const UNSTARTED: &str = "-- claim::unstarted
            SELECT blocked + queued + running + completed + failed + cancelled + timed_out + unsupported,
                (SELECT ended_at FROM batches AS earlier WHERE earlier.job = ?1 AND earlier.b = ?2 - 1)
            FROM batches WHERE job = ?1 AND b = ?2 AND started_at IS NULL";
        const COUNT: &str = "-- claim::count
            UPDATE batches SET queued = queued - 1, running = running + 1, started_at = coalesce(started_at, ?3)
            WHERE job = ?1 AND b = ?2";
        const JOB: &str = "-- claim::start_job
            UPDATE jobs SET state = 'running', started_at = ?2 WHERE no = ?1 AND started_at IS NULL";
        let mut unstarted = self.connection.prepare_cached(UNSTARTED)?;
        let started: Option<(u32, Option<i64>)> = unstarted
            .query_row(params![ready.job, ready.batch], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let mut count = self.connection.prepare_cached(COUNT)?;
        count.execute(params![ready.job, ready.batch, micros(claim.now)])?;
        let Some((executions, before)) = started else { return Ok(None) };
        self.connection.prepare_cached(JOB)?.execute(params![ready.job, micros(claim.now)])?;
        Ok(Some(BatchStarted {
            job: frozen.id,
            question: frozen.question(ready.batch as usize, 2)?.id.clone(),
            number: ready.batch + 1,
            total: frozen.questions.len() as u32,
            executions,
            gap: before.and_then(|before| Duration::try_from(claim.now.duration_since(at(before))).ok()),
        }))
    }

    fn frozen(&mut self, job: i64) -> Result<Arc<Frozen>, Fault> {
        if let Some(frozen) = self.frozen.get(&job) {
            return Ok(frozen.clone());
        }
        if self.frozen.len() >= FROZEN {
            self.frozen.clear();
        }
        let frozen = Arc::new(load_frozen(&self.connection, job)?);
        self.frozen.insert(job, frozen.clone());
        Ok(frozen)
    }
}

fn out_of_range(column: usize, place: u32) -> rusqlite::Error {
    rusqlite::Error::IntegralValueOutOfRange(column, i64::from(place))
}

pub(crate) fn ready_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Ready> {
    Ok(Ready {
        job: row.get(0)?,
        n: row.get(1)?,
        batch: row.get(2)?,
        model: row.get(3)?,
        region: region(row, 4)?,
        run: row.get(5)?,
        attempts: row.get(6)?,
        failures: row.get(7)?,
        throttles: row.get(8)?,
        token: row.get(9)?,
        resume: row.get(10)?,
        queued_at: row.get(11)?,
        started_at: row.get(12)?,
    })
}
