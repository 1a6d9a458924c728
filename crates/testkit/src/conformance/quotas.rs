//! Quotas of keys, held within acceptance.

use beacon_domain::{
    Acceptance, Accepted, Batching, Operations, QuotaExceeded, QuotaKind, QuotaUse, StoreError,
};
use beacon_spec::{KeyId, Quota};

use super::{Scene, Store};
use crate::{SpecBuilder, completed, completed_at_cost};

fn acceptance<S: Store>(scene: &Scene<S>, spec: SpecBuilder, quota: Quota) -> Acceptance {
    Acceptance { quota, nonce_must_be_new: true, ..scene.acceptance(spec.verified(), Batching::Endpoint) }
}

async fn accept<S: Store>(
    scene: &Scene<S>,
    spec: SpecBuilder,
    quota: Quota,
) -> Result<Accepted, QuotaExceeded> {
    match scene.store.accept(acceptance(scene, spec, quota)).await {
        Ok(accepted) => Ok(accepted),
        Err(StoreError::OverQuota(exceeded)) => Err(exceeded),
        Err(error) => panic!("{error}"),
    }
}

fn key() -> KeyId {
    KeyId::new("test").unwrap()
}

/// Executions that are not terminal count, over all jobs of the key, and free as they end. What nobody serves never counts.
pub async fn open_executions_of_a_key_are_bounded<S: Store + Operations>(scene: Scene<S>) {
    let quota = Quota { open_executions: Some(5), ..Quota::default() };
    let job = |name: &str, n| SpecBuilder::new(name).question_count(n).models(&["m", "nobody"]);
    accept(&scene, job("one", 3), quota).await.unwrap();

    let refused = accept(&scene, job("two", 3), quota).await.unwrap_err();
    let stranger = SpecBuilder::new("three").question_count(3).key("other", 1, 1);
    accept(&scene, stranger, quota).await.unwrap();
    let lease = scene.take_one().await;
    scene.record(completed(&lease, scene.now())).await;
    let after_one = accept(&scene, job("two", 3), quota).await;

    assert_eq!((refused.quota, refused.limit, refused.used), (QuotaKind::OpenExecutions, 5, 3));
    assert_eq!((refused.asked, refused.frees_at), (3, None));
    assert!(matches!(after_one, Ok(Accepted::New(_))), "{after_one:?}");
}

/// Jobs of a UTC day are bounded, and the refusal says when the next day begins. The same bytes again are no new job.
pub async fn jobs_of_a_day_are_bounded<S: Store + Operations>(scene: Scene<S>) {
    let quota = Quota { jobs_per_day: Some(2), ..Quota::default() };
    for name in ["one", "two"] {
        accept(&scene, SpecBuilder::new(name), quota).await.unwrap();
    }

    let refused = accept(&scene, SpecBuilder::new("three"), quota).await.unwrap_err();
    let again = accept(&scene, SpecBuilder::new("one"), quota).await;
    let wait = refused.frees_at.unwrap().duration_since(scene.now()).as_secs();
    scene.advance_s(wait.unsigned_abs());
    let tomorrow = accept(&scene, SpecBuilder::new("three"), quota).await;

    assert_eq!((refused.quota, refused.limit, refused.used), (QuotaKind::JobsPerDay, 2, 2));
    assert!((1..=86_400).contains(&wait), "{wait}");
    assert!(matches!(again, Ok(Accepted::Existing(..))), "{again:?}");
    assert!(
        matches!(tomorrow, Ok(Accepted::New(_))),
        "its nonce was not used up by the refusal: {tomorrow:?}"
    );
}

/// O3: what a day's jobs may cost is set aside when they are accepted, and freed when they end with less. A job without a
/// cap gets what is left.
pub async fn the_spend_of_a_day_is_set_aside<S: Store + Operations>(scene: Scene<S>) {
    let quota = Quota { spend_per_day_micros: Some(100), ..Quota::default() };
    let capped = |name: &str, dollars: f64| SpecBuilder::new(name).constraint("max_cost", dollars);
    accept(&scene, capped("one", 6e-5), quota).await.unwrap();

    let too_much = accept(&scene, capped("two", 5e-5), quota).await.unwrap_err();
    let Accepted::New(rest) = accept(&scene, SpecBuilder::new("rest"), quota).await.unwrap() else {
        panic!("it is new");
    };
    let nothing_left = accept(&scene, SpecBuilder::new("more"), quota).await.unwrap_err();
    assert_eq!(scene.job(rest).await.cost_cap_micros, Some(40));
    let lease = scene.take_one().await;
    scene.record(completed_at_cost(&lease, 10, scene.now())).await;
    let after_the_end = accept(&scene, capped("two", 5e-5), quota).await;

    assert_eq!((too_much.quota, too_much.used, too_much.asked), (QuotaKind::SpendPerDay, 60, 50));
    assert_eq!((nothing_left.used, nothing_left.limit), (100, 100));
    assert!(matches!(after_the_end, Ok(Accepted::New(_))), "{after_the_end:?}");
}

/// What an operator sets goes before the ring's quota, and may be taken back.
pub async fn an_operators_quota_goes_before_the_rings<S: Store + Operations>(scene: Scene<S>) {
    let (ring, set) = (Quota { jobs_per_day: Some(1), ..Quota::default() }, |n| Quota {
        jobs_per_day: Some(n),
        ..Quota::default()
    });
    accept(&scene, SpecBuilder::new("one"), ring).await.unwrap();
    assert!(accept(&scene, SpecBuilder::new("two"), ring).await.is_err());

    scene.store.set_quota(key(), Some(set(5)), scene.now()).await.unwrap();
    scene.store.set_quota(key(), Some(set(2)), scene.now()).await.unwrap();
    accept(&scene, SpecBuilder::new("two"), ring).await.unwrap();
    assert!(accept(&scene, SpecBuilder::new("three"), Quota::default()).await.is_err());
    let (quota, used) = scene.store.quota(key(), scene.now()).await.unwrap();
    scene.store.set_quota(key(), None, scene.now()).await.unwrap();

    let expected = QuotaUse { open_executions: 2, jobs_today: 2, spend_today_micros: 0 };
    assert_eq!((quota, used), (Some(set(2)), expected));
    assert_eq!(scene.store.quota(key(), scene.now()).await.unwrap(), (None, expected));
    accept(&scene, SpecBuilder::new("three"), Quota::default()).await.unwrap();
}

/// However many come at once, no more are accepted than the quota allows.
pub async fn many_submissions_at_once_never_pass_a_quota<S: Store + Operations>(scene: Scene<S>) {
    let quota = Quota { open_executions: Some(20), jobs_per_day: Some(50), spend_per_day_micros: Some(1000) };
    let submit = async |n: u32| {
        let spec = SpecBuilder::new(&format!("job {n}")).question_count(3).constraint("max_cost", 1e-4);
        accept(&scene, spec, quota).await
    };

    let accepted = futures::future::join_all((0..40).map(submit)).await;

    let (in_all, used) =
        (accepted.iter().filter(|one| one.is_ok()).count(), scene.store.quota(key(), scene.now()));
    assert_eq!(in_all, 6, "six jobs of three executions are within twenty");
    let expected = QuotaUse { open_executions: 18, jobs_today: 6, spend_today_micros: 600 };
    assert_eq!(used.await.unwrap().1, expected);
}
