//! Many event streams of one job, and when the last of them had heard of each completed execution.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU32, Ordering},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    sync::mpsc,
    task::JoinHandle,
};

use crate::site::now_micros;

/// The smallest that the system allows, so that who does not read is soon noticed.
const SMALL_BUFFER: u32 = 2304;

/// What all streams together have seen, by how many executions had completed.
pub(crate) struct Seen {
    /// How many streams have heard of the nth.
    heard: Vec<AtomicU32>,
    /// When the last one did, in microseconds since 1970.
    last: Vec<AtomicI64>,
    /// Events of all streams.
    events: AtomicU32,
}

/// Streams that read.
pub(crate) struct Receivers {
    seen: Arc<Seen>,
    tasks: Vec<JoinHandle<()>>,
}

impl Receivers {
    /// Opens so many streams, and waits until each has its snapshot.
    pub(crate) async fn open(addr: &str, path: &str, streams: usize, executions: usize) -> Self {
        let seen = Arc::new(Seen {
            heard: (0..=executions).map(|_| AtomicU32::new(0)).collect(),
            last: (0..=executions).map(|_| AtomicI64::new(0)).collect(),
            events: AtomicU32::new(0),
        });
        let (ready, mut begun) = mpsc::channel(streams);
        let mut tasks = Vec::new();
        for _ in 0..streams {
            let stream = TcpStream::connect(addr).await.expect("the server takes another stream");
            let stream = ask(stream, path).await;
            tasks.push(tokio::spawn(receive(stream, Arc::clone(&seen), ready.clone())));
        }
        for _ in 0..streams {
            begun.recv().await.expect("every stream begins");
        }
        Self { seen, tasks }
    }

    /// Waits for the end of every stream.
    pub(crate) async fn ended(self) -> Arc<Seen> {
        for task in self.tasks {
            task.await.expect("a receiver ends well");
        }
        self.seen
    }
}

impl Seen {
    /// How many streams have heard of the nth completed execution, and when the last one did.
    pub(crate) fn of(&self, n: usize) -> (u32, i64) {
        (self.heard[n].load(Ordering::Relaxed), self.last[n].load(Ordering::Relaxed))
    }

    /// Events over all streams.
    pub(crate) fn events(&self) -> u32 {
        self.events.load(Ordering::Relaxed)
    }

    /// Notes that a stream that had heard of `before` has now heard of `now`.
    fn note(&self, before: usize, now: usize) {
        let at = now_micros();
        self.events.fetch_add(1, Ordering::Relaxed);
        for n in before + 1..=now {
            self.heard[n].fetch_add(1, Ordering::Relaxed);
            self.last[n].fetch_max(at, Ordering::Relaxed);
        }
    }
}

/// Streams that ask and never read.
pub(crate) async fn deaf(addr: &str, path: &str, streams: usize) -> Vec<TcpStream> {
    let addr = addr.parse().expect("the server has an address");
    let mut open = Vec::new();
    for _ in 0..streams {
        let socket = TcpSocket::new_v4().expect("the system has another socket");
        socket.set_recv_buffer_size(SMALL_BUFFER).expect("a socket has this option");
        let stream = socket.connect(addr).await.expect("the server takes another stream");
        open.push(ask(stream, path).await);
    }
    open
}

/// How many events the server had sent to one that never read, and the system kept.
pub(crate) async fn kept(mut stream: TcpStream) -> usize {
    let mut bytes = Vec::new();
    // A server that gave up on it resets the connection; what was sent before is lost then.
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).matches("event: ").count()
}

async fn ask(mut stream: TcpStream, path: &str) -> TcpStream {
    let head = format!("GET {path} HTTP/1.1\r\nhost: bench\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("the server reads");
    stream
}

async fn receive(mut stream: TcpStream, seen: Arc<Seen>, ready: mpsc::Sender<()>) {
    let (mut buffer, mut piece) = (Vec::new(), vec![0; 16 * 1024]);
    let (mut before, mut begun, mut ending) = (0, false, false);
    loop {
        let n = stream.read(&mut piece).await.expect("the stream goes on");
        assert!(n > 0, "the server ended a stream before the job's end");
        buffer.extend_from_slice(&piece[..n]);
        while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = buffer.drain(..=end).collect();
            ending |= line.starts_with(b"event: end");
            let Some(now) = completed(&line) else { continue };
            seen.note(before, now.max(before));
            before = now.max(before);
            if !begun {
                begun = true;
                ready.send(()).await.expect("somebody waits for the streams");
            }
            if ending {
                return;
            }
        }
    }
}

/// How many executions of the job had completed, if this line is an event's data. The job's own counts come before those of
/// its batches.
fn completed(line: &[u8]) -> Option<usize> {
    let line = std::str::from_utf8(line).ok().filter(|line| line.starts_with('{'))?;
    let (_, rest) = line.split_once("\"completed\":")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}
