//! Watching a job: one task reads it when a hint says that it may have changed, and now and then without one. Streams wait
//! for what it last saw, so that a slow one misses states in between and delays nobody.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use beacon_domain::{BatchState, Board, Clock, JobId, JobView, Topic, Wakeup, Wakeups};
use bytes::Bytes;
use tokio::sync::{OnceCell, watch};
use tracing::warn;

use crate::{
    api::Api,
    error::ApiError,
    shapes::{Batch, Job, JobProgress},
};

/// The least time between two reads of a job: hints come with every recording.
const GAP: Duration = Duration::from_millis(200);
/// Between two reads without a hint: hints of other processes may be lost.
const POLL: Duration = Duration::from_secs(2);
/// Open batches in one event; `endpoint` batching may have many.
const MOST_BATCHES: usize = 20;

/// How a job stands.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Grows with every change; by the clock, so that it also grows from one process to the next.
    pub(crate) number: i64,
    /// The event's data: one line of JSON.
    pub(crate) data: Bytes,
    /// Whether the job has ended, and nothing can follow.
    pub(crate) ended: bool,
}

/// The last state of a job, and when there is a newer one.
pub(crate) type Changes = watch::Receiver<Arc<Seen>>;

type Watched = Arc<OnceCell<watch::Sender<Arc<Seen>>>>;

/// Every job that somebody watches.
pub(crate) struct Watchers {
    clock: Arc<dyn Clock>,
    view: Arc<dyn JobView>,
    board: Arc<dyn Board>,
    wakeups: Arc<Wakeups>,
    jobs: Mutex<HashMap<JobId, Watched>>,
}

impl Watchers {
    /// Nobody watches yet.
    pub(crate) fn new(api: &Api) -> Self {
        Self {
            clock: Arc::clone(&api.clock),
            view: Arc::clone(&api.view),
            board: Arc::clone(&api.board),
            wakeups: Arc::clone(&api.wakeups),
            jobs: Mutex::default(),
        }
    }

    /// Watches a job. Who comes first reads it, and who comes meanwhile waits for that read.
    pub(crate) async fn watch(self: &Arc<Self>, job: JobId) -> Result<Changes, ApiError> {
        loop {
            let watched = self.entry(job);
            let begun = watched.get_or_try_init(|| self.begin(job)).await.map(|_| ());
            let mut jobs = self.jobs();
            let is_current = jobs.get(&job).is_some_and(|current| Arc::ptr_eq(current, &watched));
            match (begun, watched.get()) {
                // It subscribes while the entry cannot go away: a task ends only without listeners.
                (Ok(()), Some(sender)) if is_current || sender.borrow().ended => {
                    return Ok(sender.subscribe());
                }
                (Ok(()), _) => {}
                (Err(error), _) => {
                    if is_current && watched.get().is_none() {
                        jobs.remove(&job);
                    }
                    return Err(error);
                }
            }
        }
    }

    fn entry(&self, job: JobId) -> Watched {
        let mut jobs = self.jobs();
        // Who went away in the middle of a first read left an entry that nobody waits for.
        jobs.retain(|_, watched| watched.initialized() || Arc::strong_count(watched) > 1);
        Arc::clone(jobs.entry(job).or_default())
    }

    /// How many jobs are watched.
    pub(crate) fn len(&self) -> usize {
        self.jobs().len()
    }

    fn jobs(&self) -> MutexGuard<'_, HashMap<JobId, Watched>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the job for the first time, and starts the task that reads it again.
    async fn begin(self: &Arc<Self>, job: JobId) -> Result<watch::Sender<Arc<Seen>>, ApiError> {
        // Listen before looking: a change in between must still wake.
        let wakeup = self.wakeups.subscribe(Topic::Job(job));
        let seen = self.look(job, i64::MIN).await?;
        let (sender, _) = watch::channel(Arc::new(seen));
        // It ends with its last listener, and listeners end with the server.
        tokio::spawn(Arc::clone(self).follow(job, wakeup, sender.clone()));
        Ok(sender)
    }

    async fn follow(self: Arc<Self>, job: JobId, mut wakeup: Wakeup, sender: watch::Sender<Arc<Seen>>) {
        let mut told = false;
        while !sender.borrow().ended {
            self.pause(&mut wakeup, &sender).await;
            if self.forget_unwatched(job, &sender) {
                return;
            }
            wakeup.mark_unchanged();
            let last = Arc::clone(&sender.borrow());
            match self.look(job, last.number).await {
                Ok(seen) => {
                    told = false;
                    if seen.data != last.data {
                        sender.send_replace(Arc::new(seen));
                    }
                }
                // Its time was over, and it was removed.
                Err(error) if error.is_not_found() => break,
                Err(error) if !told => {
                    told = true;
                    warn!(%job, "cannot look at job {job} for its events, and goes on trying: {error:?}");
                }
                Err(_) => {}
            }
        }
        self.jobs().remove(&job);
    }

    /// Waits until it is worth looking again, or nobody listens any more.
    async fn pause(&self, wakeup: &mut Wakeup, sender: &watch::Sender<Arc<Seen>>) {
        let now = self.clock.monotonic();
        self.clock.sleep_until(now + GAP).await;
        tokio::select! {
            () = wakeup.changed() => {}
            () = self.clock.sleep_until(now + POLL) => {}
            () = sender.closed() => {}
        }
    }

    /// Ends the watch if nobody listens. Who subscribes does so under the same lock.
    fn forget_unwatched(&self, job: JobId, sender: &watch::Sender<Arc<Seen>>) -> bool {
        let mut jobs = self.jobs();
        let unwatched = sender.receiver_count() == 0;
        if unwatched {
            jobs.remove(&job);
        }
        unwatched
    }

    async fn look(&self, job: JobId, before: i64) -> Result<Seen, ApiError> {
        let summary = self.view.job(job).await?.ok_or_else(ApiError::no_job)?;
        let ended = summary.state.is_terminal();
        let batches = self.board.batches(job).await?.into_iter();
        let open = batches.filter(|batch| batch.state == BatchState::Open).take(MOST_BATCHES);
        let progress = JobProgress { job: Job::from(summary), open_batches: open.map(Batch::from).collect() };
        let data = serde_json::to_vec(&progress).map_err(ApiError::internal)?.into();
        let number = self.clock.now().as_microsecond().max(before.saturating_add(1));
        Ok(Seen { number, data, ended })
    }
}
