//! Consistency proofs of RFC 6962, section 2.1.2: that a later tree begins with the very leaves of an earlier one. Made in
//! one pass over the leaves, in logarithmic memory.

use super::{
    chain::Digest,
    tree::{Frontier, node},
};

/// A subtree whose root belongs to the proof, and its place in the proof.
#[derive(Debug)]
struct Part {
    start: u64,
    end: u64,
    place: usize,
}

/// Makes the proof from one size to another while the leaves stream by.
#[derive(Debug)]
pub struct ConsistencyProver {
    new: u64,
    /// In the order of their leaves. They never overlap, so one frontier is enough.
    parts: std::collections::VecDeque<Part>,
    proof: Vec<Digest>,
    seen: u64,
    frontier: Frontier,
}

impl ConsistencyProver {
    /// From the tree of `old` leaves to that of `new`; `None` unless `old` is from 1 to `new`.
    #[must_use]
    pub fn new(old: u64, new: u64) -> Option<Self> {
        if old == 0 || old > new {
            return None;
        }
        // SUBPROOF of the RFC, from the outside in: the proof has its parts in the opposite order.
        let mut ranges = Vec::new();
        let (mut start, mut end, mut whole) = (0, new, true);
        while old < end {
            let half = start + (1 << (u64::BITS - 1 - (end - start - 1).leading_zeros()));
            if old <= half {
                ranges.push((half, end));
                end = half;
            } else {
                ranges.push((start, half));
                start = half;
                whole = false;
            }
        }
        if !whole {
            ranges.push((start, end));
        }
        let proof = vec![Digest::of(&[]); ranges.len()];
        let places = ranges.into_iter().rev().enumerate();
        let mut parts: Vec<Part> = places.map(|(place, (start, end))| Part { start, end, place }).collect();
        parts.sort_by_key(|part| part.start);
        Some(Self { new, parts: parts.into(), proof, seen: 0, frontier: Frontier::default() })
    }

    /// Adds a leaf.
    pub fn push(&mut self, leaf: Digest) {
        let index = self.seen;
        self.seen += 1;
        let Some(part) = self.parts.front().filter(|part| part.start <= index) else { return };
        self.frontier.push(leaf);
        if self.seen == part.end {
            let root = std::mem::take(&mut self.frontier).root();
            if let Some(slot) = self.proof.get_mut(part.place) {
                *slot = root;
            }
            self.parts.pop_front();
        }
    }

    /// The proof; `None` unless just as many leaves were added as were announced.
    #[must_use]
    pub fn finish(self) -> Option<Vec<Digest>> {
        (self.seen == self.new).then_some(self.proof)
    }
}

/// True if the proof shows that the tree of `new` leaves with this root begins with the tree of `old` leaves with that
/// root. The steps are those of RFC 9162, section 2.1.4.2.
#[must_use]
pub fn is_consistent(old: (u64, Digest), new: (u64, Digest), proof: &[Digest]) -> bool {
    let ((old_size, old_root), (new_size, new_root)) = (old, new);
    if old_size == 0 || old_size > new_size {
        return false;
    }
    if old_size == new_size {
        return proof.is_empty() && old_root == new_root;
    }
    // A complete subtree is not sent: the verifier has its root already.
    let own = old_size.is_power_of_two().then_some(&old_root);
    let mut hashes = own.into_iter().chain(proof);
    let Some(&first) = hashes.next() else { return false };
    let shift = (old_size - 1).trailing_ones();
    let (mut here, mut last) = ((old_size - 1) >> shift, (new_size - 1) >> shift);
    let (mut before, mut after) = (first, first);
    for hash in hashes {
        if last == 0 {
            return false;
        }
        if here & 1 == 1 || here == last {
            before = node(hash, &before);
            after = node(hash, &after);
            while here & 1 == 0 && here != 0 {
                here >>= 1;
                last >>= 1;
            }
        } else {
            after = node(&after, hash);
        }
        here >>= 1;
        last >>= 1;
    }
    last == 0 && before == old_root && after == new_root
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says what went wrong by failing")]
mod tests {
    use super::*;
    use crate::audit::tree;

    fn prove(leaves: &[Digest], old: u64) -> Vec<Digest> {
        let mut prover = ConsistencyProver::new(old, leaves.len() as u64).unwrap();
        leaves.iter().for_each(|leaf| prover.push(*leaf));
        prover.finish().unwrap()
    }

    #[test]
    fn proofs_are_those_of_the_reference_vectors() {
        let leaves: Vec<Digest> = tree::tests::LEAVES.iter().map(|bytes| tree::leaf(bytes)).collect();
        for (old, new, expected) in [
            (1, 1, &[][..]),
            (
                1,
                8,
                &[
                    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
                ],
            ),
            (
                6,
                8,
                &[
                    "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                    "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
                ],
            ),
            (
                2,
                5,
                &[
                    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                    "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                ],
            ),
        ] {
            let proof: Vec<String> = prove(&leaves[..new], old).iter().map(ToString::to_string).collect();
            assert_eq!(proof, expected, "{old} to {new}");
        }
    }

    #[test]
    fn every_proof_holds_and_no_other_root_or_proof_does() {
        let leaves: Vec<Digest> = (0..40u64).map(|i| tree::leaf(&i.to_be_bytes())).collect();
        let mut frontier = Frontier::default();
        let roots: Vec<Digest> = std::iter::once(frontier.root())
            .chain(leaves.iter().map(|leaf| {
                frontier.push(*leaf);
                frontier.root()
            }))
            .collect();
        let other = tree::leaf(b"other");
        for new in 1..=40usize {
            for old in 1..=new {
                let (from, to) = ((old as u64, roots[old]), (new as u64, roots[new]));
                let proof = prove(&leaves[..new], old as u64);
                assert!(is_consistent(from, to, &proof), "{old} to {new}");
                assert!(!is_consistent((from.0, other), to, &proof));
                assert!(!is_consistent(from, (to.0, other), &proof));
                assert!(!is_consistent(from, to, &[proof.as_slice(), &[other]].concat()));
                for at in 0..proof.len() {
                    let mut changed = proof.clone();
                    changed[at] = other;
                    assert!(!is_consistent(from, to, &changed));
                    changed.remove(at);
                    assert!(!is_consistent(from, to, &changed));
                }
            }
        }
        assert!(ConsistencyProver::new(0, 5).is_none() && ConsistencyProver::new(6, 5).is_none());
    }
}
