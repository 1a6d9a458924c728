//! Webhook deliveries as the log shows them.

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
    /// What went wrong last.
    last_error: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was delivered or given up.
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Timestamp>,
}

impl Deliveries {
    /// At most `limit` of these, of which there is one more if there is a next page.
    pub(crate) fn page(mut deliveries: Vec<Delivery>, limit: u32) -> Self {
        let more = deliveries.len() > limit as usize;
        deliveries.truncate(limit as usize);
        let next = deliveries.last().filter(|_| more).map(|last| last.new.id.clone());
        Self { deliveries: deliveries.into_iter().map(DeliveryRow::from).collect(), next }
    }
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
