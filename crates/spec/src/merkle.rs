//! The Merkle root over a job's receipts: RFC 6962, section 2.1, in O(log n) memory.

use sha2::{Digest as _, Sha256};

use crate::Sha256Digest;

/// A root that grows leaf by leaf.
#[derive(Debug, Clone, Default)]
pub struct MerkleRoot {
    /// Roots of complete subtrees, the largest first, each with its height.
    subtrees: Vec<(u32, [u8; 32])>,
}

impl MerkleRoot {
    /// No leaves yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the next leaf.
    pub fn push(&mut self, leaf: Sha256Digest) {
        let mut hash: [u8; 32] =
            Sha256::new().chain_update([0]).chain_update(leaf.as_bytes()).finalize().into();
        let mut height = 0;
        while let Some((_, left)) = self.subtrees.pop_if(|(top, _)| *top == height) {
            hash = node(&left, &hash);
            height += 1;
        }
        self.subtrees.push((height, hash));
    }

    /// The root; of no leaves, the hash of nothing.
    #[must_use]
    pub fn root(&self) -> Sha256Digest {
        let hashes = self.subtrees.iter().rev().map(|(_, hash)| *hash);
        hashes
            .reduce(|right, left| node(&left, &right))
            .map_or_else(|| Sha256Digest::of(b""), Sha256Digest::from_bytes)
    }
}

fn node(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition of RFC 6962, spelled out.
    fn by_definition(leaves: &[Sha256Digest]) -> [u8; 32] {
        if let [leaf] = leaves {
            return Sha256::new().chain_update([0]).chain_update(leaf.as_bytes()).finalize().into();
        }
        let split = (leaves.len() - 1).ilog2();
        let (left, right) = leaves.split_at(1 << split);
        node(&by_definition(left), &by_definition(right))
    }

    // L8
    #[test]
    fn the_root_follows_the_definition_for_every_size() {
        for n in 1_u8..70 {
            let leaves: Vec<_> = (0..n).map(|i| Sha256Digest::of(&[i])).collect();
            let mut root = MerkleRoot::new();
            leaves.iter().for_each(|leaf| root.push(*leaf));

            assert_eq!(root.root(), Sha256Digest::from_bytes(by_definition(&leaves)), "{n} leaves");
        }
    }
}
