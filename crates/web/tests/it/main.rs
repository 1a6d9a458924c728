//! The API over every store: every route, and every refusal in the one envelope.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

mod abuse;
mod access;
mod admin;
mod bodies;
mod desk;
mod documents;
mod events;
mod exports;
mod golden;
mod jobs;
mod large;
mod repeats;
mod replays;
mod requests;
mod retries;
mod scene;
mod submit;
