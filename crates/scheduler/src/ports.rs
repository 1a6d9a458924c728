//! Everything the scheduler talks to.

use std::sync::Arc;

use beacon_domain::{Backend, Clock, JobStore, JobView, Wakeups, WorkQueue};
use beacon_spec::ReceiptSigner;

use crate::{Fleet, Webhooks};

/// The ports of one process. `jobs`, `queue`, `view` and `wakeups` are of the same store.
#[derive(Clone)]
pub struct Ports {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Accepting and ending jobs.
    pub jobs: Arc<dyn JobStore>,
    /// The queue.
    pub queue: Arc<dyn WorkQueue>,
    /// Reading.
    pub view: Arc<dyn JobView>,
    /// The store's hints.
    pub wakeups: Arc<Wakeups>,
    /// The endpoints that this process may call.
    pub backends: Vec<Arc<dyn Backend>>,
    /// What is shared with operators, if anything is.
    pub fleet: Option<Fleet>,
    /// How webhooks are told, if they are. The store is the same.
    pub webhooks: Option<Webhooks>,
    /// The runner's key.
    pub signer: Arc<ReceiptSigner>,
}
