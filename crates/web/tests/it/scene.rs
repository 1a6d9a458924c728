//! Two jobs in all states that can be seen at once: one runs, one has ended and is closed.

use std::time::Duration;

use beacon_domain::{DeliveryEnd, DueAsk, JobId, NewDelivery};
use beacon_testkit::{SpecBuilder, completed, failed, retry};

use crate::desk::Desk;

/// The jobs of the scene.
pub(crate) struct Scene {
    /// Four executions: one completed, one failed; of the second question one backs off and one runs.
    pub(crate) running: JobId,
    /// Two executions: one completed, one failed; closed.
    pub(crate) ended: JobId,
}

impl Scene {
    pub(crate) async fn set(desk: &Desk) -> Self {
        let spec = |name: &str, questions: &[&str]| {
            SpecBuilder::new(name).questions(questions).regions(&["US", "EU"])
        };
        let ended = desk.accepted(&spec("ended", &["What is one?"])).await;
        desk.clock.advance(Duration::from_secs(1));
        for lease in desk.claim(&["us-east/m", "eu-west/m"]).await.leases {
            desk.clock.advance(Duration::from_secs(1));
            let is_us = lease.endpoint.as_str() == "us-east/m";
            desk.record(if is_us { completed(&lease, desk.now()) } else { failed(&lease, desk.now()) }).await;
        }
        desk.close(ended).await;
        tell(desk, ended).await;
        desk.clock.advance(Duration::from_secs(1));
        let running = desk.accepted(&spec("running", &["What is one?", "What is two?"])).await;
        for lease in desk.claim(&["us-east/m", "eu-west/m"]).await.leases {
            let is_us = lease.endpoint.as_str() == "us-east/m";
            desk.record(if is_us { completed(&lease, desk.now()) } else { failed(&lease, desk.now()) }).await;
        }
        desk.clock.advance(Duration::from_secs(1));
        for lease in desk.claim(&["us-east/m", "eu-west/m"]).await.leases {
            if lease.endpoint.as_str() == "us-east/m" {
                desk.record(retry(&lease, desk.now() + Duration::from_secs(30), desk.now())).await;
            }
        }
        Self { running, ended }
    }
}

/// Two deliveries of a job: one was delivered, one failed and waits.
async fn tell(desk: &Desk, job: JobId) {
    let delivery = |place: u32, url: &str| NewDelivery {
        id: format!("msg_{job}_end_{place}"),
        job,
        event: "job.ended".to_owned(),
        url: url.to_owned(),
        body: "{}".to_owned(),
    };
    let new = vec![
        delivery(0, "https://Hook.example/a/secret"),
        delivery(1, "https://other.example:8443?b=secret"),
    ];
    desk.operations.enqueue(new, desk.now()).await.unwrap();
    let ask = DueAsk {
        n: 2,
        sending: Vec::new(),
        of_key: 9,
        to_receiver: 9,
        lease: Duration::from_secs(60),
        now: desk.now(),
    };
    let taken = desk.operations.due(ask).await.unwrap();
    let at = desk.now() + Duration::from_secs(5);
    let again = DeliveryEnd::Again { at, status: Some(503), error: "answered 503".to_owned() };
    for (delivery, end) in taken.iter().zip([DeliveryEnd::Done { status: 204 }, again]) {
        assert!(desk.operations.delivered(delivery, end, desk.now()).await.unwrap());
    }
}
