//! Pause and resume, and the bytes that were signed.

use beacon_domain::{Batching, JobId, JobState, Operations, Paused, Recorded, StoreError};

use super::{Scene, Store};
use crate::{SpecBuilder, completed};

async fn pause<S: Operations>(scene: &Scene<S>, job: JobId) -> beacon_domain::Steered {
    scene.store.pause(job, "tester".to_owned(), scene.now()).await.unwrap()
}

/// A paused job gives nothing, whatever else the endpoint has; resumed, it goes on where it was.
pub async fn a_paused_job_gives_nothing_until_it_is_resumed<S: Store + Operations>(scene: Scene<S>) {
    let paused =
        scene.accept(SpecBuilder::new("paused").question_count(3).verified(), Batching::Endpoint).await;
    let other = SpecBuilder::new("other").question_count(3).key("other", 1, 1).verified();
    let other = scene.accept(other, Batching::Endpoint).await;

    assert!(pause(&scene, paused).await.changed);
    let meanwhile = scene.take(9).await;
    assert!(meanwhile.iter().all(|lease| lease.key.execution.job == other));
    assert!(scene.store.resume(paused, scene.now()).await.unwrap().changed);
    let after = scene.take(9).await;

    assert_eq!((meanwhile.len(), after.len()), (3, 3));
    assert!(after.iter().all(|lease| lease.key.execution.job == paused));
}

/// Calls in flight of a paused job are recorded; the batch that follows is open and waits.
pub async fn calls_in_flight_of_a_paused_job_go_on<S: Store + Operations>(scene: Scene<S>) {
    let spec = SpecBuilder::new("flight").question_count(2).verified();
    let job = scene.accept(spec, Batching::Question).await;
    let lease = scene.take_one().await;

    pause(&scene, job).await;
    let recorded = scene.recorded(completed(&lease, scene.now())).await;
    let waiting = scene.take(9).await;
    scene.store.resume(job, scene.now()).await.unwrap();

    assert_eq!((recorded, waiting.len()), (Recorded::Recorded, 0));
    let second = scene.take_one().await;
    assert_eq!(second.batch, 2);
}

/// A second pause changes nothing: who and when stay. The job's own state does not depend on it.
pub async fn a_pause_says_by_whom_and_when_and_a_second_one_changes_nothing<S: Store + Operations>(
    scene: Scene<S>,
) {
    let job = scene.accept(SpecBuilder::new("twice").verified(), Batching::Endpoint).await;
    let first = Paused { by: "tester".to_owned(), at: scene.now() };
    assert_eq!(scene.job(job).await.paused, None);

    let one = pause(&scene, job).await;
    scene.advance_s(5);
    let two = scene.store.pause(job, "somebody".to_owned(), scene.now()).await.unwrap();

    assert_eq!((one.changed, two.changed), (true, false));
    assert_eq!(
        (one.state, one.paused, two.paused),
        (JobState::Queued, Some(first.clone()), Some(first.clone()))
    );
    assert_eq!(scene.job(job).await.paused, Some(first));
    assert!(scene.store.resume(job, scene.now()).await.unwrap().changed);
    assert!(!scene.store.resume(job, scene.now()).await.unwrap().changed);
    assert_eq!(scene.job(job).await.paused, None);
}

/// L7: the deadline of a paused job comes all the same.
pub async fn a_paused_job_meets_its_deadline<S: Store + Operations>(scene: Scene<S>) {
    let job = scene.accept(SpecBuilder::new("late").verified(), Batching::Endpoint).await;
    pause(&scene, job).await;

    scene.advance_s(3601);
    scene.reap().await;

    let summary = scene.job(job).await;
    assert_eq!((summary.state, summary.paused), (JobState::TimedOut, None), "there is nothing to resume");
}

/// An ended job is neither paused nor resumed; an unknown one is an error.
pub async fn only_an_open_job_is_paused<S: Store + Operations>(scene: Scene<S>) {
    let job = scene.accept(SpecBuilder::new("ended").verified(), Batching::Endpoint).await;
    pause(&scene, job).await;
    scene.cancel(job).await;

    let paused = pause(&scene, job).await;
    let resumed = scene.store.resume(job, scene.now()).await.unwrap();

    assert_eq!((paused.changed, paused.paused, paused.state), (false, None, JobState::Cancelled));
    assert!(!resumed.changed);
    let unknown = JobId::from_bytes([7; 16]);
    let none = scene.store.pause(unknown, "tester".to_owned(), scene.now()).await;
    assert!(matches!(none, Err(StoreError::UnknownJob(_))), "{none:?}");
}

/// P1: the bytes come back as they arrived.
pub async fn the_signed_bytes_come_back_as_they_arrived<S: Store + Operations>(scene: Scene<S>) {
    let spec = SpecBuilder::new("bytes").verified();
    let job = scene.accept(spec.clone(), Batching::Endpoint).await;

    assert_eq!(scene.store.spec_bytes(job).await.unwrap(), spec.bytes());
    let none = scene.store.spec_bytes(JobId::from_bytes([7; 16])).await;
    assert!(matches!(none, Err(StoreError::UnknownJob(_))), "{none:?}");
}
