//! All simulated endpoints together.

use std::{collections::HashMap, sync::Arc};

use beacon_domain::{Clock, EndpointId};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    backend::SimBackend,
    config::{ConfigError, SimConfig},
    endpoint::{Endpoint, Surroundings},
    stats::{Meter, SimStats},
};

/// The endpoints of one configuration, without sockets.
#[derive(Debug)]
pub struct Simulator {
    by_slug: HashMap<String, Arc<Endpoint>>,
    /// In the configuration's order.
    endpoints: Vec<Arc<Endpoint>>,
    meter: Meter,
    pub(crate) around: Surroundings,
}

impl Simulator {
    /// Sets up the endpoints; all are cold.
    ///
    /// # Errors
    /// The configuration cannot be simulated.
    pub fn new(config: SimConfig, clock: Arc<dyn Clock>) -> Result<Self, ConfigError> {
        config.check()?;
        let around = Surroundings {
            seed: config.seed,
            clock,
            numbers: Arc::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        let meter = Meter::default();
        let endpoint = |config| Arc::new(Endpoint::new(config, around.clone(), meter.sibling()));
        let endpoints: Vec<_> = config.endpoints.into_iter().map(endpoint).collect();
        let by_slug = endpoints.iter().map(|endpoint| (endpoint.config.slug(), Arc::clone(endpoint)));
        Ok(Self { by_slug: by_slug.collect(), meter, around: around.clone(), endpoints })
    }

    /// The endpoints as backends, in the configuration's order.
    #[must_use]
    pub fn backends(&self) -> Vec<SimBackend> {
        self.endpoints.iter().map(|endpoint| SimBackend::new(Arc::clone(endpoint))).collect()
    }

    /// One endpoint as a backend.
    #[must_use]
    pub fn backend(&self, id: &EndpointId) -> Option<SimBackend> {
        let endpoint = self.endpoints.iter().find(|endpoint| endpoint.config.id == *id)?;
        Some(SimBackend::new(Arc::clone(endpoint)))
    }

    /// What happened so far.
    #[must_use]
    pub fn stats(&self) -> SimStats {
        let count = |endpoint: &Arc<Endpoint>| (endpoint.config.id.clone(), endpoint.meter.endpoint());
        SimStats { total: self.meter.total(), endpoints: self.endpoints.iter().map(count).collect() }
    }

    /// Drops all work and waits until it is gone.
    pub async fn shutdown(&self) {
        self.around.stop.cancel();
        self.around.tasks.close();
        self.around.tasks.wait().await;
    }

    pub(crate) fn by_slug(&self, slug: &str) -> Option<&Arc<Endpoint>> {
        self.by_slug.get(slug)
    }

    pub(crate) fn slug_of(&self, id: &EndpointId) -> Option<String> {
        let endpoint = self.endpoints.iter().find(|endpoint| endpoint.config.id == *id)?;
        Some(endpoint.config.slug())
    }
}
