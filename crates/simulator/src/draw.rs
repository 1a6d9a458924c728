//! Deterministic draws: one stream of numbers per endpoint and call (SplitMix64, seeded by SHA-256).

use std::time::Duration;

use beacon_spec::Sha256Digest;

use crate::config::Warm;

/// The numbers for one call.
pub(crate) struct Draw(u64);

impl Draw {
    /// The stream of an endpoint, from which [`Draw::for_call`] derives.
    pub(crate) fn endpoint_seed(seed: u64, endpoint: &str) -> u64 {
        first_u64(&Sha256Digest::of(format!("beacon-simulator\0{seed}\0{endpoint}").as_bytes()))
    }

    /// The stream of the endpoint's `call`-th call.
    pub(crate) const fn for_call(endpoint_seed: u64, call: u64) -> Self {
        Self(endpoint_seed ^ call.wrapping_mul(0xD6E8_FEB8_6659_FD93))
    }

    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in (0, 1).
    pub(crate) fn uniform(&mut self) -> f64 {
        // 53 bits fit a double exactly; the half step keeps zero out, whose logarithm is infinite.
        ((self.next() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// A warm latency.
    pub(crate) fn warm(&mut self, warm: Warm) -> Duration {
        let seconds = match warm {
            Warm::FixedS(seconds) => seconds,
            Warm::Exponential { mean_s } => -mean_s * self.uniform().ln(),
            Warm::Normal { mean_s, sd_s } => {
                let radius = (-2.0 * self.uniform().ln()).sqrt();
                (radius * (std::f64::consts::TAU * self.uniform()).cos()).mul_add(sd_s, mean_s)
            }
        };
        Duration::try_from_secs_f64(seconds).unwrap_or_default()
    }
}

/// The digest's first 8 bytes as a number.
pub(crate) fn first_u64(digest: &Sha256Digest) -> u64 {
    digest.as_bytes()[..8].iter().fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(warm: Warm) -> f64 {
        let seed = Draw::endpoint_seed(7, "e");
        (0..10_000).map(|k| Draw::for_call(seed, k).warm(warm).as_secs_f64()).sum::<f64>() / 10_000.0
    }

    #[test]
    fn samples_have_the_mean_asked_for() {
        assert!((mean(Warm::Exponential { mean_s: 2.0 }) - 2.0).abs() < 0.1);
        assert!((mean(Warm::Normal { mean_s: 5.0, sd_s: 1.0 }) - 5.0).abs() < 0.05);
    }

    #[test]
    fn the_same_call_draws_the_same_number() {
        let draw = |seed, call| Draw::for_call(Draw::endpoint_seed(seed, "e"), call).uniform().to_bits();

        assert_eq!(draw(1, 3), draw(1, 3));
        assert_ne!(draw(1, 3), draw(1, 4));
        assert_ne!(draw(1, 3), draw(2, 3));
    }
}
