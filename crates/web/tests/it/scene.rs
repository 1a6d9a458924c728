//! Two jobs in all states that can be seen at once: one runs, one has ended and is closed.

use std::time::Duration;

use beacon_domain::JobId;
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
