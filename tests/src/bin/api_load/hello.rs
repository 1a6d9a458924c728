//! The bare server to compare with: axum with its defaults, one word for every request. A process of its own, as the API.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Command, Stdio},
};

use axum::{Router, body::Bytes, routing::any};
use beacon_tests::Process;

/// The argument that makes this program the bare server.
pub(crate) const NAME: &str = "hello-server";

/// A running bare server.
pub(crate) struct Hello {
    pub(crate) process: Process,
    pub(crate) addr: String,
}

impl Hello {
    pub(crate) fn start() -> Self {
        let program = std::env::current_exe().expect("a process knows its program");
        let mut command = Command::new(program);
        command.arg(NAME).stdin(Stdio::piped());
        let mut process = Process::of(command);
        let mut addr = String::new();
        BufReader::new(process.stdout()).read_line(&mut addr).expect("it says where it listens");
        Self { process, addr: addr.trim().to_owned() }
    }
}

/// Prints where it listens, and serves until its standard input ends.
pub(crate) fn serve() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    runtime.spawn(async {
        let listener =
            tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("loopback has a free port");
        println!("{}", listener.local_addr().expect("a bound socket has an address"));
        // The whole body is read, as the API reads it.
        let hello = Router::new().fallback(any(|_: Bytes| async { "hello" }));
        axum::serve(listener, hello).await.expect("a listener goes on");
    });
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}
