//! An API under test, without sockets.

use std::{sync::Arc, time::Duration};

use axum::{Router, body::Body};
use beacon_domain::{Batching, Clock, EndpointId, EndpointInfo, JobStore, JobView};
use beacon_scheduler::EndpointCatalog;
use beacon_spec::{ModelId, Region};
use beacon_store::MemoryStore;
use beacon_testkit::{ManualClock, SpecBuilder, test_ring};
use beacon_web::{Api, ApiLimits, OperatorToken, router};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;

pub(crate) const TOKEN: &str = "test-only-token-0123456789abcdef0123";

/// An API that serves the model `m` in two regions.
pub(crate) struct Desk {
    pub(crate) clock: ManualClock,
    pub(crate) store: Arc<MemoryStore>,
    router: Router,
}

/// A status and a body.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) request_id: String,
    pub(crate) body: Value,
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Api)) -> Self {
        let (clock, store) = (ManualClock::new(), Arc::new(MemoryStore::new()));
        let endpoint = |region: Region| {
            let model = ModelId::new("m").unwrap();
            EndpointInfo::new(EndpointId::new(format!("{region}/m")), model, region)
        };
        let mut api = Api {
            clock: Arc::new(clock.clone()),
            jobs: Arc::clone(&store) as Arc<dyn JobStore>,
            view: Arc::clone(&store) as Arc<dyn JobView>,
            keys: Arc::new(test_ring()),
            catalog: EndpointCatalog::new([endpoint(Region::UsEast), endpoint(Region::EuWest)]).unwrap(),
            operator: Some(OperatorToken::new(TOKEN)),
            batching: Batching::Question,
            limits: ApiLimits {
                max_body_bytes: 1 << 20,
                request: Duration::from_secs(30),
                job: Duration::from_secs(3600),
                max_age: Duration::from_secs(600),
            },
        };
        change(&mut api);
        Self { clock, store, router: router(api) }
    }

    /// The bytes of this job, signed now by the ring's key.
    pub(crate) fn signed(&self, spec: &SpecBuilder) -> Vec<u8> {
        spec.clone().key("ring", 0x42, 1).signed_at(self.clock.now())
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<Body>) -> Answer {
        self.send(Request::post(path).body(body.into()).unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn cancel(&self, job: &str, token: Option<&str>) -> Answer {
        let mut request = Request::post(format!("/api/v1/jobs/{job}/cancel"));
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        self.send(request.body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response: Response<Body> = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|error| panic!("{} {error}: {}", head.status, String::from_utf8_lossy(&bytes)));
        let request_id = head.headers["x-request-id"].to_str().unwrap().to_owned();
        Answer { status: head.status, request_id, body }
    }
}

impl Answer {
    /// The status and the code of a refusal, whose envelope is as promised (A2).
    pub(crate) fn refusal(&self) -> (u16, &str) {
        let error = &self.body["error"];
        assert_eq!(self.body.as_object().unwrap().len(), 1, "{}", self.body);
        assert_eq!(error["request_id"], self.request_id, "{}", self.body);
        assert!(!error["message"].as_str().unwrap().is_empty(), "{}", self.body);
        (self.status.as_u16(), error["code"].as_str().unwrap())
    }

    pub(crate) fn job_id(&self) -> String {
        self.body["job_id"].as_str().unwrap().to_owned()
    }
}
