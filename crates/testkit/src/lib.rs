//! For tests only: a manual clock, builders, a scripted endpoint, a private PostgreSQL cluster, a proxy that holds
//! bytes back, faults on purpose, and the suite that every store must pass.

mod builders;
mod clock;
#[cfg(unix)]
mod cluster;
pub mod conformance;
pub mod faults;
mod hostile;
#[cfg(unix)]
mod proxy;
mod scripted;
mod specs;

pub use builders::{
    LEASE, LONGEST_CALL, accept, claim, completed, completed_at_cost, endpoint_of, failed, retry, timed_out,
};
pub use clock::ManualClock;
#[cfg(unix)]
pub use cluster::{Cluster, ClusterError, Sync};
pub use hostile::{Hostile, Mangler, Spoilt};
#[cfg(unix)]
pub use proxy::{Proxy, Target};
pub use scripted::{
    endpoint::ScriptedEndpoint,
    request::SeenRequest,
    script::{Reply, Script, Step, reply},
    tap::Tap,
};
pub use specs::{SpecBuilder, test_key, test_ring, verified_spec};
