//! One file per group of commands.

pub(crate) mod check;
mod failures;
pub(crate) mod jobs;
pub(crate) mod keys;
pub(crate) mod plan;
pub(crate) mod remote;
pub(crate) mod results;
pub(crate) mod retry;
pub(crate) mod run;
pub(crate) mod sign_request;
pub(crate) mod simulate;
pub(crate) mod smoke;
pub(crate) mod steer;
pub(crate) mod submit;
pub(crate) mod summary;
pub(crate) mod verify;
pub(crate) mod watch;

pub(crate) use crate::out::{line, remark};
