//! Looking at a job and ending it.

use beacon_testkit::SpecBuilder;

use crate::desk::{Desk, TOKEN};

async fn accepted(desk: &Desk) -> String {
    let spec = SpecBuilder::new("shown").questions(&["one", "two"]).regions(&["US", "EU"]);
    desk.post("/api/v1/jobs", desk.signed(&spec)).await.job_id()
}

#[tokio::test]
async fn the_matrix_has_every_cell_with_question_model_and_region() {
    let desk = Desk::new();
    let job = accepted(&desk).await;

    let matrix = desk.get(&format!("/api/v1/jobs/{job}/matrix")).await;

    let cells = matrix.body["cells"].as_array().unwrap();
    assert_eq!(cells.len(), 4);
    for cell in cells {
        assert!(["question_id", "model_id", "region"].iter().all(|name| cell[*name].is_string()), "{cell}");
    }
}

// S7
#[tokio::test]
async fn a_cancel_tells_real_numbers_and_a_second_one_says_so() {
    let desk = Desk::new();
    let job = accepted(&desk).await;

    let first = desk.cancel(&job, Some(TOKEN)).await;
    let second = desk.cancel(&job, Some(TOKEN)).await;

    assert_eq!((&first.body["cancelled_waiting"], &first.body["state"]), (&4.into(), &"cancelled".into()));
    assert_eq!(second.body["already_ended"], true);
}

// A1
#[tokio::test]
async fn nobody_cancels_without_a_token() {
    let desk = Desk::new();
    let closed = Desk::with(|api| api.operator = None);
    let job = accepted(&desk).await;

    assert_eq!(desk.cancel(&job, None).await.refusal(), (401, "token_required"));
    assert_eq!(desk.cancel(&job, Some("guess")).await.refusal(), (401, "wrong_token"));
    assert_eq!(closed.cancel(&job, Some(TOKEN)).await.refusal(), (401, "wrong_token"));
    assert_eq!(desk.get(&format!("/api/v1/jobs/{job}")).await.body["job"]["state"], "queued");
}

#[tokio::test]
async fn a_job_that_is_not_there_is_not_found_whatever_its_name() {
    let desk = Desk::new();
    let unknown = "0".repeat(32);

    for id in [unknown.as_str(), "x", "..%2f..%2fetc", "%00", "%ff", "ÿ"] {
        let path = format!("/api/v1/jobs/{}", id.replace('ÿ', "%C3%BF"));
        assert_eq!(desk.get(&path).await.refusal(), (404, "job_not_found"), "{id}");
    }
    assert_eq!(desk.cancel(&unknown, Some(TOKEN)).await.refusal(), (404, "job_not_found"));
}
