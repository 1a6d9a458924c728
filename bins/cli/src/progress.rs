//! Live progress: a table in a terminal, plain lines otherwise. Reads the store; knows nothing of the run.

use std::{io::IsTerminal as _, sync::Arc, time::Duration};

use beacon_domain::{BatchState, BatchView, Clock, JobId, JobView, Progress, Topic, Wakeups};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::out::some_calls;

const TABLE_EVERY: Duration = Duration::from_millis(100);
const LINES_EVERY: Duration = Duration::from_secs(1);
/// A look may take one part of so many of the time.
const SHARE: u32 = 50;
/// A table longer than a screen helps nobody; larger jobs get one bar.
const MOST_ROWS: usize = 40;

/// A screen that takes nothing more at the end of a run is not waited for longer than this.
const LAST_LOOK: Duration = Duration::from_secs(2);

/// Shows a job's progress. It is drawn on a thread of its own, so that a terminal that stands still holds up no call and no
/// record; the store is asked where everything else asks it.
pub(crate) struct Display {
    done: CancellationToken,
    ended: oneshot::Receiver<()>,
}

impl Display {
    /// Begins to show.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(crate) fn start(
        view: Arc<dyn JobView>,
        wakeups: Arc<Wakeups>,
        clock: Arc<dyn Clock>,
        job: JobId,
    ) -> std::io::Result<Self> {
        let done = CancellationToken::new();
        let (end, ended) = oneshot::channel();
        let (seen, latest) = watch::channel(None);
        let mut shown = Shown::new();
        let every = if matches!(shown, Shown::Table(_)) { TABLE_EVERY } else { LINES_EVERY };
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        std::thread::Builder::new().name("beacon-show".into()).spawn(move || {
            runtime.block_on(draw(&mut shown, latest));
            shown.finish();
            // Whoever waited may be gone.
            let _ = end.send(());
        })?;
        tokio::spawn(look(Looking { view, wakeups, clock, job, every }, seen, done.clone()));
        Ok(Self { done, ended })
    }

    /// Draws the last state, if the screen takes it.
    pub(crate) async fn finish(self, clock: &dyn Clock) {
        self.done.cancel();
        tokio::select! {
            _ = self.ended => {}
            () = clock.sleep_until(clock.monotonic() + LAST_LOOK) => {}
        }
    }
}

/// Whose progress is looked at, and how often.
struct Looking {
    view: Arc<dyn JobView>,
    wakeups: Arc<Wakeups>,
    clock: Arc<dyn Clock>,
    job: JobId,
    every: Duration,
}

/// Draws what was seen last until nobody looks any more.
async fn draw(shown: &mut Shown, mut latest: watch::Receiver<Option<Progress>>) {
    while latest.changed().await.is_ok() {
        let progress = latest.borrow_and_update().clone();
        if let Some(progress) = progress {
            shown.draw(&progress);
        }
    }
}

/// Looks at the job until `done`, and once more.
async fn look(looking: Looking, seen: watch::Sender<Option<Progress>>, done: CancellationToken) {
    let Looking { view, wakeups, clock, job, every } = looking;
    let see = async || {
        // A store that is away is told by whoever needs it.
        if let Ok(progress) = view.progress(job, clock.now()).await {
            seen.send_replace(Some(progress));
        }
    };
    let mut wakeup = wakeups.subscribe(Topic::Job(job));
    loop {
        wakeup.mark_unchanged();
        let looked = clock.monotonic();
        see().await;
        // A look at a large job takes a while; looking stays cheap beside the run.
        let next = looked + every.max(clock.monotonic().since(looked) * SHARE);
        tokio::select! {
            () = clock.sleep_until(next) => {}
            () = done.cancelled() => break,
        }
        // Nothing is read again before something has changed, or a while has passed.
        tokio::select! {
            () = wakeup.changed() => {}
            () = clock.sleep_until(next + LINES_EVERY) => {}
            () = done.cancelled() => break,
        }
    }
    see().await;
}

/// What a person sees of a job's progress on standard error.
pub(crate) enum Shown {
    /// In a terminal.
    Table(Table),
    /// Anywhere else.
    Lines(Lines),
}

impl Shown {
    /// Nothing yet, in the form that standard error takes.
    pub(crate) fn new() -> Self {
        if std::io::stderr().is_terminal() {
            Self::Table(Table::default())
        } else {
            Self::Lines(Lines::default())
        }
    }

    /// Shows how the job stands now.
    pub(crate) fn draw(&mut self, progress: &Progress) {
        match self {
            Self::Table(table) => table.draw(progress),
            Self::Lines(lines) => lines.draw(progress),
        }
    }

    /// Leaves what was drawn last.
    pub(crate) fn finish(&self) {
        if let Self::Table(table) = self {
            table.bars.iter().for_each(ProgressBar::abandon);
        }
    }
}

/// One bar per question and per endpoint, where they fit.
pub(crate) struct Table {
    multi: MultiProgress,
    bars: Vec<ProgressBar>,
}

impl Default for Table {
    fn default() -> Self {
        // All rows of one look are drawn, however many there are.
        let target = ProgressDrawTarget::stderr_with_hz(u8::MAX);
        Self { multi: MultiProgress::with_draw_target(target), bars: Vec::new() }
    }
}

impl Table {
    fn draw(&mut self, progress: &Progress) {
        let rows = rows(progress);
        while self.bars.len() < rows.len() {
            let style = ProgressStyle::with_template("{prefix:<34} {bar:24} {pos:>6}/{len:<6} {msg}")
                .expect("the template is fixed");
            self.bars.push(self.multi.add(ProgressBar::new(0).with_style(style)));
        }
        for (bar, row) in self.bars.iter().zip(rows) {
            bar.set_length(u64::from(row.total));
            bar.set_prefix(row.name);
            bar.set_message(row.note);
            bar.set_position(u64::from(row.done));
        }
    }
}

struct Row {
    name: String,
    done: u32,
    total: u32,
    note: String,
}

fn rows(progress: &Progress) -> Vec<Row> {
    let row = |name: String, counts: &beacon_domain::StateCounts, state: &str| {
        let mut note = state.to_owned();
        let others = [
            (counts.failed, "failed"),
            (counts.timed_out, "timed out"),
            (counts.cancelled, "cancelled"),
            (counts.unsupported, "unsupported"),
        ];
        for (count, what) in others.into_iter().filter(|(count, _)| *count > 0) {
            note += &format!(", {count} {what}");
        }
        Row { name, done: counts.completed, total: counts.total(), note }
    };
    let mut rows =
        vec![row(progress.job.name.to_string(), &progress.job.counts, progress.job.state.as_str())];
    if progress.batches.len() + progress.endpoints.len() > MOST_ROWS {
        return rows;
    }
    rows.extend(progress.batches.iter().map(|batch| {
        let state = match batch.state {
            BatchState::Blocked => "waits",
            BatchState::Open => "open",
            BatchState::Done if is_done(batch) => "done",
            BatchState::Done => "ended",
        };
        row(format!("  {}. {}", batch.number, batch.question), &batch.counts, state)
    }));
    rows.extend(progress.endpoints.iter().map(|endpoint| {
        let mut note = format!("{} in flight", endpoint.counts.running);
        if endpoint.abandoned > 0 && endpoint.counts.queued > 0 {
            note += &format!(", waits for {} left before", endpoint.abandoned);
        }
        row(format!("  {} {}", endpoint.region, endpoint.model), &endpoint.counts, &note)
    }));
    rows
}

/// Whether all of a question was asked: what a cancel ended is not done.
fn is_done(batch: &BatchView) -> bool {
    batch.state == BatchState::Done && batch.counts.cancelled == 0
}

/// A line whenever a batch is done, and at most one a second otherwise.
#[derive(Default)]
pub(crate) struct Lines {
    done: u32,
    /// Whether it was told that calls of before hold slots.
    told_of_left: bool,
}

impl Lines {
    fn draw(&mut self, progress: &Progress) {
        let counts = &progress.job.counts;
        let done = counts.total() - counts.open();
        let waiting = || progress.endpoints.iter().filter(|endpoint| endpoint.counts.queued > 0);
        let left: u32 = waiting().map(|endpoint| endpoint.abandoned).sum();
        if left > 0 && !self.told_of_left {
            let first = waiting().filter_map(|endpoint| endpoint.abandoned_until).min();
            let free = first.map_or_else(String::new, |first| format!("; a slot is free at {first}"));
            crate::out::remark(format_args!(
                "{} of before may still run, and what waits begins when `linger_s` is over{free}",
                some_calls(left)
            ));
        }
        self.told_of_left = left > 0;
        if done == self.done {
            return;
        }
        self.done = done;
        let (completed, bad) = (counts.completed, counts.failed + counts.timed_out);
        let questions = progress.batches.iter().filter(|batch| is_done(batch)).count();
        let cancelled = match counts.cancelled {
            0 => String::new(),
            count => format!(", {count} cancelled"),
        };
        crate::out::remark(format_args!(
            "{completed}/{} executions completed, {questions}/{} questions done, {} in flight, \
             {bad} failed or timed out{cancelled}",
            counts.total(),
            progress.batches.len(),
            counts.running,
        ));
    }
}
