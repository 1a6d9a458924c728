//! Simulated endpoints, in this process or another, and the endpoints file to call them with. A run without an
//! endpoints file has them in its own process; calls go through the real HTTP client all the same.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use beacon_boot::{EndpointsFile, parse_toml};
use beacon_domain::{Clock, EndpointId, EndpointInfo};
use beacon_simulator::{Running, SimConfig, SimEndpoint, Warm, serve_at};
use beacon_spec::{JobSpec, ModelId, Region};

/// The first line of an endpoints file that was made here.
pub(crate) const HEADER: &str = "# Simulated endpoints; made by `beacon simulate --write-endpoints`.\n";
const COLD: Duration = Duration::from_millis(1500);
const WARM: Duration = Duration::from_millis(200);

/// A model and where it is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cells {
    pub(crate) model: ModelId,
    pub(crate) regions: Vec<Region>,
}

/// Reads `MODEL@REGION`, or `MODEL` for every region.
pub(crate) fn parse_cells(text: &str) -> Result<Cells, String> {
    let (model, regions) = match text.rsplit_once('@') {
        Some((model, region)) => (model, vec![region.parse::<Region>().map_err(|error| error.to_string())?]),
        None => (text, Region::ALL.to_vec()),
    };
    Ok(Cells { model: ModelId::new(model).map_err(|error| error.to_string())?, regions })
}

/// Starts one endpoint per cell of the job, on a free port of this machine.
pub(crate) async fn start(job: &JobSpec, clock: Arc<dyn Clock>) -> anyhow::Result<(Running, EndpointsFile)> {
    let config = config(job);
    let running = serve_at(config.clone(), ([127, 0, 0, 1], 0).into(), clock)
        .await
        .context("cannot start the simulator")?;
    let endpoints = endpoints(&config, running.addr())?;
    crate::out::remark(format_args!(
        "no --endpoints given: {} simulated endpoints on {} answer; their texts are marked [simulated]",
        config.endpoints.len(),
        running.addr()
    ));
    Ok((running, endpoints))
}

/// The same endpoints as a plan sees them, without starting anything.
pub(crate) fn infos(job: &JobSpec) -> anyhow::Result<Vec<EndpointInfo>> {
    let nowhere = (Ipv4Addr::LOCALHOST, 0).into();
    Ok(endpoints(&config(job), nowhere)?.endpoint.iter().map(|endpoint| endpoint.info()).collect())
}

/// The endpoints file for simulated endpoints that listen there, as text.
pub(crate) fn endpoints_toml(config: &SimConfig, addr: SocketAddr) -> anyhow::Result<String> {
    let mut text = HEADER.to_owned();
    for endpoint in &config.endpoints {
        text += &entry(endpoint, reachable(addr))?;
    }
    Ok(text)
}

fn endpoints(config: &SimConfig, addr: SocketAddr) -> anyhow::Result<EndpointsFile> {
    parse_toml(&endpoints_toml(config, addr)?).map_err(anyhow::Error::msg)
}

fn entry(endpoint: &SimEndpoint, addr: SocketAddr) -> anyhow::Result<String> {
    // A JSON string is a TOML string as well.
    let (id, model) = (serde_json::to_string(&endpoint.id)?, serde_json::to_string(&endpoint.model)?);
    let (region, limit, cold_s) = (endpoint.region, endpoint.capacity, endpoint.cold_s);
    let warm_s = match endpoint.warm {
        Warm::FixedS(mean_s) | Warm::Normal { mean_s, .. } | Warm::Exponential { mean_s } => mean_s,
    };
    let (linger_s, url) = (endpoint.longest_s(), format!("http://{addr}/e/{}/", endpoint.slug()));
    // What never is cold needs no call that goes ahead alone.
    let probe = if cold_s > 0.0 { "" } else { "cold_probe = false\n" };
    Ok(format!(
        "\n[[endpoint]]\nid = {id}\nprovider = \"modal-web\"\nmodel = {model}\nregion = \"{region}\"\n\
         limit = {limit}\nlinger_s = {linger_s:?}\ninference_url = \"{url}\"\nhealth_url = \"{url}health\"\nmodels_url = \"{url}models\"\n\
         timing = {{ cold_s = {cold_s:?}, warm_s = {warm_s:?} }}\n{probe}"
    ))
}

/// Who listens everywhere is called on this machine.
fn reachable(addr: SocketAddr) -> SocketAddr {
    match addr {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => (Ipv4Addr::LOCALHOST, v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => (Ipv6Addr::LOCALHOST, v6.port()).into(),
        addr => addr,
    }
}

fn config(job: &JobSpec) -> SimConfig {
    let cells =
        job.models.iter().flat_map(|model| model.regions.iter().map(|region| (model.id.clone(), *region)));
    let cells: Vec<_> = cells.collect::<BTreeSet<_>>().into_iter().collect();
    let mut config = SimConfig::for_cells(&cells, COLD, Warm::FixedS(WARM.as_secs_f64()));
    // Names that no endpoints file has by default: a job planned with real endpoints is never resumed with these.
    for endpoint in &mut config.endpoints {
        endpoint.id = EndpointId::new(format!("simulated/{}", endpoint.id));
    }
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(name: &str) -> String {
        let path = format!("{}/../../examples/endpoints/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn cells_are_a_model_and_a_region_or_every_region() {
        let cells = |text| parse_cells(text).map(|cells| (cells.model.to_string(), cells.regions));

        assert_eq!(cells("m@EU"), Ok(("m".to_owned(), vec![Region::EuWest])));
        assert_eq!(cells("org/m@2@us"), Ok(("org/m@2".to_owned(), vec![Region::UsEast])));
        assert_eq!(cells("m"), Ok(("m".to_owned(), Region::ALL.to_vec())));
        assert!(cells("m@mars").unwrap_err().contains("asia-pacific"));
        assert!(cells("@EU").is_err());
    }

    #[test]
    fn the_example_endpoints_are_those_of_the_example_simulator() {
        let config: SimConfig = parse_toml(&sample("simulator-config")).unwrap();

        let written = endpoints(&config, ([127, 0, 0, 1], 8900).into()).unwrap();

        assert_eq!(parse_toml::<EndpointsFile>(&sample("simulator")).unwrap(), written);
    }

    #[test]
    fn a_strange_id_and_an_open_address_make_a_file_that_can_be_used() {
        let mut config =
            SimConfig::for_cells(&[(ModelId::new("m").unwrap(), Region::UsEast)], COLD, Warm::default());
        config.endpoints[0].id = beacon_domain::EndpointId::new("a \"b\"\\/ä");

        let written = endpoints(&config, ([0, 0, 0, 0], 80).into()).unwrap();

        written.validate().unwrap();
        assert_eq!(written.endpoint[0].id(), "a \"b\"\\/ä");
        assert_eq!(written.endpoint[0].inference_url, "http://127.0.0.1:80/e/a__b__~_/");
    }
}
