//! What may be asked, who signed it, and the signed records of what came of it. Pure: no IO, no clock.

mod canonical;
mod catalogue;
mod claimed;
mod digest;
mod dsse;
mod envelope;
mod field;
mod ids;
mod inspect;
mod job;
mod keys;
pub mod limits;
mod merkle;
mod normalise;
mod parse;
mod profile;
mod public_key;
mod quota;
mod receipt;
mod records;
mod region;
mod request_signature;
mod schema;
mod sign;
mod signing_key;
mod verify;
mod verify_error;
mod webhook;
mod wrapper;

pub use canonical::canonical_form;
pub use catalogue::question_catalogue;
pub use digest::{DigestError, Sha256Digest};
pub use dsse::PAYLOAD_TYPE;
pub use envelope::{SignedSpec, VerifiedSpec};
pub use ids::{IdError, JobName, KeyId, ModelId, QuestionId};
pub use inspect::{Inspection, inspect};
pub use jiff::Timestamp;
pub use job::{Constraints, JobSpec, ModelAsk, Question, Sampling};
pub use keys::{KeyRing, KeyRingError, KeySource, KeyStatus, PUBLISHED_KEY, TrustedKey};
pub use limits::MAX_DEPTH;
pub use merkle::MerkleRoot;
pub use profile::{Profile, UnknownProfile};
pub use quota::Quota;
pub use receipt::{
    CLOSE_SCHEMA, Close, CloseBody, RECEIPT_SCHEMA, Receipt, ReceiptBody, ReceiptError, ReceiptSigner,
};
pub use records::{RecordsCheck, RecordsReport};
pub use region::{Region, UnknownRegion};
pub use request_signature::{RequestHeaders, RequestParts, RequestSignature, sign_request};
pub use schema::job_schema;
pub use sign::{SignError, SignOptions, SignedText, sign_spec, sign_text};
pub use signing_key::{SigningKey, random_nonce};
pub use verify::{Freshness, verify};
pub use verify_error::{Trust, VerifyError};
pub use webhook::{Audience, NoWebhookSecret, Webhook, WebhookEvent, WebhookSecret};
