//! A signed job from a file: its ring, its verification, its age, its plan.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use beacon_boot::{load_key_ring, read_bounded};
use beacon_domain::{Batching, Clock as _, Plan, SystemClock};
use beacon_scheduler::{EndpointCatalog, PlanOptions, Unserved};
use beacon_spec::{Freshness, KeyRing, SignedSpec, VerifiedSpec, verify};
use jiff::SignedDuration;

use crate::{
    args::{BatchingArg, JobFile},
    out::remark,
};

/// The largest job file read; the parser's own limit is lower and says so.
const LIMIT: u64 = 64 * 1024 * 1024;

/// Reads and verifies a job file. Its age is noted on standard error, not judged.
pub(crate) fn load(file: &JobFile) -> anyhow::Result<VerifiedSpec> {
    let bytes = read_bounded(&file.job, LIMIT)?;
    let ring = ring(&file.job, file.keys.as_deref())?;
    let now = SystemClock::new().now();
    let named = || format!("{}", file.job.display());
    let signed = SignedSpec::new(bytes).with_context(named)?;
    let spec = verify(signed, &ring, now, Freshness::NotedOnly).with_context(named)?;
    if let Some(signed_at) = spec.spec().signed_at {
        let signed_for = now.duration_since(signed_at);
        if signed_for.as_hours() >= 24 {
            let age = age(signed_for);
            remark(format_args!("note: the job was signed {age} ago; a service would refuse it as too old"));
        }
    }
    Ok(spec)
}

/// The ring to trust: the one named, else `keys.json` beside the job.
pub(crate) fn ring(job: &Path, keys: Option<&Path>) -> anyhow::Result<KeyRing> {
    if let Some(keys) = keys {
        return Ok(load_key_ring(keys)?);
    }
    let beside: PathBuf = job.with_file_name("keys.json");
    let ring =
        load_key_ring(&beside).context("no --keys given, and the ring beside the job cannot be used")?;
    remark(format_args!("trusting the key ring {}", beside.display()));
    Ok(ring)
}

/// Plans a verified job over these endpoints.
pub(crate) fn plan(file: &JobFile, spec: &VerifiedSpec, catalog: &EndpointCatalog) -> anyhow::Result<Plan> {
    Ok(beacon_scheduler::plan(spec.spec(), catalog, &plan_options(file))?)
}

/// What the command line says about the plan.
pub(crate) fn plan_options(file: &JobFile) -> PlanOptions {
    PlanOptions {
        batching: match file.batching {
            BatchingArg::Question => Batching::Question,
            BatchingArg::Endpoint => Batching::Endpoint,
        },
        unserved: if file.accept_unsupported { Unserved::Accept } else { Unserved::Refuse },
        only: None,
    }
}

/// A span of time for people, in its largest unit.
pub(crate) fn age(span: SignedDuration) -> String {
    let (n, unit) = match span.as_mins() {
        minutes @ ..120 => (minutes, "minutes"),
        minutes @ ..2880 => (minutes / 60, "hours"),
        minutes => (minutes / 1440, "days"),
    };
    format!("{n} {unit}")
}
