//! The heart: wait for room, claim, start, drain.

use std::{collections::HashMap, sync::Arc, time::Duration};

use beacon_domain::{
    AccountLimit, Backend, Claim, Claimed, EndpointId, Lease, Monotonic, Parting, StoreError, Topic, Wakeup,
    WorkerId,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument as _, Span, warn};

use crate::{
    Ports, SchedulerOptions, Stop,
    execute::{Called, execute},
    limits::{Gates, Look, Moment},
    live::{Held, Live},
    outlook::Outlook,
    patience::{Doing, Patience},
    recorder::Recorder,
    report::{self, Chain},
    spans,
};

const STORE_PAUSE: Duration = Duration::from_millis(500);

/// Claims and runs executions.
pub(crate) struct Worker {
    pub(crate) id: WorkerId,
    pub(crate) ports: Ports,
    pub(crate) options: Arc<SchedulerOptions>,
    pub(crate) gates: Arc<Gates>,
    pub(crate) live: Arc<Live>,
    pub(crate) recorder: Recorder,
    pub(crate) patience: Arc<Patience>,
    pub(crate) tasks: TaskTracker,
    /// Cancelled when whoever runs the scheduler dropped it.
    pub(crate) gone: CancellationToken,
}

impl Worker {
    /// Runs until `stop`, then waits for the executions in flight.
    pub(crate) async fn run(self: Arc<Self>, stop: Stop) {
        let backends = self.backends();
        let mut wakeup = self.ports.wakeups.subscribe(Topic::Queue);
        let mut outlook = Outlook::new(&self.id);
        while !stop.is_draining() {
            // Mark the wake-up seen before looking: an execution opened in between must still wake us.
            wakeup.mark_unchanged();
            let now = self.moment();
            let slots = self.slots();
            let (claim, opens_at) =
                if slots > 0 { self.claim(outlook.look(), slots, now) } else { (None, None) };
            let claimed = match claim {
                Some(claim) => self.ports.queue.claim(claim).await,
                None => Ok(Claimed::default()),
            };
            match claimed {
                Ok(claimed) => {
                    self.patience.worked(Doing::Claim);
                    outlook.looked(now, slots, &claimed);
                    report::started(&claimed.started);
                    claimed.leases.into_iter().for_each(|lease| self.start(lease, &backends, &stop));
                    self.idle(&mut wakeup, &mut outlook, opens_at, &stop).await;
                    // A group of calls ends at once; their slots are claimed together.
                    tokio::task::yield_now().await;
                }
                Err(error) => {
                    outlook.missed();
                    self.back_off(error, &stop).await;
                }
            }
        }
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn moment(&self) -> Moment {
        Moment { date: self.ports.clock.now(), monotonic: self.ports.clock.monotonic() }
    }

    fn backends(&self) -> HashMap<EndpointId, Arc<dyn Backend>> {
        let backends = self.ports.backends.iter();
        backends.map(|backend| (backend.describe().id.clone(), Arc::clone(backend))).collect()
    }

    /// How many more executions this process may hold.
    fn slots(&self) -> u32 {
        let held = u32::try_from(self.live.count()).unwrap_or(u32::MAX);
        self.options.slots.saturating_sub(held)
    }

    /// What there is room for, if anything, and when a closed gate opens.
    fn claim(&self, look: Look, slots: u32, now: Moment) -> (Option<Claim>, Option<Monotonic>) {
        let (rooms, opens_at) = self.gates.rooms(look, now);
        if rooms.iter().all(|room| room.free == 0) {
            return (None, opens_at);
        }
        let accounts = self.options.account_limits.iter();
        let claim = Claim {
            worker: self.id.clone(),
            rooms,
            accounts: accounts
                .map(|(account, limit)| AccountLimit { account: account.clone(), limit: *limit })
                .collect(),
            global_limit: self.options.global_limit,
            at_most: slots,
            lease: self.options.lease,
            longest_call: self.options.timeouts.attempt,
            day_budget: self.options.day_budget,
            now: now.date,
        };
        (Some(claim), opens_at)
    }

    async fn idle(
        &self,
        wakeup: &mut Wakeup,
        outlook: &mut Outlook,
        opens_at: Option<Monotonic>,
        stop: &Stop,
    ) {
        let until = outlook.until(opens_at);
        tokio::select! {
            biased;
            () = stop.draining() => {}
            () = wakeup.changed() => outlook.missed(),
            () = self.live.released() => {}
            () = self.ports.clock.sleep_until(until) => outlook.missed(),
        }
    }

    async fn back_off(&self, error: StoreError, stop: &Stop) {
        warn!("cannot claim work, trying again in {STORE_PAUSE:?}: {}", Chain(&error));
        if self.patience.is_over(Doing::Claim, error, self.ports.clock.monotonic()) {
            return;
        }
        tokio::select! {
            biased;
            () = stop.draining() => {}
            () = self.ports.clock.sleep_until(self.ports.clock.monotonic() + STORE_PAUSE) => {}
        }
    }

    fn start(self: &Arc<Self>, lease: Lease, backends: &HashMap<EndpointId, Arc<dyn Backend>>, stop: &Stop) {
        let held = self.live.hold(lease.key);
        self.gates.started(&lease.endpoint, self.ports.clock.monotonic());
        let backend = backends.get(&lease.endpoint).expect("only endpoints with a backend have room").clone();
        let (worker, stop, span) = (Arc::clone(self), stop.clone(), spans::attempt(&lease));
        let run = async move {
            worker.run_lease(&lease, backend.as_ref(), &held, &stop).await;
            drop(held);
        };
        self.tasks.spawn(self.gone.clone().run_until_cancelled_owned(run.instrument(span)));
    }

    async fn run_lease(&self, lease: &Lease, backend: &dyn Backend, held: &Held, stop: &Stop) {
        let leave = self.leave(held, stop);
        let called = execute(self, backend, lease, held, leave).await;
        spans::ended(&Span::current(), &called);
        report::attempt(lease, &called);
        if let Called::Ended(_, Some(learned)) = &called {
            let now = self.moment();
            self.gates.finished(&lease.endpoint, learned.as_ref().copied(), now);
        }
        // The endpoint is free from here on. The store holds its limit until the outcome is recorded; a claim that
        // comes in the same transaction sees both.
        self.gates.released(&lease.endpoint);
        match called {
            Called::Ended(recording, _) => {
                held.call_ended();
                // `None` and `Lost` leave nothing to do: the lease runs out or is somebody else's.
                let _ = self
                    .recorder
                    .record(*recording, lease.endpoint.clone())
                    .instrument(spans::record())
                    .await;
            }
            // What was left may still run: the store keeps the slot as long as the endpoint may need it.
            Called::Left => self.give_back(lease, held.parting(lease.resume.is_some())).await,
            Called::NotMade => self.give_back(lease, Parting::NoCall).await,
        }
    }

    /// Returns when a call is to be left alone, to be found again or to be repeated.
    async fn leave(&self, held: &Held, stop: &Stop) {
        let detach = async {
            stop.draining().await;
            held.resumable.cancelled().await;
        };
        tokio::select! {
            () = stop.aborting() => {}
            () = detach, if self.options.detach_on_drain => {}
        }
    }

    async fn give_back(&self, lease: &Lease, parting: Parting) {
        let given = self.ports.queue.give_back(vec![lease.key], parting, self.ports.clock.now());
        if let Err(error) = given.await {
            let execution = lease.key.execution;
            warn!(job = %execution.job, %execution, "cannot give a lease back, it will run out: {}", Chain(&error));
        }
        self.gates.freed(&lease.endpoint);
    }
}
