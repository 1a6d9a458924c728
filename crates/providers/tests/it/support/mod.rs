//! Backends of scripted endpoints, calls to them, and clocks and checkpoints that tests can look into.

pub(crate) mod call;
pub(crate) mod clocks;
pub(crate) mod endpoints;
