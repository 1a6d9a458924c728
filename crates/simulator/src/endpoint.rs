//! One endpoint without HTTP: containers, queue, cold starts and latency on the injected clock.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use beacon_domain::{Clock, Monotonic};
use beacon_spec::{ModelId, Region, Timestamp};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    answers::{answer_text, tokens},
    behaviour::Behaviour,
    calls::Calls,
    config::{SimEndpoint, WhenFull},
    draw::Draw,
    places::{Places, Turn},
    seen_keys::SeenKeys,
    stats::{EndpointStats, Meter},
    work::{Admission, Ask, Finished, Waited, Work},
};

/// What all endpoints of a simulator share.
#[derive(Debug, Clone)]
pub(crate) struct Surroundings {
    pub(crate) seed: u64,
    pub(crate) clock: Arc<dyn Clock>,
    /// Numbers remote calls over all endpoints.
    pub(crate) numbers: Arc<AtomicU64>,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
}

/// One endpoint.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) config: SimEndpoint,
    pub(crate) around: Surroundings,
    pub(crate) meter: Meter,
    calls: Calls,
    draw_seed: u64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Calls so far.
    calls: u64,
    /// Calls running or queued.
    held: u32,
    places: Places,
    keys: SeenKeys,
}

/// Gives back what a held call takes, also when its task is dropped at shutdown.
struct Held(Arc<Endpoint>);

/// Ends a run, also when its task is dropped at shutdown.
struct Run<'a> {
    endpoint: &'a Endpoint,
    started: Monotonic,
}

impl Endpoint {
    pub(crate) fn new(config: SimEndpoint, around: Surroundings, meter: Meter) -> Self {
        let draw_seed = Draw::endpoint_seed(around.seed, config.id.as_str());
        let places = Places::new(config.capacity);
        let state = Mutex::new(State { calls: 0, held: 0, places, keys: SeenKeys::default() });
        Self { config, around, meter, calls: Calls::default(), draw_seed, state }
    }

    /// Takes the call or turns it away. A taken call is held from here on and runs in the background.
    pub(crate) fn call(self: &Arc<Self>, ask: Ask, key: Option<&str>) -> Admission {
        let mut state = self.state();
        let mut draw = Draw::for_call(self.draw_seed, state.calls);
        let behaviour = self.behaviour(state.calls, &mut draw);
        state.calls += 1;
        let repeated = key.is_some_and(|key| state.keys.repeats(key));
        let full = state.held >= self.config.capacity && self.config.when_full == WhenFull::Reject;
        // A place in the queue is taken with the call's number, whichever task runs first afterwards.
        let turn = (!full && !behaviour.refuses()).then(|| state.places.line_up());
        state.held += u32::from(turn.is_some());
        drop(state);

        self.meter.record(|stats| {
            stats.calls += 1;
            stats.repeated_keys += u64::from(repeated);
            stats.rejected += u64::from(turn.is_none());
        });
        match turn {
            Some(turn) => Admission::Taken(self.begin(ask, behaviour, turn, draw.warm(self.config.warm))),
            None if behaviour.refuses() && behaviour != Behaviour::Throttle => Admission::Refused(behaviour),
            None => Admission::Throttled(seconds(self.config.retry_after_s)),
        }
    }

    /// Counts a call whose input is refused before it reaches the queue.
    pub(crate) fn refuse(&self) {
        self.meter.record(|stats| {
            stats.calls += 1;
            stats.refused += 1;
        });
    }

    /// How long an HTTP request is held.
    pub(crate) fn window(&self) -> Duration {
        seconds(self.config.window_s)
    }

    /// Waits for the work, at most until then.
    pub(crate) async fn wait(&self, work: &Work, until: Monotonic) -> Waited {
        let mut result = work.result.clone();
        let timer = self.around.clock.sleep_until(until);
        tokio::select! {
            biased;
            done = result.wait_for(Option::is_some) => match done.ok().and_then(|done| done.clone()) {
                Some(done) => Waited::Finished(done),
                None => Waited::Gone,
            },
            () = timer => Waited::Pending,
        }
    }

    /// Gives the call a result URL; its name there.
    pub(crate) fn publish(&self, work: &Work) -> String {
        self.meter.record(|stats| stats.redirects += 1);
        self.calls.publish(work, self.around.clock.monotonic())
    }

    /// Looks for the call behind a result URL.
    pub(crate) fn find(&self, id: &str) -> Option<Work> {
        self.meter.record(|stats| stats.result_url_reads += 1);
        let found = self.calls.find(id, self.around.clock.monotonic());
        found.filter(|work| work.behaviour != Behaviour::Expired)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn behaviour(&self, call: u64, draw: &mut Draw) -> Behaviour {
        let scripted = usize::try_from(call).ok().and_then(|call| self.config.script.get(call));
        let chance = draw.uniform();
        match (scripted, self.config.failures) {
            (Some(behaviour), _) => *behaviour,
            (None, Some(failures)) if chance < failures.rate => failures.kind,
            _ => Behaviour::Answer,
        }
    }

    fn begin(self: &Arc<Self>, ask: Ask, behaviour: Behaviour, turn: Turn, warm: Duration) -> Work {
        self.meter.record(EndpointStats::enter);
        let number = self.around.numbers.fetch_add(1, Ordering::Relaxed);
        let (end, work) = Work::new(number, behaviour);
        let held = Held(Arc::clone(self));
        let stop = self.around.stop.clone();
        self.around.tasks.spawn(async move {
            let run = async {
                let (started_at, busy) = held.0.run(turn, warm).await;
                held.0.finish(number, ask, behaviour, started_at, busy)
            };
            let finished = stop.run_until_cancelled(run).await;
            // The place is free before the answer is seen: who reads it may call again at once.
            drop(held);
            if let Some(finished) = finished {
                end.send_replace(Some(Arc::new(finished)));
            }
        });
        work
    }

    /// Waits for a container and works.
    async fn run(&self, turn: Turn, warm: Duration) -> (Timestamp, Duration) {
        turn.come().await;
        let started_at = self.around.clock.now();
        let run = Run { endpoint: self, started: self.around.clock.monotonic() };
        let cold = self.state().places.starts_cold(run.started, seconds(self.config.idle_after_s));
        self.meter.record(|stats| {
            stats.start();
            stats.cold_starts += u64::from(cold);
        });
        let start_up = if cold { seconds(self.config.cold_s) } else { Duration::ZERO };
        if start_up + warm > Duration::ZERO {
            self.around.clock.sleep_until(run.started + start_up + warm).await;
        }
        (started_at, self.around.clock.monotonic().since(run.started))
    }

    fn finish(
        &self,
        number: u64,
        ask: Ask,
        behaviour: Behaviour,
        started_at: Timestamp,
        busy: Duration,
    ) -> Finished {
        let mut model = self.config.model.clone();
        let mut region = self.config.region;
        let mut text = answer_text(self.around.seed, &model, region, &ask.prompt);
        match behaviour {
            Behaviour::Empty => text.clear(),
            Behaviour::WrongRegion => {
                region = if region == Region::UsEast { Region::EuWest } else { Region::UsEast };
            }
            Behaviour::WrongModel => {
                model = ModelId::new("another-model").expect("the text is a valid model id");
            }
            _ => {}
        }
        Finished {
            number,
            behaviour,
            struck: AtomicBool::new(false),
            ask,
            model,
            region,
            tokens: tokens(&text),
            text,
            busy,
            started_at,
            completed_at: self.around.clock.now(),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.meter.record(|stats| stats.in_flight -= 1);
        self.0.state().held -= 1;
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        let now = self.endpoint.around.clock.monotonic();
        // Counted as ended before the next may begin, so that never more run than there are places.
        self.endpoint.meter.record(|stats| {
            stats.running -= 1;
            stats.gpu_time += now.since(self.started);
        });
        self.endpoint.state().places.leave(now);
    }
}

/// Configured seconds, which were checked at start-up.
pub(crate) fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}
