//! The wiring and the life of a worker.

use std::{convert::Infallible, future::Future, sync::Arc, time::Duration};

use anyhow::Context as _;
use beacon_boot::{
    Interrupts, Runtime, ServiceConfig, Shares, WebhookSender, build_backends, health_routes, load_endpoints,
    load_runner_key,
};
use beacon_domain::{Clock, WorkerId};
use beacon_scheduler::{EndpointCatalog, Fleet, Ports, Scheduler, Stop, Webhooks};
use beacon_spec::ReceiptSigner;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{options::options, serving::served};

/// Puts a worker together; the future that it gives is its work, until it is asked to stop.
pub(crate) async fn start(config: ServiceConfig) -> anyhow::Result<impl Future<Output = anyhow::Result<()>>> {
    let mut interrupts = Interrupts::listen().context("cannot listen to signals")?;
    let key = load_runner_key(&config.worker.runner_key).context("worker.runner_key")?;
    let endpoints = served(load_endpoints(&config.endpoints)?, config.worker.serves.as_deref())?;
    beacon_boot::raise_open_files();
    let runtime = Runtime::connect(&config.database, "beacon-worker").await?;
    let user_agent = concat!("beacon-worker/", env!("CARGO_PKG_VERSION"));
    let sender = beacon_boot::webhook_sender(&config.webhooks, &runtime, user_agent)?;
    let backends = build_backends(&endpoints, Arc::clone(&runtime.clock))?;
    EndpointCatalog::new(backends.iter().map(|backend| backend.describe().clone()))?;
    let ports = Ports {
        clock: Arc::clone(&runtime.clock),
        jobs: runtime.jobs,
        queue: runtime.queue,
        view: Arc::clone(&runtime.view),
        wakeups: runtime.wakeups,
        backends,
        fleet: Some(Fleet {
            attendance: Arc::clone(&runtime.operations) as _,
            endpoints: Arc::clone(&runtime.operations) as _,
            version: env!("CARGO_PKG_VERSION"),
        }),
        // Whatever this worker may send: another one may send what it queues.
        webhooks: Some(Webhooks::new(Arc::clone(&runtime.operations) as _, runtime.operations)),
        signer: Arc::new(ReceiptSigner::new(key)),
    };
    let id = beacon_boot::process_id("worker", runtime.clock.now());
    let scheduler = Scheduler::new(WorkerId::new(id.as_str()), ports, options(&config.worker, &endpoints))?;
    let health = config.worker.health;
    let listener = TcpListener::bind(health)
        .await
        .with_context(|| format!("worker.health: cannot listen on {health}"))?;
    let health = listener.local_addr()?;
    let (stop, grace, served) = (Stop::new(), config.worker.grace, endpoints.endpoint.len());
    Ok(async move {
        let told = stop.clone();
        let until = async move { told.aborting().await };
        let routes = health_routes(runtime.view, scheduler.outages(), sender.clone());
        let clock = Arc::clone(&runtime.clock);
        let serving =
            tokio::spawn(beacon_boot::serve(listener, None, routes, clock, Shares::default(), until));
        info!(worker = id, endpoints = served, %health, "worker {id} works");
        let watching = heed(&mut interrupts, stop.clone(), grace, runtime.clock.as_ref());
        let sending = send_webhooks(sender, stop.clone());
        let working = async { tokio::join!(scheduler.run(stop.clone()), sending).0 };
        // Whoever is done does not wait for the end of the grace period.
        let worked = tokio::select! {
            worked = working => worked,
            never = watching => match never {},
        };
        // Health is told until the worker has nothing more to do.
        serving.abort();
        worked.context("the worker gave up")?;
        info!(worker = id, "worker {id} has stopped");
        Ok(())
    })
}

/// Sends webhooks until the stop, if they are sent.
async fn send_webhooks(sender: Option<Arc<WebhookSender>>, stop: Stop) {
    let Some(sender) = sender else { return };
    info!("webhooks are sent");
    let drain = CancellationToken::new();
    let stopping = async {
        stop.draining().await;
        drain.cancel();
        stop.aborting().await;
    };
    tokio::select! {
        () = sender.run(drain.clone()) => {}
        // They are due again when their leases end.
        () = stopping => warn!("webhooks that were being sent are left to other workers"),
    }
}

/// The first signal drains; the end of the grace period, or a second signal, drops the calls that are left.
async fn heed(interrupts: &mut Interrupts, stop: Stop, grace: Duration, clock: &dyn Clock) -> Infallible {
    interrupts.next().await;
    info!("draining: no new calls; those in flight have {grace:?}");
    stop.drain();
    tokio::select! {
        () = clock.sleep_until(clock.monotonic() + grace) => warn!("the grace period is over"),
        () = interrupts.next() => {}
    }
    stop.abort();
    std::future::pending().await
}
