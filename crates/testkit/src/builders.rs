//! Small values for tests of stores and schedulers.

use std::time::Duration;

use beacon_domain::{
    Acceptance, Answer, AttemptRecord, Batching, CallError, Claim, EndpointId, ErrorCode, Gate, JobId, Lease,
    Outcome, Plan, PlannedBatch, PlannedExecution, Recording, Room, Stage, Usage, WorkerId,
};
use beacon_spec::{Receipt, ReceiptBody, Region, Sha256Digest, Timestamp, VerifiedSpec};

/// How long the leases of [`claim`] last.
pub const LEASE: Duration = Duration::from_secs(30);

/// The endpoint that serves this model in this region, in [`accept`].
#[must_use]
pub fn endpoint_of(region: Region, model: &str) -> EndpointId {
    EndpointId::new(format!("{region}/{model}"))
}

/// An acceptance of `spec` with one endpoint per model and region, named `region/model`; the model `nobody` has none.
#[must_use]
pub fn accept(spec: VerifiedSpec, batching: Batching, now: Timestamp) -> Acceptance {
    let job = spec.spec();
    let mut executions = Vec::new();
    let mut batches = Vec::new();
    for (batch, question) in job.questions.iter().enumerate() {
        let before = executions.len();
        for model in &job.models {
            for (region, run) in
                model.regions.iter().flat_map(|region| (1..=job.runs).map(move |run| (*region, run)))
            {
                executions.push(PlannedExecution {
                    batch: batch as u32,
                    model: model.id.clone(),
                    region,
                    run,
                    endpoint: (model.id.as_str() != "nobody").then(|| endpoint_of(region, model.id.as_str())),
                });
            }
        }
        let executions = (executions.len() - before) as u32;
        batches.push(PlannedBatch { question: question.clone(), executions });
    }
    Acceptance {
        job: JobId::derive(spec.key(), &job.name, 0),
        generation: 0,
        retry_of: None,
        cost_cap_micros: job.constraints.max_cost_micros,
        plan: Plan { batching, batches, executions, sampling: job.sampling },
        weight: spec.weight(),
        quota: spec.quota(),
        spec,
        deadline: now + Duration::from_secs(3600),
        lower_bound: None,
        nonce_must_be_new: false,
        now,
    }
}

/// The longest that a call takes, in claims of these builders.
pub const LONGEST_CALL: Duration = Duration::from_secs(900);

/// A claim of up to `limit` on each of these endpoints, for [`LEASE`].
#[must_use]
pub fn claim(endpoints: &[&str], limit: u32, now: Timestamp) -> Claim {
    let room = |endpoint: &&str| Room {
        endpoint: EndpointId::new(*endpoint),
        free: limit,
        limit,
        most: limit,
        account: None,
        linger: Duration::ZERO,
        gate: Gate::Open,
    };
    Claim {
        worker: WorkerId::new("tester"),
        rooms: endpoints.iter().map(room).collect(),
        accounts: Vec::new(),
        global_limit: None,
        at_most: u32::MAX,
        lease: LEASE,
        longest_call: LONGEST_CALL,
        day_budget: None,
        now,
    }
}

/// The lease's attempt was answered.
#[must_use]
pub fn completed(lease: &Lease, now: Timestamp) -> Recording {
    let outcome = Outcome::Completed {
        answer: Box::new(Answer::of_text("yes")),
        receipt: Box::new(receipt(lease, now, "completed")),
    };
    Recording { lease: lease.key, attempt: attempt(lease, now, None), outcome }
}

/// The lease's attempt was answered, at this cost.
#[must_use]
pub fn completed_at_cost(lease: &Lease, cost_micros: u64, now: Timestamp) -> Recording {
    let mut recording = completed(lease, now);
    recording.attempt.usage = Usage { cost_micros: Some(cost_micros), ..Usage::default() };
    recording
}

/// The lease's execution has failed for good.
#[must_use]
pub fn failed(lease: &Lease, now: Timestamp) -> Recording {
    let error = error();
    let receipt = Box::new(receipt(lease, now, "failed"));
    let outcome = Outcome::Failed { error: error.clone(), receipt };
    Recording { lease: lease.key, attempt: attempt(lease, now, Some(error)), outcome }
}

/// The lease's execution ran out of time.
#[must_use]
pub fn timed_out(lease: &Lease, now: Timestamp) -> Recording {
    let error = CallError::new(ErrorCode::AttemptTimeout, Stage::Request, "too slow");
    let receipt = Box::new(receipt(lease, now, "timed_out"));
    let outcome = Outcome::TimedOut { error: error.clone(), receipt };
    Recording { lease: lease.key, attempt: attempt(lease, now, Some(error)), outcome }
}

/// The lease's attempt failed and is to be tried again.
#[must_use]
pub fn retry(lease: &Lease, not_before: Timestamp, now: Timestamp) -> Recording {
    let outcome = Outcome::Retry { not_before, counts: true };
    Recording { lease: lease.key, attempt: attempt(lease, now, Some(error())), outcome }
}

fn error() -> CallError {
    CallError::new(ErrorCode::ConnectionLost, Stage::Request, "cut")
}

fn attempt(lease: &Lease, now: Timestamp, error: Option<CallError>) -> AttemptRecord {
    AttemptRecord {
        number: lease.attempt,
        queued_at: lease.queued_at,
        dispatched_at: now,
        provider_started_at: None,
        finished_at: now,
        duration: Duration::ZERO,
        usage: Usage::default(),
        redirects: 0,
        resumed: lease.resume.is_some(),
        provider_call_id: None,
        error,
        late: false,
    }
}

/// Unsigned: stores do not look at signatures.
fn receipt(lease: &Lease, now: Timestamp, outcome: &str) -> Receipt {
    let body = ReceiptBody {
        schema: "beacon-receipt/1".to_owned(),
        job: lease.key.execution.job.to_string(),
        spec_digest: lease.spec_digest,
        execution: lease.key.execution.n,
        attempt: lease.attempt,
        question: lease.question.clone(),
        run: lease.run,
        model: lease.request.model.clone(),
        model_observed: None,
        region: lease.request.region,
        region_observed: None::<Region>,
        endpoint: lease.endpoint.to_string(),
        request_hash: lease.request.hash(),
        output_hash: Some(Sha256Digest::of(b"yes")),
        queued_at: lease.queued_at,
        dispatched_at: now,
        finished_at: now,
        prompt_tokens: None,
        completion_tokens: None,
        provider_ms: None,
        cost_micros: None,
        outcome: outcome.to_owned(),
        error_code: None,
    };
    Receipt { body, runner_key: String::new(), signature: String::new() }
}
