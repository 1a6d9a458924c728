//! `beacon simulate` in a process of its own, which outlives the runs under test.

use std::{
    fmt::Write as _,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{Process, between_looks};

/// Four models in two regions.
pub const EIGHT_CELLS: [(&str, &str); 8] = [
    ("a", "us-east"),
    ("a", "eu-west"),
    ("b", "us-east"),
    ("b", "eu-west"),
    ("c", "us-east"),
    ("c", "eu-west"),
    ("d", "us-east"),
    ("d", "eu-west"),
];

/// Simulated endpoints; dropping it ends them.
#[derive(Debug)]
pub struct Simulator {
    _process: Process,
    addr: String,
    /// The endpoints file of a run against it.
    pub endpoints: PathBuf,
}

impl Simulator {
    /// Starts one endpoint per cell, named `region/model`, each with these lines of TOML.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start(folder: &Path, cells: &[(&str, &str)], behaviour: &str) -> Self {
        Self::start_each(folder, cells, &|_| behaviour.to_owned(), &|_| 1)
    }

    /// The same, with a behaviour and a limit of its own for each endpoint.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start_each(
        folder: &Path,
        cells: &[(&str, &str)],
        behaviour: &dyn Fn(usize) -> String,
        limit: &dyn Fn(usize) -> u32,
    ) -> Self {
        let mut config = String::new();
        for (n, (model, region)) in cells.iter().enumerate() {
            let behaviour = behaviour(n);
            writeln!(
                config,
                "[[endpoint]]\nid = \"{region}/{model}\"\nmodel = \"{model}\"\nregion = \"{region}\"\n{behaviour}"
            )
            .expect("writing to a string cannot fail");
        }
        let file = folder.join("simulator.toml");
        std::fs::write(&file, config).expect("the folder is writable");
        let file = file.display().to_string();
        let mut process =
            Process::start(folder, &["simulate", "--config", &file, "--listen", "127.0.0.1:0", "--json"]);
        let mut ready = String::new();
        BufReader::new(process.stdout()).read_line(&mut ready).expect("it says when it is ready");
        let ready: Value = serde_json::from_str(&ready).expect("it says so in JSON");
        let addr = ready["listening"].as_str().expect("it says where it listens").to_owned();
        let endpoints = folder.join("endpoints.toml");
        std::fs::write(&endpoints, endpoints_of(&addr, cells, limit)).expect("the folder is writable");
        Self { _process: process, addr, endpoints }
    }

    /// Where it listens.
    ///
    /// # Panics
    /// Never: it says so itself.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr.parse().expect("it listens at an address")
    }

    /// Lets the endpoints file lead to what listens here, which leads to the simulator.
    ///
    /// # Panics
    /// If the file cannot be written.
    pub fn lead_through(&self, addr: SocketAddr) {
        let direct = std::fs::read_to_string(&self.endpoints).expect("it was written");
        let through = direct.replace(&self.addr, &addr.to_string());
        std::fs::write(&self.endpoints, through).expect("the folder is writable");
    }

    /// Lets the endpoints file say how many seconds a call may go on that nobody waits for; without this, none.
    ///
    /// # Panics
    /// If the file cannot be written.
    pub fn linger(&self, seconds: f64) {
        let direct = std::fs::read_to_string(&self.endpoints).expect("it was written");
        let lingering = direct.replace(LINGERS, &format!("linger_s = {seconds:?}"));
        std::fs::write(&self.endpoints, lingering).expect("the folder is writable");
    }

    /// What it has seen and done.
    ///
    /// # Panics
    /// If it does not answer.
    #[must_use]
    pub fn stats(&self) -> Value {
        let mut stream = TcpStream::connect(&self.addr).expect("it listens");
        let request = format!("GET /stats HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.addr);
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        let (_, body) = answer.split_once("\r\n\r\n").expect("it speaks HTTP");
        serde_json::from_str(body).expect("it answers with JSON")
    }

    /// One of its total counts.
    ///
    /// # Panics
    /// If there is no such count.
    #[must_use]
    pub fn count(&self, name: &str) -> u64 {
        self.stats()[name].as_u64().expect("it counts this")
    }

    /// Returns once a count has reached this; each look is an exchange with the simulator.
    pub fn reaches(&self, name: &str, count: u64) {
        while self.count(name) < count {
            between_looks();
        }
    }
}

/// Faults are mended at once: what a test waits for is not the end of calls that nobody waits for.
const LINGERS: &str = "linger_s = 0.0";

fn endpoints_of(addr: &str, cells: &[(&str, &str)], limit: &dyn Fn(usize) -> u32) -> String {
    let mut text = String::new();
    for (n, (model, region)) in cells.iter().enumerate() {
        let limit = limit(n);
        writeln!(
            text,
            "[[endpoint]]\nprovider = \"modal-web\"\nmodel = \"{model}\"\nregion = \"{region}\"\n\
             inference_url = \"http://{addr}/e/{region}~{model}/\"\ncold_probe = false\nlimit = {limit}\n\
             {LINGERS}"
        )
        .expect("writing to a string cannot fail");
    }
    text
}
