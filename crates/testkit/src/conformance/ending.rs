//! How jobs end.

use beacon_domain::{
    Batching, CancelReason, EndReason, ErrorCode, ExecutionState, JobId, JobState, Lease, Recording,
    StoreError, Verdict,
};
use beacon_spec::{Close, CloseBody, Sha256Digest, Timestamp};

use super::{Scene, Store};
use crate::{SpecBuilder, completed, failed, timed_out};

type End = fn(&Lease, Timestamp) -> Recording;

async fn ended<S: Store>(scene: &Scene<S>, name: &str, ends: [End; 2]) -> JobId {
    let job = scene.accept(SpecBuilder::new(name).question_count(2).verified(), Batching::Endpoint).await;
    for end in ends {
        let lease = scene.take_one().await;
        scene.record(end(&lease, scene.now())).await;
    }
    job
}

/// L5: the state follows from the counts, in the change that ends the last execution.
pub async fn a_jobs_state_follows_from_its_executions<S: Store>(scene: Scene<S>) {
    let cases: [(&str, [End; 2], JobState); 4] = [
        ("all", [completed, completed], JobState::Completed),
        ("some", [failed, completed], JobState::CompletedWithFailures),
        ("slow", [completed, timed_out], JobState::CompletedWithFailures),
        ("none", [failed, timed_out], JobState::Failed),
    ];
    for (name, ends, expected) in cases {
        let job = ended(&scene, name, ends).await;

        let summary = scene.job(job).await;
        assert_eq!((summary.state, summary.reason), (expected, None), "{name}");
        assert_eq!(summary.ended_at, Some(scene.now()), "{name}");
    }
}

/// L5: the minima of the spec judge the result; the denominator is the plan.
pub async fn the_minima_set_a_verdict<S: Store>(scene: Scene<S>) {
    let judged = async |name: &str, rate: f64, regions: u32| {
        let spec = SpecBuilder::new(name).question_count(2).constraint("min_success_rate", rate);
        let spec = spec.constraint("min_regions", regions).verified();
        let job = scene.accept(spec, Batching::Endpoint).await;
        for end in [completed as End, failed] {
            let lease = scene.take_one().await;
            scene.record(end(&lease, scene.now())).await;
        }
        scene.job(job).await.verdict
    };

    assert_eq!(judged("half", 0.5, 1).await, Some(Verdict::Met));
    assert_eq!(judged("more", 0.51, 1).await, Some(Verdict::NotMet));
    assert_eq!(judged("regions", 0.5, 2).await, Some(Verdict::NotMet));
}

/// S7: a cancel counts what it ended; a second one changes nothing and says so.
pub async fn a_cancel_tells_real_numbers_and_a_second_one_says_so<S: Store>(scene: Scene<S>) {
    let spec = SpecBuilder::new("cancel").question_count(6).verified();
    let job = scene.accept(spec, Batching::Endpoint).await;
    let leases = scene.take(3).await;
    scene.record(completed(&leases[0], scene.now())).await;

    let first = scene.cancel(job).await;
    let second = scene.store.cancel(job, CancelReason::Budget, scene.now()).await.unwrap();

    assert_eq!((first.waiting, first.in_flight, first.already_ended), (3, 2, false));
    assert_eq!((first.state, first.reason), (JobState::Cancelled, Some(EndReason::Cancel)));
    assert_eq!((second.waiting, second.in_flight, second.already_ended), (0, 0, true));
    assert_eq!(second.reason, Some(EndReason::Cancel));
    let counts = scene.job(job).await.counts;
    assert_eq!((counts.completed, counts.cancelled, counts.open()), (1, 5, 0));
    assert!(scene.take(9).await.is_empty());
    let error = scene.records(job).await[5].error.clone().unwrap();
    assert_eq!((error.code, error.message.as_str()), (ErrorCode::Cancelled, "cancelled by tester"));
}

/// A job that is not there cannot be cancelled.
pub async fn an_unknown_job_is_not_cancelled<S: Store>(scene: Scene<S>) {
    let unknown = JobId::from_bytes([7; 16]);

    let refused = scene.store.cancel(unknown, CancelReason::Budget, scene.now()).await;

    assert!(matches!(refused, Err(StoreError::UnknownJob(job)) if job == unknown));
    assert!(matches!(scene.store.matrix(unknown).await, Err(StoreError::UnknownJob(_))));
    assert!(matches!(scene.store.progress(unknown, scene.now()).await, Err(StoreError::UnknownJob(_))));
    assert!(scene.store.records(unknown, None, 9).await.unwrap().is_empty());
}

/// L7: every job ends, at its deadline at the latest, and what was done stays done.
pub async fn a_deadline_ends_what_is_open<S: Store>(scene: Scene<S>) {
    let spec = SpecBuilder::new("deadline").question_count(3).verified();
    let job = scene.accept(spec, Batching::Question).await;
    let lease = scene.take_one().await;
    scene.record(completed(&lease, scene.now())).await;
    let in_flight = scene.take_one().await;
    scene.advance_s(3599);
    scene.store.renew(vec![in_flight.key], crate::LEASE, scene.now()).await.unwrap();
    assert!(scene.reap().await.jobs_ended.is_empty());

    scene.advance_s(1);
    let reaped = scene.reap().await;

    assert_eq!((reaped.timed_out, reaped.batches_done.len(), reaped.leases_returned), (2, 2, 0));
    assert_eq!(reaped.jobs_ended[0].state, JobState::TimedOut);
    let states = [ExecutionState::Completed, ExecutionState::TimedOut, ExecutionState::TimedOut];
    assert_eq!(scene.states(job).await, states);
    assert_eq!(scene.job(job).await.reason, Some(EndReason::Deadline));
    assert!(scene.reap().await.jobs_ended.is_empty(), "it ends once");
}

/// L8: an ended job waits for its close, and the first one stays.
pub async fn the_first_close_stays<S: Store>(scene: Scene<S>) {
    let job = scene.accept(SpecBuilder::new("close").verified(), Batching::Question).await;
    assert!(scene.store.unclosed(9).await.unwrap().is_empty(), "it has not ended");
    let lease = scene.take_one().await;
    scene.record(completed(&lease, scene.now())).await;
    assert_eq!(scene.store.unclosed(9).await.unwrap(), [job]);

    for signature in ["first", "second"] {
        scene.store.close(job, close(job, signature)).await.unwrap();
    }

    assert_eq!(scene.job(job).await.close.unwrap().signature, "first");
    assert!(scene.store.unclosed(9).await.unwrap().is_empty());
    let unknown = JobId::from_bytes([7; 16]);
    let refused = scene.store.close(unknown, close(job, "x")).await;
    assert!(matches!(refused, Err(StoreError::UnknownJob(_))));
}

fn close(job: JobId, signature: &str) -> Close {
    let body = CloseBody {
        schema: "beacon-close/1".to_owned(),
        job: job.to_string(),
        spec_digest: Sha256Digest::of(b"spec"),
        state: "completed".to_owned(),
        expected: 1,
        completed: 1,
        failed: 0,
        cancelled: 0,
        timed_out: 0,
        unsupported: 0,
        receipts: 1,
        merkle_root: Sha256Digest::of(b"root"),
        ended_at: Timestamp::UNIX_EPOCH,
    };
    Close { body, runner_key: String::new(), signature: signature.to_owned() }
}
