//! Everything that the processes of one run share, and how a process starts.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use beacon_domain::{Backend, Clock, Topic, Wakeups};
use beacon_scheduler::{EndpointCatalog, Ports, Stop};
use beacon_spec::ReceiptSigner;
use beacon_testkit::{
    conformance::Store,
    faults::{Fault, Faults, FaultyStore, Life, Outage, SkewedClock},
    test_key,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    backend::WorkerBackend,
    endpoint::Endpoint,
    history::Who,
    ledger::Ledger,
    scenario::Scenario,
    watched::{SharedLedger, Watched},
};

/// The surroundings of all processes.
pub(crate) struct Site<S> {
    pub(crate) scenario: Scenario,
    pub(crate) faults: Faults,
    pub(crate) ledger: SharedLedger,
    pub(crate) store: Arc<S>,
    pub(crate) endpoints: Vec<Arc<Endpoint>>,
    /// Cancelled when the run is over and all shall go home.
    pub(crate) over: CancellationToken,
    /// The store's own hints.
    hints: Arc<Wakeups>,
    outage: Arc<Outage>,
    signer: Arc<ReceiptSigner>,
    origin: Instant,
    listeners: Mutex<Vec<(Arc<Life>, Arc<Wakeups>)>>,
}

/// One process.
pub(crate) struct Process {
    pub(crate) life: Arc<Life>,
    pub(crate) clock: Arc<SkewedClock>,
    pub(crate) ports: Ports,
    pub(crate) stop: Stop,
}

impl<S: Store + 'static> Site<S> {
    pub(crate) fn new(scenario: Scenario, faults: Faults, store: Arc<S>, hints: Arc<Wakeups>) -> Self {
        let ledger: SharedLedger = Arc::new(Mutex::new(Ledger::new()));
        let plans = scenario.endpoints.iter().cloned();
        let endpoint = |plan| Arc::new(Endpoint::new(plan, faults.clone(), Arc::clone(&ledger)));
        Self {
            endpoints: plans.map(endpoint).collect(),
            scenario,
            ledger,
            store,
            hints,
            over: CancellationToken::new(),
            outage: Arc::default(),
            signer: Arc::new(ReceiptSigner::new(test_key())),
            origin: Instant::now(),
            listeners: Mutex::default(),
            faults,
        }
    }

    /// Starts a process, with a clock of its own.
    pub(crate) fn start(&self, who: Who) -> Process {
        let mut faults = self.faults.clone();
        if who == Who::CLIENT {
            (faults.odds.crash, faults.odds.pause) = (0.0, 0.0);
        }
        let life = Arc::new(Life::new(faults));
        let clock = Arc::new(self.clock(&life));
        let watched = Watched { store: Arc::clone(&self.store), ledger: Arc::clone(&self.ledger), who };
        let store =
            Arc::new(FaultyStore::new(Arc::new(watched), Arc::clone(&life), Arc::clone(&self.outage)));
        let wakeups = Arc::new(Wakeups::new());
        self.listeners().push((Arc::clone(&life), Arc::clone(&wakeups)));
        let backend = |endpoint: &Arc<Endpoint>| -> Arc<dyn Backend> {
            let (life, clock) = (Arc::clone(&life), Arc::clone(&clock) as Arc<dyn Clock>);
            Arc::new(WorkerBackend { endpoint: Arc::clone(endpoint), who, life, clock })
        };
        let ports = Ports {
            clock: Arc::clone(&clock) as _,
            jobs: Arc::clone(&store) as _,
            queue: Arc::clone(&store) as _,
            view: store,
            wakeups,
            backends: self.endpoints.iter().map(backend).collect(),
            fleet: None,
            webhooks: None,
            signer: Arc::clone(&self.signer),
        };
        Process { life, clock, ports, stop: Stop::new() }
    }

    fn clock(&self, life: &Arc<Life>) -> SkewedClock {
        let (odds, dice) = (self.scenario.processes, &self.faults.dice);
        let most_ms = i64::from(odds.skew_ms);
        let offset_ms = (dice.unit() * (2 * most_ms + 1) as f64) as i64 - most_ms;
        let rate = 1.0 + odds.drift * (2.0 * dice.unit() - 1.0);
        if offset_ms != 0 || odds.drift > 0.0 {
            self.faults.count(Fault::SkewedClock);
        }
        SkewedClock::new(Arc::clone(life), self.origin, offset_ms, rate)
    }

    pub(crate) fn catalog(&self) -> EndpointCatalog {
        let infos = self.scenario.endpoints.iter().map(|endpoint| endpoint.info.clone());
        EndpointCatalog::new(infos).expect("the endpoints differ")
    }

    /// Brings the store's hints to the processes; some are lost, and who stands still hears nothing.
    pub(crate) async fn spread_hints(&self) {
        let mut hint = self.hints.subscribe(Topic::Queue);
        loop {
            hint.changed().await;
            let mut listeners = self.listeners();
            listeners.retain(|(life, _)| !life.is_dead());
            for (life, wakeups) in listeners.iter().filter(|(life, _)| !life.is_frozen()) {
                if !life.faults().strikes(Fault::LostHint, self.scenario.processes.lost_hint) {
                    wakeups.wake(Topic::Queue);
                }
            }
        }
    }

    /// Endpoints go down and up again.
    pub(crate) async fn restart_endpoints(&self) {
        let restarting: Vec<_> = self.endpoints.iter().filter(|one| one.plan.restarts).collect();
        while !restarting.is_empty() && self.faults.may_strike() {
            tokio::time::sleep(self.faults.dice.up_to(Duration::from_secs(12))).await;
            if self.faults.strikes(Fault::EndpointRestart, 1.0) {
                self.faults.dice.pick(&restarting).restart();
            }
        }
    }

    fn listeners(&self) -> MutexGuard<'_, Vec<(Arc<Life>, Arc<Wakeups>)>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
