//! How long endpoints took lately, out of what was recorded.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use crate::EndpointId;

/// How long an endpoint took for its newest answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointLatency {
    /// The endpoint.
    pub endpoint: EndpointId,
    /// How many answers it has among the newest results; at least 1.
    pub answers: u32,
    /// Of those answers, from dispatch to end; of an even number the lower one in the middle.
    #[serde(rename = "median_s", with = "crate::seconds")]
    pub median: Duration,
}

impl EndpointLatency {
    /// How many results are looked at: those of the newest job first, each job from the end of its plan.
    pub const MOST_LOOKED_AT: u32 = 1000;

    /// Sums up answers, each with how long it took; in order of endpoint.
    #[must_use]
    pub fn of(answers: impl IntoIterator<Item = (EndpointId, Duration)>) -> Vec<Self> {
        let mut by_endpoint: BTreeMap<EndpointId, Vec<Duration>> = BTreeMap::new();
        for (endpoint, took) in answers {
            by_endpoint.entry(endpoint).or_default().push(took);
        }
        let latency = |(endpoint, mut took): (EndpointId, Vec<Duration>)| {
            took.sort_unstable();
            let median = took[(took.len() - 1) / 2];
            Self { endpoint, answers: took.len().try_into().unwrap_or(u32::MAX), median }
        };
        by_endpoint.into_iter().map(latency).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_one_of_each_endpoint_counts() {
        let answer = |endpoint: &str, took: u64| (EndpointId::new(endpoint), Duration::from_secs(took));
        let answers = [answer("b", 9), answer("a", 4), answer("a", 1), answer("a", 100), answer("a", 2)];

        let latencies = EndpointLatency::of(answers);

        let shown: Vec<_> =
            latencies.iter().map(|one| (one.endpoint.as_str(), one.answers, one.median.as_secs())).collect();
        assert_eq!(shown, [("a", 4, 2), ("b", 1, 9)]);
    }
}
