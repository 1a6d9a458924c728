//! The heartbeat: renews every lease of this process, and ends the calls of those that are lost.

use std::{sync::Arc, time::Duration};

use beacon_domain::{Renewed, Topic};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{Ports, live::Live, report::Chain};

/// Hints come often; leases are looked at no more often than this because of them.
const AT_MOST_EVERY: Duration = Duration::from_millis(200);

/// Renews until `done`.
pub(crate) async fn run(ports: Ports, live: Arc<Live>, lease: Duration, done: CancellationToken) {
    let mut wakeup = ports.wakeups.subscribe(Topic::Queue);
    loop {
        let started = ports.clock.monotonic();
        tokio::select! {
            biased;
            () = done.cancelled() => return,
            () = ports.clock.sleep_until(started + lease / 3) => {}
            // A cancel arrives as a hint: the sooner its calls are dropped, the better.
            () = wakeup.changed() => ports.clock.sleep_until(started + AT_MOST_EVERY).await,
        }
        wakeup.mark_unchanged();
        renew(&ports, &live, lease).await;
    }
}

async fn renew(ports: &Ports, live: &Live, lease: Duration) {
    let keys = live.keys();
    if keys.is_empty() {
        return;
    }
    match ports.queue.renew(keys.clone(), lease, ports.clock.now()).await {
        Ok(renewed) => {
            for (key, renewed) in keys.iter().zip(renewed) {
                if let Renewed::Lost(reason) = renewed
                    && live.lose(key, reason)
                {
                    let execution = key.execution;
                    info!(job = %execution.job, %execution, ?reason, "lease of {execution} lost, dropping its call");
                }
            }
        }
        Err(error) => warn!("cannot renew leases: {}", Chain(&error)),
    }
}
