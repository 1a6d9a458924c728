//! A receiver of webhooks on loopback that answers 204 and keeps what it got.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::between_looks;

/// How long is waited for what must arrive.
const PATIENCE: Duration = Duration::from_secs(60);

/// A listening receiver; it listens until the process ends.
#[derive(Debug)]
pub struct Receiver {
    told: Arc<Mutex<Vec<Told>>>,
}

/// One delivery as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The header `webhook-id`.
    pub id: String,
    /// The header `webhook-timestamp`.
    pub timestamp: String,
    /// The header `webhook-signature`.
    pub signature: String,
    /// The body.
    pub body: String,
}

impl Receiver {
    /// An address of loopback where nobody listens now.
    ///
    /// # Panics
    /// If there is no free port.
    #[must_use]
    pub fn free_address() -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port");
        listener.local_addr().expect("a bound socket has an address")
    }

    /// Listens here.
    ///
    /// # Panics
    /// If somebody else does.
    #[must_use]
    pub fn start(addr: SocketAddr) -> Self {
        let listener = TcpListener::bind(addr).expect("nobody else listens there");
        let told = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&told);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Who breaks off has told nothing.
                if let Ok(one) = receive(stream) {
                    kept.lock().unwrap_or_else(PoisonError::into_inner).push(one);
                }
            }
        });
        Self { told }
    }

    /// All that it was told, once that is so much.
    ///
    /// # Panics
    /// If it does not come.
    #[must_use]
    pub fn told(&self, n: usize) -> Vec<Told> {
        let began = Instant::now();
        loop {
            let told = self.told.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if told.len() >= n {
                return told;
            }
            assert!(began.elapsed() < PATIENCE, "{} of {n} came: {told:?}", told.len());
            between_looks();
        }
    }
}

fn receive(mut stream: TcpStream) -> io::Result<Told> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut head, mut line) = (Vec::new(), String::new());
    while reader.read_line(&mut line)? > 2 {
        let (name, value) = line.trim_end().split_once(':').unwrap_or((line.trim_end(), ""));
        head.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        line.clear();
    }
    let header = |name: &str| {
        let found = head.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    };
    let mut body = vec![0; header("content-length").parse().map_err(io::Error::other)?];
    reader.read_exact(&mut body)?;
    stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")?;
    Ok(Told {
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp"),
        signature: header("webhook-signature"),
        body: String::from_utf8(body).map_err(io::Error::other)?,
    })
}
