//! One clock for all processes that share a database: the server's. A lease is given by one machine and judged by others;
//! if each asked its own clock, a wrong one would take work from workers that are well.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use beacon_domain::{Clock, Monotonic};
use beacon_spec::Timestamp;
use deadpool_postgres::PoolError;
use jiff::SignedDuration;

use super::{codec::At, error::Fault, session::Pool};

/// How often the server is asked: a clock that is off by 200 millionths drifts 12 ms meanwhile.
const EVERY: Duration = Duration::from_secs(60);
/// Differences that may come from the way of the answer.
const NOISE: Duration = Duration::from_millis(5);
/// From here on a difference is told.
const NOTABLE: SignedDuration = SignedDuration::from_secs(2);

/// The server's date and time, over the machine's timer.
#[derive(Debug)]
pub(crate) struct ServerClock {
    inner: Arc<dyn Clock>,
    /// By how much the server is ahead of `inner`, in microseconds.
    ahead: AtomicI64,
}

impl ServerClock {
    /// As the machine's until the server was asked.
    pub(crate) fn new(inner: Arc<dyn Clock>) -> Self {
        Self { inner, ahead: AtomicI64::new(0) }
    }

    /// Asks the server once.
    pub(crate) async fn ask(&self, pool: &Pool) -> Result<(), Fault> {
        const NOW: &str = "-- clock::now
            SELECT clock_timestamp()";
        let client = pool.get().await.map_err(|error: PoolError| Fault::Pool(error))?;
        let failed = |error| Fault::Database { statement: "clock::now", error };
        let asked = self.inner.monotonic();
        let row = client.query_typed_one(NOW, &[]).await.map_err(failed)?;
        let way = self.inner.monotonic().since(asked);
        let server = row.try_get::<_, At>(0).map_err(failed)?.time();
        self.hear(server, way);
        Ok(())
    }

    /// Asks again and again, until aborted.
    pub(crate) async fn follow(self: Arc<Self>, pool: Pool) {
        loop {
            self.inner.sleep_until(self.inner.monotonic() + EVERY).await;
            if let Err(fault) = self.ask(&pool).await {
                tracing::debug!(?fault, "cannot ask the server for the time");
            }
        }
    }

    /// The server said this in the middle of the `way` of question and answer, which has just ended.
    fn hear(&self, server: Timestamp, way: Duration) {
        let then = server.checked_add(way / 2).unwrap_or(server);
        let off = then.duration_since(self.now());
        if off.unsigned_abs() <= way / 2 + NOISE {
            return;
        }
        let ahead = then.duration_since(self.inner.now());
        self.ahead.store(i64::try_from(ahead.as_micros()).unwrap_or(0), Ordering::Relaxed);
        if off.abs() > NOTABLE {
            tracing::warn!(
                seconds = ahead.as_secs_f64(),
                "this machine's clock differs from the database's, which is used; set it right"
            );
        }
    }
}

impl Clock for ServerClock {
    fn now(&self) -> Timestamp {
        let ahead = SignedDuration::from_micros(self.ahead.load(Ordering::Relaxed));
        self.inner.now().checked_add(ahead).unwrap_or(Timestamp::MAX)
    }

    fn monotonic(&self) -> Monotonic {
        self.inner.monotonic()
    }

    fn sleep_until(&self, then: Monotonic) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.inner.sleep_until(then)
    }
}
