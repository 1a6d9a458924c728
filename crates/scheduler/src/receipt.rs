//! What a receipt says about an attempt that ended its execution (L8).

use beacon_domain::{Answer, AttemptRecord, ErrorCode, Lease};
use beacon_spec::{Receipt, ReceiptBody, ReceiptSigner, Sha256Digest};

/// How an execution ended, for its receipt.
pub(crate) enum Ending<'a> {
    /// With an answer.
    Completed(&'a Answer),
    /// Without.
    Failed(ErrorCode),
    /// By a deadline.
    TimedOut(ErrorCode),
}

/// Signs what came of an attempt.
pub(crate) fn sign(
    signer: &ReceiptSigner,
    lease: &Lease,
    attempt: &AttemptRecord,
    ending: &Ending<'_>,
) -> Receipt {
    let (outcome, answer, error) = match ending {
        Ending::Completed(answer) => ("completed", Some(*answer), None),
        Ending::Failed(code) => ("failed", None, Some(code)),
        Ending::TimedOut(code) => ("timed_out", None, Some(code)),
    };
    let usage = &attempt.usage;
    signer.sign(ReceiptBody {
        schema: "beacon-receipt/1".to_owned(),
        job: lease.key.execution.job.to_string(),
        spec_digest: lease.spec_digest,
        execution: lease.key.execution.n,
        attempt: lease.attempt,
        question: lease.question.clone(),
        run: lease.run,
        model: lease.request.model.clone(),
        model_observed: answer.and_then(|answer| answer.model_observed.as_ref()).map(ToString::to_string),
        region: lease.request.region,
        region_observed: answer.and_then(|answer| answer.region_observed),
        endpoint: lease.endpoint.as_str().to_owned(),
        request_hash: lease.request.hash(),
        output_hash: answer.map(|answer| Sha256Digest::of(answer.text.as_bytes())),
        queued_at: attempt.queued_at,
        dispatched_at: attempt.dispatched_at,
        finished_at: attempt.finished_at,
        prompt_tokens: usage.prompt_tokens,
        completion_tokens: usage.completion_tokens,
        provider_ms: usage.provider_time.and_then(|time| u64::try_from(time.as_millis()).ok()),
        cost_micros: usage.cost_micros,
        outcome: outcome.to_owned(),
        error_code: error.map(ToString::to_string),
    })
}
