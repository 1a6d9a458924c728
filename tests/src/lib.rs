//! The binaries under test, built by cargo and run as a person would run them, simulated endpoints in their own process,
//! and whole deployments.

mod deployment;
mod http;
mod process;
mod receiver;
mod simulator;
mod virtual_run;

pub use deployment::{Deployment, Service, TOKEN};
pub use process::{Finished, Process, beacon, between_looks, root};
pub use receiver::{Receiver, Told};
pub use simulator::{EIGHT_CELLS, Simulator};
pub use virtual_run::virtual_run;
