//! Simulated endpoints in this process, for a run without an endpoints file. Calls go through the real HTTP client.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use anyhow::Context as _;
use beacon_boot::{EndpointsFile, parse_toml};
use beacon_domain::{Clock, EndpointId, EndpointInfo, Timing};
use beacon_simulator::{Running, SimConfig, Warm, serve_at};
use beacon_spec::{JobSpec, ModelId, Region};

const COLD: Duration = Duration::from_millis(1500);
const WARM: Duration = Duration::from_millis(200);

/// Starts one endpoint per cell of the job, on a free port of this machine.
pub(crate) async fn start(job: &JobSpec, clock: Arc<dyn Clock>) -> anyhow::Result<(Running, EndpointsFile)> {
    let cells = cells(job);
    let config = SimConfig::for_cells(&cells, COLD, Warm::FixedS(WARM.as_secs_f64()));
    let running =
        serve_at(config, ([127, 0, 0, 1], 0).into(), clock).await.context("cannot start the simulator")?;
    let mut text = String::new();
    for (model, region) in &cells {
        let id = id(model, *region);
        let url = running.endpoint_url(&id).context("the simulator serves every cell")?;
        text += &format!(
            "[[endpoint]]\nid = {:?}\nprovider = \"modal-web\"\nmodel = {:?}\nregion = \"{region}\"\n\
             inference_url = \"{url}\"\ntiming = {{ cold_s = {}, warm_s = {} }}\n",
            id.as_str(),
            model.as_str(),
            COLD.as_secs_f64(),
            WARM.as_secs_f64()
        );
    }
    let endpoints = parse_toml(&text).map_err(anyhow::Error::msg)?;
    eprintln!(
        "no --endpoints given: {} simulated endpoints on {} answer; their texts are marked [simulated]",
        cells.len(),
        running.addr()
    );
    Ok((running, endpoints))
}

/// The same endpoints as a plan sees them, without starting anything.
pub(crate) fn infos(job: &JobSpec) -> Vec<EndpointInfo> {
    let info = |(model, region): (ModelId, Region)| EndpointInfo {
        id: id(&model, region),
        model,
        region,
        limit: 1,
        account: None,
        cold_probe: true,
        adaptive: None,
        price_micros_per_s: 0,
        timing: Some(Timing { cold: COLD, warm: WARM }),
    };
    cells(job).into_iter().map(info).collect()
}

fn cells(job: &JobSpec) -> Vec<(ModelId, Region)> {
    let cells =
        job.models.iter().flat_map(|model| model.regions.iter().map(|region| (model.id.clone(), *region)));
    cells.collect::<BTreeSet<_>>().into_iter().collect()
}

fn id(model: &ModelId, region: Region) -> EndpointId {
    EndpointId::new(format!("{region}/{model}"))
}
