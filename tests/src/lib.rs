//! The binary under test, built by cargo and run as a person would run it, and simulated endpoints in their own process.

mod process;
mod simulator;

pub use process::{Finished, Process, beacon, root};
pub use simulator::Simulator;
