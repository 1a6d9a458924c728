//! Which server the command line means, and finding jobs there.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, anyhow};
use beacon_client::{Client, ClientError, ClientOptions, Include, JobsQuery, ServerUrl, Token};
use beacon_domain::{Clock, JobSummary, SystemClock};

use crate::{
    args::{Access, MaybeServer, OnServer, Signed},
    commands::keys::secret,
    meant::Meant,
    out::remark,
};

/// So that a token needs not stand in a command line, which other users of the machine can see.
const VARIABLE: &str = "BEACON_TOKEN";
/// The most that one page holds.
const PAGE: u32 = 500;
/// Between two tries while a server is away, and the shortest pause.
const AWAY: Duration = Duration::from_secs(1);

/// A server that a command talks to.
pub(crate) struct Server {
    pub(crate) client: Client,
    pub(crate) url: ServerUrl,
    pub(crate) clock: Arc<dyn Clock>,
    patience: Duration,
}

/// The server, if one was named; else the command means a database.
pub(crate) fn of(named: &MaybeServer) -> anyhow::Result<Option<Server>> {
    let open = |url: &String| Server::new(url, &named.access, None, Duration::ZERO);
    named.server.as_ref().map(open).transpose()
}

/// The same, for what steers: a key may sign it.
pub(crate) fn to_steer(named: &MaybeServer, signed: &Signed) -> anyhow::Result<Option<Server>> {
    let open = |url: &String| Server::new(url, &named.access, Some(signed), Duration::ZERO);
    named.server.as_ref().map(open).transpose()
}

/// The server that a command cannot do without.
pub(crate) fn on(named: &OnServer) -> anyhow::Result<Server> {
    Server::new(&named.server, &named.access, None, Duration::from_secs(named.patience))
}

/// The same, where a key may sign.
pub(crate) fn on_signed(named: &OnServer, signed: &Signed) -> anyhow::Result<Server> {
    Server::new(&named.server, &named.access, Some(signed), Duration::from_secs(named.patience))
}

impl Server {
    fn new(url: &str, access: &Access, signed: Option<&Signed>, patience: Duration) -> anyhow::Result<Self> {
        let url: ServerUrl = url.parse().context("--server")?;
        let variable = || std::env::var(VARIABLE).ok().filter(|token| !token.is_empty());
        let token = match (&access.token, variable()) {
            (Some(token), _) => Some(Token::new(token).context("--token")?),
            (None, Some(token)) => Some(Token::new(&token).context(VARIABLE)?),
            (None, None) => None,
        };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let ca_file = access.ca_file.clone();
        let key = signed.and_then(|signed| signed.key.as_deref()).map(secret).transpose()?;
        let options = ClientOptions { token, key, ca_file, patience, ..ClientOptions::new(url.clone()) };
        Ok(Self { client: Client::new(options, Arc::clone(&clock))?, url, clock, patience })
    }

    /// The newest jobs.
    pub(crate) async fn jobs(&self, most: u32) -> Result<Vec<JobSummary>, ClientError> {
        let mut jobs: Vec<JobSummary> = Vec::new();
        let mut query = JobsQuery::default();
        loop {
            let left = most.saturating_sub(u32::try_from(jobs.len()).unwrap_or(u32::MAX));
            query.limit = Some(left.min(PAGE));
            let page = self.client.jobs(&query).await?;
            jobs.extend(page.jobs);
            query.cursor = page.next;
            if query.cursor.is_none() || jobs.len() >= most as usize {
                return Ok(jobs);
            }
        }
    }

    /// The job that a person means: by the signer's id (the latest run of it), or by its own id or the beginning of that.
    pub(crate) async fn find(&self, text: &str) -> anyhow::Result<JobSummary> {
        let mut query = JobsQuery { limit: Some(PAGE), ..JobsQuery::default() };
        let mut candidates = match Meant::by(text) {
            Meant::Id(id) => return Ok(self.client.job(id, Include::Nothing).await?.job),
            Meant::BeginningOrName(candidates) => candidates,
            Meant::Name(candidates) => {
                query.name = Some(text.to_owned());
                candidates
            }
        };
        loop {
            let page = self.client.jobs(&query).await?;
            candidates.look_at(page.jobs);
            query.cursor = page.next;
            if query.cursor.is_none() {
                break;
            }
        }
        let none = || anyhow!("{0} has no job {text:?}; `beacon jobs --server {0}` lists them", self.url);
        candidates.one()?.ok_or_else(none)
    }

    /// Asks until there is an answer, while the server is away for no longer than its patience.
    pub(crate) async fn patiently<T, F>(&self, ask: impl FnMut() -> F) -> Result<T, ClientError>
    where
        F: Future<Output = Result<T, ClientError>>,
    {
        self.again(|error| error.may_pass().then(|| error.retry_after().unwrap_or(AWAY)), ask).await
    }

    /// Asks again when the server says that it may be asked again, for no longer than its patience.
    pub(crate) async fn as_asked<T, F>(&self, ask: impl FnMut() -> F) -> Result<T, ClientError>
    where
        F: Future<Output = Result<T, ClientError>>,
    {
        self.again(ClientError::retry_after, ask).await
    }

    /// Asks again after these pauses, as long as one ends within the patience.
    async fn again<T, F>(
        &self,
        pause: impl Fn(&ClientError) -> Option<Duration>,
        mut ask: impl FnMut() -> F,
    ) -> Result<T, ClientError>
    where
        F: Future<Output = Result<T, ClientError>>,
    {
        let until = self.clock.monotonic() + self.patience;
        loop {
            let error = match ask().await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let Some(pause) = pause(&error) else { return Err(error) };
            let then = self.clock.monotonic() + pause.max(AWAY);
            if then > until {
                return Err(error);
            }
            if error.retry_after().is_some() {
                remark(format_args!("{error}; waiting for it"));
            }
            self.clock.sleep_until(then).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, sync::Arc, time::Duration};

    use beacon_client::{Client, ClientError, ClientOptions, Refusal};
    use beacon_domain::{Clock, SystemClock};
    use http::StatusCode;

    use super::Server;

    /// How often a server is asked that refuses with 429 this often, and after how long there is an answer or none.
    async fn asked(refusals: u32, retry_after_s: Option<u64>) -> (u32, Duration, bool) {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let options = ClientOptions::new("http://127.0.0.1:1".parse().unwrap());
        let url = options.server.clone();
        let client = Client::new(options, Arc::clone(&clock)).unwrap();
        let server = Server { client, url, clock, patience: Duration::from_secs(100) };
        let busy = || Refusal {
            status: StatusCode::TOO_MANY_REQUESTS,
            code: "too_many_requests".to_owned(),
            message: "too many".to_owned(),
            request_id: "r1".to_owned(),
            job: None,
            retry_after: retry_after_s.map(Duration::from_secs),
        };
        let (times, begun) = (Cell::new(0), server.clock.monotonic());
        let answer = server.as_asked(|| {
            times.set(times.get() + 1);
            std::future::ready(if times.get() > refusals {
                Ok(())
            } else {
                Err(ClientError::from(Box::new(busy())))
            })
        });
        let answered = answer.await.is_ok();
        // What tokio's timer adds is below a second.
        let took = server.clock.monotonic().since(begun).as_secs();
        (times.get(), Duration::from_secs(took), answered)
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_server_is_asked_again_when_it_says_and_within_the_patience() {
        let seconds = Duration::from_secs;

        assert_eq!(asked(2, Some(40)).await, (3, seconds(80), true));
        assert_eq!(asked(9, Some(40)).await, (3, seconds(80), false), "the third pause ends too late");
        assert_eq!(asked(1, Some(101)).await, (1, seconds(0), false), "so does the first");
        assert_eq!(asked(2, Some(0)).await, (3, seconds(2), true), "a second at least");
        assert_eq!(asked(1, None).await, (1, seconds(0), false));
    }
}
