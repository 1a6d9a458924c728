//! A whole deployment: a private PostgreSQL database, the migrations, an API and workers as processes.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use beacon_testkit::Cluster;
use serde_json::Value;

use crate::{Finished, Process, beacon, between_looks, http, process::service};

/// The operator's token of every deployment under test.
pub const TOKEN: &str = "test-only-token-0123456789abcdef0123";

/// How long a log is looked at for what it must say.
const PATIENCE: Duration = Duration::from_secs(30);

/// A database with its schema, keys, and a configuration of the services.
#[derive(Debug)]
pub struct Deployment {
    folder: PathBuf,
    database: String,
    url: String,
    endpoints: PathBuf,
}

/// A running service, and where it listens.
#[derive(Debug)]
pub struct Service {
    /// The process.
    pub process: Process,
    addr: String,
    log: Arc<Mutex<String>>,
}

impl Deployment {
    /// Makes all of it in this folder, on a database of this cluster, for these endpoints.
    ///
    /// # Panics
    /// If a part of it cannot be made.
    #[must_use]
    pub fn new(cluster: &Cluster, folder: &Path, endpoints: &Path) -> Self {
        let database = cluster.database(None);
        let (folder, url) = (folder.to_owned(), cluster.url(&database));
        let deployment = Self { folder, database, url, endpoints: endpoints.to_owned() };
        for (key, ring) in [("runner.key", "runner.json"), ("signer.key", "keys.json")] {
            let made = Process::run(&deployment.folder, &["keygen", "--out", key, "--kid", "signer"]);
            assert_eq!(made.code, Some(0), "{}", made.stderr);
            fs::write(deployment.folder.join(ring), made.stdout).expect("the folder is writable");
        }
        let migrated = deployment.run("beacon-migrate", &["up"], &[]);
        assert_eq!(migrated.code, Some(0), "{}", migrated.stderr);
        deployment
    }

    /// The database's name.
    #[must_use]
    pub fn database(&self) -> &str {
        &self.database
    }

    /// How to reach the database through what listens here.
    #[must_use]
    pub fn url_through(&self, addr: SocketAddr) -> String {
        format!("postgres://postgres@{addr}/{}?sslmode=disable", self.database)
    }

    /// Runs a program of the services to its end, with these settings over those of the deployment.
    #[must_use]
    pub fn run(&self, program: &'static str, args: &[&str], settings: &[(&str, &str)]) -> Finished {
        self.process(program, args, settings).wait()
    }

    /// Starts a worker or an API, and waits until it works.
    ///
    /// # Panics
    /// If it ends instead.
    #[must_use]
    pub fn start(&self, program: &'static str, settings: &[(&str, &str)]) -> Service {
        let mut process = self.process(program, &[], settings);
        let mut log = BufReader::new(process.stderr());
        let field = if program == "beacon-api" { "listen" } else { "health" };
        let mut seen = String::new();
        let addr = loop {
            let mut line = String::new();
            if log.read_line(&mut line).expect("a log is text") == 0 {
                panic!("{program} ended with {:?}: {seen}", process.ends());
            }
            let entry: Value = serde_json::from_str(&line).unwrap_or_default();
            if let Some(addr) = entry["fields"][field].as_str() {
                break addr.to_owned();
            }
            seen += &line;
        };
        let shared = Arc::new(Mutex::new(seen));
        let written = Arc::clone(&shared);
        // The pipe must not fill up.
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                let mut log = written.lock().unwrap_or_else(PoisonError::into_inner);
                log.push_str(&line);
                log.push('\n');
            }
        });
        Service { process, addr, log: shared }
    }

    fn process(&self, program: &'static str, args: &[&str], settings: &[(&str, &str)]) -> Process {
        let mut command = service(program);
        command.args(args).current_dir(&self.folder).stdin(std::process::Stdio::null());
        command.env("BEACON__DATABASE__URL", &self.url).env("BEACON__ENDPOINTS", &self.endpoints);
        command.env("BEACON__API__OPERATOR_TOKEN", TOKEN);
        command.env("BEACON__API__LISTEN", "127.0.0.1:0").env("BEACON__WORKER__HEALTH", "127.0.0.1:0");
        for (name, value) in settings {
            command.env(name, value);
        }
        Process::of(command)
    }

    /// Signs an unsigned job now, and gives its bytes.
    ///
    /// # Panics
    /// If it cannot be signed.
    #[must_use]
    pub fn sign(&self, job: &Path) -> Vec<u8> {
        self.sign_by(job, "signer.key")
    }

    /// The same, by another key file in the folder.
    ///
    /// # Panics
    /// If it cannot be signed.
    #[must_use]
    pub fn sign_by(&self, job: &Path, key: &str) -> Vec<u8> {
        let job = job.display().to_string();
        let signed =
            Process::run(&self.folder, &["sign", &job, "--key", key, "--refresh", "--out", "s.json"]);
        assert_eq!(signed.code, Some(0), "{}", signed.stderr);
        fs::read(self.folder.join("s.json")).expect("it was written")
    }

    /// Runs a command of `beacon` that knows nothing of the database, with this token.
    #[must_use]
    pub fn remote(&self, args: &[&str], token: Option<&str>) -> Finished {
        self.start_remote(args, token).wait()
    }

    /// The same, not yet at its end.
    #[must_use]
    pub fn start_remote(&self, args: &[&str], token: Option<&str>) -> Process {
        let mut command = beacon();
        command.args(args).current_dir(&self.folder).stdin(std::process::Stdio::null());
        command.env_remove("BEACON_TOKEN").envs(token.map(|token| ("BEACON_TOKEN", token)));
        Process::of(command)
    }

    /// Runs a command of `beacon` on the deployment's database.
    #[must_use]
    pub fn beacon(&self, args: &[&str]) -> Finished {
        let mut command = beacon();
        command.args(args).current_dir(&self.folder).env("BEACON__DATABASE__URL", &self.url);
        Process::of(command).wait()
    }
}

impl Service {
    /// Sends a request.
    ///
    /// # Panics
    /// If nobody answers.
    #[must_use]
    pub fn ask(&self, method: &str, path: &str, body: &[u8]) -> (u16, Value) {
        let token = format!("authorization: Bearer {TOKEN}\r\n");
        http::exchange(&self.addr, method, path, &token, body).expect("the service answers")
    }

    /// The same, with these headers besides.
    ///
    /// # Panics
    /// If nobody answers.
    #[must_use]
    pub fn ask_with(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, Value) {
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        http::exchange(&self.addr, method, path, &headers, body).expect("the service answers")
    }

    /// Asks for something whose answer goes on; gives the connection.
    ///
    /// # Panics
    /// If nobody answers.
    #[must_use]
    pub fn open(&self, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.addr).expect("the service answers");
        let head = format!("GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", self.addr);
        stream.write_all(head.as_bytes()).expect("the service answers");
        stream
    }

    /// Submits a signed job; gives its id.
    ///
    /// # Panics
    /// If it is refused.
    #[must_use]
    pub fn submit(&self, job: &[u8]) -> String {
        let (status, answer) = self.ask("POST", "/api/v1/jobs", job);
        assert_eq!(status, 202, "{answer}");
        answer["job_id"].as_str().expect("an accepted job has an id").to_owned()
    }

    /// The job once it has ended and is closed; each look is an exchange with the API.
    #[must_use]
    pub fn ended(&self, job: &str) -> Value {
        loop {
            if let Some(ended) = self.look_for_end(job) {
                return ended;
            }
            between_looks();
        }
    }

    /// The same, and no later than this.
    ///
    /// # Panics
    /// If it takes longer.
    #[must_use]
    pub fn ended_within(&self, job: &str, limit: Duration) -> Value {
        let began = Instant::now();
        loop {
            if let Some(ended) = self.look_for_end(job) {
                eprintln!("the job ended after {:.1} s, {limit:?} at most", began.elapsed().as_secs_f64());
                return ended;
            }
            let shown = self.ask("GET", &format!("/api/v1/jobs/{job}"), b"");
            assert!(began.elapsed() < limit, "not ended after {limit:?}: {shown:?}");
            between_looks();
        }
    }

    /// Where it serves, as `--server` takes it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    fn look_for_end(&self, job: &str) -> Option<Value> {
        let (_, shown) = self.ask("GET", &format!("/api/v1/jobs/{job}"), b"");
        let closed = shown["job"]["ended_at"].is_string() && shown["job"]["close"].is_object();
        closed.then(|| shown["job"].clone())
    }

    /// Returns once the log has a line with this text.
    ///
    /// # Panics
    /// If it has none for half a minute.
    pub fn says(&self, text: &str) {
        let began = Instant::now();
        while !self.log().contains(text) {
            assert!(began.elapsed() < PATIENCE, "it does not say {text:?}: {}", self.log());
            between_looks();
        }
    }

    /// What it has said so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
