//! What came of deliveries, counted since a sender began.

use beacon_domain::DeliveryEnd;
use prometheus_client::{
    encoding::{EncodeLabelSet, prometheus_text},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// The counts of one sender.
#[derive(Debug)]
pub(crate) struct Counts {
    registry: Registry,
    attempts: Family<Came, Counter>,
    in_flight: Gauge,
}

/// An attempt that is being made, until this is dropped.
pub(crate) struct InFlight<'c>(&'c Gauge);

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Came {
    outcome: &'static str,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Counts {
    /// Nothing is counted yet.
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("beacon");
        let (attempts, in_flight) = (Family::<Came, Counter>::default(), Gauge::default());
        for outcome in ["delivered", "failed", "gave_up"] {
            // What is 0 is shown as well.
            drop(attempts.get_or_create(&Came { outcome }));
        }
        let of_attempts = "Attempts to deliver a webhook: delivered, failed and tried again, given up";
        registry.register("deliveries", of_attempts, attempts.clone());
        registry.register("deliveries_in_flight", "Webhooks that are being sent", in_flight.clone());
        Self { registry, attempts, in_flight }
    }

    /// One more attempt.
    pub(crate) fn begin(&self) -> InFlight<'_> {
        self.in_flight.inc();
        InFlight(&self.in_flight)
    }

    /// What came of an attempt.
    pub(crate) fn ended(&self, end: &DeliveryEnd) {
        let outcome = match end {
            DeliveryEnd::Done { .. } => "delivered",
            DeliveryEnd::Again { .. } => "failed",
            DeliveryEnd::Failed { .. } => "gave_up",
        };
        self.attempts.get_or_create(&Came { outcome }).inc();
    }

    /// All of them in Prometheus' text format.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        prometheus_text::encode(&mut text, &self.registry).expect("a String takes all that is written");
        text
    }
}
