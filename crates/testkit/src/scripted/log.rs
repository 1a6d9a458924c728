//! What happened at a scripted endpoint, and its script: shared by its connections.

use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use super::{
    request::SeenRequest,
    script::{Script, Step},
};

/// Counts and requests so far.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) opened: usize,
    pub(crate) closed: usize,
    pub(crate) requests: Vec<SeenRequest>,
}

#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) seen: watch::Sender<Seen>,
    script: Mutex<Script>,
}

impl Log {
    pub(crate) fn new(script: Script) -> Self {
        Self { seen: watch::channel(Seen::default()).0, script: Mutex::new(script) }
    }

    /// A connection was opened; its number, from 0.
    pub(crate) fn opened(&self) -> usize {
        let mut number = 0;
        self.seen.send_modify(|seen| {
            number = seen.opened;
            seen.opened += 1;
        });
        number
    }

    pub(crate) fn closed(&self) {
        self.seen.send_modify(|seen| seen.closed += 1);
    }

    /// Keeps the request and takes the next step, in one: requests and steps have the same order.
    pub(crate) fn step_for(&self, request: SeenRequest) -> Step {
        let mut script = self.script.lock().unwrap_or_else(PoisonError::into_inner);
        self.seen.send_modify(|seen| seen.requests.push(request));
        script.next()
    }
}
