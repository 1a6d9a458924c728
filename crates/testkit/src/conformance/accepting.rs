//! Acceptance.

use beacon_domain::{Accepted, Batching, ExecutionState, JobFilter, JobId, JobState, NonceUse, StoreError};

use super::{Scene, Store};
use crate::SpecBuilder;

/// L1: from acceptance on the plan is there, whole, and in no other number.
pub async fn all_executions_exist_from_acceptance_on<S: Store>(scene: Scene<S>) {
    let spec = || SpecBuilder::new("whole").questions(&["one", "two"]).models(&["m", "n"]).runs(2);

    let question = scene.accept(spec().verified(), Batching::Question).await;
    let endpoint = scene.accept(spec().key("other", 1, 1).verified(), Batching::Endpoint).await;

    let states = scene.states(question).await;
    assert_eq!(states, [[ExecutionState::Queued; 4], [ExecutionState::Blocked; 4]].concat());
    assert_eq!(scene.states(endpoint).await, [ExecutionState::Queued; 8]);
    assert_eq!(scene.job(question).await.counts.total(), 8);
    let mut cells = scene.cells(question).await;
    cells.dedup_by_key(|cell| (cell.question.clone(), cell.model.clone(), cell.region, cell.run));
    assert_eq!(cells.len(), 8, "every cell is there once");
}

/// P11: submitting the same bytes again finds the job, whatever its state.
pub async fn the_same_bytes_are_the_same_job<S: Store>(scene: Scene<S>) {
    let spec = SpecBuilder::new("same").verified();
    let job = scene.accept(spec.clone(), Batching::Question).await;

    let mut again = scene.acceptance(spec.clone(), Batching::Question);
    again.nonce_must_be_new = true;
    assert_eq!(scene.store.accept(again).await.unwrap(), Accepted::Existing(job, JobState::Queued));

    scene.cancel(job).await;
    let again = scene.acceptance(spec, Batching::Question);
    assert_eq!(scene.store.accept(again).await.unwrap(), Accepted::Existing(job, JobState::Cancelled));
}

/// P11: other bytes under the same id change nothing.
pub async fn other_bytes_under_the_same_id_are_a_conflict<S: Store>(scene: Scene<S>) {
    let job = scene.accept(SpecBuilder::new("id").verified(), Batching::Question).await;
    let other = SpecBuilder::new("id").questions(&["another question"]).nonce("other").verified();

    let refused = scene.store.accept(scene.acceptance(other, Batching::Question)).await;

    assert!(matches!(refused, Err(StoreError::Conflict(id)) if id == job), "{refused:?}");
    assert_eq!(scene.records(job).await[0].prompt, "What is one?");
}

/// P4: a nonce is used once per key, and a refusal leaves nothing behind.
pub async fn a_used_nonce_is_refused_where_it_must_be_new<S: Store>(scene: Scene<S>) {
    let spec = SpecBuilder::new("first").nonce("n").verified();
    let (digest, first) = (spec.digest(), scene.accept(spec, Batching::Question).await);
    let second = SpecBuilder::new("second").nonce("n");
    let submit = async |spec: &SpecBuilder| {
        let mut acceptance = scene.acceptance(spec.verified(), Batching::Question);
        acceptance.nonce_must_be_new = true;
        scene.store.accept(acceptance).await
    };

    let refused = submit(&second).await;
    let relabelled = submit(&second.clone().key("renamed", 0x42, 1)).await;
    let used = async |nonce: &str| {
        let public_key = *second.verified().public_key();
        scene.store.nonce_use(public_key, nonce.to_owned()).await.unwrap()
    };
    let by_another_key = *second.clone().key("other", 1, 1).verified().public_key();
    let by_first = NonceUse { job: first, digest: Some(digest) };
    assert_eq!((used("n").await, used("m").await), (Some(by_first), None));
    assert!(scene.store.nonce_use(by_another_key, "n".to_owned()).await.unwrap().is_none());
    let of_another_key = submit(&second.clone().key("other", 1, 1)).await;

    assert!(matches!(refused, Err(StoreError::Replayed(job)) if job == first), "{refused:?}");
    assert!(matches!(relabelled, Err(StoreError::Replayed(job)) if job == first), "{relabelled:?}");
    assert!(matches!(of_another_key, Ok(Accepted::New(_))), "{of_another_key:?}");
    let page = scene.store.jobs(JobFilter::default()).await.unwrap();
    assert_eq!(page.items.len(), 2, "the refused job is not there");
    // A local run of a file does not insist.
    scene.accept(second.verified(), Batching::Question).await;
}

/// P6: a signer whose signatures share their first half gives its key away.
pub async fn one_signature_point_over_two_messages_is_a_compromised_key<S: Store>(scene: Scene<S>) {
    let first = SpecBuilder::new("first").verified_with_reused_point();
    let second = SpecBuilder::new("second").verified_with_reused_point();
    assert_eq!(first.signature_point(), second.signature_point());
    let relabelled = SpecBuilder::new("third").key("renamed", 0x42, 1).verified_with_reused_point();
    let other_key = SpecBuilder::new("first").key("other", 1, 1).verified_with_reused_point();

    scene.accept(first, Batching::Question).await;
    let refused = scene.store.accept(scene.acceptance(second, Batching::Question)).await;
    let renamed = scene.store.accept(scene.acceptance(relabelled, Batching::Question)).await;

    assert!(matches!(refused, Err(StoreError::KeyCompromised)), "{refused:?}");
    assert!(matches!(renamed, Err(StoreError::KeyCompromised)), "{renamed:?}");
    scene.accept(other_key, Batching::Question).await;
}

/// P11: two keys may use one id.
pub async fn ids_are_scoped_by_key<S: Store>(scene: Scene<S>) {
    let one = scene.accept(SpecBuilder::new("id").verified(), Batching::Question).await;
    let other = scene.accept(SpecBuilder::new("id").key("other", 1, 1).verified(), Batching::Question).await;

    assert_ne!(one, other);
    assert_eq!(scene.job(one).await.name, scene.job(other).await.name);
    assert!(scene.store.job(JobId::from_bytes([9; 16])).await.unwrap().is_none());
}

/// P9: what nobody serves is terminal from the start and no failure; a job of nothing else ends at once.
pub async fn cells_that_nobody_serves_are_unsupported_from_the_start<S: Store>(scene: Scene<S>) {
    let mixed = SpecBuilder::new("mixed").models(&["m", "nobody"]).verified();
    let alone = SpecBuilder::new("alone").questions(&["a", "b"]).models(&["nobody"]).verified();

    let mixed = scene.accept(mixed, Batching::Question).await;
    let alone = scene.accept(alone, Batching::Question).await;

    assert_eq!(scene.states(mixed).await, [ExecutionState::Queued, ExecutionState::Unsupported]);
    assert_eq!(scene.state(alone).await, JobState::Failed);
    let lease = scene.take_one().await;
    scene.record(crate::completed(&lease, scene.now())).await;
    assert_eq!(scene.state(mixed).await, JobState::Completed);
}
