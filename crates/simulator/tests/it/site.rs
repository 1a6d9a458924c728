//! A simulator with a manual clock, and a plain HTTP/1.1 client that sees every byte and every reset.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use beacon_domain::EndpointId;
use beacon_simulator::{EndpointStats, Running, SimConfig, SimEndpoint, SimStats, serve_at};
use beacon_spec::{ModelId, Region};
use beacon_testkit::ManualClock;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinHandle,
};

/// Longer than anything here takes; only a fault meets it.
const PATIENCE: Duration = Duration::from_secs(20);

/// The simulator of one test.
pub(crate) struct Site {
    pub(crate) clock: ManualClock,
    pub(crate) running: Running,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

/// The endpoint `us-east/m`, warm after `warm_s`.
pub(crate) fn endpoint(warm_s: f64) -> SimEndpoint {
    named("us-east/m", warm_s)
}

/// An endpoint of model `m` in us-east.
pub(crate) fn named(id: &str, warm_s: f64) -> SimEndpoint {
    let endpoint = SimEndpoint::new(EndpointId::new(id), ModelId::new("m").unwrap(), Region::UsEast);
    SimEndpoint { warm: beacon_simulator::Warm::FixedS(warm_s), ..endpoint }
}

pub(crate) fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// The body that the client of Modal web functions sends.
pub(crate) fn ask(prompt: &str) -> Value {
    json!({ "model": "m", "prompt": prompt, "temperature": 0.1, "max_tokens": 500, "region": "us-east" })
}

impl Site {
    pub(crate) async fn with(endpoints: Vec<SimEndpoint>) -> Self {
        let clock = ManualClock::new();
        let config = SimConfig { seed: 1, endpoints };
        let running = serve_at(config, ([127, 0, 0, 1], 0).into(), Arc::new(clock.clone())).await.unwrap();
        Self { clock, running }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.running.addr()
    }

    pub(crate) fn total(&self) -> EndpointStats {
        self.running.stats().total
    }

    /// POSTs to an endpoint and waits for the answer.
    pub(crate) async fn post_to(&self, path: &str, body: &Value) -> Reply {
        exchange(self.addr(), "POST", path, &body.to_string()).await.unwrap()
    }

    /// POSTs to `us-east/m` and waits for the answer.
    pub(crate) async fn post(&self, prompt: &str) -> Reply {
        self.post_to("/e/us-east~m/", &ask(prompt)).await
    }

    /// POSTs to `us-east/m` in the background; returns when the endpoint has the call.
    pub(crate) async fn start(&self, prompt: &str) -> JoinHandle<Reply> {
        let calls = self.total().calls;
        let (addr, body) = (self.addr(), ask(prompt).to_string());
        let call = tokio::spawn(async move { exchange(addr, "POST", "/e/us-east~m/", &body).await.unwrap() });
        self.until(|stats| stats.total.calls > calls).await;
        call
    }

    /// GETs a path or a whole URL of this simulator.
    pub(crate) async fn get(&self, url: &str) -> Reply {
        exchange(self.addr(), "GET", self.path(url), "").await.unwrap()
    }

    /// GETs a result URL in the background; returns when the endpoint has the request.
    pub(crate) async fn start_get(&self, url: &str) -> JoinHandle<Reply> {
        let reads = self.total().result_url_reads;
        let (addr, path) = (self.addr(), self.path(url).to_owned());
        let call = tokio::spawn(async move { exchange(addr, "GET", &path, "").await.unwrap() });
        self.until(|stats| stats.total.result_url_reads > reads).await;
        call
    }

    /// Waits until the counts are so.
    pub(crate) async fn until(&self, what: impl Fn(&SimStats) -> bool) {
        let seen = async {
            while !what(&self.running.stats()) {
                tokio::task::yield_now().await;
            }
        };
        let seen = tokio::time::timeout(PATIENCE, seen).await;
        assert!(seen.is_ok(), "the counts never came: {:?}", self.running.stats());
    }

    /// Moves the clock.
    pub(crate) fn advance(&self, by_s: f64) {
        self.clock.advance(seconds(by_s));
    }

    fn path<'a>(&self, url: &'a str) -> &'a str {
        url.strip_prefix(&format!("http://{}", self.addr())).unwrap_or(url)
    }
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The result URL of a 303.
    pub(crate) fn location(&self) -> String {
        assert_eq!(self.status, 303, "{self:?}");
        self.header("location").unwrap().to_owned()
    }
}

/// Sends a request on a connection of its own.
pub(crate) async fn send(addr: SocketAddr, method: &str, path: &str, body: &str) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(addr).await?;
    let (key, length): (String, _) =
        (body.chars().filter(char::is_ascii_alphanumeric).take(100).collect(), body.len());
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {addr}\r\nconnection: close\r\ncontent-type: application/json\r\n\
         idempotency-key: {key}\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await?;
    Ok(stream)
}

/// Sends a request and reads until the connection ends.
pub(crate) async fn exchange(addr: SocketAddr, method: &str, path: &str, body: &str) -> io::Result<Reply> {
    let mut stream = send(addr, method, path, body).await?;
    let mut bytes = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await??;
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
    let end = end.ok_or_else(|| io::Error::other(format!("no head in {} bytes", bytes.len())))?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head.get(9..12).and_then(|status| status.parse().ok()).unwrap();
    Ok(Reply { status, head, body: bytes.split_off(end + 4) })
}
