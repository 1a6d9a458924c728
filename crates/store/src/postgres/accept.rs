//! Acceptance: the job, its batches and every execution in one transaction (L1), executions by binary COPY.

use std::collections::BTreeSet;

use async_trait::async_trait;
use beacon_domain::{Acceptance, Accepted, Batching, EndpointId, JobState, Plan, StoreError};
use beacon_spec::ModelId;
use tokio_postgres::types::Type;

use super::{
    codec::{At, batching_name, digest, int, length, named, text},
    end::{head, settle},
    error::Fault,
    load::{Loader, load_executions},
    quota::admit,
    store::Core,
    transaction::{Kind, Tx, Work},
};

/// See [`beacon_domain::JobStore::accept`].
pub(crate) struct Accept<'a> {
    pub(crate) core: &'a Core,
    pub(crate) acceptance: &'a Acceptance,
    /// The endpoints of the plan in the order of their first use, with their numbers.
    pub(crate) endpoints: &'a [(&'a EndpointId, i32)],
}

#[async_trait]
impl Work for Accept<'_> {
    type Output = Accepted;
    const NAME: &'static str = "accept";
    const KIND: Kind = Kind::WholeJob;
    // A second run finds the job of the first.
    const REPLAYABLE: bool = true;

    async fn run(&self, tx: &Tx, _: &BTreeSet<i64>) -> Result<Accepted, Fault> {
        let acceptance = self.acceptance;
        let present = self.present(tx).await?;
        if let Some(state) = present.filter(|(same, _)| *same).map(|(_, state)| state) {
            return Ok(Accepted::Existing(acceptance.job, state));
        }
        self.keep_point(tx).await?;
        if present.is_some() {
            return Err(StoreError::Conflict(acceptance.job).into());
        }
        self.keep_nonce(tx).await?;
        let cost_cap = admit(tx, acceptance).await?;
        let mut models: Vec<&ModelId> = Vec::new();
        for execution in &acceptance.plan.executions {
            if models.last() != Some(&&execution.model) && !models.contains(&&execution.model) {
                models.push(&execution.model);
            }
        }
        let job = self.insert_job(tx, cost_cap, &models).await?;
        self.insert_batches(tx, job).await?;
        load_executions(tx, job, acceptance, &models, self.endpoints).await?;
        let head = head(tx, job).await?;
        settle(tx, &head, acceptance.now).await?;
        super::store::locked(&self.core.numbers).remove(&acceptance.job);
        Ok(Accepted::New(acceptance.job))
    }
}

impl Accept<'_> {
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
        tx.execute(KEEP, &values).await?;
        // Read after the insert, which waits for whoever writes the same point now.
        let known = tx.one(POINT, &values[..2]).await?;
        if digest(&known, 0)? != canonical {
            return Err(StoreError::KeyCompromised.into());
        }
        Ok(())
    }

    async fn keep_nonce(&self, tx: &Tx) -> Result<(), Fault> {
        const KEEP: &str = "-- accept::keep_nonce
            INSERT INTO beacon.nonces (public_key, nonce, job) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
        let spec = &self.acceptance.spec;
        let Some(nonce) = &spec.spec().nonce else { return Ok(()) };
        let (key, job) = (spec.public_key().as_slice(), self.acceptance.job.as_bytes().as_slice());
        let new = tx.execute(KEEP, &[(&key, Type::BYTEA), (nonce, Type::TEXT), (&job, Type::BYTEA)]).await?;
        if new == 1 || !self.acceptance.nonce_must_be_new {
            return Ok(());
        }
        // Who has just used it may have been this same job, sent twice at once: look again.
        if self.present(tx).await?.is_some() { Err(Fault::Raced) } else { Err(StoreError::Replayed.into()) }
    }

    async fn insert_job(&self, tx: &Tx, cost_cap: Option<u64>, models: &[&ModelId]) -> Result<i64, Fault> {
        const INSERT: &str = "-- accept::job
            INSERT INTO beacon.jobs (id, name, key, generation, retry_of, state, batching, weight, min_success_rate,
                min_regions, provider_timeout, deadline, lower_bound, cost_cap, accepted_at, digest, canonical_digest,
                sampling, models, batch_count)
            VALUES ($1, $2, $3, $4, $5, 'queued', $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
            ON CONFLICT (id) DO NOTHING RETURNING no";
        const SPEC: &str = "-- accept::spec
            INSERT INTO beacon.specs (job, spec) VALUES ($1, $2)";
        let (acceptance, spec) = (self.acceptance, &self.acceptance.spec);
        let minima = &spec.spec().constraints;
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
                ],
            )
            .await?;
        // Somebody accepted the same id since we looked: look again.
        let job = line.ok_or(Fault::Raced)?.get(0)?;
        tx.execute(SPEC, &[(&job, Type::INT8), (&spec.bytes(), Type::BYTEA)]).await?;
        Ok(job)
    }

    async fn insert_batches(&self, tx: &Tx, job: i64) -> Result<(), Fault> {
        const BATCHES: &str = "-- accept::batches
            COPY beacon.batches (job, b, first, state, blocked, queued, unsupported) FROM STDIN (FORMAT binary)";
        const QUESTIONS: &str = "-- accept::questions
            COPY beacon.questions (job, b, question) FROM STDIN (FORMAT binary)";
        let Plan { batches, executions, batching, .. } = &self.acceptance.plan;
        let mut counts = vec![(0_i32, 0_i32, None); batches.len()];
        for (n, execution) in executions.iter().enumerate() {
            let (served, unsupported, first) = &mut counts[execution.batch as usize];
            first.get_or_insert(n as i32);
            *(if execution.endpoint.is_some() { served } else { unsupported }) += 1;
        }
        let mut loader = Loader::start(tx, BATCHES).await?;
        for (b, (served, unsupported, first)) in counts.into_iter().enumerate() {
            let (state, blocked, queued) = match batching {
                Batching::Question => ("blocked", served, 0),
                Batching::Endpoint => ("open", 0, served),
            };
            loader.row(7);
            loader.int8(job).int4(b as i32).int4(first.unwrap_or(0)).text(state);
            loader.int4(blocked).int4(queued).int4(unsupported);
            loader.send_if_full().await?;
        }
        loader.finish().await?;
        let mut loader = Loader::start(tx, QUESTIONS).await?;
        for (b, batch) in batches.iter().enumerate() {
            loader.row(3);
            loader.int8(job).int4(b as i32).text(&text(&batch.question)?);
            loader.send_if_full().await?;
        }
        loader.finish().await
    }
}
