//! The nouns of a run (ids, states, lease, request, answer, error, progress) and the ports between the layers.
//! No IO, no SQL, no HTTP; of tokio only time and synchronisation.

mod answer;
mod attempt;
mod backend;
mod board;
mod call_error;
mod claim;
mod clock;
mod endpoint;
mod execution;
mod ids;
mod job;
mod lease;
mod plan;
mod record;
mod request;
pub mod seconds;
mod store;
mod view;
mod wait;
mod wakeup;

pub use answer::{Answer, Usage};
pub use attempt::AttemptRecord;
pub use backend::{Backend, CallContext, Checkpoint, CheckpointError, ProbeFinding, ProbeReport};
pub use board::{Board, CellFilter, EndpointStatus, ExecutionLine};
pub use call_error::{CallError, ErrorClass, ErrorCode, Stage};
pub use claim::{AccountLimit, BatchStarted, Claim, Claimed, DayBudget, Gate, Room};
pub use clock::{Clock, Monotonic, SystemClock};
pub use endpoint::{AccountId, EndpointId, EndpointInfo, Timing};
pub use execution::{ExecutionState, UnknownState};
pub use ids::{AttemptId, ExecutionId, JobId, JobIdError, WorkerId};
pub use job::{BatchState, Batching, EndReason, JobState, Verdict};
pub use lease::{Lease, LeaseKey, LossReason, Renewed, ResumeToken};
pub use plan::{Plan, PlannedBatch, PlannedExecution};
pub use record::{BatchDone, JobEnded, Outcome, Reaped, RecordReport, Recorded, Recording};
pub use request::CallRequest;
pub use store::{
    Acceptance, Accepted, CancelReason, Cancelled, JobStore, JobView, ReceiptLeaf, StoreError, WorkQueue,
};
pub use view::{
    BatchView, CellView, EndpointView, ExecutionRecord, Failure, JobFilter, JobSummary, Matrix, Page,
    Progress, StateCounts,
};
pub use wait::{Bound, WaitReason};
pub use wakeup::{Topic, Wakeup, Wakeups};
