//! The guard works on the addresses that are connected to.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use beacon_domain::{Delivery, DeliveryState};
use beacon_testkit::{Script, ScriptedEndpoint, reply};
use tokio::net::TcpListener;

use crate::scene::Scene;

/// Refused for good, by an error that says which address and which setting.
fn check_refused(delivery: &Delivery, address: &str) {
    assert_eq!((delivery.state, delivery.last_status), (DeliveryState::Failed, None), "{delivery:?}");
    let error = delivery.last_error.as_ref().unwrap();
    assert!(error.contains(address) && error.contains("webhooks.allow"), "{error}");
}

#[tokio::test]
async fn a_name_that_leads_inside_is_refused_for_good_and_nobody_is_connected() {
    let inside = ScriptedEndpoint::start(Script::new().then_always(reply(200))).await;
    let port = inside.addr().port();
    for (list, address) in [
        (&["127.0.0.1"][..], "127.0.0.1"),
        (&["::ffff:127.0.0.1"], "::ffff:127.0.0.1"),
        (&["169.254.169.254"], "169.254.169.254"),
        (&["fd00::1"], "fd00::1"),
        // One address that is not allowed is enough.
        (&["1.1.1.1", "10.0.0.1"], "10.0.0.1"),
    ] {
        let scene = Scene::allowing(&[]).await;
        scene.names.tell("inside.example", &[list]);

        check_refused(&scene.attempt(&format!("http://inside.example:{port}/")).await, address);
    }
    assert_eq!(inside.connections(), 0);
}

#[tokio::test]
async fn literal_addresses_are_refused_in_every_spelling_also_if_they_were_accepted_once() {
    let inside = ScriptedEndpoint::start(Script::new().then_always(reply(200))).await;
    let port = inside.addr().port();
    for host in
        ["127.0.0.1", "2130706433", "0x7f.1", "0177.0.0.1", "127.1", "[::ffff:127.0.0.1]", "localhost"]
    {
        let scene = Scene::allowing(&[]).await;

        let delivery = scene.attempt(&format!("http://{host}:{port}/")).await;

        check_refused(&delivery, "127.0.0.1");
        assert_eq!(scene.names.asked.load(Ordering::SeqCst), 0, "{host}");
    }
    assert_eq!(inside.connections(), 0);
}

// DNS rebinding: what was judged is what is connected to.
#[tokio::test]
async fn a_name_that_answers_differently_the_second_time_leads_to_the_judged_address_or_nowhere() {
    let judged = ScriptedEndpoint::start(Script::new().then(reply(500)).then(reply(200))).await;
    let port = judged.addr().port();
    let (trap, trapped) =
        (TcpListener::bind(("127.0.0.2", port)).await.unwrap(), Arc::new(AtomicU32::new(0)));
    let count = Arc::clone(&trapped);
    // Hangs up, so that whoever walks into it goes on and is told.
    tokio::spawn(async move {
        while trap.accept().await.is_ok() {
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    let scene = Scene::new().await;
    scene.names.tell("rebinds.example", &[&["127.0.0.1"], &["127.0.0.2"]]);
    scene.queue(&[("msg_1", &format!("http://rebinds.example:{port}/"))]).await;
    let (_drain, _sender) = scene.sender();
    scene.written(1).await;
    let (first, asked) = (scene.log().await.remove(0), scene.names.asked.load(Ordering::SeqCst));

    assert_eq!((first.last_status, asked), (Some(500), 1), "asked once, and connected to what was judged");

    scene.clock.advance(std::time::Duration::from_secs(6));
    scene.written(2).await;

    check_refused(&scene.log().await[0], "127.0.0.2");
    assert_eq!((judged.connections(), trapped.load(Ordering::SeqCst)), (1, 0));
}

#[tokio::test]
async fn a_name_without_an_address_may_have_one_later() {
    let scene = Scene::new().await;

    let delivery = scene.attempt("http://nowhere.example/").await;

    assert_eq!(delivery.state, DeliveryState::Pending);
    assert_eq!(delivery.last_error.as_deref(), Some("the host's name does not resolve"));
}

#[tokio::test]
async fn plain_http_is_refused_unless_it_is_allowed() {
    let receiver = ScriptedEndpoint::start(Script::new().then_always(reply(200))).await;
    let mut scene = Scene::new().await;
    scene.rules.allow_http = false;

    let delivery = scene.attempt(&receiver.url("/")).await;

    assert_eq!(delivery.state, DeliveryState::Failed);
    assert!(delivery.last_error.unwrap().contains("webhooks.allow_http"));
    assert_eq!(receiver.connections(), 0);
}
