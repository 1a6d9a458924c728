//! The statements of docs/OPERATING.md do what it says.

use std::time::Duration;

use beacon_domain::{Clock as _, DeliveryEnd, DeliveryQueue as _, DeliveryState, DueAsk, JobId, NewDelivery};
use beacon_store::PostgresStore;

use crate::{database, sound::plain, workers::clock};

/// The statements that the section shows, in order.
fn statements(section: &str) -> Vec<String> {
    let text = include_str!("../../../../docs/OPERATING.md");
    let (_, below) = text.split_once(&format!("\n## {section}\n")).unwrap();
    let section = below.split("\n## ").next().unwrap();
    let commands = section.split(" -c \"").skip(1);
    commands.map(|command| command.split('"').next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn deliveries_that_failed_are_counted_and_sent_again() {
    let (options, clock) = (database::options().await, clock());
    let store = PostgresStore::connect(options.clone()).await.unwrap();
    let [job, other] = [1, 2].map(|byte| JobId::from_bytes([byte; 16]));
    let delivery = |job: JobId| NewDelivery {
        id: format!("msg_{job}_end_0"),
        job,
        event: "job.ended".to_owned(),
        url: format!("https://{job}.example/"),
        body: "{}".to_owned(),
    };
    store.enqueue(vec![delivery(job), delivery(other)], clock.now()).await.unwrap();
    let ask = DueAsk {
        n: 2,
        sending: Vec::new(),
        of_key: 9,
        to_receiver: 9,
        lease: Duration::from_secs(60),
        now: clock.now(),
    };
    for taken in store.due(ask).await.unwrap() {
        let failed = DeliveryEnd::Failed { status: Some(401), error: "answered 401".to_owned() };
        assert!(store.delivered(&taken, failed, clock.now()).await.unwrap());
    }
    let [counts, again]: [String; 2] = statements("Webhooks that fail").try_into().unwrap();
    let client = plain(&options).await;

    let counted = client.query(counts.as_str(), &[]).await.unwrap();
    let changed = client.execute(again.replace("JOB", &job.to_string()).as_str(), &[]).await.unwrap();

    assert_eq!((counted.len(), counted[0].get::<_, i64>("count"), changed), (1, 2, 1));
    let (sent, left) =
        (store.deliveries(job, None, 9).await.unwrap(), store.deliveries(other, None, 9).await.unwrap());
    assert_eq!((sent[0].state, sent[0].attempts, sent[0].ended_at), (DeliveryState::Pending, 0, None));
    assert_eq!(left[0].state, DeliveryState::Failed);
}
