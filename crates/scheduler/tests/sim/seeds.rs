//! Thousands of seeds, each with its own faults, and two stores that are broken on purpose.

use std::{
    collections::BTreeMap,
    env,
    sync::{
        Mutex, Once, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

use beacon_domain::StateCounts;
use beacon_testkit::faults::{Fault, Tally};

use crate::{
    ledger::{Cause, sum},
    run::{Report, run, run_calm, run_flawed, run_mortal, watch_panics},
    twins::Flaw,
};

/// The seed to replay alone.
const ONE: &str = "BEACON_SIM_SEED";
/// The kind of run to replay, if not the usual one: `calm` or `mortal`.
const KIND: &str = "BEACON_SIM_KIND";
/// How many seeds to run; without it, [`USUAL`].
const MANY: &str = "BEACON_SIM_SEEDS";
const USUAL: u64 = 2000;
const CALM_SEEDS: u64 = 200;
const MORTAL_SEEDS: u64 = 400;
/// A broken twin is found within so many seeds.
const TWIN_SEEDS: u64 = 60;

/// Sums over seeds.
#[derive(Default)]
struct Sums {
    tally: Tally,
    steps: u64,
    calls: u64,
    re_attached: u64,
    outcomes: StateCounts,
    above: BTreeMap<Cause, u64>,
    /// The violation with the lowest seed.
    broken: Option<Report>,
}

impl Sums {
    fn add(&mut self, report: Report) {
        self.tally += report.tally;
        self.steps += report.history.len() as u64;
        self.calls += report.calls;
        self.re_attached += report.re_attached;
        self.outcomes = sum([self.outcomes, report.outcomes].into_iter());
        for (cause, n) in &report.above {
            *self.above.entry(*cause).or_default() += n;
        }
        let lower = self.broken.as_ref().is_none_or(|broken| report.seed < broken.seed);
        if report.violation.is_some() && lower {
            self.broken = Some(report);
        }
    }
}

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().expect("a seed is a whole number"))
}

fn prepare() {
    static ONCE: Once = Once::new();
    ONCE.call_once(watch_panics);
}

/// Runs seeds on all cores; after a violation no further seed begins.
fn run_seeds(seeds: u64, run: fn(u64) -> Report) -> Sums {
    let (next, sums, broken) = (AtomicU64::new(0), Mutex::new(Sums::default()), AtomicBool::new(false));
    let work = || {
        while !broken.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return;
            }
            let report = run(seed);
            broken.fetch_or(report.violation.is_some(), Ordering::Relaxed);
            sums.lock().unwrap_or_else(PoisonError::into_inner).add(report);
        }
    };
    let cores = thread::available_parallelism().map_or(2, usize::from);
    thread::scope(|scope| (0..cores).for_each(|_| drop(scope.spawn(work))));
    sums.into_inner().unwrap_or_else(PoisonError::into_inner)
}

// S1, S2, S4, S7, C2, C3, L1 to L5, L7 to L9, O3, P11
#[test]
fn no_seed_breaks_an_invariant_and_every_job_ends() {
    prepare();
    let (seeds, began) = (number(MANY).unwrap_or(USUAL), Instant::now());

    let sums = run_seeds(seeds, run);

    println!("{seeds} seeds in {:.1?}: {} steps, {} calls", began.elapsed(), sums.steps, sums.calls);
    println!("{} calls re-attached to; faults: {}", sums.re_attached, sums.tally);
    println!("executions: {:?}", sums.outcomes);
    println!("calls begun above a limit because of strays, by cause: {:?}", sums.above);
    assert!(sums.broken.is_none(), "\n{}", sums.broken.unwrap());
    let missing: Vec<_> = Fault::ALL.into_iter().filter(|fault| sums.tally.of(*fault) == 0).collect();
    assert!(seeds < USUAL || missing.is_empty(), "faults that never happened: {missing:?}");
    assert!(seeds < USUAL || sums.re_attached > 0, "nothing was re-attached to");
}

// S1
#[test]
fn without_faults_no_endpoint_ever_sees_more_calls_than_its_limit_whatever_is_cancelled() {
    prepare();

    let sums = run_seeds(CALM_SEEDS, run_calm);

    assert!(sums.broken.is_none(), "\n{}", sums.broken.unwrap());
    assert!(sums.calls > CALM_SEEDS, "{} calls", sums.calls);
    assert!(sums.above.is_empty(), "calls above a limit: {:?}", sums.above);
}

// S1
#[test]
fn no_endpoint_ever_works_on_more_calls_than_its_limit_whatever_is_cancelled_and_whoever_dies() {
    prepare();

    let sums = run_seeds(MORTAL_SEEDS, run_mortal);

    println!("{} calls, {} re-attached to; faults: {}", sums.calls, sums.re_attached, sums.tally);
    assert!(sums.broken.is_none(), "\n{}", sums.broken.unwrap());
    assert!(sums.re_attached > 0, "nothing was re-attached to");
    let ends = [Fault::CrashAtRandom, Fault::Shutdown].map(|fault| sums.tally.of(fault));
    assert!(ends.iter().all(|n| *n > 0), "crashes and shutdowns: {ends:?}");
}

#[test]
fn a_seed_replayed_gives_the_same_history() {
    prepare();
    for seed in 0..20 {
        let (first, second) = (run(seed), run(seed));

        let differ = first.history.iter().zip(&second.history).position(|(one, other)| one != other);
        assert_eq!(differ, None, "seed {seed} differs at this step");
        assert_eq!(first, second, "seed {seed}");
    }
}

/// Replays the seed of the environment and prints all of it; seed 0 without one.
#[test]
fn one_seed_can_be_replayed_alone() {
    prepare();
    let seed = number(ONE);
    let of_seed = match env::var(KIND).as_deref() {
        Ok("calm") => run_calm,
        Ok("mortal") => run_mortal,
        _ => run,
    };

    let report = of_seed(seed.unwrap_or(0));

    for (step, event) in report.history.iter().enumerate().filter(|_| seed.is_some()) {
        println!("{step:>6} {event}");
    }
    assert!(report.violation.is_none(), "\n{report}");
}

fn found(flaw: Flaw, invariants: &[&str]) {
    prepare();
    let broken = (0..TWIN_SEEDS).map(|seed| run_flawed(seed, flaw)).find_map(|report| {
        let violation = report.violation.clone()?;
        Some((report.seed, violation))
    });

    let (seed, violation) = broken.expect("a broken store is found within a few seeds");
    println!("{flaw:?} is found by seed {seed}, step {}: {}", violation.step, violation.invariant);
    assert!(invariants.contains(&violation.invariant), "seed {seed}: {violation:?}");
}

// L3
#[test]
fn a_store_without_the_fence_is_found() {
    // A record that is replayed under a newer token is found by what it changes.
    let fence = "L3: every accepted write matched the fencing token";
    found(Flaw::NoFence, &[fence, "L3: what runs has a lease, and nothing else"]);
}

// S1
#[test]
fn a_store_that_counts_its_limits_apart_from_the_claim_is_found() {
    found(Flaw::CountedApart, &["S1: live leases are within the endpoint's limit"]);
}

// S1
#[test]
fn a_store_that_forgets_abandoned_calls_is_found() {
    found(Flaw::NoLinger, &["S1: no endpoint works on more calls than its limit, whoever waits for them"]);
}
