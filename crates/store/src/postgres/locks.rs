//! Who may change a job's executions, and in which order locks are taken so that nobody waits in a circle.
//!
//! 1. The job, by a transaction-level advisory lock, before any of its rows: shared by those who change some executions
//!    (record, renew, give back, reap), alone for those who change all (cancel, deadline, cost cap). A claim only tries:
//!    it never waits for a job while it holds an endpoint.
//! 2. Accounts, then endpoints, each in the order of their keys (claims; a pause takes the endpoints of its job).
//! 3. Executions: those of a claim and those of a lease are never the same rows; groups go in the order of their keys.
//! 4. Batches, then jobs, then the day's spend, each in the order of their keys, as late as possible: a commit frees them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use beacon_domain::JobId;
use tokio_postgres::types::Type;

use super::{codec::job_id, error::Fault, store::Core, transaction::Tx};

/// The first half of our advisory locks' keys: "beac" in ASCII. The second half is the job.
pub(crate) const CLASS: i32 = 0x6265_6163;

/// The most jobs whose numbers are remembered.
const REMEMBERED: usize = 16_384;

/// The second half of a job's advisory lock. Two jobs may share one; that costs time only.
pub(crate) fn lock_key(job: i64) -> i32 {
    (job % i64::from(i32::MAX)) as i32
}

/// Locks jobs: those in `alone` for this transaction only, the others shared.
pub(crate) async fn lock_jobs(
    tx: &Tx,
    jobs: impl IntoIterator<Item = i64>,
    alone: &BTreeSet<i64>,
) -> Result<(), Fault> {
    const LOCK: &str = "-- locks::jobs
        SELECT CASE WHEN alone THEN pg_advisory_xact_lock($1, key)::text ELSE pg_advisory_xact_lock_shared($1, key)::text END
        FROM unnest($2::int4[], $3::bool[]) AS wanted (key, alone)";
    let mut wanted: BTreeMap<i32, bool> = BTreeMap::new();
    for job in jobs.into_iter().chain(alone.iter().copied()) {
        *wanted.entry(lock_key(job)).or_default() |= alone.contains(&job);
    }
    let (keys, alone): (Vec<_>, Vec<_>) = wanted.into_iter().unzip();
    if keys.is_empty() {
        return Ok(());
    }
    tx.rows(LOCK, &[(&CLASS, Type::INT4), (&keys, Type::INT4_ARRAY), (&alone, Type::BOOL_ARRAY)]).await?;
    Ok(())
}

/// Locks the rows of jobs in the order of their numbers.
pub(crate) async fn lock_job_rows(tx: &Tx, jobs: &BTreeSet<i64>) -> Result<(), Fault> {
    const LOCK: &str = "-- locks::job_rows
        SELECT held.no FROM (SELECT no FROM unnest($1::int8[]) AS no ORDER BY no) AS wanted
        CROSS JOIN LATERAL (SELECT no FROM beacon.jobs WHERE no BETWEEN wanted.no AND wanted.no
            ORDER BY no DESC LIMIT 1 FOR NO KEY UPDATE) AS held";
    let jobs: Vec<i64> = jobs.iter().copied().collect();
    if !jobs.is_empty() {
        tx.rows(LOCK, &[(&jobs, Type::INT8_ARRAY)]).await?;
    }
    Ok(())
}

impl Core {
    /// The numbers of jobs, as far as they exist.
    pub(crate) async fn job_numbers(
        &self,
        tx: &Tx,
        jobs: impl IntoIterator<Item = JobId>,
    ) -> Result<HashMap<JobId, i64>, Fault> {
        const NUMBERS: &str = "-- locks::job_numbers
            SELECT id, no FROM beacon.jobs WHERE id = ANY($1)";
        let jobs: BTreeSet<JobId> = jobs.into_iter().collect();
        let mut numbers = HashMap::with_capacity(jobs.len());
        let mut unknown: Vec<Vec<u8>> = Vec::new();
        {
            let known = super::store::locked(&self.numbers);
            for job in jobs {
                match known.get(&job) {
                    Some(no) => drop(numbers.insert(job, *no)),
                    None => unknown.push(job.as_bytes().to_vec()),
                }
            }
        }
        if unknown.is_empty() {
            return Ok(numbers);
        }
        let found = tx.rows(NUMBERS, &[(&unknown, Type::BYTEA_ARRAY)]).await?;
        let mut known = super::store::locked(&self.numbers);
        if known.len() > REMEMBERED {
            known.clear();
        }
        for line in found {
            let (job, no) = (job_id(&line, 0)?, line.get(1)?);
            known.insert(job, no);
            numbers.insert(job, no);
        }
        Ok(numbers)
    }
}
