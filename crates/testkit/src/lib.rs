//! For tests only: a manual clock, builders, and the suite that every store must pass.

mod builders;
mod clock;
pub mod conformance;
mod specs;

pub use builders::{accept, claim, completed, retry};
pub use clock::ManualClock;
pub use specs::{test_key, test_ring, verified_spec};
