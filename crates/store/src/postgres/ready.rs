//! What is ready on an endpoint, and whose turn it is (S4).

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    convert::Infallible,
};

use beacon_spec::{Region, Timestamp};
use tokio_postgres::types::Type;

use super::{
    codec::{At, maybe_time, number, region},
    error::Fault,
    lows::{Lows, Queue, Regions},
    transaction::{Line, Tx},
};
use crate::fair::{Candidate, Lane};

/// One execution that is ready.
#[derive(Debug, Clone)]
pub(crate) struct Ready {
    pub(crate) endpoint: i32,
    pub(crate) job: i64,
    pub(crate) n: u32,
    pub(crate) batch: u32,
    pub(crate) model: usize,
    pub(crate) region: Region,
    pub(crate) run: u32,
    pub(crate) attempts: u32,
    pub(crate) failures: u32,
    pub(crate) throttles: u32,
    pub(crate) token: i64,
    pub(crate) resume: Option<String>,
    pub(crate) queued_at: Option<Timestamp>,
    pub(crate) started_at: Option<Timestamp>,
}

/// What waits on the endpoints of a claim, read as far as needed.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    pub(crate) candidates: HashMap<i32, Vec<Candidate<i64>>>,
    /// When the next back-off or abandoned call ends.
    pub(crate) next_ready_at: Option<Timestamp>,
    fetched: HashMap<Queue, Fetched>,
    /// What is given already, and is not given again.
    given: HashSet<(i64, u32)>,
}

#[derive(Debug, Default)]
struct Fetched {
    rows: VecDeque<Ready>,
    /// How many were asked for; fewer rows mean that there are no more.
    asked: u32,
    got: u32,
}

impl Waiting {
    /// Finds the jobs with something queued: one index seek per endpoint and job, however many executions wait.
    /// With it goes what the claim will probably want to read.
    pub(crate) async fn look(tx: &Tx, lows: &Lows, places: &[i32], time: Timestamp) -> Result<Self, Fault> {
        // Long queues are looked at where they begin; the jobs between them are found by one seek each. Each job is looked
        // up when it is found: as a join, the planner may begin with the jobs and seek again for each of them.
        const CANDIDATES: &str = "-- ready::candidates
            WITH queued AS MATERIALIZED (
                SELECT long.endpoint, long.job FROM unnest($4::int4[], $5::int8[], $6::int4[]) AS long (endpoint, job, low)
                WHERE (SELECT n FROM beacon.executions WHERE state = 'queued' AND executions.endpoint = long.endpoint
                        AND executions.job = long.job AND (not_before, n) >= ('1970-01-01 00:00:00+00', long.low)
                        AND not_before <= '1970-01-01 00:00:00+00' ORDER BY not_before, n LIMIT 1) IS NOT NULL
                    OR (SELECT n FROM beacon.executions WHERE state = 'queued' AND executions.endpoint = long.endpoint
                        AND executions.job = long.job AND not_before > '1970-01-01 00:00:00+00'
                        ORDER BY not_before, n LIMIT 1) IS NOT NULL
                UNION ALL
                SELECT gap.endpoint, found.job FROM unnest($1::int4[], $2::int8[], $3::int8[]) AS gap (endpoint, after, before)
                CROSS JOIN LATERAL (
                    WITH RECURSIVE waiting (job) AS (
                        (SELECT job FROM beacon.executions WHERE state = 'queued' AND executions.endpoint = gap.endpoint
                            AND executions.job > gap.after AND executions.job < gap.before ORDER BY job LIMIT 1)
                        UNION ALL
                        SELECT (SELECT job FROM beacon.executions WHERE state = 'queued'
                            AND executions.endpoint = gap.endpoint AND executions.job > waiting.job
                            AND executions.job < gap.before ORDER BY job LIMIT 1)
                        FROM waiting WHERE waiting.job IS NOT NULL)
                    SELECT job FROM waiting WHERE job IS NOT NULL) AS found)
            SELECT queued.endpoint, queued.job, job.key, job.weight
            FROM queued CROSS JOIN LATERAL (SELECT key, weight, reason, paused_at, cost, cost_cap FROM beacon.jobs
                WHERE no BETWEEN queued.job AND queued.job ORDER BY no DESC LIMIT 1) AS job
            WHERE job.reason IS NULL AND job.paused_at IS NULL AND (job.cost_cap IS NULL OR job.cost < job.cost_cap)";
        const NEXT: &str = "-- ready::next
            SELECT min(not_before) FROM unnest($1::int4[]) AS endpoint
            CROSS JOIN LATERAL (SELECT not_before FROM beacon.executions WHERE state = 'queued'
                AND not_before > '1970-01-01 00:00:00.000001+00' AND executions.endpoint = endpoint.endpoint AND not_before > $2
                ORDER BY not_before LIMIT 1) AS next";
        let now = At::from(time);
        let mut waiting = Self::default();
        let guess = lows.guess(places);
        let Regions { gaps, long } = lows.regions(places);
        let of_both = [(&places as _, Type::INT4_ARRAY), (&now as _, Type::TIMESTAMPTZ)];
        let of_regions = [
            (&gaps.0 as _, Type::INT4_ARRAY),
            (&gaps.1 as _, Type::INT8_ARRAY),
            (&gaps.2 as _, Type::INT8_ARRAY),
            (&long.0 as _, Type::INT4_ARRAY),
            (&long.1 as _, Type::INT8_ARRAY),
            (&long.2 as _, Type::INT4_ARRAY),
        ];
        let (lines, next, ()) = futures::try_join!(
            tx.rows(CANDIDATES, &of_regions),
            tx.one(NEXT, &of_both),
            waiting.fetch(tx, lows, &guess, time)
        )?;
        waiting.next_ready_at = maybe_time(&next, 0)?;
        for line in &lines {
            let candidate = Candidate { key: line.get(2)?, weight: number(line, 3)?, job: line.get(1)? };
            waiting.candidates.entry(line.get(0)?).or_default().push(candidate);
        }
        Ok(waiting)
    }

    /// These are given, out of their turn.
    pub(crate) fn leave_out<'a>(&mut self, given: impl Iterator<Item = &'a Ready>) {
        self.given.extend(given.map(|ready| (ready.job, ready.n)));
        for fetched in self.fetched.values_mut() {
            fetched.rows.retain(|ready| !self.given.contains(&(ready.job, ready.n)));
        }
    }

    /// Reads ahead for these endpoints what they would give if every job had enough: one statement for all.
    pub(crate) async fn read_ahead<'a>(
        &mut self,
        (tx, lows): (&Tx, &Lows),
        places: &[i32],
        lanes: impl Iterator<Item = (i32, &'a Lane<i64>, u32)>,
        now: Timestamp,
    ) -> Result<(), Fault> {
        let mut wanted: BTreeMap<Queue, u32> = BTreeMap::new();
        for (endpoint, lane, free) in lanes {
            let candidates = self.candidates.get(&endpoint).cloned().unwrap_or_default();
            let Ok(turns) = lane.clone().share_out(candidates, free, |job| Ok::<_, Infallible>(Some(job)));
            for job in turns {
                *wanted.entry((endpoint, job)).or_default() += 1;
            }
        }
        lows.wanted(places, &wanted);
        wanted.retain(|queue, most| self.fetched.get(queue).is_none_or(|fetched| fetched.asked < *most));
        self.fetch(tx, lows, &wanted, now).await
    }

    /// The executions that get the slots of one endpoint.
    pub(crate) async fn share_out(
        &mut self,
        (tx, lows): (&Tx, &Lows),
        endpoint: i32,
        lane: &mut Lane<i64>,
        free: u32,
        now: Timestamp,
    ) -> Result<Vec<Ready>, Fault> {
        let Some(candidates) = self.candidates.get(&endpoint).cloned().filter(|_| free > 0) else {
            return Ok(Vec::new());
        };
        loop {
            let mut tried = lane.clone();
            let mut taken: HashMap<i64, usize> = HashMap::new();
            let mut short: BTreeMap<Queue, u32> = BTreeMap::new();
            let Ok(given) = tried.share_out(candidates.clone(), free, |job| {
                let fetched = self.fetched.entry((endpoint, job)).or_default();
                let taken = taken.entry(job).or_default();
                let row = fetched.rows.get(*taken).cloned();
                *taken += usize::from(row.is_some());
                if row.is_none() && fetched.got == fetched.asked {
                    short.insert(
                        (endpoint, job),
                        fetched.asked.saturating_mul(2).clamp(1, fetched.asked + free),
                    );
                }
                Ok::<_, Infallible>(row)
            });
            if short.is_empty() {
                tried.shorten(&candidates);
                *lane = tried;
                for (job, n) in taken {
                    if let Some(fetched) = self.fetched.get_mut(&(endpoint, job)) {
                        fetched.rows.drain(..n);
                    }
                }
                return Ok(given);
            }
            self.fetch(tx, lows, &short, now).await?;
        }
    }

    /// Reads the heads of queues: retries that are due, then the plan's order.
    async fn fetch(
        &mut self,
        tx: &Tx,
        lows: &Lows,
        wanted: &BTreeMap<Queue, u32>,
        now: Timestamp,
    ) -> Result<(), Fault> {
        // The order of the index is asked for in full, so that no other index seems to fit. What never left the queue
        // begins where it was last seen to begin: entries of what was taken stay in the index until a vacuum.
        const FETCH: &str = "-- ready::fetch
            SELECT wanted.endpoint, executions.job, n, batch, model, region, run, attempts, failures, throttles, token, resume,
                queued_at, started_at, not_before
            FROM unnest($1::int4[], $2::int8[], $3::int8[], $5::int4[]) AS wanted (endpoint, job, most, low)
            CROSS JOIN LATERAL (
                (SELECT * FROM beacon.executions WHERE state = 'queued' AND executions.endpoint = wanted.endpoint
                    AND executions.job = wanted.job
                    AND not_before > '1970-01-01 00:00:00.000001+00' AND not_before <= $4
                    ORDER BY not_before, n LIMIT wanted.most)
                UNION ALL
                (SELECT * FROM (
                    (SELECT * FROM beacon.executions WHERE state = 'queued' AND executions.endpoint = wanted.endpoint
                        AND executions.job = wanted.job AND (not_before, n) >= ('1970-01-01 00:00:00.000001+00', 0)
                        AND not_before <= '1970-01-01 00:00:00.000001+00'
                        ORDER BY not_before, n LIMIT wanted.most)
                    UNION ALL
                    (SELECT * FROM beacon.executions WHERE state = 'queued' AND executions.endpoint = wanted.endpoint
                        AND executions.job = wanted.job AND (not_before, n) >= ('1970-01-01 00:00:00+00', wanted.low)
                        AND not_before <= '1970-01-01 00:00:00+00'
                        ORDER BY not_before, n LIMIT wanted.most)) AS by_plan
                    ORDER BY n)
                LIMIT wanted.most) AS executions";
        if wanted.is_empty() {
            return Ok(());
        }
        let endpoints: Vec<i32> = wanted.keys().map(|queue| queue.0).collect();
        let jobs: Vec<i64> = wanted.keys().map(|queue| queue.1).collect();
        let most: Vec<i64> = wanted.values().map(|most| i64::from(*most)).collect();
        let now = At::from(now);
        let low = lows.of(wanted.keys());
        let values = [
            (&endpoints as _, Type::INT4_ARRAY),
            (&jobs as _, Type::INT8_ARRAY),
            (&most as _, Type::INT8_ARRAY),
            (&now as _, Type::TIMESTAMPTZ),
            (&low as _, Type::INT4_ARRAY),
        ];
        for (queue, asked) in wanted {
            self.fetched.insert(*queue, Fetched { asked: *asked, ..Fetched::default() });
        }
        let mut seen = HashSet::new();
        for line in &tx.rows(FETCH, &values).await? {
            let ready = ready(line)?;
            if line.get::<At>(14)? == At::EPOCH {
                lows.begins((line.get(0)?, ready.job), line.get(2)?, &mut seen);
            }
            let fetched = self.fetched.entry((line.get(0)?, ready.job)).or_default();
            fetched.got += 1;
            if !self.given.contains(&(ready.job, ready.n)) {
                fetched.rows.push_back(ready);
            }
        }
        Ok(())
    }
}

/// A line of the columns that [`Waiting`] reads.
pub(crate) fn ready(line: &Line) -> Result<Ready, Fault> {
    Ok(Ready {
        endpoint: line.get(0)?,
        job: line.get(1)?,
        n: number(line, 2)?,
        batch: number(line, 3)?,
        model: usize::try_from(line.get::<i16>(4)?).unwrap_or(0),
        region: region(line, 5)?,
        run: number(line, 6)?,
        attempts: number(line, 7)?,
        failures: number(line, 8)?,
        throttles: number(line, 9)?,
        token: line.get(10)?,
        resume: line.get(11)?,
        queued_at: maybe_time(line, 12)?,
        started_at: maybe_time(line, 13)?,
    })
}
