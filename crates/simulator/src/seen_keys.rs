//! Idempotency keys seen before, in bounded memory.

use std::{
    collections::{HashSet, VecDeque},
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

/// The keys remembered per endpoint; at 64-bit hashes this is about 7 MB when full.
const KEPT: usize = 1 << 18;

/// The latest keys of one endpoint, as 64-bit hashes. A new key is taken for a repeated one with
/// a chance below 1 in 10^13.
#[derive(Debug, Default)]
pub(crate) struct SeenKeys {
    hashes: HashSet<u64>,
    order: VecDeque<u64>,
}

impl SeenKeys {
    /// Remembers the key; true if it is among the latest that were seen.
    pub(crate) fn repeats(&mut self, key: &str) -> bool {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let hash = hasher.finish();
        if !self.hashes.insert(hash) {
            return true;
        }
        self.order.push_back(hash);
        if self.order.len() > KEPT {
            let oldest = self.order.pop_front();
            oldest.map(|oldest| self.hashes.remove(&oldest));
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_keys_take_no_more_room_than_those_kept() {
        let mut keys = SeenKeys::default();

        let repeated = (0..1_000_000).filter(|number| keys.repeats(&format!("job/{number}"))).count();

        assert_eq!((repeated, keys.hashes.len(), keys.order.len()), (0, KEPT, KEPT));
        assert!(keys.repeats("job/999999"), "a late key is known");
        assert!(!keys.repeats("job/0"), "an early one is forgotten");
    }
}
