//! The wiring of webhooks: the configuration becomes rules and a sender.

use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use beacon_domain::WebhookPolicy;
use beacon_webhooks::{Networks, PostOptions, Rules, Secrets, Sender, SenderParts, SystemResolver};

use crate::{Runtime, WebhooksConfig, read_bounded};

const CA_LIMIT: u64 = 1024 * 1024;

/// What the operator allows of webhooks; nothing if they are not sent.
///
/// # Errors
/// A secret is none.
pub fn webhook_policy(config: &WebhooksConfig) -> anyhow::Result<Option<Arc<dyn WebhookPolicy>>> {
    Ok(rules(config)?.map(|rules| rules as Arc<dyn WebhookPolicy>))
}

/// What sends webhooks from the queue of this process's database; nothing if they are not sent. `user_agent` is what receivers
/// see.
///
/// # Errors
/// A secret is none, or the file of certificates cannot be used.
pub fn webhook_sender(
    config: &WebhooksConfig,
    runtime: &Runtime,
    user_agent: &str,
) -> anyhow::Result<Option<Arc<Sender>>> {
    let Some(rules) = rules(config)? else { return Ok(None) };
    let ca_pem = config.ca_file.as_deref().map(|path| read_bounded(path, CA_LIMIT)).transpose();
    let post = PostOptions {
        timeout: config.timeout,
        ca_pem: ca_pem.context("webhooks.ca_file")?,
        user_agent: user_agent.to_owned(),
    };
    let parts = SenderParts {
        clock: Arc::clone(&runtime.clock),
        deliveries: Arc::clone(&runtime.operations) as _,
        specs: Arc::clone(&runtime.operations) as _,
        rules,
        resolver: Arc::new(SystemResolver),
        post,
    };
    let sender = Sender::new(parts).map_err(|error| anyhow!("{error}; give a readable PEM file"));
    Ok(Some(Arc::new(sender.context("webhooks.ca_file")?)))
}

fn rules(config: &WebhooksConfig) -> anyhow::Result<Option<Arc<Rules>>> {
    let secrets = config.secrets().map_err(|error| anyhow!(error))?;
    Ok(secrets.map(|(current, previous)| {
        Arc::new(Rules {
            secrets: Secrets::new(current, previous),
            allow: Networks::new(config.allow.clone()),
            allow_http: config.allow_http,
        })
    }))
}
