//! Endpoints, and the models and regions that they serve.

use beacon_domain::{AccountId, Bound, EndpointId, EndpointInfo, EndpointLatency, EndpointStatus, Gate};
use beacon_scheduler::EndpointCatalog;
use beacon_spec::{ModelId, Region, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::names;

/// Where one model is served in one region, and how it stands over all jobs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Endpoint {
    #[schema(value_type = String)]
    id: EndpointId,
    #[schema(value_type = String)]
    model_id: ModelId,
    #[schema(value_type = names::Region)]
    region: Region,
    /// `open`, `cold`, `throttled` or `broken`, as a worker last said; null if none has.
    state: Option<&'static str>,
    /// Until when it is throttled, or its breaker open.
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// What kept the last claim from taking more for it: `endpoint`, `account`, `global`, `day_budget` or `worker`.
    #[schema(value_type = Option<String>)]
    bound: Option<Bound>,
    /// Calls in flight that the operator allows.
    configured_limit: u32,
    /// Its limit as a worker last used it; null if none has.
    limit: Option<u32>,
    /// What counts against its limit: live leases and abandoned calls.
    in_flight: u32,
    /// Of these, calls that nobody waits for any more, after a cancel, a time limit or the end of a worker, and that may still
    /// run there.
    abandoned: u32,
    /// When the first of them counts no more; null without one, or if all of them wait for a worker that finds them again.
    #[schema(value_type = Option<String>, format = DateTime)]
    abandoned_until: Option<Timestamp>,
    /// Executions that may be claimed or wait for a retry; counting stops at 10000.
    waiting: u32,
    /// The account that pays, if it shares a limit with others.
    #[schema(value_type = Option<String>)]
    account: Option<AccountId>,
    /// What the operator expects of a first answer; null if nothing was said.
    expected_cold_s: Option<f64>,
    /// What the operator expects of one answer when warm; null if nothing was said.
    expected_warm_s: Option<f64>,
    /// How long it took for its newest answers, from dispatch to end: their median. Null without answers among the newest
    /// 1000 results over all endpoints.
    latency_s: Option<f64>,
    /// How many answers that is the median of.
    latency_answers: u32,
    /// Price in millionths of a dollar per second that the provider reports.
    price_micros_per_s: u64,
}

/// All endpoints that jobs are planned over.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Endpoints {
    endpoints: Vec<Endpoint>,
}

/// A model, and where it is served.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Model {
    #[schema(value_type = String)]
    id: ModelId,
    #[schema(value_type = Vec<names::Region>)]
    regions: Vec<Region>,
}

/// All models that are served.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Models {
    models: Vec<Model>,
}

/// A region, and what is served there.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RegionModels)]
pub(crate) struct RegionLine {
    #[schema(value_type = names::Region)]
    id: Region,
    /// The models that an endpoint serves there; none may be.
    #[schema(value_type = Vec<String>)]
    models: Vec<ModelId>,
}

/// The closed set of regions.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Regions {
    regions: Vec<RegionLine>,
}

impl Endpoints {
    /// The endpoints of the catalogue with what workers said of them, and how long they took.
    pub(crate) fn new(
        catalog: &EndpointCatalog,
        statuses: &[EndpointStatus],
        latencies: &[EndpointLatency],
    ) -> Self {
        let endpoint = |info: &EndpointInfo| {
            let status = statuses.iter().find(|status| status.endpoint == info.id);
            Endpoint::new(info, status, latencies.iter().find(|latency| latency.endpoint == info.id))
        };
        Self { endpoints: catalog.endpoints().iter().map(endpoint).collect() }
    }
}

impl Endpoint {
    fn new(info: &EndpointInfo, status: Option<&EndpointStatus>, latency: Option<&EndpointLatency>) -> Self {
        let gate = status.and_then(|status| status.gate);
        Self {
            id: info.id.clone(),
            model_id: info.model.clone(),
            region: info.region,
            state: gate.map(gate_name),
            until: match gate {
                Some(Gate::Throttled { until } | Gate::Broken { until }) => Some(until),
                _ => None,
            },
            bound: status.and_then(|status| status.bound),
            configured_limit: info.limit,
            limit: status.and_then(|status| status.limit),
            in_flight: status.map_or(0, |status| status.in_flight),
            abandoned: status.map_or(0, |status| status.abandoned),
            abandoned_until: status.and_then(|status| status.abandoned_until),
            waiting: status.map_or(0, |status| status.waiting),
            account: info.account.clone(),
            expected_cold_s: info.timing.map(|timing| timing.cold.as_secs_f64()),
            expected_warm_s: info.timing.map(|timing| timing.warm.as_secs_f64()),
            latency_s: latency.map(|latency| latency.median.as_secs_f64()),
            latency_answers: latency.map_or(0, |latency| latency.answers),
            price_micros_per_s: info.price_micros_per_s,
        }
    }
}

/// The name of a gate in answers and metrics.
pub(crate) const fn gate_name(gate: Gate) -> &'static str {
    match gate {
        Gate::Open => "open",
        Gate::Cold => "cold",
        Gate::Throttled { .. } => "throttled",
        Gate::Broken { .. } => "broken",
    }
}

impl From<&EndpointCatalog> for Models {
    fn from(catalog: &EndpointCatalog) -> Self {
        let mut models: Vec<Model> = Vec::new();
        for info in catalog.endpoints() {
            match models.iter_mut().find(|model| model.id == info.model) {
                Some(model) => model.regions.push(info.region),
                None => models.push(Model { id: info.model.clone(), regions: vec![info.region] }),
            }
        }
        Self { models }
    }
}

impl From<&EndpointCatalog> for Regions {
    fn from(catalog: &EndpointCatalog) -> Self {
        let line = |region| {
            let there = catalog.endpoints().iter().filter(|info| info.region == region);
            RegionLine { id: region, models: there.map(|info| info.model.clone()).collect() }
        };
        Self { regions: Region::ALL.into_iter().map(line).collect() }
    }
}
