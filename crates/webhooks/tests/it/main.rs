//! Sending: over the memory store, to receivers on loopback, on a clock that the tests move.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

mod failing;
mod fairness;
mod guarding;
mod scene;
mod sending;
mod sharing;
mod tls;
