//! Files that a person gives or finds: endpoints, keys, samples and the document about all of them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

mod config_doc;
mod endpoints;
mod introspect;
mod keys;
mod runtime;
mod samples;
mod server;
mod service_config;
mod tls;
mod trusted;
