//! Event streams: what comes, in which order, and what many streams cost.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use axum::body::Body;
use beacon_domain::{
    ExecutionRecord, Failure, JobFilter, JobId, JobSummary, JobView, Matrix, Page, Progress, Scope,
    StoreError,
};
use beacon_spec::Timestamp;
use beacon_testkit::{SpecBuilder, completed};
use futures::StreamExt as _;
use http::Request;
use http_body_util::BodyDataStream;
use serde_json::Value;

use crate::desk::{Desk, TOKEN};

/// One client.
struct Client<'a> {
    desk: &'a Desk,
    body: BodyDataStream<Body>,
    text: String,
}

/// One event: its id, its name, its data.
#[derive(Debug)]
struct Event {
    id: i64,
    name: String,
    data: Value,
}

impl<'a> Client<'a> {
    async fn open(desk: &'a Desk, job: JobId, last: Option<i64>) -> Self {
        let last = last.map(|last| ("last-event-id", last.to_string()));
        Self::open_with(desk, job, last.as_slice()).await
    }

    async fn open_with(desk: &'a Desk, job: JobId, headers: &[(&str, String)]) -> Self {
        let request = Request::get(format!("/api/v1/jobs/{job}/events"));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, value));
        let response = desk.begin(request.body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), 200);
        Self { desk, body: BodyDataStream::new(response.into_body()), text: String::new() }
    }

    /// The next block of lines; time goes on until it comes. Nothing at the end of the stream.
    async fn block(&mut self) -> Option<String> {
        for _ in 0..10_000 {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let block = block.to_owned();
                self.text = rest.to_owned();
                return Some(block);
            }
            tokio::select! {
                biased;
                piece = self.body.next() => match piece {
                    Some(piece) => self.text += std::str::from_utf8(&piece.unwrap()).unwrap(),
                    None => return None,
                },
                () = tokio::task::yield_now() => self.desk.clock.advance(Duration::from_millis(50)),
            }
        }
        panic!("nothing comes");
    }

    /// The next event; comments are skipped.
    async fn event(&mut self) -> Option<Event> {
        loop {
            let block = self.block().await?;
            let field =
                |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
            if let Some(data) = field("data: ") {
                let (id, name) = (field("id: ").unwrap().parse().unwrap(), field("event: ").unwrap());
                return Some(Event { id, name, data: serde_json::from_str(&data).unwrap() });
            }
        }
    }
}

// A4
#[tokio::test]
async fn a_stream_begins_with_a_snapshot_tells_every_change_and_ends_with_the_job() {
    let desk = Desk::new();
    let job = desk.accepted(&SpecBuilder::new("watched")).await;
    let mut client = Client::open(&desk, job, None).await;

    let first = client.event().await.unwrap();
    let lease = desk.claim(&["us-east/m"]).await.leases.remove(0);
    let second = client.event().await.unwrap();
    desk.record(completed(&lease, desk.now())).await;
    let third = client.event().await.unwrap();

    let names = [&first, &second, &third].map(|event| event.name.as_str());
    assert_eq!(names, ["snapshot", "progress", "end"]);
    assert!(first.id < second.id && second.id < third.id, "{first:?} {second:?} {third:?}");
    assert_eq!(second.data["job"]["counts"]["running"], 1);
    assert_eq!(third.data["job"]["state"], "completed");
    assert!(client.event().await.is_none(), "nothing follows the end");
}

// A4
#[tokio::test]
async fn a_client_that_comes_back_gets_what_it_has_not_seen() {
    let desk = Desk::new();
    let job = desk.accepted(&SpecBuilder::new("resumed").runs(2)).await;
    let mut stays = Client::open(&desk, job, None).await;
    let seen = stays.event().await.unwrap();

    let mut back = Client::open(&desk, job, Some(seen.id)).await;
    desk.claim(&["us-east/m"]).await;
    let news = back.event().await.unwrap();
    let mut late = Client::open(&desk, job, Some(seen.id)).await;
    let missed = late.event().await.unwrap();
    let mut odd = Client::open(&desk, job, Some(i64::MAX)).await;

    assert_eq!(news.name, "progress", "it had the snapshot already");
    assert_eq!((missed.name.as_str(), &missed.data), ("snapshot", &news.data));
    assert!(missed.id > seen.id);
    assert_eq!(odd.event().await.unwrap().name, "snapshot", "an id that we never gave says nothing");
}

#[tokio::test]
async fn a_job_that_has_ended_is_told_at_once_and_one_that_is_not_there_is_not_found() {
    let desk = Desk::new();
    let job = desk.accepted(&SpecBuilder::new("over")).await;
    desk.cancel(&job.to_string(), Some(TOKEN)).await;
    let mut client = Client::open(&desk, job, None).await;

    let names = [client.event().await.unwrap().name, client.event().await.unwrap().name];

    assert_eq!(names, ["snapshot", "end"]);
    assert!(client.event().await.is_none());
    let nobody = format!("/api/v1/jobs/{}/events", "0".repeat(32));
    assert_eq!(desk.get(&nobody).await.refusal(), (404, "job_not_found"));
}

#[tokio::test]
async fn a_silent_stream_shows_that_it_lives() {
    let desk = Desk::new();
    let job = desk.accepted(&SpecBuilder::new("silent")).await;
    let mut client = Client::open(&desk, job, None).await;
    client.event().await.unwrap();
    let before = desk.now();

    let beat = client.block().await.unwrap();

    assert_eq!(beat, ": alive");
    let waited = desk.now().duration_since(before);
    assert!((14..=16).contains(&waited.as_secs()), "{waited:?}");
}

#[tokio::test]
async fn streams_end_when_the_server_stops() {
    let desk = Desk::new();
    let job = desk.accepted(&SpecBuilder::new("stopped")).await;
    let mut client = Client::open(&desk, job, None).await;
    client.event().await.unwrap();

    desk.stop.drain();

    assert!(client.event().await.is_none());
}

// A1
#[tokio::test]
async fn a_stream_ends_soon_after_its_token_is_revoked() {
    let desk = Desk::with(|api| api.require_token_to_read = true);
    let job = desk.accepted(&SpecBuilder::new("read")).await;
    let [gone, kept] = [desk.token(Scope::Read).await, desk.token(Scope::Operate).await];
    let mut streams = Vec::new();
    for token in [&gone, &kept] {
        streams.push(
            Client::open_with(&desk, job, &[("authorization", format!("Bearer {}", token.reveal()))]).await,
        );
    }
    for stream in &mut streams {
        stream.event().await.unwrap();
    }

    desk.operations.revoke_token(gone.id().to_owned(), desk.now()).await.unwrap();
    let before = desk.now();

    assert!(streams[0].event().await.is_none());
    let took = desk.now().duration_since(before);
    assert!(took.as_secs() <= 6, "{took:?}");
    assert_eq!(streams[1].block().await.unwrap(), ": alive");
}

// A1: what a proxy passes on of its own is no token, here as in other open reads.
#[tokio::test]
async fn a_stream_that_showed_no_token_goes_on() {
    let desk = Desk::new();
    let job = desk.accepted(&SpecBuilder::new("open")).await;
    let mut stream =
        Client::open_with(&desk, job, &[("authorization", "Basic dXNlcjpwYXNz".to_owned())]).await;
    stream.event().await.unwrap();

    assert_eq!(stream.block().await.unwrap(), ": alive");
}

// A7
#[tokio::test]
async fn an_address_has_a_bounded_number_of_streams() {
    let desk = Desk::with(|api| api.limits.streams_per_address = 2);
    let job = desk.accepted(&SpecBuilder::new("watched")).await;
    let path = format!("/api/v1/jobs/{job}/events");

    let held = [Client::open(&desk, job, None).await, Client::open(&desk, job, None).await];
    let third = desk.get(&path).await;
    drop(held);

    assert_eq!(third.refusal(), (429, "too_many_requests"));
    let _again = Client::open(&desk, job, None).await;
}

#[tokio::test]
async fn a_slow_reader_misses_states_and_delays_nobody() {
    let desk = Desk::new();
    let job = desk.accepted(&SpecBuilder::new("slow").runs(3)).await;
    let mut slow = Client::open(&desk, job, None).await;
    let mut quick = Client::open(&desk, job, None).await;
    quick.event().await.unwrap();

    for _ in 0..3 {
        let lease = desk.claim(&["us-east/m"]).await.leases.remove(0);
        quick.event().await.unwrap();
        desk.record(completed(&lease, desk.now())).await;
        quick.event().await.unwrap();
    }

    assert_eq!(slow.event().await.unwrap().name, "snapshot");
    let last = slow.event().await.unwrap();
    assert_eq!((last.name.as_str(), &last.data["job"]["counts"]["completed"]), ("end", &3.into()));
}

/// Counts how often a job is read.
struct Counted {
    view: Arc<dyn JobView>,
    reads: Arc<AtomicUsize>,
}

#[async_trait]
impl JobView for Counted {
    async fn job(&self, job: JobId) -> Result<Option<JobSummary>, StoreError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.view.job(job).await
    }

    async fn jobs(&self, filter: JobFilter) -> Result<Page<JobSummary>, StoreError> {
        self.view.jobs(filter).await
    }

    async fn matrix(&self, job: JobId) -> Result<Matrix, StoreError> {
        self.view.matrix(job).await
    }

    async fn records(
        &self,
        job: JobId,
        after: Option<u32>,
        limit: u32,
    ) -> Result<Vec<ExecutionRecord>, StoreError> {
        self.view.records(job, after, limit).await
    }

    async fn progress(&self, job: JobId, now: Timestamp) -> Result<Progress, StoreError> {
        self.view.progress(job, now).await
    }

    async fn failures(&self, job: JobId) -> Result<Vec<Failure>, StoreError> {
        self.view.failures(job).await
    }
}

#[tokio::test]
async fn two_thousand_streams_of_one_job_read_it_as_often_as_one() {
    let reads = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&reads);
    let desk = Desk::with(move |api| {
        api.view = Arc::new(Counted { view: Arc::clone(&api.view), reads: counted });
    });
    let job = desk.accepted(&SpecBuilder::new("crowd")).await;
    reads.store(0, Ordering::Relaxed);

    let opened = (0..2_000).map(|_| Client::open(&desk, job, None));
    let mut clients = futures::future::join_all(opened).await;
    assert_eq!(reads.load(Ordering::Relaxed), 1, "who comes first reads it for all");
    for client in &mut clients {
        assert_eq!(client.event().await.unwrap().name, "snapshot");
    }
    desk.claim(&["us-east/m"]).await;
    for client in &mut clients {
        assert_eq!(client.event().await.unwrap().data["job"]["counts"]["running"], 1);
    }

    assert!(reads.load(Ordering::Relaxed) <= 3, "{reads:?}");
}
