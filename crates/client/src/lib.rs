//! A client of Beacon's HTTP API: typed answers, errors that say what to do, and events that survive a restart of the server.
//!
//! ```no_run
//! # async fn submit(job: Vec<u8>) -> Result<(), beacon_client::ClientError> {
//! use std::sync::Arc;
//!
//! use beacon_client::{Client, ClientOptions, ServerUrl};
//! use beacon_domain::SystemClock;
//!
//! let server: ServerUrl = "http://127.0.0.1:8080".parse()?;
//! let client = Client::new(ClientOptions::new(server), Arc::new(SystemClock::new()))?;
//! let submitted = client.submit(job, beacon_client::Unserved::Refuse).await?;
//! let mut watch = client.watch(submitted.job_id);
//! while let Some(change) = watch.next().await? {
//!     if let beacon_client::Change::State(update) = change {
//!         println!("{} of {} completed", update.job.counts.completed, update.job.counts.total());
//!     }
//! }
//! client.results(submitted.job_id, beacon_client::ResultsFormat::Csv, &mut std::io::stdout()).await?;
//! # Ok(())
//! # }
//! ```

mod client;
mod connector;
mod error;
mod events;
mod options;
mod shapes;
mod transport;
mod watch;

pub use client::{Client, Include, JobsQuery, ResultsFormat, Unserved};
pub use error::{ClientError, Refusal};
pub use options::{ClientOptions, ServerUrl, Token, authority};
pub use shapes::{
    Batch, Cancelled, Cell, Delivered, Deliveries, Execution, Executions, JobAnswer, Jobs, Matrix,
    OnEndpoint, Submitted, Waiting, WaitingPage,
};
pub use watch::{Change, Update, Watch};
