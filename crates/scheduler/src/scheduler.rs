//! The façade: one scheduler per process, with its worker, heartbeat, recorder and reaper.

use std::{sync::Arc, time::Duration};

use beacon_domain::{JobId, JobSummary, Outages, StoreError, Topic, WorkerId};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::warn;

use crate::{
    OptionsError, Ports, SchedulerOptions, Stop, close,
    fleet::Member,
    limits::Gates,
    live::Live,
    patience::{Doing, Patience},
    reap,
    recorder::Recorder,
    renew,
    report::Chain,
    webhooks::Teller,
    worker::Worker,
};

const LOOK_AT_MOST_EVERY: Duration = Duration::from_millis(100);
const LOOK_AT_LEAST_EVERY: Duration = Duration::from_secs(1);

/// Runs jobs over the ports it was given.
pub struct Scheduler {
    id: WorkerId,
    ports: Ports,
    options: Arc<SchedulerOptions>,
    outages: Outages,
}

impl Scheduler {
    /// A scheduler whose settings can work. `id` must be unique per process start.
    ///
    /// # Errors
    /// The settings contradict each other.
    pub fn new(id: WorkerId, ports: Ports, options: SchedulerOptions) -> Result<Self, OptionsError> {
        options.check()?;
        Ok(Self { id, ports, options: Arc::new(options), outages: Outages::default() })
    }

    /// The endpoints that it leaves alone because they keep failing, now and later.
    #[must_use]
    pub fn outages(&self) -> Outages {
        self.outages.clone()
    }

    /// Runs whatever is in the queue until `stop`; then waits for the calls in flight and writes what came of them.
    /// Dropping the future is like killing a worker: its calls end, and its leases run out.
    ///
    /// # Errors
    /// The store failed for longer than [`SchedulerOptions::store_patience`], or still failed when `stop` was asked to
    /// abort. What had ended by then and was not written is lost.
    pub async fn run(&self, stop: Stop) -> Result<(), StoreError> {
        let patience = self.patience(&stop);
        self.work(stop, Arc::clone(&patience)).await;
        patience.given_up().map_or(Ok(()), Err)
    }

    fn patience(&self, stop: &Stop) -> Arc<Patience> {
        Arc::new(Patience::new(self.options.store_patience, stop.clone()))
    }

    async fn work(&self, stop: Stop, patience: Arc<Patience>) {
        let live = Arc::new(Live::default());
        let endpoints = self.ports.backends.iter().map(|backend| backend.describe().clone());
        let shared = self.options.global_limit.is_some();
        let gates = Arc::new(Gates::new(endpoints, self.options.warm_for, shared, self.outages()));
        let (teller, telling) = Teller::new(self.ports.clone());
        let told = (self.ports.clone(), teller.clone());
        let (recorder, recording) =
            Recorder::new(told, Arc::clone(&gates), Arc::clone(&live), Arc::clone(&patience));
        let (done, gone) = (CancellationToken::new(), CancellationToken::new());
        let _gone = gone.clone().drop_guard();
        let background = TaskTracker::new();
        let renewing = renew::run(self.ports.clone(), Arc::clone(&live), self.options.lease, done.clone());
        let reaping = reap::run(self.ports.clone(), teller, done.clone());
        background.spawn(gone.clone().run_until_cancelled_owned(recording));
        background.spawn(gone.clone().run_until_cancelled_owned(renewing));
        background.spawn(gone.clone().run_until_cancelled_owned(reaping));
        // Ends when recorder and reaper have.
        background.spawn(gone.clone().run_until_cancelled_owned(telling));
        if let Some(fleet) = self.ports.fleet.clone() {
            let (ports, every) = ((self.ports.clone(), fleet), self.options.lease / 3);
            let member = Member::new(self.id.clone(), ports, Arc::clone(&gates), every);
            background.spawn(gone.clone().run_until_cancelled_owned(member.run(done.clone())));
        }
        let worker = Arc::new(Worker {
            id: self.id.clone(),
            ports: self.ports.clone(),
            options: Arc::clone(&self.options),
            gates,
            live,
            recorder,
            patience,
            tasks: TaskTracker::new(),
            gone,
        });

        Arc::clone(&worker).run(stop).await;

        // The recorder ends when the last way to it, the worker's, is gone.
        drop(worker);
        done.cancel();
        background.close();
        background.wait().await;
    }

    /// Runs until this job has ended and is closed, or until `stop`; gives the job as it is then.
    ///
    /// # Errors
    /// The job is unknown, or the store failed for longer than [`SchedulerOptions::store_patience`].
    pub async fn run_job(&self, job: JobId, stop: Stop) -> Result<JobSummary, StoreError> {
        let patience = self.patience(&stop);
        let ending = async {
            let ended = self.ended(job, &patience, &stop).await;
            stop.drain();
            ended
        };
        let ((), ended) = tokio::join!(self.work(stop.clone(), Arc::clone(&patience)), ending);
        patience.given_up().map_or(Ok(()), Err)?;
        ended?;
        self.patiently(&patience, || close::close_ended(&self.ports)).await?;
        self.look(job, &patience).await
    }

    async fn ended(&self, job: JobId, patience: &Patience, stop: &Stop) -> Result<(), StoreError> {
        let mut wakeup = self.ports.wakeups.subscribe(Topic::Job(job));
        loop {
            wakeup.mark_unchanged();
            if self.look(job, patience).await?.state.is_terminal() {
                return Ok(());
            }
            let clock = &self.ports.clock;
            let looked = clock.monotonic();
            tokio::select! {
                biased;
                // Hints come with every execution; a look sums up the whole job.
                () = wakeup.changed() => clock.sleep_until(looked + LOOK_AT_MOST_EVERY).await,
                () = clock.sleep_until(looked + LOOK_AT_LEAST_EVERY) => {}
                () = stop.draining() => return Ok(()),
            }
        }
    }

    async fn look(&self, job: JobId, patience: &Patience) -> Result<JobSummary, StoreError> {
        let found = self.patiently(patience, || self.ports.view.job(job)).await?;
        found.ok_or(StoreError::UnknownJob(job))
    }

    /// Asks the store again while it is away and patience lasts.
    async fn patiently<T>(
        &self,
        patience: &Patience,
        ask: impl AsyncFn() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let clock = self.ports.clock.as_ref();
        loop {
            let away = match ask().await {
                Err(away @ StoreError::Unavailable { .. }) => away,
                told => {
                    patience.worked(Doing::Look);
                    return told;
                }
            };
            let message = Chain(&away).to_string();
            if patience.is_over(Doing::Look, away, clock.monotonic()) {
                return Err(patience.given_up().unwrap_or(StoreError::Unavailable { message, source: None }));
            }
            warn!("cannot look after the job, trying again in {LOOK_AT_LEAST_EVERY:?}: {message}");
            patience.pause(clock, LOOK_AT_LEAST_EVERY).await;
        }
    }
}
