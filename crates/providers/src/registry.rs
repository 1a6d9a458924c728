//! All providers: one line each.

use std::sync::Arc;

use beacon_domain::{Backend, Clock};

use crate::{
    config::{ConfigError, EndpointsFile, Provider},
    exchange::HttpEndpoint,
    modal::ModalWeb,
    openai::OpenAi,
};

/// Makes a backend of every endpoint. `env` resolves names of environment variables.
///
/// # Errors
/// The first endpoint and field that cannot be used.
pub fn build(
    endpoints: &EndpointsFile,
    env: &dyn Fn(&str) -> Option<String>,
    clock: Arc<dyn Clock>,
) -> Result<Vec<Arc<dyn Backend>>, ConfigError> {
    endpoints.validate()?;
    let make = |config| -> Result<Arc<dyn Backend>, ConfigError> {
        let http = HttpEndpoint::new(config, env, clock.clone())?;
        Ok(match config.provider {
            Provider::ModalWeb => Arc::new(ModalWeb::new(http)),
            Provider::OpenAi => Arc::new(OpenAi::new(http)),
        })
    };
    endpoints.endpoint.iter().map(make).collect()
}
