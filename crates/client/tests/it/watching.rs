//! Watching: through changes, through restarts of the server, and where no stream comes through.

use axum::{
    extract::Request,
    middleware,
    response::{Html, IntoResponse as _},
};
use beacon_client::{Change, Client, ClientError, Update, Watch};
use beacon_domain::JobState;
use beacon_testkit::{SpecBuilder, completed};
use http::Uri;

use crate::{
    desk::Desk,
    served::{Served, client, while_time_passes},
};

async fn next(desk: &Desk, watch: &mut Watch) -> Option<Change> {
    while_time_passes(&desk.clock, watch.next()).await.unwrap()
}

/// The next state; that the server is away is passed over.
async fn state(desk: &Desk, watch: &mut Watch) -> Option<Update> {
    loop {
        match next(desk, watch).await? {
            Change::State(update) => return Some(*update),
            Change::Away(_) => {}
        }
    }
}

/// The states of a job whose one execution is run meanwhile.
async fn seen(desk: &Desk, client: &Client, job: beacon_domain::JobId) -> Vec<JobState> {
    let mut watch = client.watch(job);
    let first = state(desk, &mut watch).await.unwrap();
    let lease = desk.claim(&["us-east/m"]).await.leases.remove(0);
    let second = state(desk, &mut watch).await.unwrap();
    desk.record(completed(&lease, desk.now())).await;
    let third = state(desk, &mut watch).await.unwrap();
    assert!(next(desk, &mut watch).await.is_none(), "nothing follows the end");
    [first, second, third].map(|update| update.job.state).to_vec()
}

const ALL: [JobState; 3] = [JobState::Queued, JobState::Running, JobState::Completed];

#[tokio::test]
async fn a_watch_tells_every_change_and_ends_with_the_job() {
    let desk = Desk::new();
    let job = desk.accepted(&SpecBuilder::new("watched")).await;
    let served = Served::start(desk.router()).await;
    let client = client(served.addr, None, &desk.clock);

    assert_eq!(seen(&desk, &client, job).await, ALL);
    let mut late = client.watch(job);
    assert_eq!(state(&desk, &mut late).await.unwrap().job.state, JobState::Completed);
    assert!(next(&desk, &mut late).await.is_none());
}

#[tokio::test]
async fn where_no_stream_comes_through_a_watch_looks_instead() {
    let desk = Desk::new();
    let job = desk.accepted(&SpecBuilder::new("watched")).await;
    let no_streams = middleware::from_fn(|uri: Uri, request: Request, next: middleware::Next| async move {
        let answer = next.run(request).await;
        if uri.path().ends_with("/events") {
            return Html("<h1>proxy</h1>").into_response();
        }
        answer
    });
    let served = Served::start(desk.router().layer(no_streams)).await;
    let client = client(served.addr, None, &desk.clock);

    assert_eq!(seen(&desk, &client, job).await, ALL);
}

#[tokio::test]
async fn a_server_that_dies_and_comes_back_is_waited_for_and_nothing_is_missed() {
    let desk = Desk::new();
    let job = desk.accepted(&SpecBuilder::new("watched")).await;
    let served = Served::start(desk.router()).await;
    let client = client(served.addr, None, &desk.clock);
    let mut watch = client.watch(job);
    let first = state(&desk, &mut watch).await.unwrap();

    let addr = served.stop().await;
    let away = next(&desk, &mut watch).await;
    let lease = desk.claim(&["us-east/m"]).await.leases.remove(0);
    desk.record(completed(&lease, desk.now())).await;
    let _served = Served::at(addr, desk.router()).await;
    let last = state(&desk, &mut watch).await.unwrap();

    assert_eq!((first.job.state, last.job.state), (JobState::Queued, JobState::Completed));
    let Some(Change::Away(error)) = away else { panic!("not told: {away:?}") };
    assert!(error.to_string().contains("start beacon-api, or correct the URL"), "{error}");
    assert!(next(&desk, &mut watch).await.is_none());
}

#[tokio::test]
async fn a_server_that_stays_away_is_given_up_after_the_patience() {
    let desk = Desk::new();
    let served = Served::start(desk.router()).await;
    let client = client(served.addr, None, &desk.clock);
    served.stop().await;
    let mut watch = client.watch("00000000000000000000000000000000".parse().unwrap());

    let told = next(&desk, &mut watch).await;
    let given_up = while_time_passes(&desk.clock, watch.next()).await;

    assert!(matches!(told, Some(Change::Away(_))), "{told:?}");
    assert!(matches!(given_up, Err(ClientError::Away { .. })), "{given_up:?}");
}

#[tokio::test]
async fn a_watch_of_no_job_says_so() {
    let desk = Desk::new();
    let served = Served::start(desk.router()).await;
    let client = client(served.addr, None, &desk.clock);

    let none = client.watch("00000000000000000000000000000000".parse().unwrap()).next().await.unwrap_err();

    assert_eq!(none.refusal().unwrap().code, "job_not_found");
}
