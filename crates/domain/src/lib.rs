//! The nouns of a run (ids, states, lease, request, answer, error, progress) and the ports between the layers.
//! No IO, no SQL, no HTTP; of tokio only time and synchronisation.

mod answer;
mod archive;
mod attempt;
mod attendance;
mod audit;
mod backend;
mod board;
mod call_error;
mod claim;
mod clock;
mod delivery;
mod endpoint;
mod execution;
mod idempotency;
mod ids;
mod job;
mod latency;
mod lease;
mod operations;
mod outage;
mod overrides;
mod plan;
mod portions;
mod quota;
mod record;
mod request;
mod result_row;
pub mod seconds;
mod steering;
mod store;
mod token;
mod trace;
mod trust;
mod view;
mod wait;
mod wakeup;
mod webhook_policy;

pub use answer::{Answer, Usage};
pub use archive::SpecArchive;
pub use attempt::AttemptRecord;
pub use attendance::{Attendance, WorkerPresence};
pub use audit::{AuditEntry, AuditTrail, COMMAND_LINE};
pub use backend::{Backend, CallContext, Checkpoint, CheckpointError, ProbeFinding, ProbeReport};
pub use board::{Board, CellFilter, EndpointStatus, ExecutionLine};
pub use call_error::{CallError, ErrorClass, ErrorCode, Stage};
pub use claim::{AccountLimit, BatchStarted, Claim, Claimed, DayBudget, Gate, Room};
pub use clock::{Clock, Monotonic, SystemClock};
pub use delivery::{
    Backlog, Delivery, DeliveryEnd, DeliveryQueue, DeliveryState, DueAsk, NewDelivery, Sending, receiver_of,
};
pub use endpoint::{AccountId, EndpointId, EndpointInfo, Timing};
pub use execution::{ExecutionState, UnknownState};
pub use idempotency::{IdempotencyAsk, IdempotencyKey, IdempotencyLog, Idempotent, KeptAnswer};
pub use ids::{AttemptId, ExecutionId, JobId, JobIdError, WorkerId};
pub use job::{BatchState, Batching, EndReason, JobState, Verdict};
pub use latency::EndpointLatency;
pub use lease::{Lease, LeaseKey, LossReason, Parting, Renewed, ResumeToken};
pub use operations::Operations;
pub use outage::{Outage, Outages};
pub use overrides::{EndpointControl, EndpointOverride, ExpiredLease, Stuck, StuckAsk};
pub use plan::{Plan, PlannedBatch, PlannedExecution};
pub use portions::{Portion, Portions, network};
pub use quota::{QuotaExceeded, QuotaKind, QuotaStore, QuotaUse};
pub use record::{BatchDone, JobEnded, Outcome, Reaped, RecordReport, Recorded, Recording};
pub use request::CallRequest;
pub use result_row::{RESULT_COLUMNS, result_row};
pub use steering::{JobSteering, Paused, Steered};
pub use store::{
    Acceptance, Accepted, CancelReason, Cancelled, JobStore, JobView, NonceUse, ReceiptLeaf, StoreError,
    WorkQueue,
};
pub use token::{ApiToken, NoToken, Scope, TokenSecret, TokenStore, to_the_minute};
pub use trace::{SPANS, SpanId, TraceParent, TraceParentError};
pub use trust::{StoredKey, TrustStore};
pub use view::{
    BatchView, CellView, EndpointView, ExecutionRecord, Failure, JobFilter, JobSummary, Matrix, Page,
    Progress, StateCounts,
};
pub use wait::{Bound, WaitReason};
pub use wakeup::{Topic, Wakeup, Wakeups};
pub use webhook_policy::WebhookPolicy;
