//! Endpoints and workers as operators see and change them.

use std::time::Duration;

use beacon_domain::{
    Batching, Bound, EndpointId, EndpointOverride, ExpiredLease, Operations, Stuck, StuckAsk, WorkerId,
    WorkerPresence,
};

use super::{Scene, Store};
use crate::{SpecBuilder, claim, completed};

const ENDPOINT: &str = "us-east/m";

async fn change<S: Operations>(scene: &Scene<S>, change: EndpointOverride) {
    scene.store.set_override(EndpointId::new(ENDPOINT), change).await.unwrap();
}

fn limit(limit: u32) -> EndpointOverride {
    EndpointOverride { limit: Some(limit), ..EndpointOverride::default() }
}

/// S1: another limit holds from the moment it is set, lower or higher, and never above what the file allows.
pub async fn another_limit_holds_at_once_and_never_above_the_highest<S: Store + Operations>(scene: Scene<S>) {
    scene.accept(SpecBuilder::new("many").question_count(30).verified(), Batching::Endpoint).await;
    let take = async || {
        let mut claim = claim(&[ENDPOINT], 4, scene.now());
        (claim.rooms[0].free, claim.rooms[0].most) = (99, 6);
        scene.store.claim(claim).await.unwrap().leases
    };

    change(&scene, limit(2)).await;
    let mut held = take().await;
    assert_eq!(held.len(), 2);
    change(&scene, limit(99)).await;
    held.extend(take().await);
    assert_eq!(held.len(), 6, "the file allows no more");
    change(&scene, limit(1)).await;
    scene.record(completed(&held[0], scene.now())).await;
    assert_eq!(take().await.len(), 0, "five calls are in flight, one is allowed");
    change(&scene, EndpointOverride::default()).await;
    for lease in &held[1..4] {
        scene.record(completed(lease, scene.now())).await;
    }

    assert_eq!(take().await.len(), 2, "the file's limit is 4, and two calls are in flight");
}

/// A drained endpoint gives nothing, calls in flight end, and views say why nothing more is claimed (S11).
pub async fn a_drained_endpoint_gives_nothing_and_says_why<S: Store + Operations>(scene: Scene<S>) {
    let job = scene.accept(SpecBuilder::new("drain").question_count(9).verified(), Batching::Endpoint).await;
    let held = scene.take(2).await;

    change(&scene, EndpointOverride { drain: true, ..EndpointOverride::default() }).await;
    scene.record(completed(&held[0], scene.now())).await;
    let drained = scene.take(2).await;
    let view = scene.store.progress(job, scene.now()).await.unwrap().endpoints.remove(0);
    change(&scene, EndpointOverride::default()).await;

    assert_eq!((held.len(), drained.len(), view.bound, view.in_flight), (2, 0, Some(Bound::Drain), 1));
    assert_eq!(scene.take(2).await.len(), 1);
}

/// What is changed is listed by endpoint, also of one that nothing has claimed for; what changes nothing is not.
pub async fn changes_of_endpoints_are_listed<S: Store + Operations>(scene: Scene<S>) {
    let reset = EndpointOverride { reset_at: Some(scene.now()), ..limit(3) };
    let [one, other] = ["eu-west/m", "us-east/m"].map(EndpointId::new);
    for (endpoint, change) in [(&other, limit(2)), (&one, reset.clone()), (&other, limit(5))] {
        scene.store.set_override(endpoint.clone(), change).await.unwrap();
    }

    let both = scene.store.overrides(9).await.unwrap();
    let first = scene.store.overrides(1).await.unwrap();
    scene.store.set_override(one.clone(), EndpointOverride::default()).await.unwrap();

    assert_eq!(both, [(one.clone(), reset), (other.clone(), limit(5))]);
    assert_eq!(first.len(), 1);
    assert_eq!(scene.store.overrides(9).await.unwrap(), [(other, limit(5))]);
}

/// Expired leases that nobody reaped, open jobs without progress, and ended jobs without a close are found.
pub async fn what_is_stuck_is_found<S: Store + Operations>(scene: Scene<S>) {
    let stuck = async |idle_s: u64| {
        let (now, idle) = (scene.now(), Duration::from_secs(idle_s));
        scene.store.stuck(StuckAsk { idle_since: now - idle, n: 9, now }).await.unwrap()
    };
    let leased = scene.accept(SpecBuilder::new("leased").verified(), Batching::Endpoint).await;
    let lease = scene.take_one().await;
    let idle = scene.accept(SpecBuilder::new("idle").verified(), Batching::Endpoint).await;
    let paused = scene.accept(SpecBuilder::new("paused").verified(), Batching::Endpoint).await;
    scene.store.pause(paused, "tester".to_owned(), scene.now()).await.unwrap();
    let ended = scene.accept(SpecBuilder::new("ended").verified(), Batching::Endpoint).await;
    scene.cancel(ended).await;

    let young = stuck(60).await;
    scene.advance_s(31);
    let old = stuck(10).await;

    assert_eq!(young, Stuck { unclosed: vec![ended], ..Stuck::default() });
    assert_eq!(lease.key.execution.job, leased);
    let expired = ExpiredLease {
        execution: lease.key.execution,
        worker: Some(WorkerId::new("tester")),
        expired_at: lease.expires_at,
    };
    assert_eq!(old, Stuck { expired: vec![expired], idle: vec![idle], unclosed: vec![ended] });
}

/// A6: a worker is there from its first word until it leaves, or is forgotten because it says nothing.
pub async fn workers_are_there_until_they_leave_or_fall_silent<S: Store + Operations>(scene: Scene<S>) {
    let worker = |name: &str| {
        let endpoints = ["us-east/m", "eu-west/m"].map(EndpointId::new);
        WorkerPresence::new(WorkerId::new(name), "1.2.3", endpoints, scene.now())
    };
    let attend = async |mut worker: WorkerPresence| {
        worker.seen_at = scene.now();
        let forget_before = scene.now() - Duration::from_secs(60);
        scene.store.attend(worker.clone(), forget_before).await.unwrap();
        worker
    };
    let names = async |seconds: u64| {
        let since = scene.now() - Duration::from_secs(seconds);
        let workers = scene.store.workers(since, 9).await.unwrap();
        workers.iter().map(|worker| worker.worker.to_string()).collect::<Vec<_>>()
    };

    let [silent, leaving, lasting] = ["silent", "leaving", "lasting"].map(worker);
    attend(silent).await;
    scene.advance_s(10);
    attend(leaving.clone()).await;
    scene.advance_s(10);
    let seen = attend(lasting.clone()).await;
    let (all, late) = (names(60).await, names(10).await);
    assert_eq!(scene.store.workers(scene.now(), 9).await.unwrap(), [seen]);
    scene.store.leave(leaving.worker).await.unwrap();
    let left = names(60).await;
    scene.advance_s(50);
    attend(lasting).await;

    assert_eq!((all.len(), late), (3, vec!["lasting".to_owned(), "leaving".to_owned()]));
    assert_eq!(left, ["lasting", "silent"]);
    assert_eq!(names(9999).await, ["lasting"], "who is silent for long is forgotten");
}
