//! Whole runs of the binary: real sockets, a real database file, real `kill -9`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

mod help;
mod simulate;
mod submit_to_done;
