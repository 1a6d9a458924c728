//! `beacon watch`: a job of a server, shown until it ends.

use std::{pin::pin, process::ExitCode, time::Duration};

use beacon_boot::interrupted;
use beacon_client::{Change, ClientError, Include, Update};
use beacon_domain::{BatchView, JobId, Monotonic, Progress};

use super::{remark, remote, summary};
use crate::{
    args, exit,
    progress::Shown,
    server::{self, Server},
};

/// Counts by endpoint are read no more often: the server counts rows for them.
const ENDPOINTS_EVERY: Duration = Duration::from_secs(2);

/// How a watch ended.
pub(crate) enum Watched {
    /// The job has ended.
    Ended,
    /// A person wants to see no more.
    Stopped,
}

/// Watches a job that a person names.
pub(crate) async fn watch(command: &args::Watch, as_json: bool) -> anyhow::Result<ExitCode> {
    let server = server::on(&command.on)?;
    let job = server.find(&command.job).await?.id;
    follow(&server, job, as_json).await
}

/// Watches a job, and sums it up as a run does.
pub(crate) async fn follow(server: &Server, job: JobId, as_json: bool) -> anyhow::Result<ExitCode> {
    if let Watched::Stopped = until_end(server, job).await? {
        remark(format_args!("stopped watching; the job goes on, and the same command watches it again"));
        return Ok(ExitCode::from(exit::STOPPED));
    }
    let answer = server.patiently(|| server.client.job(job, Include::EndpointsAndFailures)).await?;
    summary::sum_up(&answer.job, &answer.failures, &summary::Hints::of_server(&server.url), as_json)
}

/// Shows a job until it ends.
pub(crate) async fn until_end(server: &Server, job: JobId) -> Result<Watched, ClientError> {
    let mut stop = pin!(interrupted());
    let mut watch = server.client.watch(job);
    let mut screen = Screen::new(server, job);
    loop {
        let change = {
            let mut next = pin!(watch.next());
            loop {
                tokio::select! {
                    change = &mut next => break change?,
                    () = server.clock.sleep_until(screen.next_look), if screen.is_stale => screen.look().await,
                    () = &mut stop => return Ok(Watched::Stopped),
                }
            }
        };
        match change {
            Some(Change::State(update)) => {
                let ended = update.job.state.is_terminal();
                screen.take(*update).await;
                if ended {
                    screen.shown.finish();
                    return Ok(Watched::Ended);
                }
            }
            Some(Change::Away(error)) => remark(format_args!("{error}; waiting for it")),
            // A watch tells the end as a state before.
            None => return Ok(Watched::Stopped),
        }
    }
}

/// The progress on display, put together from events and, now and then, from a look at all of it.
struct Screen<'a> {
    server: &'a Server,
    job: JobId,
    shown: Shown,
    progress: Option<Progress>,
    next_look: Monotonic,
    /// Whether something has changed since the last look.
    is_stale: bool,
}

impl<'a> Screen<'a> {
    fn new(server: &'a Server, job: JobId) -> Self {
        let next_look = server.clock.monotonic();
        Self { server, job, shown: Shown::new(), progress: None, next_look, is_stale: true }
    }

    async fn take(&mut self, update: Update) {
        self.is_stale = true;
        let ended = update.job.state.is_terminal();
        if let Some(progress) = &mut self.progress {
            progress.job = update.job;
            for batch in update.open_batches.into_iter().map(BatchView::from) {
                if let Some(known) = progress.batches.iter_mut().find(|known| known.number == batch.number) {
                    *known = batch;
                }
            }
        }
        if ended || self.server.clock.monotonic() >= self.next_look {
            self.look().await;
        } else if let Some(progress) = &self.progress {
            self.shown.draw(progress);
        }
    }

    /// Looks at all of it. If the server is away just now, what is known stays on display.
    async fn look(&mut self) {
        if let Ok(answer) = self.server.client.job(self.job, Include::Endpoints).await {
            self.progress = Some(remote::progress(answer));
            self.is_stale = false;
        }
        self.next_look = self.server.clock.monotonic() + ENDPOINTS_EVERY;
        if let Some(progress) = &self.progress {
            self.shown.draw(progress);
        }
    }
}
