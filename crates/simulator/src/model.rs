//! One endpoint without HTTP: containers, queue, cold starts and latency on the injected clock.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use beacon_domain::{Clock, Monotonic};
use beacon_spec::{ModelId, Region, Timestamp};
use tokio::sync::{Semaphore, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    answers::{answer_text, tokens},
    calls::Calls,
    config::{Behaviour, SimEndpoint, WhenFull},
    draw::Draw,
    stats::Meter,
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

/// The content of a call, as far as an endpoint looks at it.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) prompt: Arc<str>,
    pub(crate) temperature: f64,
    pub(crate) max_tokens: u32,
}

/// A call that the endpoint took.
pub(crate) enum Admission {
    /// It is held and will run.
    Taken(Work),
    /// 429: no work, come back later.
    Throttled(Duration),
    /// 503: no work.
    Unavailable,
}

/// A call being worked on; it goes on when nobody waits for it.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    pub(crate) number: u64,
    pub(crate) behaviour: Behaviour,
    result: watch::Receiver<Option<Arc<Finished>>>,
}

/// How a wait for a call ended.
pub(crate) enum Waited {
    Finished(Arc<Finished>),
    /// The time was over first.
    Pending,
    /// The simulator was shut down.
    Gone,
}

/// A call whose work is done.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) number: u64,
    pub(crate) behaviour: Behaviour,
    pub(crate) ask: Ask,
    /// As told, which a behaviour may falsify.
    pub(crate) model: ModelId,
    /// As told, which a behaviour may falsify.
    pub(crate) region: Region,
    pub(crate) text: String,
    pub(crate) tokens: u64,
    pub(crate) busy: Duration,
    pub(crate) started_at: Timestamp,
    pub(crate) completed_at: Timestamp,
}

/// One endpoint.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) config: SimEndpoint,
    pub(crate) around: Surroundings,
    pub(crate) meter: Meter,
    pub(crate) calls: Calls,
    draw_seed: u64,
    slots: Semaphore,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Calls so far.
    calls: u64,
    /// Calls running or queued.
    held: u32,
    /// Since when each free container is idle; a container that never ran is not in it.
    idle: Vec<Monotonic>,
    keys: HashSet<String>,
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
        let slots = Semaphore::new(config.capacity as usize);
        Self { config, around, meter, calls: Calls::default(), draw_seed, slots, state: Mutex::default() }
    }

    /// Takes the call or turns it away. A taken call is held from here on and runs in the background.
    pub(crate) fn call(self: &Arc<Self>, ask: Ask, key: Option<&str>) -> Admission {
        let mut state = self.state();
        let call = state.calls;
        state.calls += 1;
        let repeated = key.is_some_and(|key| !state.keys.insert(key.to_owned()));
        let mut draw = Draw::for_call(self.draw_seed, call);
        let behaviour = self.behaviour(call, &mut draw);
        let full = state.held >= self.config.capacity && self.config.when_full == WhenFull::Reject;
        let refused = full || behaviour.refuses();
        state.held += u32::from(!refused);
        drop(state);

        self.meter.record(|stats| {
            stats.calls += 1;
            stats.repeated_keys += u64::from(repeated);
            stats.rejected += u64::from(refused);
        });
        if behaviour == Behaviour::Unavailable {
            return Admission::Unavailable;
        }
        if refused {
            return Admission::Throttled(seconds(self.config.retry_after_s));
        }
        Admission::Taken(self.begin(ask, behaviour, draw.warm(self.config.warm)))
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

    fn begin(self: &Arc<Self>, ask: Ask, behaviour: Behaviour, warm: Duration) -> Work {
        self.meter.record(crate::stats::EndpointStats::enter);
        let number = self.around.numbers.fetch_add(1, Ordering::Relaxed);
        let (sender, result) = watch::channel(None);
        let held = Held(Arc::clone(self));
        let stop = self.around.stop.clone();
        self.around.tasks.spawn(async move {
            let work = async {
                let (started_at, busy) = held.0.run(warm).await;
                held.0.finish(number, ask, behaviour, started_at, busy)
            };
            let finished = stop.run_until_cancelled(work).await;
            // The place is free before the answer is seen: who reads it may call again at once.
            drop(held);
            if let Some(finished) = finished {
                sender.send_replace(Some(Arc::new(finished)));
            }
        });
        Work { number, behaviour, result }
    }

    /// Waits for a container and works; the queue is in order of arrival.
    async fn run(&self, warm: Duration) -> (Timestamp, Duration) {
        let _slot = self.slots.acquire().await.expect("the semaphore is never closed");
        let started_at = self.around.clock.now();
        let run = Run { endpoint: self, started: self.around.clock.monotonic() };
        let cold = !self.take_warm_container(run.started);
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

    /// Takes the container that was used last; those idle for too long are gone.
    fn take_warm_container(&self, now: Monotonic) -> bool {
        let idle_after = seconds(self.config.idle_after_s);
        let mut state = self.state();
        state.idle.retain(|since| now.since(*since) <= idle_after);
        state.idle.pop().is_some()
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
        let tokens = tokens(&text);
        let completed_at = self.around.clock.now();
        Finished { number, behaviour, ask, model, region, text, tokens, busy, started_at, completed_at }
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
        self.endpoint.state().idle.push(now);
        self.endpoint.meter.record(|stats| {
            stats.running -= 1;
            stats.gpu_seconds += now.since(self.started).as_secs_f64();
        });
    }
}

/// Configured seconds, which were checked at start-up.
pub(crate) fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}
