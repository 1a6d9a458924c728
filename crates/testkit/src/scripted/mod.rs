//! An endpoint on loopback that answers by script: each request gets the next step, and every request is kept.

pub(crate) mod endpoint;
mod http1;
mod http2;
mod log;
pub(crate) mod request;
pub(crate) mod script;
pub(crate) mod tap;
