//! Which endpoint serves which model in which region. Data, given by the operator (P9).

use std::collections::HashMap;

use beacon_domain::{EndpointId, EndpointInfo};
use beacon_spec::{ModelId, Region};

/// All endpoints of a deployment.
#[derive(Debug, Clone, Default)]
pub struct EndpointCatalog {
    endpoints: Vec<EndpointInfo>,
    by_cell: HashMap<(ModelId, Region), usize>,
    by_id: HashMap<EndpointId, usize>,
}

/// Endpoints that contradict each other.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// Two with one id.
    #[error("endpoint {0} is given twice; give each its own id")]
    DuplicateId(EndpointId),
    /// Two for one cell.
    #[error("endpoints {first} and {second} both serve {model} in {region}; keep one of them")]
    DuplicateCell {
        /// The first.
        first: EndpointId,
        /// The second.
        second: EndpointId,
        /// The model.
        model: ModelId,
        /// The region.
        region: Region,
    },
    /// A limit below 1.
    #[error("endpoint {0} has the limit 0; at least one call in flight must be allowed")]
    NoLimit(EndpointId),
}

impl EndpointCatalog {
    /// Checks the endpoints and indexes them.
    ///
    /// # Errors
    /// Two endpoints share an id or a cell, or one has the limit 0.
    pub fn new(endpoints: impl IntoIterator<Item = EndpointInfo>) -> Result<Self, CatalogError> {
        let mut catalog = Self::default();
        for endpoint in endpoints {
            catalog.add(endpoint)?;
        }
        Ok(catalog)
    }

    fn add(&mut self, endpoint: EndpointInfo) -> Result<(), CatalogError> {
        if endpoint.limit == 0 {
            return Err(CatalogError::NoLimit(endpoint.id));
        }
        let place = self.endpoints.len();
        if self.by_id.insert(endpoint.id.clone(), place).is_some() {
            return Err(CatalogError::DuplicateId(endpoint.id));
        }
        let (model, region) = (endpoint.model.clone(), endpoint.region);
        if let Some(first) = self.by_cell.insert((model.clone(), region), place) {
            let first = self.endpoints[first].id.clone();
            return Err(CatalogError::DuplicateCell { first, second: endpoint.id, model, region });
        }
        self.endpoints.push(endpoint);
        Ok(())
    }

    /// Who serves this model in this region.
    #[must_use]
    pub fn serving(&self, model: &ModelId, region: Region) -> Option<&EndpointInfo> {
        self.by_cell.get(&(model.clone(), region)).map(|place| &self.endpoints[*place])
    }

    /// One endpoint.
    #[must_use]
    pub fn endpoint(&self, id: &EndpointId) -> Option<&EndpointInfo> {
        self.by_id.get(id).map(|place| &self.endpoints[*place])
    }

    /// All of them, in the operator's order.
    #[must_use]
    pub fn endpoints(&self) -> &[EndpointInfo] {
        &self.endpoints
    }
}
