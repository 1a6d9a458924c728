//! For tests only: a manual clock, builders, a scripted endpoint, faults on purpose, and the suite that every store must
//! pass.

mod builders;
mod clock;
pub mod conformance;
pub mod faults;
mod scripted;
mod specs;

pub use builders::{
    LEASE, accept, claim, completed, completed_at_cost, endpoint_of, failed, retry, timed_out,
};
pub use clock::ManualClock;
pub use scripted::{
    endpoint::ScriptedEndpoint,
    request::SeenRequest,
    script::{Reply, Script, Step, reply},
    tap::Tap,
};
pub use specs::{SpecBuilder, test_key, test_ring, verified_spec};
