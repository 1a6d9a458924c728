//! Both wire formats, and the addresses beside the inference.

use beacon_simulator::{Behaviour, SimEndpoint};
use beacon_spec::Region;
use serde_json::json;

use crate::site::{Site, ask, endpoint};

const CHAT: &str = "/e/us-east~m/v1/chat/completions";

#[tokio::test]
async fn the_modal_dialect_answers_in_the_deployed_form_and_refuses_inside_200() {
    let site = Site::with(vec![SimEndpoint { region: Region::AsiaPacific, ..endpoint(0.0) }]).await;

    let answer = site.post("why?").await.json();
    let no_prompt = site.post("").await;
    let other_model = site.post_to("/e/us-east~m", &json!({ "model": "x", "prompt": "why?" })).await;
    let no_json = site.post_to("/e/us-east~m/", &json!("why?")).await;

    assert_eq!((&answer["success"], &answer["model"]), (&true.into(), &"m".into()));
    assert_eq!(answer["region"], "asia-southeast", "the deployed name, not ours");
    assert_eq!(answer["receipt"]["output"]["prompt"], "why?");
    assert!(answer["response"].as_str().unwrap().starts_with("[simulated] m in asia-pacific answers: "));
    let expected = json!({ "status": "error", "error": "Prompt is required", "region": "asia-southeast" });
    assert_eq!((no_prompt.status, no_prompt.json()), (200, expected));
    assert_eq!((other_model.status, &other_model.json()["error"]), (200, &"Unknown model: x".into()));
    assert_eq!(no_json.status, 422);
    let total = site.total();
    assert_eq!((total.calls, total.refused, total.executions), (4, 3, 1));
}

#[tokio::test]
async fn the_openai_dialect_answers_chat_completions() {
    let site = Site::with(vec![endpoint(0.0)]).await;
    let chat = |model: &str, text: &str| json!({ "model": model, "messages": [{ "role": "user", "content": text }] });

    let answer = site.post_to(CHAT, &chat("m", "why is it so?")).await.json();
    let modal = site.post("why is it so?").await.json();
    let unknown = site.post_to(CHAT, &chat("x", "why?")).await;
    let empty = site.post_to(CHAT, &chat("m", "")).await;

    assert_eq!(
        answer["choices"][0]["message"]["content"], modal["response"],
        "the same prompt, the same text"
    );
    assert_eq!((&answer["object"], &answer["model"]), (&"chat.completion".into(), &"m".into()));
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    let tokens = |name: &str| answer["usage"][name].as_u64().unwrap();
    assert_eq!((tokens("prompt_tokens"), tokens("total_tokens")), (4, 4 + tokens("completion_tokens")));
    assert_eq!((unknown.status, &unknown.json()["error"]["code"]), (404, &"model_not_found".into()));
    assert_eq!((empty.status, &empty.json()["error"]["message"]), (400, &"Prompt is required".into()));
}

#[tokio::test]
async fn a_chat_completion_may_be_told_by_a_result_url_too() {
    let site = Site::with(vec![SimEndpoint { script: vec![Behaviour::Pending], ..endpoint(0.0) }]).await;

    let location = site
        .post_to(CHAT, &json!({ "model": "m", "messages": [{ "role": "user", "content": "why?" }] }))
        .await
        .location();

    assert!(location.ends_with("/v1/chat/completions?__modal_function_call_id=fc-0"), "{location}");
    assert_eq!(site.get(&location).await.json()["object"], "chat.completion");
}

#[tokio::test]
async fn health_and_models_are_served_without_a_call() {
    let site = Site::with(vec![endpoint(0.0)]).await;

    let health = site.get("/e/us-east~m/health").await.json();
    let models = site.get("/e/us-east~m/models").await.json();
    let list = site.get("/e/us-east~m/v1/models").await.json();

    assert_eq!((&health["status"], &health["region"]), (&"healthy".into(), &"us-east".into()));
    assert_eq!(health["models_ready"], json!(["m"]));
    assert_eq!(models["models_available"], json!(["m"]));
    assert_eq!(models["model_registry"]["m"]["description"], "simulated");
    assert_eq!(list["data"][0]["id"], "m");
    assert_eq!(site.get("/e/nobody/health").await.status, 404);
    assert_eq!(site.total().calls, 0);
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused() {
    let site = Site::with(vec![endpoint(0.0)]).await;

    let reply = site.post_to("/e/us-east~m/", &ask(&"x".repeat(16 * 1024 * 1024))).await;

    assert_eq!((reply.status, site.total().calls), (413, 0));
}
