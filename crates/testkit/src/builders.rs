//! Small values for tests.

use std::time::Duration;

use beacon_domain::{
    Acceptance, Answer, AttemptRecord, Batching, Claim, EndpointId, Gate, JobId, Lease, Outcome, Plan,
    PlannedBatch, PlannedExecution, Recording, Room, Usage, WorkerId,
};
use beacon_spec::{Receipt, ReceiptBody, Region, Sha256Digest, Timestamp, VerifiedSpec};

/// An acceptance of `spec` with one endpoint per model and region, named `region/model`.
#[must_use]
pub fn accept(spec: VerifiedSpec, batching: Batching, now: Timestamp) -> Acceptance {
    let job = spec.spec();
    let mut executions = Vec::new();
    let mut batches = Vec::new();
    for (batch, question) in job.questions.iter().enumerate() {
        let before = executions.len();
        for model in &job.models {
            executions.extend(model.regions.iter().map(|region| PlannedExecution {
                batch: batch as u32,
                model: model.id.clone(),
                region: *region,
                run: 1,
                endpoint: Some(EndpointId::new(format!("{region}/{}", model.id))),
            }));
        }
        batches.push(PlannedBatch {
            question: question.clone(),
            executions: (executions.len() - before) as u32,
        });
    }
    Acceptance {
        job: JobId::derive(spec.key(), &job.name, 0),
        generation: 0,
        retry_of: None,
        plan: Plan { batching, batches, executions, sampling: job.sampling },
        spec,
        deadline: now + Duration::from_secs(3600),
        lower_bound: None,
        cost_cap_micros: None,
        weight: 1,
        nonce_must_be_new: false,
        now,
    }
}

/// A claim of up to `limit` on each of these endpoints, for 30 s.
#[must_use]
pub fn claim(endpoints: &[&str], limit: u32, now: Timestamp) -> Claim {
    let room = |endpoint: &&str| Room {
        endpoint: EndpointId::new(*endpoint),
        free: limit,
        limit,
        account: None,
        gate: Gate::Open,
    };
    Claim {
        worker: WorkerId::new("tester"),
        rooms: endpoints.iter().map(room).collect(),
        accounts: Vec::new(),
        global_limit: None,
        at_most: u32::MAX,
        lease: Duration::from_secs(30),
        day_budget: None,
        now,
    }
}

/// The lease's attempt was answered.
#[must_use]
pub fn completed(lease: &Lease, now: Timestamp) -> Recording {
    let answer = Answer::of_text("yes".to_owned());
    let outcome = Outcome::Completed { answer: Box::new(answer), receipt: Box::new(receipt(lease, now)) };
    Recording { lease: lease.key, attempt: attempt(lease, now), outcome }
}

/// The lease's attempt is to be tried again.
#[must_use]
pub fn retry(lease: &Lease, not_before: Timestamp, now: Timestamp) -> Recording {
    let outcome = Outcome::Retry { not_before, counts: true };
    Recording { lease: lease.key, attempt: attempt(lease, now), outcome }
}

fn attempt(lease: &Lease, now: Timestamp) -> AttemptRecord {
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
        error: None,
        late: false,
    }
}

/// Unsigned: stores do not look at signatures.
fn receipt(lease: &Lease, now: Timestamp) -> Receipt {
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
        outcome: "completed".to_owned(),
        error_code: None,
    };
    Receipt { body, runner_key: String::new(), signature: String::new() }
}
