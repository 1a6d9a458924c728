//! From the signed value to the derived job: aliases resolved, duplicates removed, limits kept. Runs only after the
//! signature held (P1, P8). Two specs with the same signed content give the same job.

mod models;
mod questions;
mod webhooks;

pub(crate) use models::regions;
pub(crate) use webhooks::webhooks;

use std::time::Duration;

use serde_json::Value;

use crate::{
    Constraints, JobName, JobSpec, Sampling, Sha256Digest, Timestamp, VerifyError, field::Field, limits,
};

/// What the signer says about time and uniqueness.
pub(crate) struct Stamps {
    /// `metadata.timestamp`, if present.
    pub(crate) signed_at: Option<Timestamp>,
    /// `metadata.nonce`, if present.
    pub(crate) nonce: Option<String>,
}

/// Reads the stamps, which are judged before anything else.
pub(crate) fn stamps(job: &Value) -> Result<Stamps, VerifyError> {
    let metadata = Field::root(job).member("metadata")?;
    let timestamp = metadata.member("timestamp")?;
    let signed_at = match timestamp.text(limits::MAX_TIMESTAMP_CHARS)? {
        Some(text) => {
            Some(text.parse().map_err(|_| timestamp.must("RFC 3339, such as 2026-01-31T12:00:00Z"))?)
        }
        None => None,
    };
    let nonce = metadata.member("nonce")?.text(limits::MAX_NONCE_CHARS)?.map(str::to_owned);
    Ok(Stamps { signed_at, nonce })
}

/// Derives the job. Every member with a meaning is checked, used or not, as the schema has it. `digest` is that of the bytes that arrived; it names a job without an id.
pub(crate) fn job(value: &Value, digest: Sha256Digest) -> Result<JobSpec, VerifyError> {
    let root = Field::root(value);
    let benchmark = root.member("benchmark")?;
    let named = benchmark.member("name")?;
    let name = named.text(limits::MAX_BENCHMARK_CHARS)?.ok_or(VerifyError::MissingField("benchmark.name"))?;
    if name.chars().any(char::is_control) {
        return Err(named.must("a text without control characters"));
    }
    let version = |of: &Field<'_>| {
        of.member("version")?.text(limits::MAX_VERSION_CHARS).map(|text| text.map(str::to_owned))
    };
    let version = version(&root)?.or(version(&benchmark)?).unwrap_or_else(|| "1.0".to_owned());
    let questions = questions::questions(&root, name, &version)?;
    let models = models::models(&root)?;
    let runs = root.member("runs")?.whole(limits::MAX_RUNS, "")?.filter(|runs| *runs > 0).unwrap_or(1);
    let cells: usize = models.iter().map(|model| model.regions.len()).sum();
    let executions = questions.len().saturating_mul(cells).saturating_mul(runs as usize);
    bounded_product(executions)?;
    let Stamps { signed_at, nonce } = stamps(value)?;
    Ok(JobSpec {
        name: job_name(&root, name, digest)?,
        version,
        benchmark: name.to_owned(),
        questions,
        models,
        runs: u32::try_from(runs).expect("bounded above"),
        sampling: sampling(&root)?,
        constraints: constraints(&root)?,
        webhooks: webhooks(&root)?,
        signed_at,
        nonce,
    })
}

fn bounded_product(executions: usize) -> Result<(), VerifyError> {
    if executions <= limits::MAX_EXECUTIONS {
        return Ok(());
    }
    Err(VerifyError::LimitExceeded {
        field: "questions × models × regions × runs".to_owned(),
        found: executions,
        limit: limits::MAX_EXECUTIONS,
        unit: "executions",
    })
}

/// `id`, else `jobspec_id`, else the benchmark's name and 12 hex digits of the digest.
fn job_name(root: &Field<'_>, benchmark: &str, digest: Sha256Digest) -> Result<JobName, VerifyError> {
    let named = |name: &str| -> Result<Option<JobName>, VerifyError> {
        let field = root.member(name)?;
        let text = field.text(JobName::MAX_CHARS)?;
        text.map(|text| JobName::new(text).map_err(|error| field.unusable(&error))).transpose()
    };
    let (id, jobspec_id) = (named("id")?, named("jobspec_id")?);
    if let Some(name) = id.or(jobspec_id) {
        return Ok(name);
    }
    let start: String = benchmark.chars().take(JobName::MAX_CHARS - 13).collect();
    Ok(JobName::new(format!("{start}-{}", &digest.to_string()[..12])).expect("checked above"))
}

/// From `sampling`, else from `benchmark.input.data`, where older jobs have it.
fn sampling(root: &Field<'_>) -> Result<Sampling, VerifyError> {
    let (own, older) = (root.member("sampling")?, root.at(&["benchmark", "input", "data"])?);
    let temperature = |of: &Field<'_>| of.member("temperature")?.number(limits::MAX_TEMPERATURE);
    let temperature = temperature(&own)?.or(temperature(&older)?);
    let max_tokens = |of: &Field<'_>| of.member("max_tokens")?.whole(limits::MAX_TOKENS, "");
    let max_tokens = max_tokens(&own)?.or(max_tokens(&older)?);
    let seed = own.member("seed")?.whole(limits::MAX_SEED, "")?;
    let default = Sampling::default();
    Ok(Sampling {
        temperature: temperature.unwrap_or(default.temperature),
        max_tokens: max_tokens
            .filter(|n| *n > 0)
            .map_or(default.max_tokens, |n| u32::try_from(n).expect("bounded above")),
        top_p: own.member("top_p")?.number(1.0)?,
        seed: seed.map(|seed| i64::try_from(seed).expect("bounded above")),
    })
}

fn constraints(root: &Field<'_>) -> Result<Constraints, VerifyError> {
    let constraints = root.member("constraints")?;
    let time = |name: &str| -> Result<Option<Duration>, VerifyError> {
        let nanos = constraints.member(name)?.whole(limits::MAX_TIMEOUT_NS, " of nanoseconds")?;
        Ok(nanos.filter(|n| *n > 0).map(Duration::from_nanos))
    };
    let min_regions = constraints.member("min_regions")?.whole(limits::MAX_REGIONS as u64, "")?;
    let rate = constraints.member("min_success_rate")?.number(1.0)?.filter(|rate| *rate > 0.0);
    let max_cost = constraints.member("max_cost")?.number(limits::MAX_COST_USD)?.filter(|cost| *cost > 0.0);
    Ok(Constraints {
        min_regions: u32::try_from(min_regions.unwrap_or(1).max(1)).expect("bounded above"),
        min_success_rate: rate.unwrap_or(0.67),
        timeout: time("timeout")?,
        provider_timeout: time("provider_timeout")?,
        // A cap above 0 never becomes a cap of 0.
        max_cost_micros: max_cost.map(|dollars| ((dollars * 1e6).round() as u64).max(1)),
    })
}
