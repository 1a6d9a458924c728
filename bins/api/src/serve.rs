//! The wiring and the life of the API.

use std::{future::Future, sync::Arc};

use anyhow::Context as _;
use beacon_boot::{
    Interrupts, Runtime, Secret, ServerTls, ServiceConfig, Shares, TrustedKeys, describe_endpoints,
    load_endpoints, load_service_key_ring,
};
use beacon_scheduler::{EndpointCatalog, Stop};
use beacon_web::{Api, ApiLimits, OperatorToken, Rates, forget_old_answers, router};
use tokio::net::TcpListener;
use tracing::info;

/// Puts the API together; the future that it gives serves until it is asked to stop.
pub(crate) async fn start(config: ServiceConfig) -> anyhow::Result<impl Future<Output = anyhow::Result<()>>> {
    let mut interrupts = Interrupts::listen().context("cannot listen to signals")?;
    let keys = load_service_key_ring(&config.api.keys).context("api.keys")?;
    let tls = config.api.tls.as_ref().map(ServerTls::load).transpose().context("api.tls")?;
    // The API plans over the endpoints and calls none, so it needs none of their credentials.
    let (infos, _) = describe_endpoints(&load_endpoints(&config.endpoints)?)?;
    let catalog = EndpointCatalog::new(infos)?;
    beacon_boot::raise_open_files();
    let runtime = Runtime::connect(&config.database, "beacon-api").await?;
    let keys = TrustedKeys::load(keys, Arc::clone(&runtime.operations) as _).await?;
    let following = keys.follow(Arc::clone(&runtime.clock));
    let operator = config.api.operator_token.as_ref().map(Secret::reveal).map(OperatorToken::new);
    let (clock, stop) = (Arc::clone(&runtime.clock), Stop::new());
    let forgetting = forget_old_answers(
        Arc::clone(&runtime.operations) as _,
        Arc::clone(&runtime.clock),
        config.api.freshness,
    );
    let api = Api {
        clock: runtime.clock,
        jobs: runtime.jobs,
        view: runtime.view,
        keys,
        board: runtime.board,
        operations: runtime.operations,
        wakeups: runtime.wakeups,
        catalog,
        operator,
        require_token_to_read: config.api.require_token_to_read,
        rates: Rates {
            address_per_s: config.api.address_rate_per_s,
            key_per_s: config.api.key_rate_per_s,
            lookups_per_minute: config.api.token_lookups_per_minute,
        },
        proxies: config.api.proxies.clone(),
        batching: config.api.batching,
        limits: ApiLimits {
            max_body_bytes: config.api.max_body_bytes,
            request: config.api.request,
            job: config.api.job,
            max_age: config.api.freshness,
            streams_per_address: config.api.connections_per_address,
        },
        origins: config.api.origins()?,
        secured: tls.is_some(),
        webhooks: beacon_boot::webhook_policy(&config.webhooks)?,
        stop: stop.clone(),
    };
    let shares =
        Shares { connections: config.api.connections_per_address, proxies: config.api.proxies.clone() };
    let listen = config.api.listen;
    let listener =
        TcpListener::bind(listen).await.with_context(|| format!("api.listen: cannot listen on {listen}"))?;
    let listen = listener.local_addr()?;
    let renewing = {
        let (tls, clock) = (tls.clone(), Arc::clone(&clock));
        async move {
            match tls {
                Some(tls) => tls.follow(clock).await,
                None => std::future::pending().await,
            }
        }
    };
    Ok(async move {
        info!(%listen, tls = tls.is_some(), "the API listens on {listen}");
        let asked = async {
            interrupts.next().await;
            // Event streams have no end of their own; the others are waited for.
            stop.drain();
        };
        tokio::select! {
            served = beacon_boot::serve(listener, tls, router(api), clock, shares, asked) => served?,
            never = following => match never {},
            never = forgetting => match never {},
            never = renewing => match never {},
        }
        info!("the API has stopped");
        Ok(())
    })
}
