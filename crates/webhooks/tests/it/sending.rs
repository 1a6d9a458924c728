//! What a receiver gets, and that it can tell who sent it.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use beacon_domain::{Clock as _, DeliveryState};
use beacon_spec::WebhookSecret;
use beacon_testkit::{Script, ScriptedEndpoint, SeenRequest, reply, test_key};
use beacon_webhooks::Secrets;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tokio_util::sync::CancellationToken;

use crate::scene::{SECRET, Scene, secret};

fn hmac(secret: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}

/// Checks a signature as docs/SIGNING.md tells receivers to, without the code that made it. `secret` is the operator's.
fn holds(request: &SeenRequest, secret: &str) -> bool {
    let operators = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let receivers = hmac(&operators, &[b"beacon-webhook-secret/1\0", &test_key().public_key()]);
    let [id, time] = ["webhook-id", "webhook-timestamp"].map(|name| request.header(name).unwrap().as_bytes());
    let expected = STANDARD.encode(hmac(&receivers, &[id, b".", time, b".", &request.body]));
    let signatures = request.header("webhook-signature").unwrap().split(' ');
    signatures.filter_map(|one| one.strip_prefix("v1,")).any(|signature| signature == expected)
}

#[tokio::test]
async fn a_delivery_is_posted_once_and_its_signature_holds() {
    let receiver = ScriptedEndpoint::start(Script::new().then(reply(204))).await;
    let scene = Scene::new().await;

    let delivery = scene.attempt(&receiver.url("/hook?team=a")).await;

    let requests = receiver.requests();
    let request = &requests[0];
    assert_eq!(
        (requests.len(), request.method.as_str(), request.target.as_str()),
        (1, "POST", "/hook?team=a")
    );
    assert_eq!(request.body, delivery.new.body.as_bytes());
    for (name, value) in [
        ("content-type", "application/json"),
        ("user-agent", "beacon-test/1"),
        ("webhook-id", "msg_1"),
        ("webhook-timestamp", &scene.clock.now().as_second().to_string()),
    ] {
        assert_eq!(request.header(name), Some(value), "{name}");
    }
    assert!(holds(request, SECRET), "{request:?}");
    assert!(!holds(request, &WebhookSecret::generate().reveal()));
    assert_eq!(
        (delivery.state, delivery.last_status, delivery.attempts),
        (DeliveryState::Delivered, Some(204), 1)
    );
}

#[tokio::test]
async fn while_secrets_change_over_a_receiver_who_knows_either_accepts() {
    let receiver = ScriptedEndpoint::start(Script::new().then(reply(200))).await;
    let mut scene = Scene::new().await;
    let new = WebhookSecret::generate();
    scene.rules.secrets = Secrets::new(new.clone(), Some(secret()));

    scene.attempt(&receiver.url("/")).await;

    let request = &receiver.requests()[0];
    assert!(holds(request, SECRET) && holds(request, &new.reveal()), "{request:?}");
    assert!(!holds(request, &WebhookSecret::generate().reveal()));
}

#[tokio::test]
async fn a_delivery_of_a_job_that_was_deleted_is_given_up() {
    let mut scene = Scene::new().await;
    scene.job = "00000000000000000000000000000001".parse().unwrap();

    let delivery = scene.attempt("http://127.0.0.1:1/").await;

    assert_eq!(delivery.state, DeliveryState::Failed);
    assert_eq!(delivery.last_error.as_deref(), Some("the job was deleted"));
}

#[tokio::test]
async fn what_came_of_deliveries_is_counted() {
    let receiver = ScriptedEndpoint::start(
        Script::new().then(reply(200)).then(reply(503)).then(reply(410)).then_always(reply(200)),
    )
    .await;
    let scene = Scene::new().await;
    scene
        .queue(
            &["msg_1", "msg_2", "msg_3"]
                .map(|id| (id, receiver.url("/")))
                .each_ref()
                .map(|(id, url)| (*id, url.as_str())),
        )
        .await;
    let sender = scene.made();
    let drain = CancellationToken::new();
    let running = tokio::spawn(Arc::clone(&sender).run(drain.clone()));

    scene.written(3).await;
    drain.cancel();
    running.await.unwrap();

    let text = sender.metrics();
    for line in [
        r#"beacon_deliveries_total{outcome="delivered"} 1"#,
        r#"beacon_deliveries_total{outcome="failed"} 1"#,
        r#"beacon_deliveries_total{outcome="gave_up"} 1"#,
        "beacon_deliveries_in_flight 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
}
