//! A proxy between a client and a server that, on command, holds requests or answers back, lets them go, or cuts all
//! connections. To both sides it looks like a direct connection over a network that has a bad day.

mod gate;
mod pump;
mod stream;

use std::{
    collections::HashMap,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
};

use gate::{Gate, Watch};
use stream::Stream;
pub use stream::Target;

/// A running proxy; dropping it cuts what goes through it.
#[derive(Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
    addr: SocketAddr,
    accepting: Option<JoinHandle<()>>,
}

/// The way that bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Request,
    Answer,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// By [`Way`].
    gates: [Gate; 2],
    /// Those that are not cut.
    connections: HashMap<u64, Connection>,
    accepted: u64,
    closing: bool,
}

#[derive(Debug)]
struct Connection {
    client: Stream,
    server: Stream,
    /// By [`Way`]: whether bytes wait before its gate.
    held: [bool; 2],
    /// By the gate that is watched for.
    watches: [Watch; 2],
}

impl Proxy {
    /// Listens on a port of its own on the loopback interface, and leads to `target`.
    ///
    /// # Errors
    /// There is no port left.
    pub fn to(target: impl Into<Target>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let (addr, target, shared) = (listener.local_addr()?, target.into(), Arc::<Shared>::default());
        let accepting = Arc::clone(&shared);
        let accepting = thread::spawn(move || accept(&listener, &target, &accepting));
        Ok(Self { shared, addr, accepting: Some(accepting) })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// From now on nothing reaches the server.
    pub fn hold_requests(&self) {
        self.set(Way::Request, Gate::Shut);
    }

    /// From now on nothing reaches the clients.
    pub fn hold_answers(&self) {
        self.set(Way::Answer, Gate::Shut);
    }

    /// As [`Proxy::hold_requests`], from the moment at which a connection has shown these texts in its requests, one after
    /// the other. The request with the last one is the first that is held.
    pub fn hold_requests_from(&self, texts: &[&str]) {
        self.set(Way::Request, Gate::armed(texts));
    }

    /// As [`Proxy::hold_answers`], from the moment at which a connection has shown these texts in its requests, one after
    /// the other. The request with the last one goes through, and its answer is held.
    pub fn hold_answers_from(&self, texts: &[&str]) {
        self.set(Way::Answer, Gate::armed(texts));
    }

    /// Lets everything go, also what was held.
    pub fn go_on(&self) {
        let mut state = self.shared.lock();
        state.gates = [Gate::Open, Gate::Open];
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Closes all connections; what was held is lost. Tells how many there were.
    pub fn cut(&self) -> usize {
        let cut = std::mem::take(&mut self.shared.lock().connections);
        cut.values().for_each(Connection::close);
        self.shared.changed.notify_all();
        cut.len()
    }

    /// How many connections have requests that are held.
    #[must_use]
    pub fn held_requests(&self) -> usize {
        self.held(Way::Request)
    }

    /// How many connections have answers that are held.
    #[must_use]
    pub fn held_answers(&self) -> usize {
        self.held(Way::Answer)
    }

    fn held(&self, way: Way) -> usize {
        self.shared.lock().connections.values().filter(|connection| connection.held[way as usize]).count()
    }

    fn set(&self, way: Way, gate: Gate) {
        let mut state = self.shared.lock();
        state.gates[way as usize] = gate;
        state.connections.values_mut().for_each(|open| open.watches[way as usize] = Watch::default());
        drop(state);
        self.shared.changed.notify_all();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.go_on();
        self.cut();
        // It looks at the sign when somebody comes. If it cannot be reached, it has ended already.
        drop(TcpStream::connect(self.addr));
        if let Some(accepting) = self.accepting.take() {
            // It does not panic; if it did, there would be nothing left to end.
            let _ = accepting.join();
        }
    }
}

impl Shared {
    /// Nothing panics while it holds it.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    fn close(&self) {
        self.client.close();
        self.server.close();
    }
}

/// Takes clients until the proxy is dropped.
fn accept(listener: &TcpListener, target: &Target, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        if shared.lock().closing {
            return;
        }
        // A client that is gone again, or a server that is not there: the client sees the connection end.
        if let Ok(client) = client {
            let _ = join(Stream::Tcp(client), target, shared);
        }
    }
}

/// Leads one client to the server, by a thread for each way.
fn join(client: Stream, target: &Target, shared: &Arc<Shared>) -> io::Result<()> {
    let server = target.connect()?;
    client.send_at_once()?;
    server.send_at_once()?;
    let connection = Connection {
        client: client.again()?,
        server: server.again()?,
        held: [false; 2],
        watches: [Watch::default(), Watch::default()],
    };
    let (from_client, to_client, from_server, to_server) = (client.again()?, client, server.again()?, server);
    let mut state = shared.lock();
    state.accepted += 1;
    let id = state.accepted;
    state.connections.insert(id, connection);
    drop(state);
    let (requests, answers) = (Arc::clone(shared), Arc::clone(shared));
    thread::spawn(move || pump::run(&requests, id, Way::Request, from_client, to_server));
    thread::spawn(move || pump::run(&answers, id, Way::Answer, from_server, to_client));
    Ok(())
}

#[cfg(test)]
mod tests;
