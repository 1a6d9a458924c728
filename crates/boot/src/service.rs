//! The beginning and the end of a service's process.

use std::{future::Future, io::Write as _, path::Path, process::ExitCode};

use beacon_spec::Timestamp;

use crate::{ServiceConfig, telemetry::start_telemetry};

/// It failed while it ran, or the database could not be reached at its start: started again, it may work.
const FAILED: u8 = 1;
/// It could not start.
const UNUSABLE: u8 = 2;

/// A service from its command line on: reads the configuration, prints it if only that is asked, begins the logs, and
/// runs.
pub fn run_configured<S, R>(
    name: &str,
    file: Option<&Path>,
    print_only: bool,
    start: impl FnOnce(ServiceConfig) -> S,
) -> ExitCode
where
    S: Future<Output = anyhow::Result<R>>,
    R: Future<Output = anyhow::Result<()>>,
{
    let config = match ServiceConfig::load(file) {
        Ok(config) => config,
        Err(error) => return refuse(name, &error.into()),
    };
    if print_only {
        return print_config(name, &config);
    }
    let _telemetry = match start_telemetry(name, &config) {
        Ok(telemetry) => telemetry,
        Err(error) => return refuse(name, &error),
    };
    run(name, start(config))
}

/// Starts a service and runs it to its end. Starting ends with the future that is the running service.
pub fn run<S, R>(name: &str, start: S) -> ExitCode
where
    S: Future<Output = anyhow::Result<R>>,
    R: Future<Output = anyhow::Result<()>>,
{
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return refuse(name, &error.into()),
    };
    let code = runtime.block_on(async {
        let running = match start.await {
            Ok(running) => running,
            Err(error) if is_passing(&error) => {
                tell(name, &error);
                return ExitCode::from(FAILED);
            }
            Err(error) => return refuse(name, &error),
        };
        match running.await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                tell(name, &error);
                ExitCode::from(FAILED)
            }
        }
    });
    runtime.shutdown_background();
    code
}

/// Whether starting again later may help, with nothing changed.
fn is_passing(error: &anyhow::Error) -> bool {
    error.chain().filter_map(|cause| cause.downcast_ref()).any(beacon_store::may_come_back)
}

/// Tells why a service cannot start.
pub fn refuse(name: &str, error: &anyhow::Error) -> ExitCode {
    tell(name, error);
    ExitCode::from(UNUSABLE)
}

fn tell(name: &str, error: &anyhow::Error) {
    // If standard error is gone, the exit code is all that is left.
    let _ = writeln!(std::io::stderr(), "{name}: {}", crate::told(error));
}

/// Prints the effective configuration, without secrets.
pub fn print_config(name: &str, config: &ServiceConfig) -> ExitCode {
    let printed = config.to_toml().map_err(anyhow::Error::from);
    let printed = printed.and_then(|text| Ok(std::io::stdout().write_all(text.as_bytes())?));
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refuse(name, &error),
    }
}

/// A name that no other process start has: role, host, process and time.
#[must_use]
pub fn process_id(role: &str, now: Timestamp) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "host" } else { host.trim() };
    format!("{role}-{host}-{}-{}", std::process::id(), now.as_microsecond())
}
