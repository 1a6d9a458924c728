//! Webhook deliveries as the log shows them.

use std::net::{IpAddr, SocketAddr};

use beacon_domain::{Delivery, DeliveryState};
use beacon_spec::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::names;

/// A page of deliveries.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Deliveries {
    deliveries: Vec<DeliveryRow>,
    /// Where the next page starts; null at the end.
    next: Option<String>,
}

/// One event, told to one receiver.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Delivery)]
struct DeliveryRow {
    /// The header `webhook-id`. Its last number is the webhook's place in the signed job, from 0.
    id: String,
    /// What happened: `batch.done` or `job.ended`.
    event: String,
    /// Scheme, host and port of the receiver. The path of a URL is often a secret, so it is not shown.
    origin: String,
    #[schema(value_type = names::DeliveryState)]
    state: DeliveryState,
    /// Attempts begun.
    attempts: u32,
    /// When it is tried next, while it is pending; while it is being tried, when another worker would take it over.
    #[schema(value_type = Option<String>, format = DateTime)]
    next_at: Option<Timestamp>,
    /// The last HTTP status; null if there was no answer.
    last_status: Option<u16>,
    /// What went wrong last. The addresses that a name led to are shown to a token of the scope `operate`.
    last_error: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was delivered or given up.
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Timestamp>,
}

impl Deliveries {
    /// At most `limit` of these, of which there is one more if there is a next page.
    pub(crate) fn page(mut deliveries: Vec<Delivery>, limit: u32, shows_addresses: bool) -> Self {
        let more = deliveries.len() > limit as usize;
        deliveries.truncate(limit as usize);
        let next = deliveries.last().filter(|_| more).map(|last| last.new.id.clone());
        let row = |delivery| {
            let mut row = DeliveryRow::from(delivery);
            if !shows_addresses {
                row.last_error = row.last_error.as_deref().map(without_addresses);
            }
            row
        };
        Self { deliveries: deliveries.into_iter().map(row).collect(), next }
    }
}

/// A text whose IP addresses are not told: what a name leads to inside of somebody's network is not everybody's business.
fn without_addresses(text: &str) -> String {
    let may_be_of_one = |c: char| c.is_ascii_hexdigit() || c == '.' || c == ':';
    let mut told = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(may_be_of_one) {
        let (before, from) = rest.split_at(start);
        let (piece, after) = from.split_at(from.find(|c| !may_be_of_one(c)).unwrap_or(from.len()));
        let bare = piece.trim_end_matches(['.', ':']);
        let is_address = [piece, bare]
            .iter()
            .any(|piece| piece.parse::<IpAddr>().is_ok() || piece.parse::<SocketAddr>().is_ok());
        told.push_str(before);
        told.push_str(if is_address { "an address" } else { piece });
        rest = after;
    }
    told.push_str(rest);
    told
}

impl From<Delivery> for DeliveryRow {
    fn from(delivery: Delivery) -> Self {
        let scheme = delivery.new.url.split("://").next().unwrap_or_default().to_owned();
        let pending = delivery.state == DeliveryState::Pending;
        Self {
            origin: format!("{scheme}://{}", delivery.new.receiver()),
            id: delivery.new.id,
            event: delivery.new.event,
            state: delivery.state,
            attempts: delivery.attempts,
            next_at: pending.then_some(delivery.next_at),
            last_status: delivery.last_status,
            last_error: delivery.last_error,
            created_at: delivery.created_at,
            ended_at: delivery.ended_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_not_told_and_everything_else_is() {
        for (text, told) in [
            (
                "the URL leads to 10.1.2.3, which is private; …",
                "the URL leads to an address, which is private; …",
            ),
            ("leads to fd00:ec2::254, which", "leads to an address, which"),
            ("leads to ::ffff:10.0.0.1: no", "leads to an address no"),
            ("tcp 10.0.0.1:443 and [fe80::1]:80.", "tcp an address and [an address]:80."),
            ("at 10.0.0.1.", "at an address"),
            ("answered 503", "answered 503"),
            ("no answer within 15s", "no answer within 15s"),
            ("a bad cafe: 12:30, version 1.2.3, é", "a bad cafe: 12:30, version 1.2.3, é"),
        ] {
            assert_eq!(without_addresses(text), told);
        }
    }
}
