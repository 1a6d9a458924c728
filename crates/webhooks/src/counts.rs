//! What came of deliveries, counted since a sender began.

use std::sync::atomic::{AtomicU64, Ordering};

use beacon_domain::DeliveryEnd;

/// The counts of one sender.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    delivered: AtomicU64,
    failed: AtomicU64,
    gave_up: AtomicU64,
    in_flight: AtomicU64,
}

/// An attempt that is being made, until this is dropped.
pub(crate) struct InFlight<'c>(&'c Counts);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Counts {
    /// One more attempt.
    pub(crate) fn begin(&self) -> InFlight<'_> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(self)
    }

    /// What came of an attempt.
    pub(crate) fn ended(&self, end: &DeliveryEnd) {
        let count = match end {
            DeliveryEnd::Done { .. } => &self.delivered,
            DeliveryEnd::Again { .. } => &self.failed,
            DeliveryEnd::Failed { .. } => &self.gave_up,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// All of them in Prometheus' text format.
    pub(crate) fn text(&self) -> String {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let mut text = "# HELP beacon_deliveries Attempts to deliver a webhook: delivered, failed and tried again, given up.\n\
                        # TYPE beacon_deliveries counter\n"
            .to_owned();
        for (outcome, count) in
            [("delivered", &self.delivered), ("failed", &self.failed), ("gave_up", &self.gave_up)]
        {
            text.push_str(&format!("beacon_deliveries_total{{outcome=\"{outcome}\"}} {}\n", of(count)));
        }
        text.push_str(&format!(
            "# HELP beacon_deliveries_in_flight Webhooks that are being sent.\n\
             # TYPE beacon_deliveries_in_flight gauge\n\
             beacon_deliveries_in_flight {}\n\
             # EOF\n",
            of(&self.in_flight)
        ));
        text
    }
}
