//! Results as files: every format has every execution, and receipts verify offline.

use beacon_spec::RecordsCheck;
use parquet::{
    file::reader::{FileReader as _, SerializedFileReader},
    record::RowAccessor as _,
};

use crate::{desk::Desk, scene::Scene};

#[tokio::test]
async fn a_parquet_file_has_a_row_for_every_execution_and_opens() {
    let desk = Desk::in_a_file();
    let scene = Scene::set(&desk).await;

    let answer = desk.get(&format!("/api/v1/jobs/{}/results?format=parquet", scene.running)).await;

    assert_eq!(answer.header("content-type"), "application/vnd.apache.parquet");
    let file = SerializedFileReader::new(bytes::Bytes::from(answer.bytes)).unwrap();
    let rows: Vec<_> = file.get_row_iter(None).unwrap().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 4);
    let columns: Vec<_> = rows[0].get_column_iter().map(|(name, _)| name.clone()).collect();
    let place = |name: &str| columns.iter().position(|column| column == name).unwrap();
    let states: Vec<_> = rows.iter().map(|row| row.get_string(place("state")).unwrap().as_str()).collect();
    assert_eq!(states, ["completed", "failed", "queued", "running"]);
    assert_eq!(rows[0].get_string(place("answer")).unwrap(), "yes");
    assert_eq!(rows[1].get_string(place("error")).unwrap(), "connection_lost");
    assert!(rows[1].get_string(place("answer")).is_err(), "no answer is no text");
}

#[tokio::test]
async fn json_lines_and_csv_have_every_execution() {
    let desk = Desk::new();
    let scene = Scene::set(&desk).await;
    let path = |format: &str| format!("/api/v1/jobs/{}/results?format={format}", scene.running);

    let lines = String::from_utf8(desk.get(&path("jsonl")).await.bytes).unwrap();
    let table = String::from_utf8(desk.get(&path("csv")).await.bytes).unwrap();

    for line in lines.lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(["question_id", "model_id", "region"].iter().all(|name| row[name].is_string()), "{row}");
    }
    assert_eq!((lines.lines().count(), table.lines().count()), (4, 5));
    assert!(table.starts_with("n,question_id,model_id,region,run,endpoint,state,"), "{table}");
}

// L8
#[tokio::test]
async fn the_receipts_of_a_closed_job_are_in_the_order_that_the_close_counts() {
    let desk = Desk::new();
    let scene = Scene::set(&desk).await;

    let export = desk.get(&format!("/api/v1/jobs/{}/receipts", scene.ended)).await.bytes;

    let mut check = RecordsCheck::new();
    export.split(|byte| *byte == b'\n').for_each(|line| check.push(line));
    let report = check.finish();
    // The receipts of this test are unsigned; the close over them is not.
    assert_eq!((report.receipts, report.close.is_some()), (2, true));
    let about_the_close = report.problems.iter().filter(|problem| problem.contains("Merkle"));
    assert_eq!(about_the_close.count(), 0, "{:?}", report.problems);
}
