//! What a plan is, before anything runs (P8, P9, P12).

use std::time::Duration;

use beacon_domain::{Batching, EndpointInfo, Timing};
use beacon_scheduler::{CatalogError, EndpointCatalog, PlanError, PlanOptions, Unserved, estimate, plan};
use beacon_spec::Region;
use beacon_testkit::SpecBuilder;

use crate::bench::endpoint;

const TIMING: Timing = Timing { cold: Duration::from_secs(180), warm: Duration::from_secs(40) };

fn timed(region: Region, model: &str, limit: u32) -> EndpointInfo {
    EndpointInfo { limit, timing: Some(TIMING), price_micros_per_s: 100, ..endpoint(region, model) }
}

fn catalog(endpoints: impl IntoIterator<Item = EndpointInfo>) -> EndpointCatalog {
    EndpointCatalog::new(endpoints).unwrap()
}

// P8
#[test]
fn executions_are_ordered_by_question_then_model_then_region_then_run() {
    let spec =
        SpecBuilder::new("order").questions(&["a", "b"]).models(&["m", "n"]).regions(&["EU", "US"]).runs(2);
    let all = [Region::UsEast, Region::EuWest].into_iter();
    let catalog = catalog(all.flat_map(|region| ["m", "n"].map(|model| endpoint(region, model))));

    let plan = plan(spec.verified().spec(), &catalog, &PlanOptions::default()).unwrap();

    let cells: Vec<_> =
        plan.executions.iter().map(|cell| (cell.batch, cell.model.as_str(), cell.region, cell.run)).collect();
    assert_eq!(cells.len(), 16);
    assert_eq!(
        cells[..5],
        [
            (0, "m", Region::EuWest, 1),
            (0, "m", Region::EuWest, 2),
            (0, "m", Region::UsEast, 1),
            (0, "m", Region::UsEast, 2),
            (0, "n", Region::EuWest, 1),
        ]
    );
    assert!(cells.is_sorted_by_key(|cell| cell.0));
    assert_eq!(&**plan.prompt(&plan.executions[15]), "b");
}

// P8
#[test]
fn duplicate_models_regions_and_questions_are_planned_once() {
    let spec = SpecBuilder::new("twice")
        .questions(&["a", "a"])
        .models(&["m", "m"])
        .regions(&["US", "us-east", "USA"]);

    let plan =
        plan(spec.verified().spec(), &catalog([endpoint(Region::UsEast, "m")]), &PlanOptions::default());

    assert_eq!(plan.unwrap().executions.len(), 1);
}

// P9
#[test]
fn a_cell_that_nobody_serves_is_refused_by_name_or_accepted_on_request() {
    let spec = SpecBuilder::new("nobody").models(&["m", "n"]).regions(&["US", "EU"]).verified();
    let catalog = catalog([endpoint(Region::UsEast, "m"), endpoint(Region::EuWest, "m")]);
    let accept = PlanOptions { unserved: Unserved::Accept, ..PlanOptions::default() };

    let refused = plan(spec.spec(), &catalog, &PlanOptions::default()).unwrap_err();
    let accepted = plan(spec.spec(), &catalog, &accept).unwrap();

    assert!(matches!(refused, PlanError::Unserved { .. }));
    assert!(refused.to_string().contains("n in us-east, n in eu-west"), "{refused}");
    assert_eq!(accepted.executions.iter().filter(|cell| cell.endpoint.is_none()).count(), 2);
    assert_eq!(estimate(&accepted, &catalog).unsupported, 2);
}

// P12
#[test]
fn the_lower_bound_is_that_of_the_slowest_endpoint_and_the_cost_that_of_all() {
    let spec = SpecBuilder::new("bound").question_count(8).regions(&["US", "EU"]).verified();
    let catalog = catalog([timed(Region::UsEast, "m", 1), timed(Region::EuWest, "m", 3)]);

    let plan = plan(spec.spec(), &catalog, &PlanOptions::default()).unwrap();
    let estimate = estimate(&plan, &catalog);

    assert_eq!((estimate.executions, estimate.batches), (16, 8));
    assert_eq!(estimate.lower_bound, Some(Duration::from_secs(180 + 8 * 40)));
    let bounds: Vec<_> = estimate.endpoints.iter().map(|load| load.lower_bound.unwrap().as_secs()).collect();
    assert_eq!(bounds, [180 + 3 * 40, 180 + 8 * 40]);
    assert_eq!(estimate.cost_micros, Some(16 * 40 * 100));
}

// P12
#[test]
fn without_timing_there_is_no_invented_bound() {
    let spec = SpecBuilder::new("unknown").regions(&["US", "EU"]).verified();
    let catalog = catalog([timed(Region::UsEast, "m", 1), endpoint(Region::EuWest, "m")]);

    let plan =
        plan(spec.spec(), &catalog, &PlanOptions { batching: Batching::Endpoint, ..PlanOptions::default() });
    let estimate = estimate(&plan.unwrap(), &catalog);

    assert_eq!((estimate.lower_bound, estimate.cost_micros), (None, None));
}

#[test]
fn endpoints_that_contradict_each_other_are_refused() {
    let one = || endpoint(Region::UsEast, "m");
    let renamed = EndpointInfo { id: beacon_domain::EndpointId::new("other"), ..one() };
    let closed = EndpointInfo { limit: 0, ..one() };

    assert!(matches!(EndpointCatalog::new([one(), one()]), Err(CatalogError::DuplicateId(_))));
    assert!(matches!(EndpointCatalog::new([one(), renamed]), Err(CatalogError::DuplicateCell { .. })));
    assert!(matches!(EndpointCatalog::new([closed]), Err(CatalogError::NoLimit(_))));
}
