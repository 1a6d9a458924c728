//! `beacon check`: probe the endpoints and explain; with `--call`, also ask each one a small question.

mod canary;

use std::{process::ExitCode, sync::Arc, time::Duration};

use beacon_boot::{EndpointsFile, load_endpoints};
use beacon_domain::{Backend, Clock, ProbeFinding, ProbeReport, SystemClock};
use futures::StreamExt as _;
use serde_json::json;

use super::{line, remark};
use crate::{args, exit, out::OutputError};

/// A health check may have to start two containers first.
const PROBE_LIMIT: Duration = Duration::from_secs(60);
/// Endpoints checked at the same time.
const AT_ONCE: usize = 16;

/// Checks every endpoint, several at once, in the order of the file. Fails if one of them is not as expected.
pub(crate) async fn check(command: &args::Check, as_json: bool) -> anyhow::Result<ExitCode> {
    let file = load_endpoints(&command.endpoints)?;
    anyhow::ensure!(!file.endpoint.is_empty(), "{} has no [[endpoint]]", command.endpoints.display());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let backends = beacon_boot::build_backends(&file, Arc::clone(&clock))?;
    if command.call {
        remark(format_args!(
            "calling {} endpoints, one small request each: this may start containers and cost money; \
             one that does not answer is given up after 15 minutes",
            backends.len()
        ));
    }
    let reports = backends.iter().map(|backend| report(backend.as_ref(), clock.as_ref(), command.call));
    let mut reports = futures::stream::iter(reports).buffered(at_once(&file, command.call));
    let mut good = true;
    for backend in &backends {
        let Some(report) = reports.next().await else { break };
        good &= report.ok();
        print(backend.describe().id.as_str(), &report, as_json)?;
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::from(exit::BAD_INPUT) })
}

/// Real calls go within the tightest limit of any account, since they share nothing with a run that counts them (S1).
fn at_once(file: &EndpointsFile, calls: bool) -> usize {
    let limits = file.accounts.values().map(|account| account.limit).chain(file.global_limit);
    let tightest = limits.min().filter(|_| calls);
    tightest.map_or(AT_ONCE, |limit| AT_ONCE.min(limit.max(1) as usize))
}

async fn report(backend: &dyn Backend, clock: &dyn Clock, call: bool) -> ProbeReport {
    let mut report = backend.probe(clock.monotonic() + PROBE_LIMIT).await;
    let inference = report.findings.iter().find(|finding| finding.purpose == "inference");
    if call && inference.is_none_or(|finding| finding.ok) {
        let url = inference.map_or_else(String::new, |finding| finding.url.clone());
        let found = canary::call(backend, clock).await;
        let ok = found.is_ok();
        let detail = found.unwrap_or_else(|problem| problem);
        report.findings.push(ProbeFinding { purpose: "call".to_owned(), url, ok, detail });
    }
    report
}

fn print(id: &str, report: &ProbeReport, as_json: bool) -> Result<(), OutputError> {
    if as_json {
        return line(json!({ "endpoint": id, "ok": report.ok(), "findings": report.findings }));
    }
    let mark = |ok: bool| if ok { "ok  " } else { "FAIL" };
    line(format_args!("{} {id}", mark(report.ok())))?;
    for finding in &report.findings {
        line(format_args!(
            "     {} {:<9} {}: {}",
            mark(finding.ok),
            finding.purpose,
            finding.url,
            finding.detail
        ))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use beacon_boot::parse_toml;
    use beacon_domain::EndpointId;
    use beacon_simulator::{Behaviour, SimConfig, SimEndpoint, Simulator};
    use beacon_spec::{ModelId, Region};

    use super::*;

    fn simulator(script: Vec<Behaviour>) -> Simulator {
        let model = ModelId::new("llama3.2-1b").unwrap();
        let endpoint =
            SimEndpoint { script, ..SimEndpoint::new(EndpointId::new("e"), model, Region::EuWest) };
        let config = SimConfig { seed: 1, endpoints: vec![endpoint] };
        Simulator::new(config, Arc::new(SystemClock::new())).unwrap()
    }

    async fn reported(simulator: &Simulator, call: bool) -> ProbeReport {
        report(&simulator.backends()[0], &SystemClock::new(), call).await
    }

    // C4
    #[tokio::test(start_paused = true)]
    async fn without_call_no_endpoint_is_called() {
        let simulator = simulator(Vec::new());

        let report = reported(&simulator, false).await;

        assert!(report.ok() && report.findings.iter().all(|finding| finding.purpose != "call"), "{report:?}");
        assert_eq!(simulator.stats().total.calls, 0);
    }

    // C8
    #[tokio::test(start_paused = true)]
    async fn with_call_each_endpoint_is_called_once() {
        let simulator = simulator(Vec::new());

        let report = reported(&simulator, true).await;

        let finding = report.findings.last().unwrap();
        assert_eq!((finding.purpose.as_str(), finding.ok), ("call", true), "{finding:?}");
        assert!(finding.detail.contains("llama3.2-1b in eu-west"), "{finding:?}");
        assert_eq!(simulator.stats().total.calls, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_fails_is_a_finding_and_is_not_repeated() {
        let simulator = simulator(vec![Behaviour::ServerError]);

        let report = reported(&simulator, true).await;

        assert!(!report.ok());
        assert!(report.findings.last().unwrap().detail.contains("endpoint_failed"), "{report:?}");
        assert_eq!(simulator.stats().total.calls, 1);
    }

    // S1
    #[test]
    fn calls_go_within_the_tightest_limit_and_probes_need_none() {
        let check = |text: &str, probing: usize, calling: usize| {
            let file = parse_toml(text).unwrap();
            assert_eq!((at_once(&file, false), at_once(&file, true)), (probing, calling), "{text}");
        };

        check("", AT_ONCE, AT_ONCE);
        check("global_limit = 3", AT_ONCE, 3);
        check("global_limit = 3\n[accounts.a]\nlimit = 2\n[accounts.b]\nlimit = 9", AT_ONCE, 2);
        check("global_limit = 1000", AT_ONCE, AT_ONCE);
    }
}
