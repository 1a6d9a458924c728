//! What holds for every request: ids, routes, headers, origins, types, health.

use std::time::Duration;

use axum::body::Body;
use http::{HeaderValue, Request};

use crate::desk::Desk;

// A2
#[tokio::test]
async fn every_answer_has_a_request_id_and_a_short_one_of_the_caller_is_kept() {
    let desk = Desk::new();

    let kept = desk.get_with("/health", &[("x-request-id", "mine-1")]).await;
    let made = desk.get_with("/health", &[("x-request-id", &"x".repeat(200))]).await;
    let other = desk.get("/health").await;

    assert_eq!(kept.request_id(), "mine-1");
    assert_eq!((made.request_id().len(), other.request_id().len()), (32, 32));
    assert_ne!(made.request_id(), other.request_id());
}

#[tokio::test]
async fn an_unknown_route_and_a_wrong_method_have_the_same_envelope() {
    let desk = Desk::new();

    let method = desk.send(Request::delete("/api/v1/jobs").body(Body::empty()).unwrap()).await;

    assert_eq!(desk.get("/api/v1/nothing").await.refusal(), (404, "no_such_route"));
    assert_eq!(method.refusal(), (405, "method_not_allowed"));
    assert_eq!(method.header("allow"), "GET,HEAD,POST");
}

#[tokio::test]
async fn routes_have_the_names_too_that_older_clients_know() {
    let desk = Desk::new();
    let job = desk.accepted(&beacon_testkit::SpecBuilder::new("old")).await;

    for (old, new) in [
        (format!("/api/v1/jobs/{job}/executions/all"), format!("/api/v1/jobs/{job}/executions")),
        (format!("/api/v1/executions/{job}-0/details"), format!("/api/v1/executions/{job}-0")),
        ("/api/v1/health".to_owned(), "/health".to_owned()),
        ("/api/v1/health/ready".to_owned(), "/ready".to_owned()),
    ] {
        let (old, new) = (desk.get(&old).await, desk.get(&new).await);
        assert_eq!((old.status.as_u16(), old.body), (200, new.body));
    }
}

// A6
#[tokio::test]
async fn health_is_the_process_and_readiness_the_database() {
    let desk = Desk::new();

    assert_eq!(desk.get("/health").await.body["status"], "alive");
    assert_eq!(desk.get("/ready").await.body["endpoints"], 2);
}

// A7: time is tokio's here, which the test moves.
#[tokio::test(start_paused = true)]
async fn a_body_that_never_ends_is_given_up_in_time() {
    let desk = Desk::new();
    let never = Body::from_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>());

    let slow = desk.post("/api/v1/jobs", never).await;

    assert_eq!(slow.refusal(), (408, "too_slow"));
}

#[tokio::test]
async fn a_head_request_has_the_headers_and_no_body() {
    let desk = Desk::new();
    let head = Request::head("/api/v1/jobs").body(Body::empty()).unwrap();

    let answer = desk.send(head).await;

    assert_eq!((answer.status.as_u16(), answer.bytes.len()), (200, 0));
    assert_eq!(answer.header("content-type"), "application/json");
}

#[tokio::test]
async fn every_answer_tells_browsers_to_do_nothing_of_their_own() {
    let desk = Desk::new();

    for path in ["/api/v1/jobs", "/api/v1/nothing", "/docs"] {
        let answer = desk.get(path).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("x-frame-options"), "DENY", "{path}");
        assert!(answer.header("content-security-policy").starts_with("default-src 'none'"), "{path}");
    }
}

#[tokio::test]
async fn browsers_are_bound_to_tls_only_where_it_is_spoken() {
    let (plain, secured) = (Desk::new(), Desk::with(|api| api.secured = true));

    let header =
        async |desk: &Desk| desk.get("/health").await.headers.get("strict-transport-security").cloned();

    assert_eq!(header(&plain).await, None);
    assert_eq!(header(&secured).await, Some(HeaderValue::from_static("max-age=31536000")));
}

#[tokio::test]
async fn pages_of_other_origins_may_call_only_if_they_are_named() {
    let closed = Desk::new();
    let open = Desk::with(|api| api.origins = vec![HeaderValue::from_static("https://portal.example")]);
    let allowed = async |desk: &Desk, origin: &str| {
        let answer = desk.get_with("/health", &[("origin", origin)]).await;
        answer.header("access-control-allow-origin").to_owned()
    };

    assert_eq!(allowed(&closed, "https://portal.example").await, "");
    assert_eq!(allowed(&open, "https://other.example").await, "");
    assert_eq!(allowed(&open, "https://portal.example").await, "https://portal.example");
}

#[tokio::test]
async fn a_type_that_the_caller_excludes_is_not_sent() {
    let desk = Desk::new();
    let accepting = async |accept: &str| desk.get_with("/api/v1/jobs", &[("accept", accept)]).await;

    assert_eq!(accepting("text/html").await.refusal(), (406, "not_acceptable"));
    assert_eq!(accepting("text/html, */*;q=0.1").await.status, 200);
}

// A7
#[tokio::test]
async fn a_body_that_is_too_long_is_told_the_limit() {
    let desk = Desk::new();

    let answer = desk.post("/api/v1/jobs", vec![b' '; (1 << 20) + 1]).await;

    assert_eq!(answer.refusal(), (413, "too_large"));
    assert!(answer.body["error"]["message"].as_str().unwrap().contains("1048576"), "{}", answer.body);
}

#[tokio::test]
async fn a_body_of_another_type_is_refused_and_one_without_a_type_is_json() {
    let desk = Desk::new();
    let post = |content_type: &str| {
        Request::post("/api/v1/verify").header("content-type", content_type).body(Body::from("{}")).unwrap()
    };

    assert_eq!(desk.send(post("text/plain")).await.refusal(), (415, "unsupported_media_type"));
    assert_eq!(desk.send(post("application/json; charset=utf-8")).await.status, 200);
    assert_eq!(desk.post("/api/v1/verify", "{}").await.status, 200);
}

#[tokio::test]
async fn a_number_of_the_query_is_refused_under_its_name_with_its_bounds() {
    let desk = Desk::new();
    let job = format!("/api/v1/jobs/{}", desk.accepted(&beacon_testkit::SpecBuilder::new("asked")).await);

    for (path, message) in [
        ("/api/v1/jobs?limit=-1".to_owned(), "limit must be a whole number from 1 to 500"),
        ("/api/v1/jobs?limit=501".to_owned(), "limit must be a whole number from 1 to 500"),
        (format!("{job}?exec_limit=0"), "exec_limit must be a whole number from 1 to 500"),
        (format!("{job}?exec_offset=99999999999"), "exec_offset must be a whole number from 0 to 100000000"),
        ("/api/v1/jobs?limit=1&limit=2".to_owned(), "`limit` is there twice; send it once"),
    ] {
        let answer = desk.get(&path).await;
        assert_eq!(answer.refusal(), (400, "invalid_query"), "{path}");
        assert_eq!(answer.body["error"]["message"], message, "{path}");
    }
}

#[tokio::test]
async fn metrics_count_requests_by_route_and_never_by_path() {
    let desk = Desk::new();
    for id in ["a", "b"] {
        desk.get(&format!("/api/v1/jobs/{}", id.repeat(32))).await;
    }
    desk.get("/api/v1/nothing/at/all").await;

    let answer = desk.get("/metrics").await;
    let text = String::from_utf8(answer.bytes).unwrap();

    let jobs = r#"beacon_http_requests_total{method="GET",route="/api/v1/jobs/{id}",status="404"} 2"#;
    assert!(text.contains(jobs), "{text}");
    assert!(text.contains(r#"route="unmatched""#), "{text}");
    assert!(text.contains("beacon_store_up 1"), "{text}");
    assert!(!text.contains("nothing") && !text.contains("aaaa"), "{text}");
}

#[tokio::test]
async fn metrics_show_how_endpoints_stand() {
    let desk = Desk::new();
    desk.accepted(&beacon_testkit::SpecBuilder::new("job").question_count(1).runs(3)).await;
    desk.claim(&["us-east/m"]).await;

    let text = String::from_utf8(desk.get("/metrics").await.bytes).unwrap();

    for line in [
        r#"beacon_endpoint_in_flight{endpoint="us-east/m"} 1"#,
        r#"beacon_endpoint_waiting{endpoint="us-east/m"} 2"#,
        r#"beacon_endpoint_gate{endpoint="us-east/m",gate="open"} 1"#,
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[tokio::test]
async fn metrics_show_webhooks_that_wait_and_how_late_they_are() {
    let desk = Desk::new();
    crate::scene::Scene::set(&desk).await;
    desk.clock.advance(Duration::from_secs(60));

    let text = String::from_utf8(desk.get("/metrics").await.bytes).unwrap();

    // One of two was delivered, the other one was to be tried again long ago.
    assert!(text.contains("beacon_deliveries_waiting 1"), "{text}");
    let late = text.lines().find_map(|line| line.strip_prefix("beacon_deliveries_late_seconds "));
    assert!(late.unwrap().parse::<f64>().unwrap() > 50.0, "{text}");
}

// A4
#[tokio::test]
async fn who_polls_with_an_etag_gets_a_body_only_when_something_has_changed() {
    let desk = Desk::new();
    let job = desk.accepted(&beacon_testkit::SpecBuilder::new("polled")).await;

    for path in [format!("/api/v1/jobs/{job}"), format!("/api/v1/jobs/{job}/matrix")] {
        let first = desk.get(&path).await;
        let tag = first.header("etag").to_owned();
        let again = desk.get_with(&path, &[("if-none-match", &format!("\"other\", W/{tag}"))]).await;

        assert_eq!((again.status.as_u16(), again.bytes.len(), again.header("etag")), (304, 0, tag.as_str()));
    }
    let path = format!("/api/v1/jobs/{job}");
    let before = desk.get(&path).await.header("etag").to_owned();
    desk.claim(&["us-east/m"]).await;
    desk.clock.advance(Duration::from_secs(1));

    assert_eq!(desk.get_with(&path, &[("if-none-match", &before)]).await.status, 200);
}
