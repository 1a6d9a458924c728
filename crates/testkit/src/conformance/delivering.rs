//! Webhook deliveries.

use std::time::Duration;

use beacon_domain::{
    Backlog, Batching, Delivery, DeliveryEnd, DeliveryState, DueAsk, JobId, NewDelivery, Operations,
};

use super::{Scene, Store};
use crate::{LEASE, SpecBuilder};

const JOB: JobId = JobId::from_bytes([3; 16]);

/// To a receiver of its own.
fn new(id: &str) -> NewDelivery {
    to(id, &format!("https://{id}.example.com/hook"))
}

fn to(id: &str, url: &str) -> NewDelivery {
    NewDelivery {
        id: id.to_owned(),
        job: JOB,
        event: "job.ended".to_owned(),
        url: url.to_owned(),
        body: r#"{"type":"job.ended"}"#.to_owned(),
    }
}

async fn due<S: Operations>(scene: &Scene<S>, n: u32) -> Vec<Delivery> {
    due_but(scene, n, &[]).await
}

async fn due_but<S: Operations>(scene: &Scene<S>, n: u32, sending: &[&Delivery]) -> Vec<Delivery> {
    let sending = sending.iter().map(|delivery| delivery.sending()).collect();
    let ask = DueAsk { n, sending, of_key: 9, to_receiver: 9, lease: LEASE, now: scene.now() };
    scene.store.due(ask).await.unwrap()
}

fn ids(deliveries: &[Delivery]) -> Vec<&str> {
    deliveries.iter().map(|delivery| delivery.new.id.as_str()).collect()
}

/// What is added twice is there once, and each is taken by one sender at a time, in order.
pub async fn a_delivery_is_taken_by_one_sender_at_a_time<S: Operations>(scene: Scene<S>) {
    let added = scene.store.enqueue(vec![new("one"), new("two")], scene.now()).await.unwrap();
    scene.advance_s(1);
    let again = scene.store.enqueue(vec![new("two"), new("three")], scene.now()).await.unwrap();

    let first = due(&scene, 2).await;
    let second = due(&scene, 9).await;
    let none = due(&scene, 9).await;

    assert_eq!((added, again), (2, 1));
    assert_eq!((ids(&first), ids(&second), none.len()), (vec!["one", "two"], vec!["three"], 0));
    assert_eq!((first[0].new.clone(), first[0].attempts), (new("one"), 1));
}

/// A sender that died gives its delivery back when the lease ends, and has no say any more.
pub async fn a_delivery_whose_sender_died_is_sent_again<S: Operations>(scene: Scene<S>) {
    scene.store.enqueue(vec![new("one")], scene.now()).await.unwrap();
    let first = due(&scene, 1).await.remove(0);
    scene.advance_s(30);

    let second = due(&scene, 1).await.remove(0);
    let done = DeliveryEnd::Done { status: 200 };
    let of_the_first = scene.store.delivered(&first, done.clone(), scene.now()).await.unwrap();
    let of_the_second = scene.store.delivered(&second, done.clone(), scene.now()).await.unwrap();
    let twice = scene.store.delivered(&second, done, scene.now()).await.unwrap();

    assert_eq!((second.attempts, of_the_first, of_the_second, twice), (2, false, true, false));
}

/// A delivery is tried again when that is due, until it is done or given up; the log says what came of it.
pub async fn a_delivery_ends_done_or_given_up_and_the_log_says_so<S: Operations>(scene: Scene<S>) {
    scene.store.enqueue(vec![new("good"), new("bad")], scene.now()).await.unwrap();
    let taken = due(&scene, 9).await;
    let at = scene.now() + Duration::from_secs(60);
    for delivery in &taken {
        let again = DeliveryEnd::Again { at, status: Some(503), error: "x".repeat(600) };
        assert!(scene.store.delivered(delivery, again, scene.now()).await.unwrap());
    }
    assert_eq!(due(&scene, 9).await.len(), 0, "not before its time");
    scene.advance_s(60);

    let taken = due(&scene, 9).await;
    let gone = DeliveryEnd::Failed { status: None, error: "no route".to_owned() };
    for (delivery, end) in taken.iter().zip([DeliveryEnd::Done { status: 204 }, gone]) {
        assert!(scene.store.delivered(delivery, end, scene.now()).await.unwrap());
    }
    scene.advance_s(3600);

    assert_eq!((ids(&taken), taken[0].last_status), (vec!["good", "bad"], Some(503)));
    assert_eq!(taken[0].last_error.as_ref().map(String::len), Some(500), "errors are bounded");
    assert_eq!(due(&scene, 9).await.len(), 0, "both have ended");
    let log = scene.store.deliveries(JOB, None, 9).await.unwrap();
    let state = |n: usize| (log[n].state, log[n].last_status, log[n].attempts, log[n].ended_at.is_some());
    assert_eq!(state(0), (DeliveryState::Delivered, Some(204), 2, true));
    assert_eq!(state(1), (DeliveryState::Failed, None, 2, true));
    assert_eq!(log[1].last_error.as_deref(), Some("no route"));
    assert_eq!(scene.store.deliveries(JobId::from_bytes([4; 16]), None, 9).await.unwrap().len(), 0);
}

/// Of each receiver one is taken, and none of those that are busy: a slow receiver delays no other.
pub async fn a_receiver_with_many_deliveries_delays_no_other<S: Operations>(scene: Scene<S>) {
    let slow = (0..20).map(|n| to(&format!("slow{n}"), &format!("http://Slow.example:80/{n}")));
    let mixed = slow.chain([to("quick", "https://quick.example?x"), to("other", "https://other.example")]);
    scene.store.enqueue(mixed.collect(), scene.now()).await.unwrap();

    let first = due(&scene, 9).await;
    let second = due_but(&scene, 9, &[&first[0]]).await;
    let third = due_but(&scene, 9, &[&first[1]]).await;

    assert_eq!(ids(&first), ["slow0", "quick", "other"]);
    assert_eq!(first[0].new.receiver(), "slow.example:80");
    assert_eq!(ids(&second), Vec::<&str>::new(), "what is left goes to a busy receiver");
    assert_eq!(ids(&third), ["slow1"]);
}

/// A job of each of two keys.
async fn two_keys<S: Store>(scene: &Scene<S>) -> [JobId; 2] {
    let spec = |name: &str, kid: &str, seed| SpecBuilder::new(name).key(kid, seed, 1).verified();
    let first = scene.accept(spec("a", "first", 1), Batching::Question).await;
    let second = scene.accept(spec("b", "second", 2), Batching::Question).await;
    [first, second]
}

/// A key with any number of receivers has its share of what is sent at once, and others take turns with it.
pub async fn a_key_with_many_receivers_delays_no_other_key<S: Store + Operations>(scene: Scene<S>) {
    let [many, few] = two_keys(&scene).await;
    let of = |job, id: String| NewDelivery { job, ..new(&id) };
    let flood = (0..1000).map(|n| of(many, format!("many{n}"))).collect();
    scene.store.enqueue(flood, scene.now()).await.unwrap();
    scene.advance_s(1);
    let later = (0..3).map(|n| of(few, format!("few{n}"))).collect();
    scene.store.enqueue(later, scene.now()).await.unwrap();
    let ask = |n, of_key, taken: &[Delivery]| DueAsk {
        n,
        sending: taken.iter().map(Delivery::sending).collect(),
        of_key,
        to_receiver: 1,
        lease: LEASE,
        now: scene.now(),
    };

    let first = scene.store.due(ask(4, 3, &[])).await.unwrap();
    let rest = scene.store.due(ask(100, 3, &first)).await.unwrap();
    let more = scene.store.due(ask(2, 8, &[first.clone(), rest.clone()].concat())).await.unwrap();

    assert_eq!(ids(&first), ["many0", "few0", "many1", "few1"], "they take turns");
    assert_eq!(ids(&rest), ["many2", "few2"], "three of each is its share");
    assert_eq!(ids(&more), ["many3", "many4"]);
    let keys = [&first[0], &first[1]].map(|delivery| delivery.key.as_ref().unwrap().as_str());
    assert_eq!(keys, ["first", "second"]);
    assert_eq!(scene.store.deliveries(few, None, 1).await.unwrap()[0].key, first[1].key);
}

/// A receiver that one key keeps busy is told by others meanwhile, up to its own bound.
pub async fn a_receiver_that_one_key_keeps_busy_is_told_by_another<S: Store + Operations>(scene: Scene<S>) {
    let [first, second] = two_keys(&scene).await;
    let of = |job, id: &str| NewDelivery { job, ..to(id, "https://shared.example/hook") };
    let all = ["a1", "a2", "a3"].map(|id| of(first, id)).into_iter().chain([of(second, "b1")]);
    scene.store.enqueue(all.collect(), scene.now()).await.unwrap();
    let ask = |to_receiver, taken: &[Delivery]| DueAsk {
        n: 9,
        sending: taken.iter().map(Delivery::sending).collect(),
        of_key: 9,
        to_receiver,
        lease: LEASE,
        now: scene.now(),
    };

    let one = scene.store.due(ask(1, &[])).await.unwrap();
    let none = scene.store.due(ask(1, &one)).await.unwrap();
    let other = scene.store.due(ask(2, &one)).await.unwrap();

    assert_eq!((ids(&one), ids(&none), ids(&other)), (vec!["a1"], vec![], vec!["b1"]));
}

/// Whoever watches is told how many wait, and how late the latest is.
pub async fn the_backlog_is_counted_and_its_lateness_told<S: Operations>(scene: Scene<S>) {
    let backlog = async || {
        let Backlog { waiting, late } = scene.store.backlog(scene.now()).await.unwrap();
        (waiting, late.as_secs())
    };
    let none = backlog().await;
    scene.store.enqueue(vec![new("one"), new("two")], scene.now()).await.unwrap();
    scene.advance_s(7);
    let both = backlog().await;
    let taken = due(&scene, 9).await;
    let sent = backlog().await;
    scene.store.delivered(&taken[0], DeliveryEnd::Done { status: 200 }, scene.now()).await.unwrap();

    assert_eq!((none, both, sent), ((0, 0), (2, 7), (2, 0)));
    assert_eq!(backlog().await, (1, 0));
}

/// The log is read in pages, and knows jobs apart.
pub async fn the_log_of_a_job_is_read_in_pages<S: Operations>(scene: Scene<S>) {
    let other = NewDelivery { job: JobId::from_bytes([4; 16]), ..new("other") };
    let mine = ["a", "b", "c"].map(new);
    scene.store.enqueue(mine.into_iter().chain([other]).collect(), scene.now()).await.unwrap();
    let page = async |after: Option<&str>, n| {
        scene.store.deliveries(JOB, after.map(str::to_owned), n).await.unwrap()
    };

    assert_eq!(ids(&page(None, 2).await), ["a", "b"]);
    assert_eq!(ids(&page(Some("b"), 2).await), ["c"]);
    assert_eq!(ids(&page(Some("c"), 2).await), Vec::<&str>::new());
    assert_eq!(ids(&page(Some("never"), 2).await), Vec::<&str>::new());
}
