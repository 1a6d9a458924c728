//! One stream of server-sent events, as the HTML standard defines them.

use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};

use beacon_domain::{Clock, Monotonic};
use beacon_scheduler::Stop;
use bytes::Bytes;
use futures::{Stream, future::BoxFuture, stream};

use super::watch::Changes;
use crate::{api::App, metrics::StreamCount};

/// How long a stream is silent at most.
const BEAT: Duration = Duration::from_secs(15);
/// When a client comes back after a broken stream.
const RETRY: &str = "retry: 2000\n\n";
/// A client's last id from further ahead than this is not one of ours.
const SKEW_MICROS: i64 = 24 * 3600 * 1_000_000;

/// What one client still gets.
pub(crate) struct EventStream {
    changes: Changes,
    clock: Arc<dyn Clock>,
    stop: Stop,
    /// The id of the last event that the client has.
    last: i64,
    waiting: VecDeque<Bytes>,
    next_beat: Monotonic,
    ended: bool,
    /// Comes when the client may not read on.
    leave: BoxFuture<'static, ()>,
    _counted: StreamCount,
}

impl EventStream {
    /// A stream of these changes, for a client that has seen the event `seen`, until `leave`.
    pub(crate) fn new(app: &App, changes: Changes, seen: Option<i64>, leave: BoxFuture<'static, ()>) -> Self {
        let (clock, stop) = (Arc::clone(&app.api.clock), app.api.stop.clone());
        let newest = clock.now().as_microsecond().saturating_add(SKEW_MICROS);
        let seen = seen.filter(|seen| (0..newest).contains(seen));
        let mut stream = Self {
            changes,
            next_beat: clock.monotonic() + BEAT,
            clock,
            stop,
            last: seen.unwrap_or(0),
            waiting: VecDeque::from([Bytes::from_static(RETRY.as_bytes())]),
            ended: false,
            leave,
            _counted: app.metrics.stream(),
        };
        let current = Arc::clone(&stream.changes.borrow_and_update());
        if seen != Some(current.number) || current.ended {
            stream.push("snapshot");
        }
        stream
    }

    /// The frames, until the job or the server ends, or the client has to leave.
    pub(crate) fn into_stream(self) -> impl Stream<Item = Result<Bytes, Infallible>> + Send {
        stream::unfold(self, |mut stream| async move {
            let frame = stream.next().await?;
            Some((Ok(frame), stream))
        })
    }

    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(frame) = self.waiting.pop_front() {
                return Some(frame);
            }
            if self.ended {
                return None;
            }
            tokio::select! {
                changed = self.changes.changed() => match changed {
                    Ok(()) => self.push("progress"),
                    // Nobody reads the job any more; the client comes back.
                    Err(_) => return None,
                },
                () = self.clock.sleep_until(self.next_beat) => {
                    self.next_beat = self.clock.monotonic() + BEAT;
                    return Some(Bytes::from_static(b": alive\n\n"));
                }
                () = self.stop.draining() => return None,
                () = &mut self.leave => return None,
            }
        }
    }

    /// Puts the newest state in line, and the end behind the last one.
    fn push(&mut self, event: &str) {
        let seen = Arc::clone(&self.changes.borrow_and_update());
        // Ids grow for each client, whichever process it was at before.
        self.last = seen.number.max(self.last.saturating_add(1));
        let event = if seen.ended && event == "progress" { "end" } else { event };
        self.frame(event, seen.data.clone());
        if seen.ended {
            self.ended = true;
            if event == "snapshot" {
                self.last += 1;
                self.frame("end", seen.data.clone());
            }
        }
        self.next_beat = self.clock.monotonic() + BEAT;
    }

    fn frame(&mut self, event: &str, data: Bytes) {
        let head = format!("id: {}\nevent: {event}\ndata: ", self.last);
        self.waiting.extend([Bytes::from(head), data, Bytes::from_static(b"\n\n")]);
    }
}
