//! Sends webhook deliveries from the durable queue, signed, to addresses that the operator allows and to no others.

mod addresses;
mod connector;
mod counts;
mod host;
mod post;
mod resolver;
mod retry_after;
mod rules;
mod schedule;
mod secrets;
mod sender;

pub use addresses::Networks;
pub use post::PostOptions;
pub use resolver::{Resolve, SystemResolver};
pub use rules::Rules;
pub use secrets::Secrets;
pub use sender::{Sender, SenderParts};
