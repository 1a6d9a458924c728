//! One lease: call the endpoint, decide what came of it, record it.

use std::{future::Future, sync::Arc, time::Duration};

use beacon_domain::{
    Answer, AttemptRecord, Backend, CallContext, CallError, ErrorClass, ErrorCode, Lease, Monotonic, Outcome,
    Recording, Stage, Usage,
};
use beacon_spec::Timestamp;
use tracing::Instrument as _;

use crate::{
    Ports, SchedulerOptions,
    checkpoint::LeaseCheckpoint,
    live::Held,
    receipt::{self, Ending},
    retry::{Decision, Failed},
    spans,
    worker::Worker,
};

/// What a provider's clock may say beyond ours.
const CLOCKS_DIFFER: Duration = Duration::from_secs(60);

/// How a call came back to us.
pub(crate) enum Called {
    /// With something to record, and what the call taught about the endpoint, if there was one.
    Ended(Box<Recording>, Option<Result<(), CallError>>),
    /// The lease was lost, or we were asked to stop. The call was dropped, and may still run at its endpoint.
    Left,
    /// We came too late to call at all; the lease goes back.
    NotMade,
}

/// When a call was dispatched, on both clocks.
struct Dispatch {
    date: Timestamp,
    monotonic: Monotonic,
}

/// Calls the endpoint under a live lease.
pub(crate) async fn execute(
    worker: &Worker,
    backend: &dyn Backend,
    lease: &Lease,
    held: &Held,
    abort: impl Future<Output = ()>,
) -> Called {
    let (ports, options) = (&worker.ports, &*worker.options);
    let dispatch = Dispatch { date: ports.clock.now(), monotonic: ports.clock.monotonic() };
    if dispatch.date >= lease.expires_at {
        // The claim's answer came too late, or this process stood still: somebody else may have the execution by now.
        return Called::NotMade;
    }
    if let Err(error) = may_start(options, lease, dispatch.date) {
        let attempt = attempt(ports, lease, &dispatch, &Err(error.clone()), 0);
        let receipt = Box::new(receipt::sign(&ports.signer, lease, &attempt, &Ending::TimedOut(error.code)));
        let outcome = Outcome::TimedOut { error, receipt };
        return Called::Ended(Box::new(Recording { lease: lease.key, attempt, outcome }), None);
    }
    if lease.resume.is_some() {
        held.resumable.cancel();
    }
    let context = context(ports, options, lease, &dispatch, held);
    let result = tokio::select! {
        biased;
        // An answer that is there is kept, whatever else has happened.
        result = backend.call(&lease.request, &context).instrument(spans::call()) => result,
        () = held.lost.cancelled() => return Called::Left,
        () = abort => return Called::Left,
    };
    let stopped = result.as_ref().is_err_and(|error| error.class() == ErrorClass::Cancelled);
    if stopped && held.lost.is_cancelled() {
        return Called::Left;
    }
    let attempt = attempt(ports, lease, &dispatch, &result, backend.describe().price_micros_per_s);
    let learned = Some(result.as_ref().map(|_| ()).map_err(Clone::clone));
    let outcome = outcome(worker, lease, &attempt, result);
    Called::Ended(Box::new(Recording { lease: lease.key, attempt, outcome }), learned)
}

/// Nothing is dispatched after a deadline (S7), and queue time has its own limit (S6).
fn may_start(options: &SchedulerOptions, lease: &Lease, now: Timestamp) -> Result<(), CallError> {
    let late = |message: &str| Err(CallError::new(ErrorCode::DeadlinePassed, Stage::Queue, message));
    if now >= lease.job_deadline {
        return late("the job's deadline passed before it could run");
    }
    if now >= ends_at(options, lease) {
        return late("its time limit passed before it could run again");
    }
    let waited = Duration::try_from(now.duration_since(lease.queued_at)).unwrap_or_default();
    let first = lease.failures + lease.throttles == 0 && lease.resume.is_none();
    if first && options.timeouts.queue.is_some_and(|limit| waited >= limit) {
        return late("it waited longer than the queue's time limit");
    }
    Ok(())
}

fn context(
    ports: &Ports,
    options: &SchedulerOptions,
    lease: &Lease,
    dispatch: &Dispatch,
    held: &Held,
) -> CallContext {
    let limit = lease.provider_timeout.unwrap_or(options.timeouts.attempt).min(options.timeouts.attempt);
    // Each hop gets the remaining time of the one around it (S6).
    let left = Duration::try_from(ends_at(options, lease).duration_since(dispatch.date)).unwrap_or_default();
    let deadline = dispatch.monotonic + limit.min(left);
    CallContext {
        attempt: lease.attempt_id(),
        deadline,
        stop: held.lost.clone(),
        resume: lease.resume.clone(),
        checkpoint: Arc::new(LeaseCheckpoint::new(ports, lease.key, deadline, held)),
        trace_id: Arc::clone(&lease.trace_id),
        span: lease.span(),
    }
}

/// When the execution must have ended: by its own limit or the job's, whichever is sooner.
fn ends_at(options: &SchedulerOptions, lease: &Lease) -> Timestamp {
    let own = lease.started_at.checked_add(options.timeouts.execution).unwrap_or(Timestamp::MAX);
    own.min(lease.job_deadline)
}

fn attempt(
    ports: &Ports,
    lease: &Lease,
    dispatch: &Dispatch,
    result: &Result<Answer, CallError>,
    price_micros_per_s: u64,
) -> AttemptRecord {
    let answer = result.as_ref().ok();
    let mut usage = answer.map_or_else(Usage::default, |answer| answer.usage);
    // A provider that worked longer than the execution lasted cannot be believed: what it cost is unknown.
    let lasted = ports.clock.now().duration_since(lease.started_at.min(dispatch.date));
    let longest = Duration::try_from(lasted).unwrap_or_default() + CLOCKS_DIFFER;
    usage.provider_time = usage.provider_time.filter(|time| *time <= longest);
    usage.cost_micros = usage.provider_time.map(|time| {
        let micros = time.as_micros().saturating_mul(u128::from(price_micros_per_s)) / 1_000_000;
        u64::try_from(micros).unwrap_or(u64::MAX)
    });
    AttemptRecord {
        number: lease.attempt,
        queued_at: lease.queued_at,
        dispatched_at: dispatch.date,
        provider_started_at: answer.and_then(|answer| answer.provider_started_at),
        finished_at: ports.clock.now(),
        duration: ports.clock.monotonic().since(dispatch.monotonic),
        usage,
        redirects: answer.map_or(0, |answer| answer.redirects),
        resumed: lease.resume.is_some(),
        provider_call_id: answer.and_then(|answer| answer.provider_call_id.clone()),
        error: result.as_ref().err().cloned(),
        late: false,
    }
}

fn outcome(
    worker: &Worker,
    lease: &Lease,
    attempt: &AttemptRecord,
    result: Result<Answer, CallError>,
) -> Outcome {
    let (ports, options) = (&worker.ports, &*worker.options);
    let signed = |ending: &Ending<'_>| Box::new(receipt::sign(&ports.signer, lease, attempt, ending));
    let error = match result {
        Ok(answer) => {
            let receipt = signed(&Ending::Completed(&answer));
            return Outcome::Completed { answer: Box::new(answer), receipt };
        }
        Err(error) => error,
    };
    let (now, ends_at) = (attempt.finished_at, ends_at(options, lease));
    if error.class() == ErrorClass::Timeout && now >= ends_at {
        let receipt = signed(&Ending::TimedOut(error.code));
        return Outcome::TimedOut { error, receipt };
    }
    let tried_for = Duration::try_from(now.duration_since(lease.started_at)).unwrap_or_default();
    let away = worker.gates.away_for(&lease.endpoint, tried_for, ports.clock.monotonic());
    match options.retry.decide(lease, &Failed { error: &error, at: now, ends_at, away }) {
        Decision::Again { after, counts } => {
            let not_before = now.checked_add(after).unwrap_or(Timestamp::MAX);
            Outcome::Retry { not_before, counts }
        }
        Decision::GiveUp => {
            let receipt = signed(&Ending::Failed(error.code));
            Outcome::Failed { error, receipt }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    //! A lease for the tests of this crate.

    use beacon_domain::{CallRequest, EndpointId, ExecutionId, JobId, LeaseKey};
    use beacon_spec::{ModelId, QuestionId, Region, Sampling, Sha256Digest};

    use super::*;

    pub(crate) fn lease(failures: u32, throttles: u32) -> Lease {
        let execution = ExecutionId { job: JobId::from_bytes([0; 16]), n: 0 };
        Lease {
            key: LeaseKey { execution, token: 1 },
            attempt: failures + 1,
            failures,
            throttles,
            expires_at: Timestamp::MAX,
            endpoint: EndpointId::new("e"),
            request: CallRequest {
                model: ModelId::new("m").unwrap(),
                region: Region::UsEast,
                prompt: "p".into(),
                sampling: Sampling::default(),
            },
            question: QuestionId::new("q").unwrap(),
            batch: 1,
            run: 1,
            resume: None,
            queued_at: Timestamp::UNIX_EPOCH,
            started_at: Timestamp::UNIX_EPOCH,
            job_deadline: Timestamp::MAX,
            provider_timeout: None,
            spec_digest: Sha256Digest::of(b""),
            trace_id: "t".into(),
        }
    }
}
