//! What may be asked, who signed it, and the signed records of what came of it. Pure: no IO, no clock.

mod canonical;
mod catalogue;
mod digest;
mod dsse;
mod envelope;
mod ids;
mod inspect;
mod job;
mod keys;
pub mod limits;
mod merkle;
mod normalise;
mod profile;
mod receipt;
mod region;
mod schema;
mod sign;
mod verify;
mod wrapper;

pub use canonical::MAX_DEPTH;
pub use digest::{DigestError, Sha256Digest};
pub use dsse::PAYLOAD_TYPE;
pub use envelope::{SignedSpec, VerifiedSpec};
pub use ids::{IdError, JobName, KeyId, ModelId, QuestionId};
pub use inspect::{Inspection, inspect};
pub use jiff::Timestamp;
pub use job::{Constraints, JobSpec, ModelAsk, Question, Sampling};
pub use keys::{KeyRing, KeyRingError, KeySource, KeyStatus, TrustedKey};
pub use merkle::MerkleRoot;
pub use profile::{Profile, UnknownProfile};
pub use receipt::{Close, CloseBody, Receipt, ReceiptBody, ReceiptError};
pub use region::{Region, UnknownRegion};
pub use schema::job_schema;
pub use sign::{ReceiptSigner, SignError, SignOptions, SigningKey, sign_spec};
pub use verify::{Freshness, Trust, VerifyError, verify};
