//! What one key's receivers cost another key: no time. No attempt ever reaches its limit here, so what hangs hangs for good.

use std::time::Duration;

use beacon_domain::{DeliveryQueue as _, DeliveryState, JobId};
use beacon_testkit::{Script, ScriptedEndpoint, Step, reply};

use crate::scene::Scene;

/// How often a sender looks at the queue.
const LOOK: Duration = Duration::from_secs(1);
/// What one key may have sent at once.
const SHARE: usize = 8;

async fn hanging(n: usize) -> Vec<ScriptedEndpoint> {
    let start = || ScriptedEndpoint::start(Script::new().then_always(Step::Hang));
    futures::future::join_all((0..n).map(|_| start())).await
}

async fn quick() -> ScriptedEndpoint {
    ScriptedEndpoint::start(Script::new().then_always(reply(200))).await
}

/// One delivery of this job to each of these receivers.
async fn tell_all(scene: &Scene, job: JobId, name: &str, receivers: &[ScriptedEndpoint]) {
    let all: Vec<_> =
        receivers.iter().enumerate().map(|(n, to)| (format!("msg_{name}_{n}"), to.url("/"))).collect();
    scene.queue_of(job, &all.iter().map(|(id, url)| (id.as_str(), url.as_str())).collect::<Vec<_>>()).await;
}

async fn delivered(scene: &Scene, job: JobId) -> usize {
    let log = scene.queue.deliveries(job, None, 1000).await.unwrap();
    log.iter().filter(|one| one.state == DeliveryState::Delivered).count()
}

#[tokio::test]
async fn a_key_whose_receivers_hang_delays_no_other_key() {
    let (hang, quick) = (hanging(100).await, quick().await);
    let scene = Scene::new().await;
    let other = scene.job_of("other", 2).await;
    tell_all(&scene, scene.job, "a", &hang).await;

    let (_drain, _sender) = scene.sender();
    for receiver in &hang[..SHARE] {
        receiver.wait_for_requests(1).await;
    }
    scene.queue_of(other, &[("msg_b1", &quick.url("/")), ("msg_b2", &quick.url("/"))]).await;
    scene.clock.advance(LOOK);
    quick.wait_for_requests(2).await;
    scene.written(2).await;

    assert_eq!((delivered(&scene, other).await, delivered(&scene, scene.job).await), (2, 0));
    let begun = hang.iter().filter(|receiver| receiver.connections() > 0).count();
    assert_eq!(begun, SHARE, "the rest of its receivers waits for its own");
}

#[tokio::test]
async fn any_number_of_keys_whose_receivers_hang_leave_room_for_one_more() {
    let (hang, quick) = (hanging(40).await, quick().await);
    let scene = Scene::new().await;
    for seed in 1..=30 {
        let job = scene.job_of(&format!("bad-{seed}"), seed).await;
        tell_all(&scene, job, &format!("bad_{seed}"), &hang).await;
    }
    let good = scene.job_of("good", 31).await;

    let (_drain, _sender) = scene.sender();
    // Eight keys at once tell one receiver.
    for receiver in &hang[..12] {
        receiver.wait_for_requests(8).await;
    }
    scene.queue_of(good, &[("msg_good", &quick.url("/"))]).await;
    scene.clock.advance(LOOK);
    quick.wait_for_requests(1).await;
    scene.written(1).await;

    assert_eq!(delivered(&scene, good).await, 1);
}

#[tokio::test]
async fn a_receiver_that_hangs_for_one_key_is_told_by_another() {
    let shared = ScriptedEndpoint::start(Script::new().then(Step::Hang).then_always(reply(200))).await;
    let scene = Scene::new().await;
    let other = scene.job_of("other", 2).await;
    scene.queue(&[("msg_a1", &shared.url("/a")), ("msg_a2", &shared.url("/a"))]).await;

    let (_drain, _sender) = scene.sender();
    shared.wait_for_requests(1).await;
    scene.queue_of(other, &[("msg_b", &shared.url("/b"))]).await;
    scene.clock.advance(LOOK);
    shared.wait_for_requests(2).await;
    scene.written(1).await;

    assert_eq!((delivered(&scene, other).await, shared.requests().len()), (1, 2), "a's second one waits");
}
