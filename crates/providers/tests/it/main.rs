//! Providers against scripted endpoints on real sockets, through nothing but the public port.

#![expect(clippy::unwrap_used, reason = "a test helper that cannot go on should panic")]

mod answers_modal;
mod answers_openai;
mod config;
mod connections;
mod faults;
mod headers;
mod http2;
mod probing;
mod redirects;
mod result_urls;
mod statuses;
mod stopping;
mod support;
mod tls;
