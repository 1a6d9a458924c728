//! What a seed decides before the run: endpoints, jobs, limits, and which faults there are.

use std::{collections::BTreeMap, time::Duration};

use beacon_domain::{AccountId, Batching, DayBudget, EndpointInfo};
use beacon_scheduler::{RetryPolicy, SchedulerOptions, Timeouts};
use beacon_spec::{ModelId, Region};
use beacon_testkit::{
    SpecBuilder, endpoint_of,
    faults::{Dice, Odds},
};

/// How long a lease lasts: short, so that pauses and outages outlast it.
pub(crate) const LEASE: Duration = Duration::from_secs(3);

/// Until when faults strike.
pub(crate) const HORIZON: Duration = Duration::from_secs(40);

/// How long the jobs may take after that.
pub(crate) const LIVENESS: Duration = Duration::from_secs(300);

const REGIONS: [(Region, &str); 2] = [(Region::UsEast, "us-east"), (Region::EuWest, "eu-west")];
const NS_PER_S: u64 = 1_000_000_000;

/// One run.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    pub(crate) workers: u32,
    pub(crate) endpoints: Vec<EndpointPlan>,
    pub(crate) jobs: Vec<JobPlan>,
    pub(crate) odds: Odds,
    pub(crate) options: SchedulerOptions,
    pub(crate) processes: ProcessOdds,
}

/// An endpoint and its moods.
#[derive(Debug, Clone)]
pub(crate) struct EndpointPlan {
    pub(crate) info: EndpointInfo,
    /// The chance of a bad reply.
    pub(crate) bad: f64,
    /// The chance that an answer comes by a result URL.
    pub(crate) by_url: f64,
    /// The longest that an answer takes, whether or not somebody waits for it.
    pub(crate) slowest: Duration,
    /// Whether it goes down and up now and then.
    pub(crate) restarts: bool,
}

/// A job, when it is submitted, when it is cancelled, and when and for how long it is paused.
#[derive(Debug, Clone)]
pub(crate) struct JobPlan {
    pub(crate) spec: SpecBuilder,
    pub(crate) batching: Batching,
    pub(crate) at: Duration,
    pub(crate) cancel_after: Option<Duration>,
    pub(crate) pause: Option<(Duration, Duration)>,
}

/// What befalls whole processes, beside what strikes at their awaits.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ProcessOdds {
    /// Each few seconds of each process, the chance of a crash, a pause, a shutdown, or a clock set forward.
    pub(crate) trouble: f64,
    /// Whether only crashes and shutdowns are among that.
    pub(crate) only_ends: bool,
    /// How far its date is off at most, in milliseconds.
    pub(crate) skew_ms: u32,
    /// How much faster or slower its clock runs at most.
    pub(crate) drift: f64,
    /// The chance that a hint is lost.
    pub(crate) lost_hint: f64,
}

impl Scenario {
    /// Draws a scenario. Each kind of fault is there in a part of the scenarios, so that all mixtures are seen.
    pub(crate) fn draw(dice: &Dice) -> Self {
        let endpoints = endpoints(dice);
        let jobs = (0..dice.within(2..=6)).map(|n| job(dice, n, &endpoints)).collect();
        Self {
            workers: dice.within(2..=5),
            options: options(dice, &endpoints),
            endpoints,
            jobs,
            odds: odds(dice),
            processes: ProcessOdds {
                trouble: some(dice, 0.35),
                only_ends: false,
                skew_ms: if dice.chance(0.5) { dice.within(1..=8000) } else { 0 },
                drift: some(dice, 0.05),
                lost_hint: some(dice, 0.6),
            },
        }
    }
}

impl Scenario {
    /// The same work without faults: what is left are cancels, deadlines and the endpoints' bad replies.
    pub(crate) fn calm(mut self) -> Self {
        (self.odds, self.processes) = (Odds::default(), ProcessOdds::default());
        self.endpoints.iter_mut().for_each(|endpoint| endpoint.restarts = false);
        self
    }
}

impl Scenario {
    /// Whether nothing is wrong but that workers end.
    pub(crate) fn is_strict(&self) -> bool {
        let Odds { pause, delay, duplicate, lost_acknowledgement, outage, .. } = self.odds;
        let ProcessOdds { trouble, only_ends, skew_ms, drift, lost_hint } = self.processes;
        let ends_only = only_ends || trouble == 0.0;
        ends_only
            && skew_ms == 0
            && pause + delay + duplicate + lost_acknowledgement + outage + drift + lost_hint == 0.0
    }

    /// The same work with workers that die and are stopped all the time. Nothing else is wrong: what a worker leaves behind
    /// is left to the others in time.
    pub(crate) fn mortal(mut self, dice: &Dice) -> Self {
        self.odds = Odds { crash: 0.004 * dice.unit(), ..Odds::default() };
        self.processes =
            ProcessOdds { trouble: 0.35 * dice.unit(), only_ends: true, ..ProcessOdds::default() };
        self.endpoints.iter_mut().for_each(|endpoint| endpoint.restarts = false);
        self
    }
}

/// In half of the draws nothing, else a chance up to `most`.
fn some(dice: &Dice, most: f64) -> f64 {
    if dice.chance(0.5) { most * dice.unit() } else { 0.0 }
}

fn odds(dice: &Dice) -> Odds {
    Odds {
        crash: some(dice, 0.006),
        pause: some(dice, 0.008),
        longest_pause: LEASE * 4,
        delay: some(dice, 0.12),
        longest_delay: LEASE * 3 / 2,
        duplicate: some(dice, 0.3),
        lost_acknowledgement: some(dice, 0.08),
        outage: some(dice, 0.03),
        longest_outage: LEASE * 2,
    }
}

fn endpoints(dice: &Dice) -> Vec<EndpointPlan> {
    let models = &["m", "n"][..dice.within(1..=2) as usize];
    let cells = models.iter().flat_map(|model| REGIONS.map(|(region, _)| (*model, region)));
    let plan = |(model, region)| {
        let id = endpoint_of(region, model);
        let mut info = EndpointInfo::new(id, ModelId::new(model).expect("a short name"), region);
        info.limit = dice.within(1..=3);
        info.account = dice.chance(0.5).then(|| AccountId::new("shared"));
        info.cold_probe = dice.chance(0.2);
        info.adaptive = dice.chance(0.2).then_some((1, 3));
        info.price_micros_per_s = 100;
        let slowest = Duration::from_millis(u64::from(dice.within(300..=5000)));
        info.linger = slowest;
        EndpointPlan {
            info,
            bad: some(dice, 0.6),
            by_url: if dice.chance(0.7) { dice.unit() } else { 0.0 },
            slowest,
            restarts: dice.chance(0.25),
        }
    };
    cells.map(plan).collect()
}

fn job(dice: &Dice, n: u32, endpoints: &[EndpointPlan]) -> JobPlan {
    let two_models = endpoints.len() > REGIONS.len();
    let models = &["m", "n"][..if two_models && dice.chance(0.5) { 2 } else { 1 }];
    let regions = &REGIONS.map(|(_, name)| name)[..dice.within(1..=2) as usize];
    let mut spec = SpecBuilder::new(&format!("job {n}")).question_count(dice.within(1..=4));
    spec = spec.models(models).regions(regions).runs(dice.within(1..=2));
    if dice.chance(0.5) {
        spec = spec.key("other", 1, 2);
    }
    if dice.chance(0.4) {
        spec = spec.constraint("timeout", u64::from(dice.within(8..=30)) * NS_PER_S);
    }
    if dice.chance(0.2) {
        spec = spec.constraint("provider_timeout", 3 * NS_PER_S);
    }
    if dice.chance(0.2) {
        spec = spec.constraint("max_cost", f64::from(dice.within(1..=12)) * 1e-4);
    }
    JobPlan {
        spec,
        batching: if dice.chance(0.5) { Batching::Question } else { Batching::Endpoint },
        at: Duration::from_millis(u64::from(dice.within(0..=12_000))),
        cancel_after: dice.chance(0.3).then(|| Duration::from_millis(u64::from(dice.within(1..=15_000)))),
        pause: dice
            .chance(0.3)
            .then(|| (dice.up_to(Duration::from_secs(10)), dice.up_to(Duration::from_secs(8)))),
    }
}

fn options(dice: &Dice, endpoints: &[EndpointPlan]) -> SchedulerOptions {
    let shared = endpoints.iter().any(|endpoint| endpoint.info.account.is_some());
    let limited = shared && dice.chance(0.7);
    let accounts = limited.then(|| (AccountId::new("shared"), dice.within(1..=3)));
    let budget = dice.chance(0.15);
    SchedulerOptions {
        slots: dice.within(2..=8),
        global_limit: dice.chance(0.4).then(|| dice.within(2..=5)),
        account_limits: accounts.into_iter().collect::<BTreeMap<_, _>>(),
        day_budget: budget.then(|| DayBudget { cap_micros: u64::from(dice.within(100..=2000)) }),
        lease: LEASE,
        warm_for: Duration::from_secs(10),
        detach_on_drain: dice.chance(0.5),
        retry: RetryPolicy {
            base: Duration::from_millis(200),
            cap: Duration::from_secs(2),
            max_throttles: 12,
            unreachable: Duration::from_secs(5),
            ..RetryPolicy::default()
        },
        timeouts: Timeouts {
            attempt: Duration::from_secs(8),
            execution: Duration::from_secs(35),
            queue: dice.chance(0.2).then_some(Duration::from_secs(20)),
            // A job whose budget is used up waits for its deadline; every other one must end by its work.
            job: Duration::from_secs(if budget { 40 } else { 3600 }),
        },
        ..SchedulerOptions::default()
    }
}
