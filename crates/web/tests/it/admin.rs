//! What administrators do.

use beacon_domain::{EndpointId, Lease, Parting, ResumeToken, WorkerId, WorkerPresence};
use beacon_spec::SigningKey;
use beacon_testkit::{SpecBuilder, claim};
use serde_json::json;

use crate::{
    desk::{Answer, Desk, TOKEN},
    scene::Scene,
};

async fn ask(desk: &Desk, method: &str, path: &str, body: &serde_json::Value) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    desk.ask(method, &format!("/api/v1/admin/{path}"), TOKEN, body).await
}

#[tokio::test]
async fn keys_are_added_and_revoked_and_listed_with_who_did_it() {
    let desk = Desk::new();
    let key = json!({ "kid": "new", "public_key": SigningKey::from_seed([9; 32]).public_key_base64(), "weight": 2 });

    let added = ask(&desk, "POST", "keys", &key).await;
    let revoked = ask(&desk, "DELETE", "keys/new", &json!(null)).await;
    let again = ask(&desk, "POST", "keys", &key).await;
    let listed = ask(&desk, "GET", "keys", &json!(null)).await;

    assert_eq!((added.status.as_u16(), &added.body["status"]), (201, &json!("active")), "{}", added.body);
    assert_eq!(
        (&revoked.body["status"], &revoked.body["revoked_by"]),
        (&json!("revoked"), &json!("operator"))
    );
    assert_eq!(again.refusal(), (409, "name_taken"), "revoked is for good");
    let kids = listed.body["keys"].as_array().unwrap().iter().map(|key| (&key["kid"], &key["source"]));
    assert_eq!(
        kids.collect::<Vec<_>>(),
        [(&json!("new"), &json!("store")), (&json!("test"), &json!("ring"))],
        "{}",
        listed.body
    );
}

#[tokio::test]
async fn a_key_that_is_none_or_takes_the_name_of_another_is_refused() {
    let desk = Desk::new();
    let key = SigningKey::from_seed([9; 32]).public_key_base64();

    for (entry, refusal) in [
        (json!({ "kid": "a", "public_key": "AAAA" }), (400, "invalid_key")),
        (json!({ "kid": "a", "public_key": key, "surprise": 1 }), (400, "invalid_key")),
        (json!({ "kid": "a", "public_key": key, "status": "revoked" }), (400, "invalid_key")),
        (json!({ "kid": "test", "public_key": key }), (409, "name_taken")),
    ] {
        assert_eq!(ask(&desk, "POST", "keys", &entry).await.refusal(), refusal, "{entry}");
    }
    let ring = ask(&desk, "POST", "keys", &json!([{ "kid": "a", "public_key": key }])).await;
    assert_eq!(ring.refusal(), (400, "invalid_key"));
    let message = ring.body["error"]["message"].as_str().unwrap();
    assert!(message.contains("one entry") && message.contains("keygen --json"), "{message}");
    assert_eq!(ask(&desk, "DELETE", "keys/nobody", &json!(null)).await.refusal(), (404, "key_not_found"));
}

#[tokio::test]
async fn a_quota_holds_from_when_it_is_set_until_it_is_taken_back() {
    let desk = Desk::new();

    let set = ask(&desk, "PUT", "quotas/test", &json!({ "jobs_per_day": 0 })).await;
    let refused = desk.post("/api/v1/jobs", desk.signed(&SpecBuilder::new("one"))).await;
    let back = ask(&desk, "DELETE", "quotas/test", &json!(null)).await;

    assert_eq!((&set.body["set"], &set.body["quota"]["jobs_per_day"]), (&json!(true), &json!(0)));
    assert_eq!(refused.refusal(), (429, "over_quota"));
    assert_eq!(back.body["set"], false);
    desk.accepted(&SpecBuilder::new("two")).await;
    let nobody = ask(&desk, "PUT", "quotas/nobody", &json!({})).await;
    assert_eq!(nobody.refusal(), (404, "key_not_found"));
    let odd = ask(&desk, "PUT", "quotas/test", &json!({ "jobs": 1 })).await;
    assert_eq!(odd.refusal(), (400, "invalid_body"));
}

// S1
#[tokio::test]
async fn an_endpoint_that_drains_gives_nothing_and_a_limit_stays_within_the_files() {
    let desk = Desk::new();
    let change = async |body| ask(&desk, "PUT", "endpoints/us-east%2Fm", &body).await;
    desk.accepted(&SpecBuilder::new("job")).await;

    let drained = change(json!({ "drain": true, "reset_breaker": true })).await;
    let claimed = desk.claim(&["us-east/m"]).await.leases.len();
    let open = change(json!({ "limit": 1 })).await;

    assert_eq!((&drained.body["drain"], claimed), (&json!(true), 0), "{}", drained.body);
    assert_eq!((&open.body["drain"], &open.body["reset_at"]), (&json!(false), &drained.body["reset_at"]));
    assert_eq!(desk.claim(&["us-east/m"]).await.leases.len(), 1);
    assert_eq!(change(json!({ "limit": 2 })).await.refusal(), (422, "limit_too_high"));
    let unknown = ask(&desk, "GET", "endpoints/nowhere", &json!(null)).await;
    assert_eq!(unknown.refusal(), (404, "endpoint_not_found"));
}

// S1, S11
#[tokio::test]
async fn abandoned_calls_tell_until_when_they_count_and_an_operator_forgets_them() {
    let desk = Desk::new();
    let job = desk.accepted(&SpecBuilder::new("job")).await;
    let linger = std::time::Duration::from_secs(10);
    let take = async || {
        let mut claim = claim(&["us-east/m"], 1, desk.now());
        claim.rooms[0].linger = linger;
        desk.queue.claim(claim).await.unwrap().leases
    };
    let why = async || desk.get(&format!("/api/v1/jobs/{job}/explain")).await.body["waiting"][0].clone();
    let abandon = async |lease: &Lease| {
        desk.queue.give_back(vec![lease.key], Parting::Abandoned, desk.now()).await.unwrap()
    };

    abandon(&take().await[0]).await;
    assert!(take().await.is_empty());
    let (waiting, seen) = (why().await, desk.get("/api/v1/endpoints").await.body["endpoints"][0].clone());
    let forgotten = ask(&desk, "POST", "endpoints/us-east%2Fm/forget-abandoned", &json!(null)).await;
    let lease = take().await.remove(0);
    assert!(desk.queue.checkpoint(lease.key, ResumeToken("url".to_owned())).await.unwrap());
    abandon(&lease).await;

    let until = json!(desk.now() + linger);
    assert_eq!((&waiting["waits_for"], &waiting["until"]), (&json!("abandoned"), &until), "{waiting}");
    assert_eq!((&seen["abandoned"], &seen["abandoned_until"]), (&json!(1), &until), "{seen}");
    assert_eq!(forgotten.body, json!({ "id": "us-east/m", "forgotten": 1 }));
    assert_eq!(
        why().await["waits_for"],
        "reattach",
        "its call is waited for again by the next worker that looks"
    );
}

// A6
#[tokio::test]
async fn readiness_and_the_list_of_workers_tell_who_was_seen_lately() {
    let desk = Desk::new();
    let worker =
        WorkerPresence::new(WorkerId::new("worker-1"), "1", [EndpointId::new("us-east/m")], desk.now());
    desk.operations.attend(worker, desk.now()).await.unwrap();

    let before = desk.get("/ready").await;
    let listed = ask(&desk, "GET", "workers", &json!(null)).await;
    desk.clock.advance(std::time::Duration::from_secs(61));
    let after = desk.get("/ready").await;

    assert_eq!((&before.body["workers"], &after.body["workers"]), (&json!(1), &json!(0)));
    assert_eq!(listed.body["workers"][0]["endpoints"], json!(["us-east/m"]));
}

#[tokio::test]
async fn what_is_stuck_is_listed() {
    let desk = Desk::new();
    let scene = Scene::set(&desk).await;
    desk.clock.advance(std::time::Duration::from_secs(1000));

    let stuck = ask(&desk, "GET", "stuck?silent_s=60", &json!(null)).await;

    assert_eq!(stuck.body["expired"][0]["execution"], format!("{}-3", scene.running), "{}", stuck.body);
    assert_eq!(ask(&desk, "GET", "stuck?silent_s=0", &json!(null)).await.refusal(), (400, "invalid_query"));
}
