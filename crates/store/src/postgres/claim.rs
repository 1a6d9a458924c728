//! Claiming: who gets work next, within every limit (S1, S4), over any number of processes.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use beacon_domain::{
    BatchStarted, CallRequest, Claim, Claimed, EndpointId, ExecutionId, ExecutionState, JobId, Lease,
    LeaseKey, ResumeToken, Room,
};
use beacon_spec::Timestamp;
use tokio_postgres::{error::SqlState, types::Type};

use super::{
    abandoned::{reattachable, reattached},
    codec::{At, int},
    counts::{BatchKey, Deltas, HeldBatch},
    error::Fault,
    locks::{CLASS, lock_job_rows, lock_key},
    ready::Ready,
    room::Rooms,
    store::Core,
    transaction::{Kind, Tx, Work},
};
use crate::frozen::Frozen;

/// See [`beacon_domain::WorkQueue::claim`].
pub(crate) struct ClaimWork<'a> {
    pub(crate) core: &'a Core,
    pub(crate) claim: &'a Claim,
    /// The numbers of the endpoints of the claim's rooms, in their order.
    pub(crate) places: &'a [i32],
    /// Whether a cancel was met: the commit then waits for what could be taken.
    pub(crate) careful: AtomicBool,
}

/// An execution that the claim would take, and for which room.
type Chosen<'a> = (&'a Room, Ready);

#[async_trait]
impl Work for ClaimWork<'_> {
    type Output = (Claimed, BTreeSet<JobId>);
    const NAME: &'static str = "claim";
    const KIND: Kind = Kind::Queue;
    const REPLAYABLE: bool = false;

    async fn run(&self, tx: &Tx, _: &BTreeSet<i64>) -> Result<(Claimed, BTreeSet<JobId>), Fault> {
        let (rooms, mut chosen, next_ready_at) = self.choose(tx).await?;
        let mut claimed = Claimed { next_ready_at, ..Claimed::default() };
        let mut jobs = BTreeSet::new();
        let wanted = moved(&chosen);
        // One batch that has started needs no look and no order. The others are locked after the executions.
        let known = wanted.batches().count() == 1 && self.core.have_started(wanted.batches());
        if let Some(frozen) = self.all_at_once(known, &chosen) {
            self.take_at_once(tx, &rooms, &chosen, &wanted).await?;
            claimed.leases =
                chosen.into_iter().map(|(room, ready)| self.lease(room, &frozen, ready)).collect();
            jobs.insert(frozen.id);
        } else if !chosen.is_empty() {
            let hold = async { if known { Ok(BTreeMap::new()) } else { wanted.hold(tx).await } };
            let (taken, batches) = futures::try_join!(self.take(tx, &rooms, &chosen, false), hold)?;
            // What a cancel took meanwhile is not ours.
            chosen.retain(|(_, ready)| taken.contains(&(ready.job, ready.n)));
            let mut frozen = BTreeMap::new();
            for (_, ready) in &chosen {
                if let std::collections::btree_map::Entry::Vacant(place) = frozen.entry(ready.job) {
                    place.insert(self.core.frozen(tx, ready.job).await?);
                }
            }
            claimed.started = self.started(tx, &chosen, &frozen, &batches).await?;
            let (moved, now) = (moved(&chosen), At::from(self.claim.now));
            let counts = async {
                if known { moved.change(tx, Some(now)).await } else { moved.write(tx, Some(now)).await }
            };
            let resumed = reattached(tx, chosen.iter().map(|(_, ready)| ready));
            let last = async { futures::try_join!(counts, rooms.write(tx), resumed) };
            tx.finish(last).await?;
            self.core.note_started(moved.batches());
            claimed.leases = chosen
                .into_iter()
                .map(|(room, ready)| self.lease(room, &frozen[&ready.job], ready))
                .collect();
            jobs.extend(frozen.values().map(|frozen| frozen.id));
        } else {
            tx.finish(rooms.write(tx)).await?;
        }
        Ok((claimed, jobs))
    }
}

impl ClaimWork<'_> {
    /// Holds the endpoints and chooses what they give.
    async fn choose(&self, tx: &Tx) -> Result<(Rooms, Vec<Chosen<'_>>, Option<Timestamp>), Fault> {
        let now = self.claim.now;
        let (mut rooms, mut waiting) = Rooms::hold(self.core, tx, self.claim, self.places).await?;
        let pairs = || self.claim.rooms.iter().zip(self.places.iter().copied());
        let mut chosen = self.reattach(tx, &mut rooms).await?;
        waiting.leave_out(chosen.iter().map(|(_, ready)| ready));
        let mut ahead = Vec::with_capacity(self.places.len());
        let mut left = rooms.shared.worker.min(rooms.shared.global);
        for (room, place) in pairs() {
            let (_, free) = rooms.free(self.claim, room, place);
            if let Some(held) = rooms.endpoints.get(&place) {
                ahead.push((place, &held.lane, free.min(left)));
                let jobs = waiting.candidates.get(&place).map_or(0, Vec::len);
                left -= if jobs == 0 { 0 } else { free.min(left) };
            }
        }
        waiting.read_ahead((tx, &self.core.lows), self.places, ahead.into_iter(), now).await?;
        for (room, place) in pairs() {
            let (bound, free) = rooms.free(self.claim, room, place);
            let mut given = Vec::new();
            if let Some(held) = rooms.endpoints.get_mut(&place) {
                given = waiting.share_out((tx, &self.core.lows), place, &mut held.lane, free, now).await?;
            }
            let full = given.len() as u32 == free;
            rooms.give(room, place, given.len() as u32, full.then_some(bound))?;
            chosen.extend(given.into_iter().map(|ready| (room, ready)));
        }
        let next = waiting.next_ready_at.into_iter().chain(rooms.next_end).min();
        Ok((rooms, chosen, next))
    }

    /// Whose calls run already comes first.
    async fn reattach(&self, tx: &Tx, rooms: &mut Rooms) -> Result<Vec<Chosen<'_>>, Fault> {
        let mut chosen = Vec::new();
        if !rooms.any_abandoned(self.places) {
            return Ok(chosen);
        }
        for ready in reattachable(tx, self.places, self.claim.now).await? {
            let mut pairs = self.claim.rooms.iter().zip(self.places);
            let room = pairs.find(|(_, place)| **place == ready.endpoint).map(|(room, _)| room);
            if let Some(room) = room.filter(|room| rooms.reattach(room, ready.endpoint)) {
                chosen.push((room, ready));
            }
        }
        Ok(chosen)
    }

    /// The job's frozen part, if what was chosen is of one batch of it and needs no look before the commit.
    fn all_at_once(&self, known: bool, chosen: &[Chosen<'_>]) -> Option<Arc<Frozen>> {
        let (_, first) = chosen.first()?;
        let sure = known && !self.careful.load(Ordering::Relaxed);
        if sure { self.core.known_frozen(first.job) } else { None }
    }

    /// Takes all and commits, in one go: others wait for the endpoint for a round trip less. If a cancel was faster for
    /// some of them, nothing is done, and the claim begins again with more care.
    async fn take_at_once(
        &self,
        tx: &Tx,
        rooms: &Rooms,
        chosen: &[Chosen<'_>],
        wanted: &Deltas,
    ) -> Result<(), Fault> {
        let now = At::from(self.claim.now);
        let last = async {
            futures::try_join!(
                self.take(tx, rooms, chosen, true),
                wanted.change(tx, Some(now)),
                rooms.write(tx),
                reattached(tx, chosen.iter().map(|(_, ready)| ready))
            )
        };
        match tx.finish(last).await {
            Ok(_) => Ok(()),
            Err(Fault::Database { error, .. }) if error.code() == Some(&SqlState::DIVISION_BY_ZERO) => {
                self.careful.store(true, Ordering::Relaxed);
                Err(Fault::Raced)
            }
            Err(fault) => Err(fault),
        }
    }

    /// Makes them running. A job that is being ended as a whole gives nothing, and is not waited for; with `all` that is
    /// an error: a division by zero.
    async fn take(
        &self,
        tx: &Tx,
        rooms: &Rooms,
        chosen: &[Chosen<'_>],
        all: bool,
    ) -> Result<HashSet<(i64, u32)>, Fault> {
        const TAKE: &str = "-- claim::take
            WITH held AS MATERIALIZED (SELECT job FROM unnest($8::int8[], $9::int4[]) AS asked (job, key)
                WHERE pg_try_advisory_xact_lock_shared($7, key)),
            taken AS (UPDATE beacon.executions SET state = 'running', token = executions.token + 1, attempts = new.attempts, worker = $4,
                lease_until = $5, started_at = coalesce(started_at, $6), claimed = new.claimed
            FROM held JOIN unnest($1::int8[], $2::int4[], $3::int4[], $10::int8[]) AS new (job, n, attempts, claimed) USING (job)
            WHERE executions.job = new.job AND executions.n = new.n AND coalesce(state, '') = 'queued'
            RETURNING executions.job, executions.n)
            SELECT array_agg(job), array_agg(n), 1 / (NOT $11 OR count(*) = cardinality($1))::int FROM taken";
        let mut order: Vec<&Ready> = chosen.iter().map(|(_, ready)| ready).collect();
        order.sort_unstable_by_key(|ready| (ready.job, ready.n));
        let claimed: Vec<i64> = order.iter().map(|ready| rooms.claimed(ready.endpoint)).collect();
        let jobs: Vec<i64> = order.iter().map(|ready| ready.job).collect();
        let places: Vec<i32> = order.iter().map(|ready| int(ready.n)).collect();
        let attempts: Vec<i32> = order.iter().map(|ready| int(attempt(ready))).collect();
        let (worker, now) = (self.claim.worker.as_str(), At::from(self.claim.now));
        let until = At::from(self.expires_at());
        let mut distinct = jobs.clone();
        distinct.dedup();
        let keys: Vec<i32> = distinct.iter().map(|job| lock_key(*job)).collect();
        let line = tx
            .one(
                TAKE,
                &[
                    (&jobs, Type::INT8_ARRAY),
                    (&places, Type::INT4_ARRAY),
                    (&attempts, Type::INT4_ARRAY),
                    (&worker, Type::TEXT),
                    (&until, Type::TIMESTAMPTZ),
                    (&now, Type::TIMESTAMPTZ),
                    (&CLASS, Type::INT4),
                    (&distinct, Type::INT8_ARRAY),
                    (&keys, Type::INT4_ARRAY),
                    (&claimed, Type::INT8_ARRAY),
                    (&all, Type::BOOL),
                ],
            )
            .await?;
        let jobs: Vec<i64> = line.get::<Option<_>>(0)?.unwrap_or_default();
        let places: Vec<i32> = line.get::<Option<_>>(1)?.unwrap_or_default();
        Ok(jobs.into_iter().zip(places.into_iter().map(|n| u32::try_from(n).unwrap_or(0))).collect())
    }

    /// The batches', and with them the jobs', first dispatch.
    async fn started(
        &self,
        tx: &Tx,
        chosen: &[Chosen<'_>],
        frozen: &BTreeMap<i64, Arc<Frozen>>,
        batches: &BTreeMap<BatchKey, HeldBatch>,
    ) -> Result<Vec<BatchStarted>, Fault> {
        const JOBS: &str = "-- claim::start_jobs
            UPDATE beacon.jobs SET state = 'running', started_at = greatest($2, accepted_at)
            WHERE no = ANY($1) AND started_at IS NULL";
        let mut fresh: BTreeSet<BatchKey> =
            batches.iter().filter(|(_, held)| held.started_at.is_none()).map(|(key, _)| *key).collect();
        let jobs: BTreeSet<i64> = fresh.iter().map(|key| key.0).collect();
        let mut started = Vec::new();
        for (_, ready) in chosen {
            let key = (ready.job, int(ready.batch));
            if !fresh.remove(&key) {
                continue;
            }
            let (frozen, held) = (&frozen[&ready.job], &batches[&key]);
            let gap = held.before_ended_at.map(|before| self.claim.now.duration_since(before));
            started.push(BatchStarted {
                job: frozen.id,
                question: frozen.questions[ready.batch as usize].id.clone(),
                number: ready.batch + 1,
                total: frozen.questions.len() as u32,
                executions: held.counts.total(),
                gap: gap.and_then(|gap| Duration::try_from(gap).ok()),
            });
        }
        if !jobs.is_empty() {
            lock_job_rows(tx, &jobs).await?;
            let (jobs, now): (Vec<i64>, _) = (jobs.into_iter().collect(), At::from(self.claim.now));
            tx.execute(JOBS, &[(&jobs, Type::INT8_ARRAY), (&now, Type::TIMESTAMPTZ)]).await?;
        }
        Ok(started)
    }

    fn lease(&self, room: &Room, frozen: &Frozen, ready: Ready) -> Lease {
        let question = &frozen.questions[ready.batch as usize];
        Lease {
            key: LeaseKey {
                execution: ExecutionId { job: frozen.id, n: ready.n },
                token: u64::try_from(ready.token).unwrap_or(0) + 1,
            },
            attempt: attempt(&ready),
            failures: ready.failures,
            throttles: ready.throttles,
            expires_at: self.expires_at(),
            endpoint: room.endpoint.clone(),
            request: CallRequest {
                model: frozen.models[ready.model].clone(),
                region: ready.region,
                prompt: question.text.clone(),
                sampling: frozen.sampling,
            },
            question: question.id.clone(),
            batch: ready.batch + 1,
            run: ready.run,
            resume: ready.resume.map(ResumeToken),
            queued_at: ready.queued_at.unwrap_or(self.claim.now),
            started_at: ready.started_at.unwrap_or(self.claim.now),
            job_deadline: frozen.deadline,
            provider_timeout: frozen.provider_timeout,
            spec_digest: frozen.digest,
            trace_id: frozen.trace_id.clone(),
        }
    }

    fn expires_at(&self) -> Timestamp {
        self.claim.now.checked_add(self.claim.lease).unwrap_or(Timestamp::MAX)
    }
}

/// How the counts of batches change.
fn moved(chosen: &[Chosen<'_>]) -> Deltas {
    let mut deltas = Deltas::default();
    for (_, ready) in chosen {
        deltas.moved((ready.job, int(ready.batch)), ExecutionState::Queued, ExecutionState::Running);
    }
    deltas
}

/// A claim that resumes a remote call keeps the number of the attempt it resumes.
fn attempt(ready: &Ready) -> u32 {
    let resumes = ready.resume.is_some() && ready.attempts > 0;
    if resumes { ready.attempts } else { ready.attempts + 1 }
}

/// Gives endpoints their numbers, which never change. A transaction of its own: a number is taken by whoever asks first,
/// and nobody waits for the claim or the acceptance that asked.
pub(crate) struct Endpoints<'a> {
    pub(crate) ids: Vec<&'a EndpointId>,
}

#[async_trait]
impl Work for Endpoints<'_> {
    type Output = Vec<(String, i32)>;
    const NAME: &'static str = "endpoints";
    const KIND: Kind = Kind::Queue;
    const REPLAYABLE: bool = true;

    async fn run(&self, tx: &Tx, _: &BTreeSet<i64>) -> Result<Vec<(String, i32)>, Fault> {
        const ADD: &str = "-- claim::add_endpoints
            INSERT INTO beacon.endpoints (id) SELECT id FROM unnest($1::text[]) AS id
            WHERE NOT EXISTS (SELECT FROM beacon.endpoints WHERE endpoints.id = id.id) ORDER BY id ON CONFLICT DO NOTHING";
        const FIND: &str = "-- claim::endpoints
            SELECT id, no FROM beacon.endpoints WHERE id = ANY($1)";
        let ids: Vec<&str> = self.ids.iter().map(|id| id.as_str()).collect();
        tx.execute(ADD, &[(&ids, Type::TEXT_ARRAY)]).await?;
        let lines = tx.rows(FIND, &[(&ids, Type::TEXT_ARRAY)]).await?;
        lines.iter().map(|line| Ok((line.get(0)?, line.get(1)?))).collect()
    }
}
