//! `beacon-api webhook-secret`: the secret that the receivers of a key's webhooks must know.

use std::{io::Write as _, sync::Arc};

use anyhow::Context as _;
use beacon_boot::{Runtime, ServiceConfig, TrustedKeys, load_service_key_ring, webhook_policy};
use beacon_spec::KeySource as _;

/// Prints it.
pub(crate) async fn run(config: &ServiceConfig, kid: &str) -> anyhow::Result<()> {
    let policy = webhook_policy(&config.webhooks)?
        .context("webhooks.secret is not set; webhooks are not sent without it")?;
    let ring = load_service_key_ring(&config.api.keys).context("api.keys")?;
    let runtime = Runtime::connect(&config.database, "beacon-api").await?;
    let keys = TrustedKeys::load(ring, Arc::clone(&runtime.operations) as _).await?;
    let key = keys.all().into_iter().find(|key| key.kid.as_str() == kid);
    let key = key.with_context(|| format!("there is no trusted key {kid:?}"))?;
    writeln!(std::io::stdout(), "{}", policy.secret_of(&key.public_key))?;
    Ok(())
}
