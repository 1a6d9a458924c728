//! Plans signed jobs into executions and runs them within every endpoint's limits. Knows only ports: no database,
//! no HTTP, no provider. Embeddable in any tokio program; see `examples/embed.rs`.

mod accept;
mod catalog;
mod checkpoint;
mod close;
mod execute;
mod fleet;
mod function_backend;
mod limits;
mod live;
mod options;
mod outlook;
mod patience;
mod plan;
mod ports;
mod reap;
mod receipt;
mod recorder;
mod renew;
mod report;
mod retry;
mod scheduler;
mod spans;
mod stop;
mod webhooks;
mod worker;

pub use accept::{AcceptError, Desk, Submission, Submitted, submit, time_limit};
pub use catalog::{CatalogError, EndpointCatalog};
pub use fleet::Fleet;
pub use function_backend::FunctionBackend;
pub use options::{OptionsError, SchedulerOptions, Timeouts};
pub use plan::{EndpointLoad, Estimate, PlanError, PlanOptions, Unserved, estimate, plan};
pub use ports::Ports;
pub use retry::RetryPolicy;
pub use scheduler::Scheduler;
pub use stop::Stop;
pub use webhooks::Webhooks;
