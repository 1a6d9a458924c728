//! The log events that tell how a job goes.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex},
};

use beacon_domain::Batching;
use beacon_testkit::SpecBuilder;
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context, layer::SubscriberExt as _};

use crate::bench::Bench;

type Fields = BTreeMap<String, String>;

/// Keeps the fields of every event of this thread.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<Fields>>>);

impl<S: Subscriber> Layer<S> for Kept {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Read(Fields::new());
        event.record(&mut fields);
        self.0.lock().unwrap().push(fields.0);
    }
}

struct Read(Fields);

impl Visit for Read {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}

impl Kept {
    fn of(&self, message: &str) -> Vec<Fields> {
        let kept = self.0.lock().unwrap();
        kept.iter()
            .filter(|fields| fields.get("message").is_some_and(|text| text == message))
            .cloned()
            .collect()
    }
}

#[tokio::test(start_paused = true)]
async fn question_batches_tell_their_start_and_their_end_with_all_their_numbers() {
    let kept = Kept::default();
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(kept.clone()));
    let bench = Bench::of_two_regions();
    let spec = SpecBuilder::new("events").question_count(3).regions(&["US", "EU"]);
    let job = bench.submit(&spec, Batching::Question).await;

    bench.run(job).await;

    let (started, completed) = (kept.of("starting question batch"), kept.of("question batch completed"));
    assert_eq!((started.len(), completed.len()), (3, 3));
    let batches = bench.ports.view.progress(job, bench.ports.clock.now()).await.unwrap().batches;
    for (n, batch) in batches.iter().enumerate() {
        for event in [&started[n], &completed[n]] {
            assert_eq!(event["job"], job.to_string());
            assert_eq!(event["question"], batch.question.to_string());
            assert_eq!(event["number"], (n + 1).to_string());
            assert_eq!(event["total"], "3");
            assert_eq!(event["executions"], "2");
        }
        assert_eq!(started[n].contains_key("gap_ms"), n > 0, "the first batch has no gap");
        assert_eq!(completed[n]["completed"], "2");
    }
}
