//! Acceptance: the job, its batches and every execution in one transaction (L1).

use std::collections::HashMap;

use beacon_domain::{
    Acceptance, Accepted, Batching, EndpointId, JobId, JobState, NonceUse, Plan, StoreError,
};
use beacon_spec::{ModelId, Sha256Digest};
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    codec::{length, micros, region_no, state, text},
    writer::{Fault, Writer},
};

/// See [`beacon_domain::JobStore::nonce_use`].
pub(super) fn nonce_use(
    connection: &Connection,
    public_key: &[u8; 32],
    nonce: &str,
) -> Result<Option<NonceUse>, Fault> {
    const USED: &str = "-- accept::nonce_use
        SELECT nonces.job, jobs.digest FROM nonces LEFT JOIN jobs ON jobs.id = nonces.job
        WHERE public_key = ?1 AND nonce = ?2";
    let mut query = connection.prepare_cached(USED)?;
    let used = query.query_row(params![public_key, nonce], |row| {
        let digest = row.get::<_, Option<[u8; 32]>>(1)?.map(Sha256Digest::from_bytes);
        Ok(NonceUse { job: JobId::from_bytes(row.get(0)?), digest })
    });
    Ok(used.optional()?)
}

impl Writer {
    /// See [`beacon_domain::JobStore::accept`].
    pub(crate) fn accept(&mut self, acceptance: &Acceptance) -> Result<Accepted, Fault> {
        let present = self.present(acceptance)?;
        if let Some((digest, state)) = present
            && digest == *acceptance.spec.digest().as_bytes()
        {
            return Ok(Accepted::Existing(acceptance.job, state));
        }
        self.keep_point(acceptance)?;
        if present.is_some() {
            return Err(StoreError::Conflict(acceptance.job).into());
        }
        self.keep_nonce(acceptance)?;
        let cost_cap = self.admit(acceptance)?;
        let mut models = Vec::new();
        for execution in &acceptance.plan.executions {
            if !models.contains(&execution.model) {
                models.push(execution.model.clone());
            }
        }
        let job = self.insert_job(acceptance, cost_cap, &models)?;
        self.insert_executions(job, acceptance, &models)?;
        self.insert_batches(job, acceptance)?;
        let head = self.head_by_no(job)?;
        self.settle(&head, acceptance.now)?;
        self.wake_queue();
        self.wake_job(acceptance.job);
        Ok(Accepted::New(acceptance.job))
    }

    fn present(&self, acceptance: &Acceptance) -> Result<Option<([u8; 32], JobState)>, Fault> {
        const PRESENT: &str = "-- accept::present
            SELECT digest, state FROM jobs WHERE id = ?1";
        let mut query = self.connection.prepare_cached(PRESENT)?;
        let found = query.query_row([acceptance.job.as_bytes()], |row| Ok((row.get(0)?, state(row, 1)?)));
        Ok(found.optional()?)
    }

    fn keep_point(&self, acceptance: &Acceptance) -> Result<(), Fault> {
        const POINT: &str = "-- accept::point
            SELECT canonical_digest FROM signature_points WHERE public_key = ?1 AND r = ?2";
        const KEEP: &str = "-- accept::keep_point
            INSERT OR IGNORE INTO signature_points (public_key, r, canonical_digest) VALUES (?1, ?2, ?3)";
        let spec = &acceptance.spec;
        let (key, digest) = (spec.public_key(), spec.canonical_digest());
        let known: Option<[u8; 32]> = self
            .connection
            .prepare_cached(POINT)?
            .query_row(params![key, spec.signature_point()], |row| row.get(0))
            .optional()?;
        if known.is_some_and(|known| known != *digest.as_bytes()) {
            return Err(StoreError::KeyCompromised.into());
        }
        self.connection.prepare_cached(KEEP)?.execute(params![
            key,
            spec.signature_point(),
            digest.as_bytes()
        ])?;
        Ok(())
    }

    fn keep_nonce(&self, acceptance: &Acceptance) -> Result<(), Fault> {
        const KEEP: &str = "-- accept::keep_nonce
            INSERT OR IGNORE INTO nonces (public_key, nonce, job) VALUES (?1, ?2, ?3)";
        let Some(nonce) = &acceptance.spec.spec().nonce else { return Ok(()) };
        let mut insert = self.connection.prepare_cached(KEEP)?;
        let new = insert.execute(params![acceptance.spec.public_key(), nonce, acceptance.job.as_bytes()])?;
        if new > 0 || !acceptance.nonce_must_be_new {
            return Ok(());
        }
        let used = nonce_use(&self.connection, acceptance.spec.public_key(), nonce)?;
        Err(StoreError::Replayed(used.map_or(acceptance.job, |used| used.job)).into())
    }

    fn insert_job(
        &self,
        acceptance: &Acceptance,
        cost_cap: Option<u64>,
        models: &[ModelId],
    ) -> Result<i64, Fault> {
        const INSERT: &str = "-- accept::job
            INSERT INTO jobs (id, name, key, generation, retry_of, state, batching, weight, min_success_rate,
                min_regions, provider_timeout, deadline, lower_bound, cost_cap, accepted_at, digest,
                canonical_digest, sampling, models, spec, batch_count)
            VALUES (?1, ?2, ?3, ?4, ?5, 'queued', ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19,
                ?20)";
        let spec = &acceptance.spec;
        let constraints = &spec.spec().constraints;
        self.connection.prepare_cached(INSERT)?.execute(params![
            acceptance.job.as_bytes(),
            spec.spec().name.as_str(),
            spec.key().as_str(),
            acceptance.generation,
            acceptance.retry_of.map(|job| *job.as_bytes()),
            i64::from(acceptance.plan.batching == Batching::Endpoint),
            acceptance.weight.max(1),
            constraints.min_success_rate,
            constraints.min_regions,
            constraints.provider_timeout.map(length),
            micros(acceptance.deadline),
            acceptance.lower_bound.map(length),
            cost_cap.map(|cap| cap.min(i64::MAX as u64) as i64),
            micros(acceptance.now),
            spec.digest().as_bytes(),
            spec.canonical_digest().as_bytes(),
            text(&acceptance.plan.sampling)?,
            text(models)?,
            spec.bytes(),
            acceptance.plan.batches.len() as i64,
        ])?;
        Ok(self.connection.last_insert_rowid())
    }

    fn insert_executions(
        &mut self,
        job: i64,
        acceptance: &Acceptance,
        models: &[ModelId],
    ) -> Result<(), Fault> {
        const INSERT: &str = "-- accept::execution
            INSERT INTO executions (job, n, batch, model, region, run, endpoint, state, queued_at)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
        let plan = &acceptance.plan;
        let mut numbers: HashMap<EndpointId, i64> = HashMap::new();
        for execution in &plan.executions {
            if let Some(endpoint) = &execution.endpoint
                && !numbers.contains_key(endpoint)
            {
                numbers.insert(endpoint.clone(), self.endpoint_no(endpoint)?);
            }
        }
        let mut insert = self.connection.prepare_cached(INSERT)?;
        for (n, execution) in plan.executions.iter().enumerate() {
            let model = models.iter().position(|model| *model == execution.model).unwrap_or_default();
            let endpoint = execution.endpoint.as_ref().and_then(|endpoint| numbers.get(endpoint));
            let (state, queued_at) = match (endpoint, plan.batching) {
                (None, _) => ("unsupported", None),
                (Some(_), Batching::Question) => ("blocked", None),
                (Some(_), Batching::Endpoint) => ("queued", Some(micros(acceptance.now))),
            };
            insert.execute(params![
                job,
                n as i64,
                execution.batch,
                model as i64,
                region_no(execution.region),
                execution.run,
                endpoint,
                state,
                queued_at
            ])?;
        }
        Ok(())
    }

    fn insert_batches(&self, job: i64, acceptance: &Acceptance) -> Result<(), Fault> {
        const INSERT: &str = "-- accept::batch
            INSERT INTO batches (job, b, question, first, state, blocked, queued, unsupported)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        let Plan { batches, executions, batching, .. } = &acceptance.plan;
        let mut counts = vec![(0_u32, 0_u32, None); batches.len()];
        for (n, execution) in executions.iter().enumerate() {
            let (served, unsupported, first) = &mut counts[execution.batch as usize];
            first.get_or_insert(n as i64);
            *(if execution.endpoint.is_some() { served } else { unsupported }) += 1;
        }
        let mut insert = self.connection.prepare_cached(INSERT)?;
        for (b, (batch, (served, unsupported, first))) in batches.iter().zip(counts).enumerate() {
            let (state, blocked, queued) = match batching {
                Batching::Question => ("blocked", served, 0),
                Batching::Endpoint => ("open", 0, served),
            };
            let (first, question) = (first.unwrap_or(0), text(&batch.question)?);
            insert.execute(params![job, b as i64, question, first, state, blocked, queued, unsupported])?;
        }
        Ok(())
    }

    /// The number of an endpoint, new or known.
    pub(crate) fn endpoint_no(&mut self, endpoint: &EndpointId) -> Result<i64, Fault> {
        const FIND: &str = "-- accept::endpoint
            SELECT no FROM endpoints WHERE id = ?1";
        const ADD: &str = "-- accept::add_endpoint
            INSERT OR IGNORE INTO endpoints (id) VALUES (?1)";
        if let Some((no, _)) = self.endpoints.get(endpoint) {
            return Ok(*no);
        }
        self.connection.prepare_cached(ADD)?.execute([endpoint.as_str()])?;
        let no = self.connection.prepare_cached(FIND)?.query_row([endpoint.as_str()], |row| row.get(0))?;
        self.endpoints.insert(endpoint.clone(), (no, None));
        Ok(no)
    }
}
