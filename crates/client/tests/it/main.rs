//! The client against a served API over the memory store, and against servers that are away, lie or are none of Beacon's.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

#[expect(dead_code, reason = "the tests of the API use the rest")]
#[path = "../../../web/tests/it/desk.rs"]
mod desk;
mod hostile;
mod routes;
#[path = "../../../web/tests/it/scene.rs"]
mod scene;
mod served;
mod watching;
