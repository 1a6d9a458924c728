//! Calls that nobody waits for any more and that may still run at their endpoint (S1).

use std::time::Duration;

use beacon_domain::{
    AccountId, AccountLimit, Batching, Board, Claim, Claimed, EndpointControl, EndpointId, ErrorCode, JobId,
    JobSteering, Lease, LeaseKey, Parting, Recording, ResumeToken, Stage,
};

use super::{Scene, Store};
use crate::{LEASE, LONGEST_CALL, SpecBuilder, claim, completed, retry};

const LINGER: Duration = Duration::from_secs(10);

async fn job<S: Store>(scene: &Scene<S>, name: &str) -> JobId {
    let spec = SpecBuilder::new(name).question_count(1).runs(4);
    scene.accept(spec.verified(), Batching::Question).await
}

fn lingering<S: Store>(scene: &Scene<S>, limit: u32) -> Claim {
    let mut claim = claim(&["us-east/m"], limit, scene.now());
    claim.rooms[0].linger = LINGER;
    claim
}

async fn look<S: Store>(scene: &Scene<S>, limit: u32) -> Claimed {
    scene.store.claim(lingering(scene, limit)).await.unwrap()
}

async fn take<S: Store>(scene: &Scene<S>, limit: u32) -> Vec<Lease> {
    look(scene, limit).await.leases
}

async fn abandon<S: Store>(scene: &Scene<S>, key: LeaseKey) {
    scene.store.give_back(vec![key], Parting::Abandoned, scene.now()).await.unwrap();
}

fn with_error(lease: &Lease, code: ErrorCode, scene: &Scene<impl Store>) -> Recording {
    let mut recording = retry(lease, scene.now(), scene.now());
    if let Some(error) = &mut recording.attempt.error {
        (error.code, error.stage, error.surely_not_started) = (code, Stage::Request, false);
    }
    recording
}

/// S1: the slot of a call that was left is free when its endpoint has surely let go of it.
pub async fn an_abandoned_call_holds_its_slot_as_long_as_it_may_run<S: Store>(scene: Scene<S>) {
    job(&scene, "given back").await;
    let leases = take(&scene, 2).await;
    abandon(&scene, leases[0].key).await;
    scene.store.give_back(vec![leases[1].key], Parting::NoCall, scene.now()).await.unwrap();

    let looked = look(&scene, 2).await;
    assert_eq!(looked.leases.len(), 1, "one slot is free, the other is not yet");
    assert_eq!(looked.next_ready_at, Some(scene.now() + LINGER), "it says when to look again");
    scene.clock.advance(LINGER - Duration::from_millis(1));
    assert!(take(&scene, 2).await.is_empty());
    scene.clock.advance(Duration::from_millis(1));

    assert_eq!(take(&scene, 2).await.len(), 1);
}

/// S1, S7: so it is after a cancel.
pub async fn a_dropped_call_of_a_cancelled_job_holds_its_slot_as_long_as_it_may_run<S: Store>(
    scene: Scene<S>,
) {
    let cancelled = job(&scene, "cancelled").await;
    let lease = take(&scene, 1).await.remove(0);
    scene.cancel(cancelled).await;
    job(&scene, "waits").await;
    abandon(&scene, lease.key).await;

    assert!(take(&scene, 1).await.is_empty());
    scene.clock.advance(LINGER);

    assert_eq!(take(&scene, 1).await.len(), 1);
}

/// S1, L3: so it is after the end of a worker.
pub async fn the_call_of_a_worker_that_died_holds_its_slot_as_long_as_it_may_run<S: Store>(scene: Scene<S>) {
    let first = job(&scene, "returned").await;
    let held = take(&scene, 2).await;
    assert_eq!(held.len(), 2);
    scene.store.cancel(first, beacon_domain::CancelReason::Budget, scene.now()).await.unwrap();
    job(&scene, "waits").await;
    scene.clock.advance(LEASE);
    scene.reap().await;

    assert!(take(&scene, 2).await.is_empty());
    scene.clock.advance(LINGER);
    scene.reap().await;

    assert_eq!(take(&scene, 2).await.len(), 2);
}

/// S1, L3: its worker had it until the end of the lease and nobody knows of later, so the time runs from there, however late
/// the lease is found.
pub async fn the_time_of_a_dead_workers_call_begins_with_the_end_of_its_lease<S: Store>(scene: Scene<S>) {
    let cancelled = job(&scene, "cancelled").await;
    assert_eq!(take(&scene, 1).await.len(), 1);
    scene.cancel(cancelled).await;
    job(&scene, "returned").await;
    assert_eq!(take(&scene, 2).await.len(), 1);
    let late = Duration::from_secs(3);

    scene.clock.advance(LEASE + late);
    scene.reap().await;
    let looked = look(&scene, 2).await;
    assert_eq!((looked.leases.len(), looked.next_ready_at), (0, Some(scene.now() + LINGER - late)));
    scene.clock.advance(LINGER - late);
    assert_eq!(take(&scene, 2).await.len(), 2);
    scene.clock.advance(LEASE + LINGER);
    scene.reap().await;

    assert_eq!(take(&scene, 2).await.len(), 2, "both calls had ended before anybody looked");
}

/// S11: what is shown is what counts now, whether or not anybody has tidied up, and says until when.
pub async fn abandoned_calls_are_shown_as_long_as_they_count<S: Store + Board>(scene: Scene<S>) {
    let job = job(&scene, "shown").await;
    let leases = take(&scene, 3).await;
    assert!(scene.store.checkpoint(leases[1].key, ResumeToken("url".to_owned())).await.unwrap());
    for lease in &leases[..2] {
        abandon(&scene, lease.key).await;
    }
    let shown = async || {
        let view = scene.store.progress(job, scene.now()).await.unwrap().endpoints.remove(0);
        let status = scene.store.endpoints(scene.now()).await.unwrap().remove(0);
        let of_status = (status.in_flight, status.abandoned, status.abandoned_until);
        assert_eq!((view.in_flight, view.abandoned, view.abandoned_until), of_status);
        of_status
    };

    let until = scene.now() + LINGER;
    assert_eq!(shown().await, (3, 2, Some(until)));
    scene.clock.advance(LINGER);
    assert_eq!(shown().await, (2, 1, None), "how long the one that can be found again takes is not known");
    scene.clock.advance(LONGEST_CALL);

    assert_eq!(shown().await, (1, 0, None));
}

/// S1, C3: a call that was recorded with an error that does not say that it ended may run on; another error says so.
pub async fn an_error_that_leaves_a_call_running_holds_its_slot<S: Store>(scene: Scene<S>) {
    job(&scene, "errors").await;
    for code in [ErrorCode::AttemptTimeout, ErrorCode::ConnectionLost, ErrorCode::GatewayFailed] {
        let lease = take(&scene, 1).await.remove(0);
        scene.record(with_error(&lease, code, &scene)).await;
        assert!(take(&scene, 1).await.is_empty(), "{code}");
        scene.clock.advance(LINGER);
    }
    for code in [ErrorCode::EndpointFailed, ErrorCode::Throttled, ErrorCode::ProviderTimeout] {
        let lease = take(&scene, 1).await.remove(0);
        scene.record(with_error(&lease, code, &scene)).await;
        let next = take(&scene, 1).await.remove(0);
        scene.store.give_back(vec![next.key], Parting::NoCall, scene.now()).await.unwrap();
    }
}

/// S1, C2: whoever re-attaches to a call that runs takes no other slot, and goes before whoever needs one.
pub async fn a_call_that_can_be_found_again_keeps_its_slot_for_its_execution<S: Store>(scene: Scene<S>) {
    job(&scene, "first").await;
    let leases = take(&scene, 2).await;
    let token = ResumeToken("url".to_owned());
    assert!(scene.store.checkpoint(leases[1].key, token.clone()).await.unwrap());
    abandon(&scene, leases[1].key).await;

    scene.clock.advance(LINGER);
    let again = take(&scene, 2).await;

    assert_eq!(again.len(), 1, "no slot but its own was free");
    assert_eq!((again[0].key.execution, &again[0].resume), (leases[1].key.execution, &Some(token)));
    assert!(take(&scene, 2).await.is_empty(), "it runs under a lease now");
    scene.record(completed(&again[0], scene.now())).await;
    assert_eq!(take(&scene, 2).await.len(), 1, "its slot is free");
}

/// S1, L7: a call that nobody finds again holds its slot no longer than a call can take.
pub async fn a_call_that_nobody_finds_again_frees_its_slot_in_the_end<S: Store + JobSteering>(
    scene: Scene<S>,
) {
    let first = job(&scene, "first").await;
    let lease = take(&scene, 1).await.remove(0);
    assert!(scene.store.checkpoint(lease.key, ResumeToken("url".to_owned())).await.unwrap());
    abandon(&scene, lease.key).await;
    scene.store.pause(first, "tester".to_owned(), scene.now()).await.unwrap();
    job(&scene, "second").await;

    scene.clock.advance(LINGER);
    assert!(take(&scene, 1).await.is_empty(), "nobody asks for its answer, and it may still run");
    scene.clock.advance(LONGEST_CALL);

    assert_eq!(take(&scene, 1).await.len(), 1);
}

/// S1: a call that has ended by all we know keeps no slot for its execution, which then waits for one as any other does.
pub async fn a_call_past_its_end_gives_its_execution_no_slot<S: Store + JobSteering>(scene: Scene<S>) {
    let first = job(&scene, "first").await;
    let lease = take(&scene, 1).await.remove(0);
    assert!(scene.store.checkpoint(lease.key, ResumeToken("url".to_owned())).await.unwrap());
    abandon(&scene, lease.key).await;
    scene.store.pause(first, "tester".to_owned(), scene.now()).await.unwrap();
    scene.clock.advance(LONGEST_CALL);
    job(&scene, "second").await;
    let other = take(&scene, 1).await.remove(0);
    abandon(&scene, other.key).await;
    scene.store.resume(first, scene.now()).await.unwrap();

    assert!(take(&scene, 1).await.is_empty(), "the other's call holds the only slot");
    scene.clock.advance(LINGER);

    assert_eq!(take(&scene, 1).await.len(), 1);
}

/// An operator who knows that an endpoint has ended them frees the slots of its abandoned calls, and of no others.
pub async fn what_an_operator_forgets_holds_no_slot<S: Store + EndpointControl>(scene: Scene<S>) {
    job(&scene, "forgotten").await;
    for lease in &take(&scene, 3).await[..2] {
        abandon(&scene, lease.key).await;
    }
    let forget = async |endpoint: &str| {
        scene.store.forget_abandoned(EndpointId::new(endpoint), scene.now()).await.unwrap()
    };

    assert_eq!((forget("eu-west/m").await, take(&scene, 3).await.len()), (0, 0));
    assert_eq!((forget("us-east/m").await, forget("us-east/m").await), (2, 0));

    assert_eq!(take(&scene, 3).await.len(), 2, "the third one has a live lease");
}

/// S1, S7: nobody looks for the call of a cancelled job, and it counts as long as any other that was left.
pub async fn the_call_of_a_cancelled_job_is_not_found_again_and_counts_as_any_other<S: Store>(
    scene: Scene<S>,
) {
    let first = job(&scene, "first").await;
    let lease = take(&scene, 1).await.remove(0);
    assert!(scene.store.checkpoint(lease.key, ResumeToken("url".to_owned())).await.unwrap());
    abandon(&scene, lease.key).await;
    scene.cancel(first).await;
    job(&scene, "second").await;

    assert!(take(&scene, 1).await.is_empty());
    scene.clock.advance(LINGER);

    assert_eq!(take(&scene, 1).await.len(), 1);
}

/// S1: accounts and the limit over everything count them too.
pub async fn abandoned_calls_count_against_every_limit<S: Store>(scene: Scene<S>) {
    let spec = SpecBuilder::new("two").models(&["m", "n"]).question_count(1).runs(4);
    scene.accept(spec.verified(), Batching::Question).await;
    let both = |limit, global| {
        let mut both = claim(&["us-east/m", "us-east/n"], 4, scene.now());
        let account = AccountId::new("shared");
        for room in &mut both.rooms {
            (room.linger, room.account) = (LINGER, Some(account.clone()));
        }
        (both.accounts, both.global_limit) = (vec![AccountLimit { account, limit }], global);
        scene.store.claim(both)
    };
    let leases = both(2, None).await.unwrap().leases;
    assert_eq!(leases.len(), 2);
    for lease in leases {
        assert_eq!(lease.endpoint, EndpointId::new("us-east/m"));
        abandon(&scene, lease.key).await;
    }

    assert!(both(2, None).await.unwrap().leases.is_empty(), "the account's limit");
    assert!(both(9, Some(2)).await.unwrap().leases.is_empty(), "the limit over everything");
    assert_eq!(both(3, Some(3)).await.unwrap().leases.len(), 1);
}
