//! Leases after the claim.

use beacon_domain::{Batching, LossReason, Parting, Recorded, Renewed, ResumeToken};

use super::{Scene, Store};
use crate::{LEASE, SpecBuilder, completed};

async fn one_execution<S: Store>(scene: &Scene<S>) -> beacon_domain::JobId {
    scene.accept(SpecBuilder::new("lease").verified(), Batching::Question).await
}

fn token(text: &str) -> ResumeToken {
    ResumeToken(text.to_owned())
}

/// L3: what a worker lost, another one gets, and the first one cannot write any more.
pub async fn an_expired_lease_is_claimed_again_under_a_new_token<S: Store>(scene: Scene<S>) {
    one_execution(&scene).await;
    let first = scene.take_one().await;
    scene.clock.advance(LEASE);
    assert!(scene.take(1).await.is_empty(), "nobody has reaped it yet");

    assert_eq!(scene.reap().await.leases_returned, 1);
    let second = scene.take_one().await;

    assert!(second.key.token > first.key.token);
    assert_eq!((first.attempt, second.attempt), (1, 2), "the attempt may have been paid for");
    assert_eq!(scene.recorded(completed(&first, scene.now())).await, Recorded::Lost);
    assert_eq!(scene.recorded(completed(&second, scene.now())).await, Recorded::Recorded);
}

/// L3: a heartbeat keeps a lease.
pub async fn a_renewed_lease_does_not_expire<S: Store>(scene: Scene<S>) {
    one_execution(&scene).await;
    let lease = scene.take_one().await;

    for _ in 0..5 {
        scene.clock.advance(LEASE / 2);
        let renewed = scene.store.renew(vec![lease.key], LEASE, scene.now()).await.unwrap();
        assert_eq!(renewed, [Renewed::Kept(scene.now() + LEASE)]);
        assert_eq!(scene.reap().await.leases_returned, 0);
    }
}

/// S7, L3: who renews a lost lease learns why it is lost.
pub async fn a_lost_lease_says_why<S: Store>(scene: Scene<S>) {
    let renew = async |key| scene.store.renew(vec![key], LEASE, scene.now()).await.unwrap();
    let cancelled = one_execution(&scene).await;
    let of_cancelled = scene.take_one().await;
    scene.cancel(cancelled).await;
    // Its call is dropped.
    scene.store.give_back(vec![of_cancelled.key], Parting::NoCall, scene.now()).await.unwrap();
    scene.accept(SpecBuilder::new("reclaimed").verified(), Batching::Question).await;
    let of_reclaimed = scene.take_one().await;
    scene.clock.advance(LEASE);
    scene.reap().await;
    let of_late = scene.take_one().await;
    scene.advance_s(3600);
    scene.reap().await;

    assert_eq!(renew(of_cancelled.key).await, [Renewed::Lost(LossReason::Cancelled)]);
    assert_eq!(renew(of_late.key).await, [Renewed::Lost(LossReason::TimedOut)]);
    let unknown = beacon_domain::LeaseKey { token: 99, ..of_reclaimed.key };
    assert!(matches!(renew(unknown).await[0], Renewed::Lost(_)));
}

/// C2, L9: whoever gets the execution next can re-attach, and it is the same attempt.
pub async fn a_resume_token_survives_its_worker<S: Store>(scene: Scene<S>) {
    let job = one_execution(&scene).await;
    let first = scene.take_one().await;
    assert!(scene.store.checkpoint(first.key, token("url 1")).await.unwrap());
    assert!(scene.store.checkpoint(first.key, token("url 2")).await.unwrap());
    scene.clock.advance(LEASE);
    scene.reap().await;
    assert!(scene.cells(job).await[0].resumable);

    let second = scene.take_one().await;
    scene.give_back(second.key).await;
    let third = scene.take_one().await;

    assert_eq!((second.attempt, second.resume), (1, Some(token("url 2"))));
    assert_eq!((third.attempt, third.resume.clone()), (1, Some(token("url 2"))));
    // A new attempt starts anew.
    scene.record(crate::retry(&third, scene.now(), scene.now())).await;
    let fourth = scene.take_one().await;
    assert_eq!((fourth.attempt, fourth.resume), (2, None));
}

/// L3: a stale worker cannot overwrite the token of the one that runs now.
pub async fn only_the_holder_writes_a_resume_token<S: Store>(scene: Scene<S>) {
    one_execution(&scene).await;
    let first = scene.take_one().await;
    scene.give_back(first.key).await;
    let second = scene.take_one().await;

    let stale = scene.store.checkpoint(first.key, token("old")).await.unwrap();
    scene.give_back(second.key).await;
    let waiting = scene.store.checkpoint(second.key, token("too late")).await.unwrap();

    assert_eq!((stale, waiting), (false, false));
    assert_eq!(scene.take_one().await.resume, None);
}

/// L3: a worker's own shutdown costs no attempt.
pub async fn a_lease_given_back_counts_no_attempt<S: Store>(scene: Scene<S>) {
    let job = one_execution(&scene).await;

    for _ in 0..3 {
        let lease = scene.take_one().await;
        assert_eq!((lease.attempt, lease.failures), (1, 0));
        scene.give_back(lease.key).await;
        assert_eq!(
            scene.store.give_back(vec![lease.key], Parting::NoCall, scene.now()).await.unwrap(),
            0,
            "once"
        );
    }

    assert_eq!(scene.cells(job).await[0].attempts, 0);
}

/// L7: an execution that takes its workers down does not do so for ever.
pub async fn an_execution_that_kills_its_workers_fails<S: Store>(scene: Scene<S>) {
    let job = one_execution(&scene).await;

    for _ in 0..5 {
        scene.take_one().await;
        scene.clock.advance(LEASE);
        scene.reap().await;
    }

    let record = scene.records(job).await.remove(0);
    assert!(record.error.unwrap().message.contains("expired 5 times"));
    assert_eq!(scene.state(job).await, beacon_domain::JobState::Failed);
}
