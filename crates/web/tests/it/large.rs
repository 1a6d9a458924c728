//! Large jobs: what is streamed is complete, and filters find little in much.

use beacon_testkit::SpecBuilder;
use serde_json::Value;

use crate::desk::Desk;

/// More cells than a matrix answers in one piece, and more than one piece behind them.
fn large() -> SpecBuilder {
    SpecBuilder::new("large").question_count(150).regions(&["US", "EU"]).runs(60)
}

#[tokio::test]
async fn a_large_matrix_is_streamed_whole_in_both_forms() {
    let desk = Desk::new();
    let job = desk.accepted(&large()).await;

    let cells = desk.get(&format!("/api/v1/jobs/{job}/matrix")).await;
    let rows = desk.get(&format!("/api/v1/jobs/{job}/matrix?form=rows")).await;

    let places = |list: &Value, of: fn(&Value) -> &Value| {
        list.as_array().unwrap().iter().map(|one| of(one).as_u64().unwrap()).collect::<Vec<_>>()
    };
    let all: Vec<u64> = (0..18_000).collect();
    assert_eq!(places(&cells.body["cells"], |cell| &cell["n"]), all);
    assert_eq!(places(&rows.body["rows"], |row| &row[0]), all);
    assert_eq!(cells.header("etag"), "", "what is streamed has no tag");
    let names = &rows.body["names"];
    assert_eq!(names["question_id"].as_array().unwrap().len(), 150);
    let last = &rows.body["rows"][17_999];
    let column =
        |name: &str| rows.body["columns"].as_array().unwrap().iter().position(|c| c == name).unwrap();
    let question = last[column("question_id")].as_u64().unwrap() as usize;
    assert_eq!(names["question_id"][question], cells.body["cells"][17_999]["question_id"]);
    assert!(rows.bytes.len() * 4 < cells.bytes.len(), "{} {}", rows.bytes.len(), cells.bytes.len());
}

#[tokio::test]
async fn pages_of_executions_join_without_a_gap() {
    let desk = Desk::new();
    let job = desk.accepted(&large()).await;

    let (mut seen, mut cursor) = (0, String::new());
    loop {
        let path = format!("/api/v1/jobs/{job}/executions?state=queued&limit=50{cursor}");
        let page = desk.get(&path).await.body;
        for execution in page["executions"].as_array().unwrap() {
            assert_eq!(execution["n"], seen);
            seen += 1;
        }
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }

    assert_eq!(seen, 120, "the first question");
}
