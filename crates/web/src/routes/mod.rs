//! What can be asked, by noun. Each handler carries its part of the OpenAPI document.

pub(crate) mod admin;
pub(crate) mod cancel;
pub(crate) mod catalogue;
pub(crate) mod deliveries;
pub(crate) mod endpoints;
pub(crate) mod events;
pub(crate) mod executions;
pub(crate) mod explain;
pub(crate) mod jobs;
pub(crate) mod matrix;
pub(crate) mod records;
pub(crate) mod results;
pub(crate) mod retry;
pub(crate) mod service;
pub(crate) mod steer;
pub(crate) mod submit;
pub(crate) mod verify;
