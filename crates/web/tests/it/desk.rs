//! An API under test, without sockets, over a store of choice.

use std::{sync::Arc, time::Duration};

use axum::{Router, body::Body};
use beacon_domain::{
    ApiToken, Batching, Board, Claimed, Clock, EndpointId, EndpointInfo, JobId, JobStore, JobView,
    Operations, Recording, Scope, Timing, TokenSecret, WebhookPolicy, WorkQueue,
};
use beacon_scheduler::{EndpointCatalog, Stop};
use beacon_spec::{
    ModelId, ReceiptSigner, Region, RequestParts, Sha256Digest, SigningKey, Timestamp, sign_request,
};
use beacon_store::{MemoryStore, OpenMode, PostgresOptions, PostgresStore, SqliteStore, migrate::Migrator};
use beacon_testkit::{Cluster, ManualClock, SpecBuilder, claim, test_key, test_ring};
use beacon_web::{Api, ApiLimits, OperatorToken, Rates, router};
use http::{HeaderMap, Request, Response, StatusCode, request::Builder};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt as _;

pub(crate) const TOKEN: &str = "test-only-token-0123456789abcdef0123";

/// An API that serves the model `m` in two regions.
pub(crate) struct Desk {
    pub(crate) clock: ManualClock,
    pub(crate) stop: Stop,
    pub(crate) jobs: Arc<dyn JobStore>,
    pub(crate) queue: Arc<dyn WorkQueue>,
    pub(crate) view: Arc<dyn JobView>,
    pub(crate) operations: Arc<dyn Operations>,
    router: Router,
    _folder: Option<TempDir>,
}

/// Allows no address that begins with 127.
struct Policy;

impl WebhookPolicy for Policy {
    fn judge(&self, url: &str) -> Result<(), String> {
        if url.contains("//127.") { Err("leads to 127.0.0.1, which is loopback".to_owned()) } else { Ok(()) }
    }

    fn secret_of(&self, public_key: &[u8; 32]) -> String {
        format!("whsec_of_a_key_that_begins_with_{}", public_key[0])
    }
}

/// A status, headers and a body.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Vec<u8>,
    /// The body as JSON, null if it is none.
    pub(crate) body: Value,
}

impl Desk {
    /// Over a store in memory.
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    /// Over a store in memory, with a change.
    pub(crate) fn with(change: impl FnOnce(&mut Api)) -> Self {
        let store = Arc::new(MemoryStore::new());
        let wakeups = store.wakeups();
        Self::over(store, wakeups, None, change)
    }

    /// Over a SQLite file.
    pub(crate) fn in_a_file() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(folder.path().join("test.db"), OpenMode::Run).unwrap());
        let wakeups = store.wakeups();
        Self::over(store, wakeups, Some(folder), |_| {})
    }

    /// Over a PostgreSQL database of its own.
    pub(crate) async fn on_a_server() -> Self {
        let cluster = Cluster::shared();
        let options = PostgresOptions::new(cluster.url(&cluster.database(None)));
        Migrator::connect(&options).await.unwrap().up().await.unwrap();
        let store = Arc::new(PostgresStore::connect(options).await.unwrap());
        let wakeups = store.wakeups();
        Self::over(store, wakeups, None, |_| {})
    }

    fn over<S: JobStore + WorkQueue + JobView + Board + Operations + 'static>(
        store: Arc<S>,
        wakeups: Arc<beacon_domain::Wakeups>,
        folder: Option<TempDir>,
        change: impl FnOnce(&mut Api),
    ) -> Self {
        let clock = ManualClock::new();
        let endpoint = |region: Region| {
            let info =
                EndpointInfo::new(EndpointId::new(format!("{region}/m")), ModelId::new("m").unwrap(), region);
            let timing = Timing { cold: Duration::from_secs(60), warm: Duration::from_secs(5) };
            EndpointInfo { timing: Some(timing), price_micros_per_s: 164, ..info }
        };
        let mut api = Api {
            clock: Arc::new(clock.clone()),
            jobs: Arc::clone(&store) as Arc<dyn JobStore>,
            view: Arc::clone(&store) as Arc<dyn JobView>,
            board: Arc::clone(&store) as Arc<dyn Board>,
            operations: Arc::clone(&store) as Arc<dyn Operations>,
            wakeups,
            keys: Arc::new(test_ring()),
            catalog: EndpointCatalog::new([endpoint(Region::UsEast), endpoint(Region::EuWest)]).unwrap(),
            operator: Some(OperatorToken::new(TOKEN)),
            require_token_to_read: false,
            rates: Rates::default(),
            proxies: Vec::new(),
            batching: Batching::Question,
            limits: ApiLimits {
                max_body_bytes: 1 << 20,
                request: Duration::from_secs(30),
                job: Duration::from_secs(3600),
                max_age: Duration::from_secs(600),
                streams_per_address: 0,
            },
            origins: Vec::new(),
            secured: false,
            webhooks: Some(Arc::new(Policy)),
            stop: Stop::new(),
        };
        change(&mut api);
        Self {
            clock,
            stop: api.stop.clone(),
            jobs: Arc::clone(&store) as Arc<dyn JobStore>,
            queue: Arc::clone(&store) as Arc<dyn WorkQueue>,
            operations: Arc::clone(&store) as Arc<dyn Operations>,
            view: store,
            router: router(api),
            _folder: folder,
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The bytes of this job, signed now by the ring's key.
    pub(crate) fn signed(&self, spec: &SpecBuilder) -> Vec<u8> {
        spec.clone().key("ring", 0x42, 1).signed_at(self.now())
    }

    /// Submits this job; gives its id.
    pub(crate) async fn accepted(&self, spec: &SpecBuilder) -> JobId {
        let answer = self.post("/api/v1/jobs", self.signed(spec)).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.body);
        answer.job_id().parse().unwrap()
    }

    /// What a worker gets for these endpoints, one call each.
    pub(crate) async fn claim(&self, endpoints: &[&str]) -> Claimed {
        self.queue.claim(claim(endpoints, 1, self.now())).await.unwrap()
    }

    pub(crate) async fn record(&self, recording: Recording) {
        self.queue.record(vec![recording], self.now()).await.unwrap();
    }

    /// Writes the close of an ended job, as a worker would.
    pub(crate) async fn close(&self, job: JobId) {
        let summary = self.view.job(job).await.unwrap().unwrap();
        let leaves = self.jobs.receipt_leaves(job, None, 1000).await.unwrap();
        let mut root = beacon_spec::MerkleRoot::default();
        leaves.iter().for_each(|leaf| root.push(leaf.hash));
        let body = beacon_spec::CloseBody {
            schema: beacon_spec::CLOSE_SCHEMA.to_owned(),
            job: job.to_string(),
            spec_digest: summary.spec_digest,
            state: summary.state.to_string(),
            expected: summary.counts.total(),
            completed: summary.counts.completed,
            failed: summary.counts.failed,
            cancelled: summary.counts.cancelled,
            timed_out: summary.counts.timed_out,
            unsupported: summary.counts.unsupported,
            receipts: leaves.len() as u32,
            merkle_root: root.root(),
            ended_at: summary.ended_at.unwrap(),
        };
        self.jobs.close(job, ReceiptSigner::new(test_key()).close(body)).await.unwrap();
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<Body>) -> Answer {
        self.send(Request::post(path).body(body.into()).unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[]).await
    }

    pub(crate) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let request =
            headers.iter().fold(Request::get(path), |request, (name, value)| request.header(*name, *value));
        self.send(request.body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn cancel(&self, job: &str, token: Option<&str>) -> Answer {
        let mut request = Request::post(format!("/api/v1/jobs/{job}/cancel"));
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        self.send(request.body(Body::empty()).unwrap()).await
    }

    /// A token of the store.
    pub(crate) async fn token(&self, scope: Scope) -> TokenSecret {
        let secret = TokenSecret::of([scope as u8 + 1; 4], [scope as u8 + 1; 32]);
        self.operations.add_token(ApiToken::new(&secret, "test", scope, None, self.now())).await.unwrap();
        secret
    }

    /// A request to steer, signed now by this key.
    pub(crate) fn sign(&self, request: Builder, key: &SigningKey, path: &str, nonce: &str) -> Builder {
        self.sign_body(request, key, (path, b""), nonce)
    }

    /// The same with a body, and perhaps a query behind the path.
    pub(crate) fn sign_body(
        &self,
        request: Builder,
        key: &SigningKey,
        (target, body): (&str, &[u8]),
        nonce: &str,
    ) -> Builder {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let body = Sha256Digest::of(body);
        let parts = RequestParts { method: "POST", authority: "test.example", path, query, body };
        let headers = sign_request(key, &parts, self.now(), nonce).unwrap();
        let request = request.header("host", "test.example").header("content-digest", headers.content_digest);
        request.header("signature-input", headers.input).header("signature", headers.signature)
    }

    /// Posts without a body, signed now by this key.
    pub(crate) async fn post_signed(&self, path: &str, key: &SigningKey, nonce: &str) -> Answer {
        let request = self.sign(Request::post(path), key, path, nonce);
        self.send(request.body(Body::empty()).unwrap()).await
    }

    /// Asks with a token, and with a body if there is one.
    pub(crate) async fn ask(&self, method: &str, path: &str, token: &str, body: impl Into<Body>) -> Answer {
        let request = Request::builder().method(method).uri(path);
        let request = request.header("authorization", format!("Bearer {token}"));
        self.send(request.body(body.into()).unwrap()).await
    }

    /// The service itself.
    pub(crate) fn router(&self) -> Router {
        self.router.clone()
    }

    /// The answer as it begins; its body is still to be read.
    pub(crate) async fn begin(&self, request: Request<Body>) -> Response<Body> {
        self.router().oneshot(request).await.unwrap()
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let (head, body) = self.begin(request).await.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes().to_vec();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Answer { status: head.status, headers: head.headers, bytes, body }
    }
}

impl Answer {
    /// A header, empty if it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn request_id(&self) -> &str {
        self.header("x-request-id")
    }

    /// The status and the code of a refusal, whose envelope is as promised (A2).
    pub(crate) fn refusal(&self) -> (u16, &str) {
        let error = &self.body["error"];
        assert_eq!(self.body.as_object().unwrap().len(), 1, "{}", self.body);
        assert_eq!(error["request_id"], self.request_id(), "{}", self.body);
        assert!(!error["message"].as_str().unwrap().is_empty(), "{}", self.body);
        (self.status.as_u16(), error["code"].as_str().unwrap())
    }

    pub(crate) fn job_id(&self) -> String {
        self.body["job_id"].as_str().unwrap().to_owned()
    }
}
