//! Prints one JSON line per batching mode: the original workload at real scale, on virtual time, and how long it took.

use beacon_domain::{Batching, Clock as _, SystemClock};
use beacon_tests::virtual_run;
use serde_json::json;

fn main() -> anyhow::Result<()> {
    for batching in [Batching::Question, Batching::Endpoint] {
        // The real clock is read outside of the runtime whose time is paused.
        let real = SystemClock::new();
        let started = real.monotonic();
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?;
        let job = runtime.block_on(virtual_run(batching))?;
        let wall = real.monotonic().since(started);
        let line = json!({
            "batching": job.batching, "executions_completed": job.counts.completed,
            "makespan_s": job.makespan().map(|makespan| makespan.as_secs_f64()),
            "lower_bound_s": job.lower_bound.map(|bound| bound.as_secs_f64()),
            "wall_s": wall.as_secs_f64(),
        });
        println!("{line}");
    }
    Ok(())
}
