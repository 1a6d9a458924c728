//! Webhook deliveries.

use std::time::Duration;

use beacon_domain::{Delivery, DeliveryEnd, DeliveryState, DueAsk, JobId, NewDelivery, Operations};

use super::Scene;
use crate::LEASE;

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

async fn due_but<S: Operations>(scene: &Scene<S>, n: u32, busy: &[&str]) -> Vec<Delivery> {
    let busy = busy.iter().map(|receiver| (*receiver).to_owned()).collect();
    scene.store.due(DueAsk { n, busy, lease: LEASE, now: scene.now() }).await.unwrap()
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
    let second = due_but(&scene, 9, &["slow.example:80"]).await;
    let third = due_but(&scene, 9, &["quick.example"]).await;

    assert_eq!(ids(&first), ["slow0", "quick", "other"]);
    assert_eq!(ids(&second), Vec::<&str>::new(), "what is left goes to a busy receiver");
    assert_eq!(ids(&third), ["slow1"]);
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
