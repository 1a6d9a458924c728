//! One way of one connection: read, wait before the gate, write.

use std::{
    io::{Read as _, Write as _},
    sync::PoisonError,
};

use super::{Shared, State, Way, gate::Gate, stream::Stream};

/// Runs until one side ends or the connection is cut.
pub(super) fn run(shared: &Shared, id: u64, way: Way, mut from: Stream, mut to: Stream) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).unwrap_or(0);
        if way == Way::Request {
            shared.lock().look(id, &buffer[..read]);
        }
        if !pass(shared, id, way) {
            return;
        }
        if read == 0 {
            return leave(shared, id, way, &to);
        }
        if to.write_all(&buffer[..read]).is_err() {
            shared.lock().connections.remove(&id).iter().for_each(super::Connection::close);
            return;
        }
    }
}

/// Waits before the gate. `false` if the connection was cut.
fn pass(shared: &Shared, id: u64, way: Way) -> bool {
    let mut state = shared.lock();
    loop {
        let shut = matches!(state.gates[way as usize], Gate::Shut);
        let Some(connection) = state.connections.get_mut(&id) else { return false };
        connection.held[way as usize] = shut;
        if !shut {
            return true;
        }
        state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
}

/// One side has ended: the other hears of it, and may still say what it has to say. When the server has ended, nobody
/// listens to the client any more.
fn leave(shared: &Shared, id: u64, way: Way, to: &Stream) {
    match way {
        Way::Request => to.end(),
        Way::Answer => shared.lock().connections.remove(&id).iter().for_each(super::Connection::close),
    }
}

impl State {
    /// Shows the gates what a connection requests.
    fn look(&mut self, id: u64, bytes: &[u8]) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        for (gate, watch) in self.gates.iter_mut().zip(&mut connection.watches) {
            gate.look(watch, bytes);
        }
    }
}
