//! All providers: one line each.

use std::sync::Arc;

use beacon_domain::{Backend, Clock};

use crate::{
    backend::HttpBackend,
    config::{ConfigError, EndpointConfig, EndpointsFile, Provider},
    endpoint::HttpEndpoint,
    modal::Modal,
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
    let make = |config: &EndpointConfig| -> Result<Arc<dyn Backend>, ConfigError> {
        let endpoint = HttpEndpoint::new(config, env, Arc::clone(&clock))?;
        Ok(match config.provider {
            Provider::ModalWeb => Arc::new(HttpBackend::new(endpoint, Modal::new(config))),
            Provider::OpenAi => Arc::new(HttpBackend::new(endpoint, OpenAi::new(config))),
        })
    };
    endpoints.endpoint.iter().map(make).collect()
}
