//! Watching a job: its event stream, resumed where it broke; and looks with an ETag where no stream comes through.

use std::{sync::Arc, time::Duration};

use beacon_domain::{BatchState, Clock, JobId, JobSummary, Monotonic};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Deserialize;

use crate::{
    Batch, Client, ClientError, JobAnswer,
    client::path_of,
    events::{Event, EventReader},
    transport::{Ask, Body},
};

/// A server that lives says something every 15 s.
const SILENCE: Duration = Duration::from_secs(40);
/// It says something at once when a stream begins; what holds that back would hold back everything.
const FIRST: Duration = Duration::from_secs(10);
/// Between two looks without a stream.
const POLL: Duration = Duration::from_secs(2);
/// Between two tries while the server is away.
const AWAY: Duration = Duration::from_secs(1);
/// Streams in a row that brought nothing, after which none is opened any more.
const FRUITLESS: u32 = 3;

/// How a job stands now.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Update {
    /// The job.
    pub job: JobSummary,
    /// The batches that are open, at most 20.
    pub open_batches: Vec<Batch>,
}

/// What a watch tells.
#[derive(Debug)]
pub enum Change {
    /// How the job stands.
    State(Box<Update>),
    /// The server is away since now; the watch waits for it. Told once until it is back.
    Away(ClientError),
}

/// A watch of one job. States in between may be skipped; the last one never is.
pub struct Watch {
    client: Client,
    job: JobId,
    stream: Option<Stream>,
    /// The id of the last event.
    last: Option<HeaderValue>,
    etag: Option<HeaderValue>,
    /// Streams in a row that brought no byte.
    fruitless: u32,
    /// Since when nothing was heard of the server.
    away_since: Option<Monotonic>,
    /// No request before.
    not_before: Monotonic,
    /// Whether the next request is a look rather than a stream.
    look_next: bool,
    ended: bool,
}

struct Stream {
    body: Body,
    reader: EventReader,
    /// Whole events, not yet given.
    waiting: std::collections::VecDeque<Event>,
    /// The latest time of its next byte.
    until: Monotonic,
}

impl Watch {
    pub(crate) fn new(client: Client, job: JobId) -> Self {
        Self {
            client,
            job,
            stream: None,
            last: None,
            etag: None,
            fruitless: 0,
            away_since: None,
            not_before: Monotonic::default(),
            look_next: false,
            ended: false,
        }
    }

    /// The next change; nothing after the state in which the job has ended.
    ///
    /// # Errors
    /// The server refuses, is none of Beacon's, or was away for longer than the client's patience. A later call tries again.
    pub async fn next(&mut self) -> Result<Option<Change>, ClientError> {
        while !self.ended {
            let clock = self.clock();
            let found = if self.stream.is_some() {
                self.read().await
            } else {
                clock.sleep_until(self.not_before).await;
                if self.look_next || self.fruitless >= FRUITLESS {
                    self.look().await
                } else {
                    self.open().await
                }
            };
            match found {
                Ok(None) => {}
                Ok(Some(update)) => {
                    self.ended = update.job.state.is_terminal();
                    return Ok(Some(Change::State(Box::new(update))));
                }
                Err(error) => {
                    if let Some(error) = self.bear(error)? {
                        return Ok(Some(Change::Away(error)));
                    }
                }
            }
        }
        Ok(None)
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.client.transport.clock)
    }

    /// Opens the event stream behind the last event seen.
    async fn open(&mut self) -> Result<Option<Update>, ClientError> {
        let path = path_of(self.job, "/events");
        let mut ask = Ask::get(&path).with(header::ACCEPT, HeaderValue::from_static("text/event-stream"));
        if let Some(last) = &self.last {
            ask = ask.with(HeaderName::from_static("last-event-id"), last.clone());
        }
        let answer = self.client.transport.ask(ask).await?;
        if answer.media() != "text/event-stream" {
            // Something between does not let streams through; looks may come through.
            self.fruitless = FRUITLESS;
            return Ok(None);
        }
        let until = self.client.transport.clock.monotonic() + FIRST;
        self.stream = Some(Stream {
            body: answer.body,
            reader: EventReader::default(),
            waiting: Default::default(),
            until,
        });
        Ok(None)
    }

    /// Reads from the open stream.
    async fn read(&mut self) -> Result<Option<Update>, ClientError> {
        let transport = Arc::clone(&self.client.transport);
        let Some(stream) = self.stream.as_mut() else { return Ok(None) };
        if let Some(event) = stream.waiting.pop_front() {
            if !event.id.is_empty() {
                self.last = HeaderValue::try_from(event.id.as_str()).ok();
            }
            let update = serde_json::from_slice(&event.data);
            return update.map(Some).map_err(|_| {
                transport.stranger(format!("its event {:?} has not the shape that is expected", event.name))
            });
        }
        match stream.body.piece(stream.until).await {
            Ok(Some(piece)) => {
                let events =
                    stream.reader.push(&piece).map_err(|error| transport.stranger(error.to_string()))?;
                stream.waiting.extend(events);
                stream.until = transport.clock.monotonic() + SILENCE;
                (self.fruitless, self.away_since) = (0, None);
                Ok(None)
            }
            // It ended before the job, as it does when a server stops; or it broke, or is silent.
            Ok(None) | Err(_) => {
                self.stream = None;
                self.fruitless += 1;
                self.look_next = true;
                Ok(None)
            }
        }
    }

    /// Looks at the job, if it is another than at the last look.
    async fn look(&mut self) -> Result<Option<Update>, ClientError> {
        let path = path_of(self.job, "");
        let mut ask = Ask::get(&path);
        if let Some(etag) = &self.etag {
            ask = ask.with(header::IF_NONE_MATCH, etag.clone());
        }
        let transport = Arc::clone(&self.client.transport);
        let answer = transport.ask(ask).await?;
        let now = transport.clock.monotonic();
        (self.look_next, self.away_since, self.not_before) = (false, None, now + POLL);
        if answer.status == StatusCode::NOT_MODIFIED {
            return Ok(None);
        }
        let etag = answer.headers.get(header::ETAG).cloned();
        let JobAnswer { job, batches, .. } = answer.json().await?;
        self.etag = etag;
        let open_batches = batches.into_iter().filter(|batch| batch.state == BatchState::Open).collect();
        Ok(Some(Update { job, open_batches }))
    }

    /// What may pass is waited for, up to the client's patience; it is given back the first time.
    fn bear(&mut self, error: ClientError) -> Result<Option<ClientError>, ClientError> {
        self.stream = None;
        let now = self.clock().monotonic();
        let is_news = self.away_since.is_none();
        let since = *self.away_since.get_or_insert(now);
        if !error.may_pass() || now.since(since) >= self.client.patience {
            self.away_since = None;
            return Err(error);
        }
        let asked = error.refusal().and_then(|refusal| refusal.retry_after).unwrap_or(AWAY);
        self.not_before = now + asked.clamp(AWAY, Duration::from_secs(30));
        self.look_next = true;
        Ok(is_news.then_some(error))
    }
}
