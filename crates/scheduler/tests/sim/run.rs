//! One seed, one run: its own runtime, virtual time, a history, and a verdict.

use std::{cell::RefCell, collections::BTreeMap, fmt, sync::Arc, time::Duration};

use beacon_domain::{JobId, JobSteering, StateCounts, StoreError, Wakeups};
use beacon_spec::Timestamp;
use beacon_store::MemoryStore;
use beacon_testkit::{
    conformance::Store,
    faults::{Dice, Faults, Tally},
};
use tokio::{
    runtime::Builder,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use crate::{
    actors,
    history::{Event, Violation},
    ledger::{Cause, Final},
    scenario::{HORIZON, LIVENESS, Scenario},
    site::Site,
    twins::{Flaw, Twin},
    watched::open,
};

/// How often the end is looked for.
const LOOK: Duration = Duration::from_millis(500);
/// After the last job's end: time for repetitions that come late.
const AFTERWARDS: Duration = Duration::from_secs(4);
/// The longest that a shutdown may take when nothing fails: the longest attempt and its record.
const SHUTDOWN: Duration = Duration::from_secs(15);

thread_local! {
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// What came of a seed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) seed: u64,
    /// Which faults there were.
    pub(crate) kind: &'static str,
    pub(crate) history: Vec<Event>,
    pub(crate) violation: Option<Violation>,
    pub(crate) tally: Tally,
    pub(crate) calls: u64,
    pub(crate) re_attached: u64,
    /// Executions by how they ended.
    pub(crate) outcomes: StateCounts,
    /// How often a call began above its endpoint's limit because of strays, by why those had lost their leases.
    pub(crate) above: BTreeMap<Cause, u64>,
}

/// Names the seed when the simulation itself panics.
struct Named(u64, &'static str);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {} panicked; {}", self.0, replay(self.0, self.1));
        }
    }
}

fn replay(seed: u64, kind: &str) -> String {
    format!(
        "replay: BEACON_SIM_SEED={seed} BEACON_SIM_KIND={kind} cargo test -p beacon-scheduler --test sim one_seed -- --nocapture"
    )
}

/// Remembers panics of the thread that they happen on, where a task would swallow them.
pub(crate) fn watch_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        PANIC.with_borrow_mut(|panic| *panic = panic.take().or_else(|| Some(info.to_string())));
        before(info);
    }));
}

/// Runs a seed over the memory store.
pub(crate) fn run(seed: u64) -> Report {
    run_over((seed, "faulty"), Scenario::draw, memory)
}

/// Runs the work of a seed without faults.
pub(crate) fn run_calm(seed: u64) -> Report {
    run_over((seed, "calm"), |dice| Scenario::draw(dice).calm(), memory)
}

/// Runs the work of a seed with workers that die.
pub(crate) fn run_mortal(seed: u64) -> Report {
    run_over((seed, "mortal"), |dice| Scenario::draw(dice).mortal(dice), memory)
}

/// Runs a seed over a store that has a flaw.
pub(crate) fn run_flawed(seed: u64, flaw: Flaw) -> Report {
    let scenario = |dice: &Dice| match flaw {
        Flaw::NoLinger => Scenario::draw(dice).mortal(dice),
        _ => Scenario::draw(dice),
    };
    run_over((seed, "flawed"), scenario, || {
        let store = MemoryStore::new();
        let hints = store.wakeups();
        (Arc::new(Twin::new(store, flaw)), hints)
    })
}

fn memory() -> (Arc<MemoryStore>, Arc<Wakeups>) {
    let store = Arc::new(MemoryStore::new());
    let hints = store.wakeups();
    (store, hints)
}

fn run_over<S: Store + JobSteering + 'static>(
    (seed, kind): (u64, &'static str),
    scenario: impl FnOnce(&Dice) -> Scenario,
    store: impl FnOnce() -> (Arc<S>, Arc<Wakeups>),
) -> Report {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime without IO needs nothing");
    PANIC.take();
    let _named = Named(seed, kind);
    let site = runtime.block_on(async {
        let dice = Dice::of_seed(seed);
        let scenario = scenario(&dice);
        let faults = Faults::new(dice, scenario.odds);
        let (store, hints) = store();
        let strict = scenario.is_strict();
        let site = Arc::new(Site::new(scenario, faults, store, hints));
        open(&site.ledger).strict = strict;
        let broken = open(&site.ledger).broken.clone();
        tokio::select! {
            biased;
            () = broken.cancelled() => {}
            driven = drive(&site) => driven.expect("the store in memory does not fail"),
        }
        site
    });
    drop(runtime);
    let mut ledger = open(&site.ledger);
    let panicked = PANIC.take();
    ledger.must(panicked.is_none(), "nothing panics", || panicked.unwrap_or_default());
    Report {
        seed,
        kind,
        history: std::mem::take(&mut ledger.history),
        violation: ledger.violation.take(),
        tally: site.faults.tally(),
        calls: ledger.calls.total(),
        re_attached: ledger.calls.re_attached,
        outcomes: ledger.outcomes,
        above: std::mem::take(&mut ledger.calls.above),
    }
}

async fn drive<S: Store + JobSteering + 'static>(site: &Arc<Site<S>>) -> Result<(), StoreError> {
    let began = Instant::now();
    let (hints, restarts) = (Arc::clone(site), Arc::clone(site));
    tokio::spawn(async move { hints.spread_hints().await });
    tokio::spawn(async move { restarts.restart_endpoints().await });
    let workers: Vec<JoinHandle<()>> =
        (1..=site.scenario.workers).map(|n| tokio::spawn(actors::worker(Arc::clone(site), n))).collect();
    let jobs = site.scenario.jobs.iter().cloned();
    let clients: Vec<JoinHandle<()>> =
        jobs.map(|job| tokio::spawn(actors::client(Arc::clone(site), job))).collect();
    let done = || clients.iter().all(JoinHandle::is_finished) && open(&site.ledger).all_closed();
    while !done() && began.elapsed() < HORIZON + LIVENESS {
        sleep(LOOK).await;
        if began.elapsed() >= HORIZON {
            site.faults.stop();
        }
    }
    let (closed, open_jobs) = (done(), open(&site.ledger).open_jobs());
    open(&site.ledger).must(closed, "L7: every job ends and is closed", || open_jobs);
    sleep(AFTERWARDS).await;
    site.faults.stop();
    let jobs = open(&site.ledger).jobs();
    for job in jobs {
        let last = last_look(site.store.as_ref(), job).await?;
        open(&site.ledger).ended_well(&last);
    }
    site.over.cancel();
    let home = timeout(HORIZON + SHUTDOWN, futures::future::join_all(workers)).await;
    open(&site.ledger).must(home.is_ok(), "a shutdown ends", String::new);
    open(&site.ledger).nothing_runs_on();
    Ok(())
}

async fn last_look(store: &impl Store, job: JobId) -> Result<Final, StoreError> {
    Ok(Final {
        summary: store.job(job).await?.ok_or(StoreError::UnknownJob(job))?,
        records: store.records(job, None, u32::MAX).await?,
        leaves: store.receipt_leaves(job, None, u32::MAX).await?,
        progress: store.progress(job, Timestamp::MAX).await?,
    })
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(violation) = &self.violation else {
            return write!(f, "seed {}: {} steps, {} calls", self.seed, self.history.len(), self.calls);
        };
        writeln!(f, "seed {}, step {}: broken: {}", self.seed, violation.step, violation.invariant)?;
        writeln!(f, "  {}", violation.detail)?;
        let first = self.history.len().saturating_sub(12);
        for (step, event) in self.history.iter().enumerate().skip(first) {
            writeln!(f, "  {step:>6} {event}")?;
        }
        write!(f, "{}", replay(self.seed, self.kind))
    }
}
