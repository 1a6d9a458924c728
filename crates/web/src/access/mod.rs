//! Who asks, and what they may do (A1): tokens by their scopes, the operator's own token, and keys over what they signed.

mod bearer;
mod caller;
mod read;
mod signed;

pub(crate) use bearer::{TokenCache, bearer};
pub(crate) use caller::{Admin, Caller, Steerer};
pub(crate) use read::{Reader, guard, is_open, until_refused};
