//! The simulator's configuration: which endpoints there are and how each behaves.

use std::{collections::HashSet, time::Duration};

use beacon_domain::EndpointId;
use beacon_spec::{ModelId, Region};
use serde::{Deserialize, Deserializer, Serialize};

use crate::behaviour::{Behaviour, Failures};

/// Everything that the simulator does follows from this and from the order of calls.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimConfig {
    /// Answers, latencies and random failures are derived from it.
    #[serde(default)]
    pub seed: u64,
    /// The endpoints; `[[endpoint]]` in a file.
    #[serde(default, rename = "endpoint")]
    pub endpoints: Vec<SimEndpoint>,
}

/// One simulated endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimEndpoint {
    /// Its id, such as `us-east/llama3.2-1b`; its address is `/e/` and the id with `~` in place of `/`.
    pub id: EndpointId,
    /// The model it serves.
    pub model: ModelId,
    /// Where it serves; aliases are resolved.
    #[serde(deserialize_with = "region")]
    pub region: Region,
    /// Calls that it works on at once; at least 1.
    #[serde(default = "one")]
    pub capacity: u32,
    /// What happens to a call above the capacity.
    #[serde(default)]
    pub when_full: WhenFull,
    /// The `Retry-After` of a 429, in whole seconds on the wire (rounded up).
    #[serde(default = "one_second")]
    pub retry_after_s: f64,
    /// Start-up of a container before its first answer.
    #[serde(default)]
    pub cold_s: f64,
    /// The time of one answer once the container is warm.
    #[serde(default)]
    pub warm: Warm,
    /// How long an HTTP request is held before a 303 to the result URL. Modal's limit is 150 s.
    #[serde(default = "window")]
    pub window_s: f64,
    /// A container idle for longer than this is gone; the next call is cold.
    #[serde(default = "idle_after")]
    pub idle_after_s: f64,
    /// Random failures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failures: Option<Failures>,
    /// What to do for the first calls, one by one; later calls follow `failures`. A call counts here if its input is
    /// good, also when it is turned away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub script: Vec<Behaviour>,
}

/// What happens to a call above the capacity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenFull {
    /// It waits its turn inside the endpoint, as on Modal.
    #[default]
    Queue,
    /// It gets 429 with `Retry-After`.
    Reject,
}

/// The distribution of warm latencies. Samples below zero count as zero.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Warm {
    /// Always the same.
    FixedS(f64),
    /// Normal.
    Normal {
        /// Mean in seconds.
        mean_s: f64,
        /// Standard deviation in seconds.
        sd_s: f64,
    },
    /// Exponential.
    Exponential {
        /// Mean in seconds.
        mean_s: f64,
    },
}

/// A configuration that cannot be simulated.
#[derive(Debug, thiserror::Error)]
#[error("simulated endpoint {id}: {problem}")]
pub struct ConfigError {
    /// The endpoint.
    pub id: EndpointId,
    /// What is wrong and what to write in its place.
    pub problem: String,
}

impl SimConfig {
    /// One endpoint per cell, named `region/model`, with these times and the defaults for all else.
    #[must_use]
    pub fn for_cells(cells: &[(ModelId, Region)], cold: Duration, warm: Warm) -> Self {
        let endpoints = cells.iter().map(|(model, region)| {
            let id = EndpointId::new(format!("{region}/{model}"));
            let endpoint = SimEndpoint::new(id, model.clone(), *region);
            SimEndpoint { cold_s: cold.as_secs_f64(), warm, ..endpoint }
        });
        Self { seed: 0, endpoints: endpoints.collect() }
    }

    /// Checks every endpoint.
    ///
    /// # Errors
    /// The first endpoint with a number out of range, or an id that is taken.
    pub fn check(&self) -> Result<(), ConfigError> {
        let mut slugs = HashSet::new();
        for endpoint in &self.endpoints {
            let fail = |problem: String| ConfigError { id: endpoint.id.clone(), problem };
            endpoint.check().map_err(fail)?;
            if !slugs.insert(endpoint.slug()) {
                let slug = endpoint.slug();
                return Err(fail(format!("another endpoint has the same address /e/{slug}/; rename one")));
            }
        }
        Ok(())
    }
}

impl SimEndpoint {
    /// An endpoint with capacity 1, a queue, no cold start, answers within 1 s and Modal's limits.
    #[must_use]
    pub fn new(id: EndpointId, model: ModelId, region: Region) -> Self {
        Self {
            id,
            model,
            region,
            capacity: 1,
            when_full: WhenFull::Queue,
            retry_after_s: 1.0,
            cold_s: 0.0,
            warm: Warm::default(),
            window_s: window(),
            idle_after_s: idle_after(),
            failures: None,
            script: Vec::new(),
        }
    }

    /// What hardly any call takes longer than, in seconds: it is worked on to its end also when nobody waits for it any more.
    #[must_use]
    pub fn longest_s(&self) -> f64 {
        self.cold_s
            + match self.warm {
                Warm::FixedS(s) => s,
                Warm::Normal { mean_s, sd_s } => mean_s + 4.0 * sd_s,
                Warm::Exponential { mean_s } => 10.0 * mean_s,
            }
    }

    /// The id as one path segment: `/` becomes `~`, other unsafe characters become `_`.
    #[must_use]
    pub fn slug(&self) -> String {
        let safe = |c: char| match c {
            '/' => '~',
            c if c.is_ascii_alphanumeric() || "-._".contains(c) => c,
            _ => '_',
        };
        self.id.as_str().chars().map(safe).collect()
    }

    fn check(&self) -> Result<(), String> {
        if self.id.as_str().is_empty() {
            return Err("id is empty; write <region>/<model>".to_owned());
        }
        if self.id.as_str().chars().any(char::is_control) {
            return Err("id is not printable; write <region>/<model>".to_owned());
        }
        if self.capacity == 0 {
            return Err("capacity must be at least 1".to_owned());
        }
        if self.window_s <= 0.0 {
            return Err("window_s must be above 0".to_owned());
        }
        let rate = self.failures.map_or(0.0, |failures| failures.rate);
        if !(0.0..=1.0).contains(&rate) {
            return Err(format!("failures.rate must be from 0 to 1, it is {rate}"));
        }
        let (first, second) = self.warm.numbers();
        let times = [
            ("retry_after_s", self.retry_after_s),
            ("cold_s", self.cold_s),
            ("window_s", self.window_s),
            ("idle_after_s", self.idle_after_s),
            ("warm", first),
            ("warm", second),
        ];
        for (name, value) in times {
            if !(0.0..=1e9).contains(&value) {
                return Err(format!("{name} must be from 0 to 1e9 seconds, it is {value}"));
            }
        }
        Ok(())
    }
}

impl Warm {
    const fn numbers(self) -> (f64, f64) {
        match self {
            Self::FixedS(seconds) => (seconds, 0.0),
            Self::Normal { mean_s, sd_s } => (mean_s, sd_s),
            Self::Exponential { mean_s } => (mean_s, 0.0),
        }
    }
}

impl Default for Warm {
    fn default() -> Self {
        Self::FixedS(1.0)
    }
}

fn region<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Region, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

const fn one() -> u32 {
    1
}

const fn one_second() -> f64 {
    1.0
}

const fn window() -> f64 {
    150.0
}

const fn idle_after() -> f64 {
    120.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDPOINT: &str = r#"{"id": "us-east/m", "model": "m", "region": "us-east"}"#;

    #[test]
    fn an_endpoint_needs_only_id_model_and_region() {
        let endpoint: SimEndpoint = serde_json::from_str(ENDPOINT).unwrap();

        let model = ModelId::new("m").unwrap();
        assert_eq!(endpoint, SimEndpoint::new(EndpointId::new("us-east/m"), model, Region::UsEast));
        assert_eq!(endpoint.slug(), "us-east~m");
    }

    #[test]
    fn an_unknown_key_is_refused() {
        assert!(serde_json::from_str::<SimConfig>(r#"{"sede": 1}"#).is_err());
        assert!(serde_json::from_str::<SimEndpoint>(&ENDPOINT.replace("}", r#", "price": 1}"#)).is_err());
    }

    #[test]
    fn two_endpoints_with_one_address_are_refused() {
        let endpoint: SimEndpoint = serde_json::from_str(ENDPOINT).unwrap();
        let config = SimConfig { seed: 0, endpoints: vec![endpoint.clone(), endpoint] };

        assert!(config.check().unwrap_err().to_string().contains("same address"));
    }

    #[test]
    fn warm_times_and_scripts_have_the_documented_spelling() {
        let warm = |text: &str| serde_json::from_str::<Warm>(text).unwrap();
        assert_eq!(warm(r#"{"fixed_s": 2.5}"#), Warm::FixedS(2.5));
        assert_eq!(warm(r#"{"normal": {"mean_s": 2, "sd_s": 1}}"#), Warm::Normal { mean_s: 2.0, sd_s: 1.0 });
        assert_eq!(warm(r#"{"exponential": {"mean_s": 2}}"#), Warm::Exponential { mean_s: 2.0 });

        let script: Vec<Behaviour> = serde_json::from_str(r#"["ok", "503", "error_in_200"]"#).unwrap();
        assert_eq!(script, [Behaviour::Answer, Behaviour::Unavailable, Behaviour::ErrorIn200]);
    }

    #[test]
    fn a_region_may_be_written_as_an_alias() {
        let endpoint: SimEndpoint =
            serde_json::from_str(&ENDPOINT.replace(r#""region": "us-east""#, r#""region": "APAC""#)).unwrap();

        assert_eq!(endpoint.region, Region::AsiaPacific);
    }

    #[test]
    fn numbers_out_of_range_are_refused_with_the_name_of_the_setting() {
        let cases = [
            (r#""capacity": 0"#, "capacity must be at least 1"),
            (r#""window_s": 0"#, "window_s must be above 0"),
            (r#""cold_s": -1"#, "cold_s must be from 0"),
            (r#""warm": {"normal": {"mean_s": 1, "sd_s": -1}}"#, "warm must be from 0"),
            (r#""failures": {"rate": 1.5, "kind": "500"}"#, "failures.rate must be from 0 to 1"),
        ];
        for (setting, expected) in cases {
            let endpoint: SimEndpoint =
                serde_json::from_str(&ENDPOINT.replace('}', &format!(", {setting}}}"))).unwrap();
            let error = SimConfig { seed: 0, endpoints: vec![endpoint] }.check().unwrap_err().to_string();

            assert!(error.contains(expected) && error.contains("us-east/m"), "{setting}: {error}");
        }
    }
}
