//! What a plan will take at least, before anything runs (P12, S12).

use std::{collections::BTreeMap, time::Duration};

use beacon_domain::{EndpointId, Plan};
use serde::Serialize;

use crate::EndpointCatalog;

/// A plan in numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Estimate {
    /// All executions.
    pub executions: u32,
    /// Those that no endpoint serves.
    pub unsupported: u32,
    /// Questions.
    pub batches: u32,
    /// By endpoint, in order of id.
    pub endpoints: Vec<EndpointLoad>,
    /// No schedule can be faster when every endpoint starts cold; `None` when an endpoint has no timing.
    #[serde(rename = "lower_bound_s", with = "beacon_domain::seconds::option")]
    pub lower_bound: Option<Duration>,
    /// Warm seconds × price, in millionths of a dollar; `None` when an endpoint has no timing.
    pub cost_micros: Option<u64>,
}

/// One endpoint's share of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EndpointLoad {
    /// The endpoint.
    pub endpoint: EndpointId,
    /// Its executions.
    pub executions: u32,
    /// Its limit of calls in flight.
    pub limit: u32,
    /// Cold start plus rounds × warm time, if its timing is known.
    #[serde(rename = "lower_bound_s", with = "beacon_domain::seconds::option")]
    pub lower_bound: Option<Duration>,
}

/// Sums up a plan. The lower bound is the slowest endpoint's: cold + ceil(executions / limit) × warm.
#[must_use]
pub fn estimate(plan: &Plan, catalog: &EndpointCatalog) -> Estimate {
    let mut counts: BTreeMap<&EndpointId, u32> = BTreeMap::new();
    for endpoint in plan.executions.iter().filter_map(|execution| execution.endpoint.as_ref()) {
        *counts.entry(endpoint).or_default() += 1;
    }
    let endpoints: Vec<EndpointLoad> =
        counts.iter().map(|(endpoint, executions)| load(endpoint, *executions, catalog)).collect();
    let supported: u32 = endpoints.iter().map(|load| load.executions).sum();
    let total = u32::try_from(plan.executions.len()).unwrap_or(u32::MAX);
    Estimate {
        executions: total,
        unsupported: total - supported,
        batches: u32::try_from(plan.batches.len()).unwrap_or(u32::MAX),
        lower_bound: endpoints
            .iter()
            .map(|load| load.lower_bound)
            .collect::<Option<Vec<_>>>()
            .and_then(|bounds| bounds.into_iter().max()),
        cost_micros: endpoints.iter().map(|load| cost(load, catalog)).sum(),
        endpoints,
    }
}

fn load(endpoint: &EndpointId, executions: u32, catalog: &EndpointCatalog) -> EndpointLoad {
    let info = catalog.endpoint(endpoint);
    let limit = info.map_or(1, |info| info.limit);
    let rounds = executions.div_ceil(limit);
    let lower_bound =
        info.and_then(|info| info.timing).map(|timing| timing.cold + timing.warm.saturating_mul(rounds));
    EndpointLoad { endpoint: endpoint.clone(), executions, limit, lower_bound }
}

fn cost(load: &EndpointLoad, catalog: &EndpointCatalog) -> Option<u64> {
    let info = catalog.endpoint(&load.endpoint)?;
    let warm = info.timing?.warm.saturating_mul(load.executions);
    let micros = warm.as_millis().saturating_mul(u128::from(info.price_micros_per_s)) / 1000;
    u64::try_from(micros).ok()
}
