//! The API over the memory store: every route, and every refusal in the one envelope.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

mod desk;
mod jobs;
mod requests;
mod submit;
