//! Trying failed executions again.

use axum::body::Body;
use beacon_domain::{JobFilter, JobId};
use beacon_testkit::{SpecBuilder, failed};
use futures::future::join_all;
use http::Request;
use serde_json::json;
use tower::ServiceExt as _;

use crate::{
    desk::{Answer, Desk, TOKEN},
    scene::Scene,
};

async fn retry(desk: &Desk, job: JobId) -> Answer {
    desk.ask("POST", &format!("/api/v1/jobs/{job}/retry-failed"), TOKEN, "").await
}

// L4
#[tokio::test]
async fn what_failed_is_a_new_job_and_the_first_one_stays() {
    let desk = Desk::new();
    let scene = Scene::set(&desk).await;

    let answer = retry(&desk, scene.ended).await;

    assert_eq!((answer.status.as_u16(), &answer.body["executions"]), (202, &json!(1)), "{}", answer.body);
    assert_eq!(
        (&answer.body["generation"], &answer.body["retry_of"]),
        (&json!(1), &json!(scene.ended.to_string()))
    );
    let cells = desk.get(&format!("/api/v1/jobs/{}/executions", answer.job_id())).await;
    assert_eq!(cells.body["executions"][0]["region"], "eu-west", "{}", cells.body);
    assert_eq!(desk.view.job(scene.ended).await.unwrap().unwrap().counts.failed, 1);
}

#[tokio::test]
async fn a_job_that_is_open_whole_or_retried_already_is_not_retried() {
    let desk = Desk::new();
    let scene = Scene::set(&desk).await;
    let first = retry(&desk, scene.ended).await;

    let again = retry(&desk, scene.ended).await;
    desk.cancel(&first.job_id(), Some(TOKEN)).await;
    let nothing = retry(&desk, first.job_id().parse().unwrap()).await;

    assert_eq!(retry(&desk, scene.running).await.refusal(), (409, "job_open"));
    assert_eq!(again.refusal(), (409, "already_retried"));
    assert!(again.body["error"]["message"].as_str().unwrap().contains(&first.job_id()));
    assert_eq!(nothing.refusal(), (409, "nothing_failed"), "what was cancelled has not failed");
}

#[tokio::test]
async fn one_failed_execution_is_tried_alone_also_while_its_job_runs() {
    let desk = Desk::new();
    let scene = Scene::set(&desk).await;
    let one = async |n: u32| {
        desk.ask("POST", &format!("/api/v1/executions/{}-{n}/retry", scene.running), TOKEN, "").await
    };

    let (first, second) = (one(1).await, one(1).await);

    assert_eq!((first.status.as_u16(), &first.body["generation"]), (202, &json!(1)), "{}", first.body);
    assert_eq!(second.refusal(), (409, "already_retried"));
    assert!(second.body["error"]["message"].as_str().unwrap().contains(&first.job_id()), "{}", second.body);
    assert_eq!(one(0).await.refusal(), (409, "not_failed"));
    assert_eq!(one(99).await.refusal(), (404, "execution_not_found"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_that_try_one_execution_at_once_make_one_job() {
    for desk in [Desk::new(), Desk::in_a_file()] {
        let scene = Scene::set(&desk).await;
        let before = desk.view.jobs(JobFilter::default()).await.unwrap().items.len();
        let path = format!("/api/v1/executions/{}-1/retry", scene.running);

        let request = || Request::post(&path).header("authorization", format!("Bearer {TOKEN}"));
        let request = || request().body(Body::empty()).unwrap();
        let tasks: Vec<_> = (0..20).map(|_| tokio::spawn(desk.router().oneshot(request()))).collect();
        let answers = join_all(tasks).await.into_iter().map(|answer| answer.unwrap().unwrap());
        let mut statuses: Vec<_> = answers.map(|answer| answer.status().as_u16()).collect();

        statuses.sort_unstable();
        assert_eq!(statuses, [vec![202], vec![409; 19]].concat());
        assert_eq!(desk.view.jobs(JobFilter::default()).await.unwrap().items.len(), before + 1);
    }
}

/// What one retry took is left out, and only that.
#[tokio::test]
async fn what_is_left_of_the_failed_ones_is_tried_after_one_of_them_was_tried_alone() {
    let desk = Desk::new();
    let job = desk.accepted(&SpecBuilder::new("two").questions(&["a?"]).regions(&["US", "EU"])).await;
    for lease in desk.claim(&["us-east/m", "eu-west/m"]).await.leases {
        desk.record(failed(&lease, desk.now())).await;
    }
    let one = desk.ask("POST", &format!("/api/v1/executions/{job}-0/retry"), TOKEN, "").await;

    let (rest, nothing) = (retry(&desk, job).await, retry(&desk, job).await);

    assert_eq!((one.status.as_u16(), rest.status.as_u16()), (202, 202), "{} {}", one.body, rest.body);
    assert_eq!((&rest.body["executions"], &rest.body["generation"]), (&json!(1), &json!(2)));
    assert_eq!(nothing.refusal(), (409, "already_retried"));
}
