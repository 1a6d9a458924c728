//! Claiming: order, limits, fairness.

use std::{collections::BTreeMap, time::Duration};

use beacon_domain::{
    AccountId, AccountLimit, Batching, Bound, Claim, DayBudget, Gate, Lease, Parting, Recorded, Renewed,
};

use super::{Scene, Store};
use crate::{LEASE, SpecBuilder, claim, completed, completed_at_cost, retry};

/// S2: a question starts when every execution of the one before it is terminal.
pub async fn questions_follow_each_other<S: Store>(scene: Scene<S>) {
    let spec = SpecBuilder::new("order").questions(&["one", "two"]).regions(&["US", "EU"]).verified();
    scene.accept(spec, Batching::Question).await;
    let endpoints = ["us-east/m", "eu-west/m"];

    let first = scene.claim(&endpoints, 8).await;
    assert_eq!(first.leases.iter().map(|lease| lease.batch).collect::<Vec<_>>(), [1, 1]);
    assert_eq!((first.started.len(), first.started[0].number, first.started[0].total), (1, 1, 2));
    scene.record(completed(&first.leases[0], scene.now())).await;
    assert!(scene.claim(&endpoints, 8).await.leases.is_empty(), "one of the first question is not done");
    scene.record(completed(&first.leases[1], scene.now())).await;

    let second = scene.claim(&endpoints, 8).await;

    assert_eq!(second.leases.iter().map(|lease| lease.batch).collect::<Vec<_>>(), [2, 2]);
}

/// S2, S3: in endpoint mode every endpoint goes on by itself, in the order of the questions.
pub async fn no_endpoint_waits_for_another_in_endpoint_mode<S: Store>(scene: Scene<S>) {
    let spec = SpecBuilder::new("apart").questions(&["one", "two"]).regions(&["US", "EU"]).verified();
    scene.accept(spec, Batching::Endpoint).await;

    let slow = scene.claim(&["eu-west/m"], 1).await.leases;
    for number in [1, 2] {
        let lease = scene.take_one().await;
        assert_eq!(lease.batch, number);
        scene.record(completed(&lease, scene.now())).await;
    }

    assert_eq!(slow[0].batch, 1);
    assert!(scene.claim(&["eu-west/m"], 1).await.leases.is_empty(), "its limit is 1");
}

/// S1: live leases never exceed the limit, whoever asks for whichever job.
pub async fn an_endpoints_limit_holds_over_all_jobs_and_workers<S: Store>(scene: Scene<S>) {
    for name in ["one", "two", "three"] {
        scene.accept(SpecBuilder::new(name).question_count(4).verified(), Batching::Endpoint).await;
    }

    let first = scene.take(3).await;
    let more = scene.take(3).await;
    scene.record(completed(&first[0], scene.now())).await;
    let after_one = scene.take(3).await;

    assert_eq!((first.len(), more.len(), after_one.len()), (3, 0, 1));
}

/// S1: accounts and the sum of all calls have limits too.
pub async fn accounts_and_the_whole_have_limits_too<S: Store>(scene: Scene<S>) {
    let spec = SpecBuilder::new("wide").question_count(5).models(&["m", "n", "o"]).verified();
    scene.accept(spec, Batching::Endpoint).await;
    let account = AccountId::new("shared");
    let claim = |global_limit| {
        let mut claim = claim(&["us-east/m", "us-east/n", "us-east/o"], 5, scene.now());
        for room in &mut claim.rooms[..2] {
            room.account = Some(account.clone());
        }
        let accounts = vec![AccountLimit { account: account.clone(), limit: 4 }];
        Claim { accounts, global_limit: Some(global_limit), ..claim }
    };
    let of = |leases: &[Lease], model: &str| {
        leases.iter().filter(|lease| lease.request.model.as_str() == model).count()
    };

    let bounded = scene.store.claim(claim(6)).await.unwrap().leases;
    let wider = scene.store.claim(claim(9)).await.unwrap().leases;

    assert_eq!((of(&bounded, "m") + of(&bounded, "n"), of(&bounded, "o")), (4, 2));
    assert_eq!((of(&wider, "m") + of(&wider, "n"), of(&wider, "o")), (0, 3));
}

/// A worker gets at most what it has room for.
pub async fn a_worker_gets_no_more_than_it_asked_for<S: Store>(scene: Scene<S>) {
    scene.accept(SpecBuilder::new("many").question_count(9).verified(), Batching::Endpoint).await;
    let mut asked = claim(&["us-east/m"], 9, scene.now());
    asked.rooms[0].free = 5;
    asked.at_most = 2;

    let two = scene.store.claim(asked.clone()).await.unwrap().leases;
    asked.at_most = 9;
    let five = scene.store.claim(asked).await.unwrap().leases;

    assert_eq!((two.len(), five.len()), (2, 5));
}

/// Counts who gets the slots of an endpoint with limit 1, one after the other.
async fn shares<S: Store>(scene: &Scene<S>, slots: u32) -> BTreeMap<String, u32> {
    let mut shares = BTreeMap::new();
    for _ in 0..slots {
        let lease = scene.take_one().await;
        let name = scene.job(lease.key.execution.job).await.name.to_string();
        *shares.entry(name).or_default() += 1;
        scene.record(completed(&lease, scene.now())).await;
    }
    shares
}

/// S4: a key of twice the weight gets twice the slots, whoever came first.
pub async fn keys_share_an_endpoint_by_weight<S: Store>(scene: Scene<S>) {
    let job = |name: &str, seed, weight| {
        SpecBuilder::new(name).question_count(40).key(name, seed, weight).verified()
    };
    scene.accept(job("heavy", 1, 2), Batching::Endpoint).await;
    scene.accept(job("light", 2, 1), Batching::Endpoint).await;

    let shares = shares(&scene, 30).await;

    assert_eq!(shares, BTreeMap::from([("heavy".to_owned(), 20), ("light".to_owned(), 10)]));
}

/// S4: a key's jobs share what the key gets.
pub async fn jobs_of_one_key_share_it_equally<S: Store>(scene: Scene<S>) {
    for (name, questions) in [("long", 40), ("short", 20)] {
        scene.accept(SpecBuilder::new(name).question_count(questions).verified(), Batching::Endpoint).await;
    }

    let shares = shares(&scene, 20).await;

    assert_eq!(shares, BTreeMap::from([("long".to_owned(), 10), ("short".to_owned(), 10)]));
}

/// S4: within its job a retry that is due goes first; one that is not due holds nobody up.
pub async fn a_due_retry_goes_before_what_never_ran<S: Store>(scene: Scene<S>) {
    scene.accept(SpecBuilder::new("retry").question_count(4).verified(), Batching::Endpoint).await;
    let first = scene.take_one().await;
    let later = scene.now() + Duration::from_secs(10);
    scene.record(retry(&first, later, scene.now())).await;

    let second = scene.take_one().await;
    scene.record(completed(&second, scene.now())).await;
    scene.advance_s(10);
    let third = scene.take_one().await;

    assert_eq!((second.key.execution.n, third.key.execution.n, third.attempt), (1, 0, 2));
}

/// O3: nothing is claimed once the day's budget is spent, and the next day has its own.
pub async fn a_days_budget_stops_claims_until_the_next_day<S: Store>(scene: Scene<S>) {
    let spec = SpecBuilder::new("budget").question_count(9).verified();
    let mut acceptance = scene.acceptance(spec, Batching::Endpoint);
    acceptance.deadline = scene.now() + Duration::from_secs(3 * 86_400);
    scene.store.accept(acceptance).await.unwrap();
    let capped =
        || Claim { day_budget: Some(DayBudget { cap_micros: 100 }), ..claim(&["us-east/m"], 1, scene.now()) };

    let first = scene.store.claim(capped()).await.unwrap().leases.remove(0);
    scene.record(completed_at_cost(&first, 60, scene.now())).await;
    let second = scene.store.claim(capped()).await.unwrap().leases.remove(0);
    scene.record(completed_at_cost(&second, 60, scene.now())).await;
    let third = scene.store.claim(capped()).await.unwrap();
    scene.advance_s(86_400);
    let tomorrow = scene.store.claim(capped()).await.unwrap();

    assert_eq!((third.leases.len(), tomorrow.leases.len()), (0, 1));
}

/// A worker that finds nothing knows when the next back-off ends.
pub async fn a_claim_says_when_to_look_again<S: Store>(scene: Scene<S>) {
    scene.accept(SpecBuilder::new("wait").verified(), Batching::Endpoint).await;
    let lease = scene.take_one().await;
    assert_eq!(scene.claim(&["us-east/m"], 1).await.next_ready_at, None);

    let later = scene.now() + Duration::from_secs(10);
    scene.record(retry(&lease, later, scene.now())).await;
    let waiting = scene.claim(&["us-east/m"], 1).await;

    assert_eq!((waiting.leases.len(), waiting.next_ready_at), (0, Some(later)));
}

/// S11: what bounded the last claim of an endpoint is there for whoever asks why executions wait.
pub async fn a_claim_says_what_bounds_it<S: Store>(scene: Scene<S>) {
    let job = scene.accept(SpecBuilder::new("bound").question_count(9).verified(), Batching::Endpoint).await;
    let account = AccountId::new("shared");
    let bound = async |change: &dyn Fn(&mut Claim)| {
        let mut claim = claim(&["us-east/m"], 9, scene.now());
        change(&mut claim);
        let leases = scene.store.claim(claim).await.unwrap().leases;
        let progress = scene.store.progress(job, scene.now()).await.unwrap();
        let keys = leases.iter().map(|lease| lease.key).collect();
        scene.store.give_back(keys, Parting::NoCall, scene.now()).await.unwrap();
        (progress.endpoints[0].bound, progress.endpoints[0].in_flight)
    };

    assert_eq!(bound(&|claim| claim.rooms[0].limit = 2).await, (Some(Bound::Endpoint), 2));
    assert_eq!(bound(&|claim| claim.rooms[0].free = 3).await, (Some(Bound::Worker), 3));
    assert_eq!(bound(&|claim| claim.global_limit = Some(4)).await, (Some(Bound::Global), 4));
    let accounts = |claim: &mut Claim| {
        claim.rooms[0].account = Some(account.clone());
        claim.accounts = vec![AccountLimit { account: account.clone(), limit: 5 }];
    };
    assert_eq!(bound(&accounts).await, (Some(Bound::Account), 5));
    let spent = |claim: &mut Claim| claim.day_budget = Some(DayBudget { cap_micros: 0 });
    assert_eq!(bound(&spent).await, (Some(Bound::DayBudget), 0));
    let cold = |claim: &mut Claim| claim.rooms[0].gate = Gate::Cold;
    bound(&cold).await;
    assert_eq!(scene.store.progress(job, scene.now()).await.unwrap().endpoints[0].gate, Some(Gate::Cold));
}

/// S1: a call that a cancel or a deadline has ended may still run; its slot is free when its worker says so, or when its
/// lease expires.
pub async fn a_cancelled_call_holds_its_slot_until_it_is_gone<S: Store>(scene: Scene<S>) {
    let slots = async || scene.take(2).await.len();
    let ended =
        scene.accept(SpecBuilder::new("ended").question_count(2).verified(), Batching::Endpoint).await;
    let other = SpecBuilder::new("other").question_count(9).verified();
    scene.accept(other, Batching::Endpoint).await;
    let leases = scene.take(2).await;
    scene.cancel(ended).await;
    let of_ended: Vec<_> = leases.iter().filter(|lease| lease.key.execution.job == ended).collect();
    assert_eq!(
        (of_ended.len(), slots().await),
        (1, 0),
        "the jobs share the endpoint, and both calls may still run"
    );

    let answer = scene.store.give_back(vec![of_ended[0].key], Parting::NoCall, scene.now()).await.unwrap();
    let after_giving_back = slots().await;
    let again = scene.store.give_back(vec![of_ended[0].key], Parting::NoCall, scene.now()).await.unwrap();

    assert_eq!((answer, after_giving_back, again, slots().await), (0, 1, 0, 0));
    scene.advance_s(31);
    scene.reap().await;
    assert_eq!(slots().await, 2, "expired leases hold nothing");
}

/// S1: the same for a late answer, and for a worker that never says anything.
pub async fn a_late_answer_or_the_end_of_its_lease_frees_a_cancelled_calls_slot<S: Store>(scene: Scene<S>) {
    let ended =
        scene.accept(SpecBuilder::new("ended").question_count(2).verified(), Batching::Endpoint).await;
    let leases = scene.take(2).await;
    scene.cancel(ended).await;
    let other = SpecBuilder::new("other").question_count(9).verified();
    scene.accept(other, Batching::Endpoint).await;
    assert_eq!(scene.take(2).await.len(), 0);

    assert_eq!(scene.recorded(completed(&leases[0], scene.now())).await, Recorded::Late);
    let after_an_answer = scene.take(2).await;
    scene.advance_s(29);
    scene.reap().await;
    let before_its_end = scene.store.renew(vec![after_an_answer[0].key], LEASE, scene.now()).await.unwrap();
    assert!(matches!(before_its_end[0], Renewed::Kept(_)));
    assert_eq!(scene.take(2).await.len(), 0);
    scene.advance_s(2);
    scene.reap().await;

    assert_eq!((after_an_answer.len(), scene.take(2).await.len()), (1, 1));
}
