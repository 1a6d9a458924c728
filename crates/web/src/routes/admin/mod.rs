//! What administrators do: who may do what, what endpoints may do, and what was done.

pub(crate) mod endpoints;
pub(crate) mod keys;
pub(crate) mod quotas;
pub(crate) mod tokens;
pub(crate) mod watch;
pub(crate) mod webhook_secret;
