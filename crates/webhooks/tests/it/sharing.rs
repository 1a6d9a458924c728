//! Many receivers, many senders, and a stop.

use std::{collections::BTreeSet, sync::atomic::Ordering, time::Duration};

use beacon_domain::DeliveryState;
use beacon_testkit::{Script, ScriptedEndpoint, Step, Tap, reply};

use crate::scene::Scene;

#[tokio::test]
async fn a_slow_receiver_delays_no_other_and_gets_one_delivery_at_a_time() {
    let slow = ScriptedEndpoint::start(Script::new().then_always(Step::Hang)).await;
    let quick = ScriptedEndpoint::start(Script::new().then_always(reply(200))).await;
    let scene = Scene::new().await;
    let many: Vec<_> = (0..100).map(|n| (format!("msg_slow_{n}"), slow.url("/"))).collect();
    let many: Vec<_> = many.iter().map(|(id, url)| (id.as_str(), url.as_str())).collect();
    scene.queue(&many).await;
    scene
        .queue(
            &["msg_a", "msg_b", "msg_c"]
                .map(|id| (id, quick.url("/")))
                .each_ref()
                .map(|(id, url)| (*id, url.as_str())),
        )
        .await;

    let (_drain, _sender) = scene.sender();
    slow.wait_for_requests(1).await;
    scene.written(3).await;

    let log = scene.log().await;
    let delivered = log.iter().filter(|one| one.state == DeliveryState::Delivered);
    assert_eq!(delivered.map(|one| one.new.id.as_str()).collect::<Vec<_>>(), ["msg_a", "msg_b", "msg_c"]);
    assert_eq!(slow.connections(), 1);
}

#[tokio::test]
async fn two_senders_share_the_queue_and_each_delivery_is_sent_once() {
    let script = || Script::new().then_always(reply(200));
    let mut receivers = Vec::new();
    for _ in 0..4 {
        receivers.push(ScriptedEndpoint::start(script()).await);
    }
    let scene = Scene::new().await;
    let all: Vec<_> = (0..40).map(|n| (format!("msg_{n}"), receivers[n % 4].url("/"))).collect();
    scene.queue(&all.iter().map(|(id, url)| (id.as_str(), url.as_str())).collect::<Vec<_>>()).await;

    let _senders = [scene.sender(), scene.sender()];
    scene.written(40).await;

    let requests: Vec<_> = receivers.iter().flat_map(ScriptedEndpoint::requests).collect();
    let ids: BTreeSet<_> =
        requests.iter().map(|request| request.header("webhook-id").unwrap().to_owned()).collect();
    assert_eq!((requests.len(), ids.len()), (40, 40));
    assert!(scene.log().await.iter().all(|one| one.attempts == 1));
}

#[tokio::test]
async fn a_stop_waits_for_what_is_being_sent_and_begins_nothing() {
    let tap = Tap::new();
    let receiver = ScriptedEndpoint::start(Script::new().then_always(reply(200).held_by(&tap))).await;
    let scene = Scene::new().await;
    scene.queue(&[("msg_1", &receiver.url("/")), ("msg_2", &receiver.url("/"))]).await;
    let (drain, sender) = scene.sender();
    receiver.wait_for_requests(1).await;

    drain.cancel();
    tap.let_through(2);
    sender.await.unwrap();

    let log = scene.log().await;
    assert_eq!((log[0].state, log[1].state), (DeliveryState::Delivered, DeliveryState::Pending));
    assert_eq!((log[1].attempts, receiver.requests().len()), (0, 1));
}

#[tokio::test]
async fn what_the_store_did_not_take_is_written_again_and_not_sent_again() {
    let receiver = ScriptedEndpoint::start(Script::new().then_always(reply(200))).await;
    let scene = Scene::new().await;
    scene.queue.lose.store(2, Ordering::SeqCst);
    scene.queue(&[("msg_1", &receiver.url("/"))]).await;
    let (_drain, _sender) = scene.sender();

    for lost in 1..=2 {
        scene.written(lost).await;
        scene.clock.advance(Duration::from_secs(1));
    }
    scene.written(3).await;

    assert_eq!(scene.log().await[0].state, DeliveryState::Delivered);
    assert_eq!(receiver.requests().len(), 1);
}
