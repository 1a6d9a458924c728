//! Two stores and one random history: whatever is asked of both, both answer the same and show the same.

use std::time::Duration;

use beacon_domain::{
    AccountId, AccountLimit, Batching, CancelReason, Claim, EndpointId, EndpointOverride, ErrorCode,
    JobFilter, JobId, Lease, Operations, Outcome, Parting, Recording, ResumeToken, Stage, StoreError,
};
use beacon_spec::VerifiedSpec;
use rand::{Rng, RngExt as _, SeedableRng as _, rngs::StdRng};

use super::{Scene, Store};
use crate::{LEASE, SpecBuilder, claim, completed, completed_at_cost, failed, retry, timed_out};

const ENDPOINTS: [&str; 3] = ["us-east/m", "us-east/n", "eu-west/m"];
const STEPS: u32 = 120;

/// Plays the history of this seed on both.
///
/// # Panics
/// At the first difference; the text names the seed and the step.
pub async fn play<A: Store + Operations, B: Store + Operations>(seed: u64, one: &Scene<A>, other: &Scene<B>) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut history = History::default();
    for step in 0..STEPS {
        let deed = history.next(&mut random);
        let (first, second) = (history.apply(&deed, one).await, history.apply(&deed, other).await);
        let place = format!("seed {seed}, step {step}, {deed:?}");
        assert_same(&first.shown, &second.shown, &place);
        for job in &history.jobs {
            assert_same(&view(one, *job).await, &view(other, *job).await, &place);
        }
        history.leases.extend(first.leases);
    }
}

/// What has happened, as far as the next deed depends on it.
#[derive(Default)]
struct History {
    jobs: Vec<JobId>,
    specs: Vec<VerifiedSpec>,
    /// Every lease ever given, held or not.
    leases: Vec<Lease>,
}

/// What one store did.
struct Done {
    shown: String,
    leases: Vec<Lease>,
}

#[derive(Debug, Clone)]
enum Deed {
    Advance(u64),
    Accept { spec: usize, batching: Batching },
    Claim { limit: u32, at_most: u32, global: Option<u32>, account: Option<u32> },
    Renew(Vec<usize>),
    Checkpoint(usize),
    Record { lease: usize, kind: u32 },
    GiveBack { lease: usize, abandoned: bool },
    Cancel { job: usize, budget: bool },
    Pause(usize),
    Resume(usize),
    Change { endpoint: usize, limit: Option<u32>, drain: bool },
    Reap,
}

impl History {
    fn next(&mut self, random: &mut impl Rng) -> Deed {
        let kind = random.random_range(0..100);
        let lease = |random: &mut dyn FnMut(usize) -> usize, n: usize| random(n);
        let pick = &mut |n: usize| random.random_range(0..n);
        match kind {
            0..6 => self.accept(pick),
            6..40 => Deed::Claim {
                limit: 1 + pick(3) as u32,
                at_most: 1 + pick(6) as u32,
                global: (pick(4) == 0).then(|| 1 + pick(5) as u32),
                account: (pick(4) == 0).then(|| 1 + pick(4) as u32),
            },
            40..48 => Deed::Advance(1 + pick(20) as u64),
            48..49 => Deed::Advance(1800),
            49..54 => Deed::Reap,
            54..56 if !self.jobs.is_empty() => {
                Deed::Cancel { job: pick(self.jobs.len()), budget: pick(2) == 0 }
            }
            94..96 if !self.jobs.is_empty() => Deed::Pause(pick(self.jobs.len())),
            96..98 if !self.jobs.is_empty() => Deed::Resume(pick(self.jobs.len())),
            98..100 => Deed::Change {
                endpoint: pick(ENDPOINTS.len()),
                limit: (pick(2) == 0).then(|| pick(4) as u32),
                drain: pick(4) == 0,
            },
            _ if self.leases.is_empty() => self.accept(pick),
            56..60 => Deed::Checkpoint(lease(pick, self.leases.len())),
            60..64 => Deed::GiveBack { lease: lease(pick, self.leases.len()), abandoned: pick(2) == 0 },
            64..68 => Deed::Renew((0..3).map(|_| pick(self.leases.len())).collect()),
            _ => {
                // Mostly a young lease, which is likely to be held.
                let young = self.leases.len().saturating_sub(8);
                let lease = young + pick(self.leases.len() - young);
                Deed::Record { lease, kind: pick(12) as u32 }
            }
        }
    }

    fn accept(&mut self, pick: &mut dyn FnMut(usize) -> usize) -> Deed {
        let n = self.specs.len();
        if n > 0 && pick(4) == 0 {
            return Deed::Accept { spec: pick(n), batching: Batching::Question };
        }
        let mut spec = SpecBuilder::new(&format!("job {n}")).question_count(1 + pick(3) as u32);
        spec = spec.models(&["m", "n", "nobody"][..1 + pick(3)]).regions(&["US", "EU"][..1 + pick(2)]);
        if pick(3) == 0 {
            spec = spec.key("other", 1, 2);
        }
        if pick(4) == 0 {
            spec = spec.constraint("max_cost", 0.0001);
        }
        self.specs.push(spec.verified());
        let batching = if pick(2) == 0 { Batching::Question } else { Batching::Endpoint };
        Deed::Accept { spec: n, batching }
    }

    async fn apply<S: Store + Operations>(&mut self, deed: &Deed, scene: &Scene<S>) -> Done {
        let (store, now) = (&scene.store, scene.now());
        let mut leases = Vec::new();
        let shown = match deed {
            Deed::Advance(seconds) => {
                scene.advance_s(*seconds);
                String::new()
            }
            Deed::Accept { spec, batching } => {
                let acceptance = scene.acceptance(self.specs[*spec].clone(), *batching);
                let job = acceptance.job;
                let accepted = store.accept(acceptance).await;
                if accepted.is_ok() && !self.jobs.contains(&job) {
                    self.jobs.push(job);
                }
                shown(accepted)
            }
            Deed::Claim { limit, at_most, global, account } => {
                let claimed =
                    store.claim(bounded(claim(&ENDPOINTS, *limit, now), *at_most, *global, *account));
                let claimed = claimed.await.unwrap();
                leases.clone_from(&claimed.leases);
                format!("{claimed:#?}")
            }
            Deed::Renew(of) => {
                let keys = of.iter().map(|lease| self.leases[*lease].key).collect();
                shown(store.renew(keys, LEASE, now).await)
            }
            Deed::Checkpoint(lease) => {
                let token = ResumeToken(format!("token {lease}"));
                shown(store.checkpoint(self.leases[*lease].key, token).await)
            }
            Deed::Record { lease, kind } => {
                let recording = recording(&self.leases[*lease], *kind, scene);
                shown(store.record(vec![recording], now).await)
            }
            Deed::GiveBack { lease, abandoned } => {
                let parting = if *abandoned { Parting::Abandoned } else { Parting::NoCall };
                shown(store.give_back(vec![self.leases[*lease].key], parting, now).await)
            }
            Deed::Cancel { job, budget } => {
                let by = CancelReason::By("tester".to_owned());
                let reason = if *budget { CancelReason::Budget } else { by };
                shown(store.cancel(self.jobs[*job], reason, now).await)
            }
            Deed::Pause(job) => shown(store.pause(self.jobs[*job], "tester".to_owned(), now).await),
            Deed::Resume(job) => shown(store.resume(self.jobs[*job], now).await),
            Deed::Change { endpoint, limit, drain } => {
                let change = EndpointOverride { limit: *limit, drain: *drain, reset_at: None };
                shown(store.set_override(EndpointId::new(ENDPOINTS[*endpoint]), change).await)
            }
            Deed::Reap => shown(store.reap(100, now).await),
        };
        Done { shown, leases }
    }
}

/// Fails with the first line that differs.
fn assert_same(one: &str, other: &str, place: &str) {
    let differs = one.lines().zip(other.lines()).find(|(one, other)| one != other);
    assert!(one == other, "{place}: {differs:#?}");
}

fn bounded(mut claim: Claim, at_most: u32, global: Option<u32>, account: Option<u32>) -> Claim {
    claim.rooms.iter_mut().for_each(|room| (room.free, room.most) = (room.limit + 1, room.limit + 2));
    claim.rooms.iter_mut().for_each(|room| room.linger = Duration::from_secs(15));
    claim.longest_call = Duration::from_secs(40);
    claim.at_most = at_most;
    claim.global_limit = global;
    if let Some(limit) = account {
        let account = AccountId::new("shared");
        claim.accounts = vec![AccountLimit { account: account.clone(), limit }];
        claim.rooms[..2].iter_mut().for_each(|room| room.account = Some(account.clone()));
    }
    claim
}

fn recording<S: Store>(lease: &Lease, kind: u32, scene: &Scene<S>) -> Recording {
    let now = scene.now();
    match kind {
        0 => failed(lease, now),
        1 => timed_out(lease, now),
        2..=3 => retry(lease, now + Duration::from_secs(5), now),
        4 => {
            let mut again = retry(lease, now, now);
            again.outcome = Outcome::Retry { not_before: now, counts: false };
            again.attempt.error.iter_mut().for_each(|error| error.code = ErrorCode::Throttled);
            again
        }
        5 => {
            let mut lost = retry(lease, now, now);
            if let Some(error) = &mut lost.attempt.error {
                (error.code, error.stage) = (ErrorCode::ConnectionLost, Stage::Request);
            }
            lost
        }
        6 => completed_at_cost(lease, 30, now),
        _ => completed(lease, now),
    }
}

fn shown<T: std::fmt::Debug>(result: Result<T, StoreError>) -> String {
    format!("{result:#?}")
}

/// Everything that is shown of a job, and the list of jobs.
async fn view<S: Store>(scene: &Scene<S>, job: JobId) -> String {
    let page = scene.store.jobs(JobFilter::default()).await.unwrap();
    let progress = scene.store.progress(job, scene.now()).await.unwrap();
    let failures = scene.store.failures(job).await.unwrap();
    format!("{:#?}\n{progress:#?}\n{failures:#?}\n{:#?}", page.items, scene.records(job).await)
}
