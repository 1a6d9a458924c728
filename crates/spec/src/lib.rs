//! What may be asked, who signed it, and the signed records of what came of it. Pure: no IO, no clock.

mod digest;
mod envelope;
mod ids;
mod job;
mod receipt;
mod region;

pub use digest::{DigestError, Sha256Digest};
pub use envelope::{SignedSpec, VerifiedSpec};
pub use ids::{IdError, JobName, KeyId, ModelId, QuestionId};
pub use jiff::Timestamp;
pub use job::{Constraints, JobSpec, ModelAsk, Question, Sampling};
pub use receipt::{Close, CloseBody, Receipt, ReceiptBody};
pub use region::{Region, UnknownRegion};
