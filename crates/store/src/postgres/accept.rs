//! Acceptance: the job, its batches and every execution in one transaction (L1), executions by binary COPY. A small job is
//! mostly round trips, so statements that do not need each other's answers go out together.

use std::collections::BTreeSet;

use async_trait::async_trait;
use beacon_domain::{Acceptance, Accepted, Batching, EndpointId, JobState, NonceUse, Plan, StoreError};
use beacon_spec::ModelId;
use tokio_postgres::types::Type;

use super::{
    codec::{At, batching_name, digest, int, job_id, length, maybe_digest, named, text},
    end::{head, settle},
    error::Fault,
    load::load_executions,
    quota::admit,
    store::Core,
    transaction::{Kind, Tx, Work},
};

/// Jobs of at most so many executions are accepted as the queue works: with prepared statements, under its time limit.
pub(crate) const SMALL: usize = 2000;

/// See [`beacon_domain::JobStore::accept`].
pub(crate) struct Accept<'a, const IS_SMALL: bool> {
    pub(crate) core: &'a Core,
    pub(crate) acceptance: &'a Acceptance,
    /// The endpoints of the plan in the order of their first use, with their numbers.
    pub(crate) endpoints: &'a [(&'a EndpointId, i32)],
}

/// See [`beacon_domain::JobStore::nonce_use`].
pub(crate) struct UseOfNonce {
    pub(crate) public_key: [u8; 32],
    pub(crate) nonce: String,
}

#[async_trait]
impl Work for UseOfNonce {
    type Output = Option<NonceUse>;
    const NAME: &'static str = "nonce_use";
    const KIND: Kind = Kind::Read;
    const REPLAYABLE: bool = true;

    async fn run(&self, tx: &Tx, _: &BTreeSet<i64>) -> Result<Self::Output, Fault> {
        nonce_use(tx, &self.public_key, &self.nonce).await
    }
}

async fn nonce_use(tx: &Tx, public_key: &[u8; 32], nonce: &str) -> Result<Option<NonceUse>, Fault> {
    const USED: &str = "-- accept::nonce_use
        SELECT nonces.job, jobs.digest FROM beacon.nonces LEFT JOIN beacon.jobs ON jobs.id = nonces.job
        WHERE public_key = $1 AND nonce = $2";
    let key = public_key.as_slice();
    let line = tx.maybe(USED, &[(&key, Type::BYTEA), (&nonce, Type::TEXT)]).await?;
    let used = |line| Ok(NonceUse { job: job_id(&line, 0)?, digest: maybe_digest(&line, 1)? });
    line.map(used).transpose()
}

/// The batches of a plan, in columns.
#[derive(Default)]
struct Batches {
    first: Vec<i32>,
    state: Vec<&'static str>,
    blocked: Vec<i32>,
    queued: Vec<i32>,
    unsupported: Vec<i32>,
}

#[async_trait]
impl<const IS_SMALL: bool> Work for Accept<'_, IS_SMALL> {
    type Output = Accepted;
    const NAME: &'static str = "accept";
    const KIND: Kind = if IS_SMALL { Kind::Queue } else { Kind::WholeJob };
    // A second run finds the job of the first.
    const REPLAYABLE: bool = true;

    async fn run(&self, tx: &Tx, _: &BTreeSet<i64>) -> Result<Accepted, Fault> {
        let acceptance = self.acceptance;
        let present = self.present(tx).await?;
        if let Some(state) = present.filter(|(same, _)| *same).map(|(_, state)| state) {
            return Ok(Accepted::Existing(acceptance.job, state));
        }
        if present.is_some() {
            self.keep_point(tx).await?;
            return Err(StoreError::Conflict(acceptance.job).into());
        }
        // Sent together, done in this order; what the first refuses is told before what the second does.
        let (point, nonce) = futures::join!(self.keep_point(tx), self.keep_nonce(tx));
        point?;
        self.nonce_is_new(tx, nonce?).await?;
        let cost_cap = admit(tx, acceptance).await?;
        let mut models: Vec<&ModelId> = Vec::new();
        for execution in &acceptance.plan.executions {
            if models.last() != Some(&&execution.model) && !models.contains(&&execution.model) {
                models.push(&execution.model);
            }
        }
        let opens_first = opens_first(&acceptance.plan);
        let batches = Batches::of(&acceptance.plan, opens_first);
        let job = self.insert_job(tx, cost_cap, &models, &batches).await?;
        load_executions(tx, job, acceptance, (&models, self.endpoints), opens_first).await?;
        if batches.has_empty() {
            let head = head(tx, job).await?;
            settle(tx, &head, acceptance.now).await?;
        }
        super::store::locked(&self.core.numbers).remove(&acceptance.job);
        Ok(Accepted::New(acceptance.job))
    }
}

impl<const IS_SMALL: bool> Accept<'_, IS_SMALL> {
    /// Whether there is such a job: with the same bytes, and its state.
    async fn present(&self, tx: &Tx) -> Result<Option<(bool, JobState)>, Fault> {
        const PRESENT: &str = "-- accept::present
            SELECT digest, state FROM beacon.jobs WHERE id = $1";
        let id = self.acceptance.job.as_bytes().as_slice();
        let line = tx.maybe(PRESENT, &[(&id, Type::BYTEA)]).await?;
        let same = |line| Ok((digest(&line, 0)? == self.acceptance.spec.digest(), named(&line, 1)?));
        line.map(same).transpose()
    }

    async fn keep_point(&self, tx: &Tx) -> Result<(), Fault> {
        const KEEP: &str = "-- accept::keep_point
            INSERT INTO beacon.signature_points (public_key, r, canonical_digest) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
        const POINT: &str = "-- accept::point
            SELECT canonical_digest FROM beacon.signature_points WHERE public_key = $1 AND r = $2";
        let spec = &self.acceptance.spec;
        let (key, point) = (spec.public_key().as_slice(), spec.signature_point().as_slice());
        let canonical = spec.canonical_digest();
        let new = canonical.as_bytes().as_slice();
        let values = [(&key as _, Type::BYTEA), (&point as _, Type::BYTEA), (&new as _, Type::BYTEA)];
        // Read after the insert, which waits for whoever writes the same point now.
        let (kept, known) = futures::join!(tx.execute(KEEP, &values), tx.one(POINT, &values[..2]));
        kept?;
        if digest(&known?, 0)? != canonical {
            return Err(StoreError::KeyCompromised.into());
        }
        Ok(())
    }

    /// Whether nobody has used the nonce; so it is too if the job has none.
    async fn keep_nonce(&self, tx: &Tx) -> Result<bool, Fault> {
        const KEEP: &str = "-- accept::keep_nonce
            INSERT INTO beacon.nonces (public_key, nonce, job) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
        let spec = &self.acceptance.spec;
        let Some(nonce) = &spec.spec().nonce else { return Ok(true) };
        let (key, job) = (spec.public_key().as_slice(), self.acceptance.job.as_bytes().as_slice());
        let new = tx.execute(KEEP, &[(&key, Type::BYTEA), (nonce, Type::TEXT), (&job, Type::BYTEA)]).await?;
        Ok(new == 1)
    }

    async fn nonce_is_new(&self, tx: &Tx, new: bool) -> Result<(), Fault> {
        if new || !self.acceptance.nonce_must_be_new {
            return Ok(());
        }
        // Who has just used it may have been this same job, sent twice at once: look again.
        if self.present(tx).await?.is_some() {
            return Err(Fault::Raced);
        }
        let spec = &self.acceptance.spec;
        let nonce = spec.spec().nonce.as_deref().unwrap_or_default();
        let used = nonce_use(tx, spec.public_key(), nonce).await?.ok_or(Fault::Raced)?;
        Err(StoreError::Replayed(used.job).into())
    }

    /// Writes the job, its signed bytes, its questions and its batches; gives its number.
    async fn insert_job(
        &self,
        tx: &Tx,
        cost_cap: Option<u64>,
        models: &[&ModelId],
        batches: &Batches,
    ) -> Result<i64, Fault> {
        const INSERT: &str = "-- accept::job
            WITH job AS (
                INSERT INTO beacon.jobs (id, name, key, generation, retry_of, state, batching, weight, min_success_rate,
                    min_regions, provider_timeout, deadline, lower_bound, cost_cap, accepted_at, digest, canonical_digest,
                    sampling, models, batch_count)
                VALUES ($1, $2, $3, $4, $5, 'queued', $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
                ON CONFLICT (id) DO NOTHING RETURNING no),
            spec AS (INSERT INTO beacon.specs (job, spec) SELECT no, $20 FROM job),
            questions AS (INSERT INTO beacon.questions (job, b, question)
                SELECT no, b - 1, question FROM job, unnest($21::text[]) WITH ORDINALITY AS asked (question, b)),
            batches AS (INSERT INTO beacon.batches (job, b, first, state, blocked, queued, unsupported)
                SELECT no, b - 1, first, state, blocked, queued, unsupported
                FROM job, unnest($22::int[], $23::text[], $24::int[], $25::int[], $26::int[])
                    WITH ORDINALITY AS counted (first, state, blocked, queued, unsupported, b))
            SELECT no FROM job";
        let (acceptance, spec) = (self.acceptance, &self.acceptance.spec);
        let minima = &spec.spec().constraints;
        let asked = acceptance.plan.batches.iter();
        let questions = asked.map(|batch| text(&batch.question)).collect::<Result<Vec<_>, _>>()?;
        let (id, retry_of) =
            (acceptance.job.as_bytes().as_slice(), acceptance.retry_of.map(|job| job.as_bytes().to_vec()));
        let timeout = minima.provider_timeout.map(length);
        let lower_bound = acceptance.lower_bound.map(length);
        let cap = cost_cap.map(|cap| i64::try_from(cap).unwrap_or(i64::MAX));
        let (deadline, now) = (At::from(acceptance.deadline), At::from(acceptance.now));
        let (digest, canonical) = (spec.digest(), spec.canonical_digest());
        let line = tx
            .maybe(
                INSERT,
                &[
                    (&id, Type::BYTEA),
                    (&spec.spec().name.as_str(), Type::TEXT),
                    (&spec.key().as_str(), Type::TEXT),
                    (&int(acceptance.generation), Type::INT4),
                    (&retry_of, Type::BYTEA),
                    (&batching_name(acceptance.plan.batching), Type::TEXT),
                    (&int(acceptance.weight.max(1)), Type::INT4),
                    (&minima.min_success_rate, Type::FLOAT8),
                    (&int(minima.min_regions), Type::INT4),
                    (&timeout, Type::INT8),
                    (&deadline, Type::TIMESTAMPTZ),
                    (&lower_bound, Type::INT8),
                    (&cap, Type::INT8),
                    (&now, Type::TIMESTAMPTZ),
                    (&digest.as_bytes().as_slice(), Type::BYTEA),
                    (&canonical.as_bytes().as_slice(), Type::BYTEA),
                    (&text(&acceptance.plan.sampling)?, Type::TEXT),
                    (&text(models)?, Type::TEXT),
                    (&int(acceptance.plan.batches.len() as u32), Type::INT4),
                    (&spec.bytes(), Type::BYTEA),
                    (&questions, Type::TEXT_ARRAY),
                    (&batches.first, Type::INT4_ARRAY),
                    (&batches.state, Type::TEXT_ARRAY),
                    (&batches.blocked, Type::INT4_ARRAY),
                    (&batches.queued, Type::INT4_ARRAY),
                    (&batches.unsupported, Type::INT4_ARRAY),
                ],
            )
            .await?;
        // Somebody accepted the same id since we looked: look again.
        line.ok_or(Fault::Raced)?.get(0)
    }
}

/// Whose executions may be claimed at once when questions follow each other: the first batch that has any.
fn opens_first(plan: &Plan) -> Option<u32> {
    let served = plan.executions.iter().filter(|execution| execution.endpoint.is_some());
    served.map(|execution| execution.batch).min()
}

impl Batches {
    fn of(plan: &Plan, opens_first: Option<u32>) -> Self {
        let mut counts = vec![(0_i32, 0_i32, None); plan.batches.len()];
        for (n, execution) in plan.executions.iter().enumerate() {
            let (served, unsupported, first) = &mut counts[execution.batch as usize];
            first.get_or_insert(n as i32);
            *(if execution.endpoint.is_some() { served } else { unsupported }) += 1;
        }
        let mut batches = Self::default();
        for (b, (served, unsupported, first)) in (0..).zip(counts) {
            let opens = plan.batching == Batching::Endpoint || opens_first == Some(b);
            let (state, blocked, queued) = if opens { ("open", 0, served) } else { ("blocked", served, 0) };
            batches.first.push(first.unwrap_or(0));
            batches.state.push(state);
            batches.blocked.push(blocked);
            batches.queued.push(queued);
            batches.unsupported.push(unsupported);
        }
        batches
    }

    /// Whether there is a batch without anything to run, which is to end at once, and its job perhaps with it.
    fn has_empty(&self) -> bool {
        self.blocked.iter().zip(&self.queued).any(|(blocked, queued)| blocked + queued == 0)
    }
}
