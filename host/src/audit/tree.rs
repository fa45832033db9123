//! The Merkle tree of RFC 6962, section 2.1, over the lines of the record: roots from a frontier of logarithmic size,
//! inclusion proofs made in one pass, and their check.

use std::collections::HashMap;

use super::chain::Digest;

/// The hash of a leaf.
#[must_use]
pub fn leaf(line: &[u8]) -> Digest {
    Digest::of(&[&[0], line])
}

/// The hash of a node over its two children.
#[must_use]
pub fn node(left: &Digest, right: &Digest) -> Digest {
    Digest::of(&[&[1], left.as_bytes(), right.as_bytes()])
}

/// What must be kept of a tree to go on growing it: the roots of its complete subtrees, largest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Digest>,
}

impl Frontier {
    /// A frontier from stored parts; `None` if there can't be that many peaks at this size.
    #[must_use]
    pub fn from_parts(size: u64, peaks: Vec<Digest>) -> Option<Self> {
        (u32::try_from(peaks.len()) == Ok(size.count_ones())).then_some(Self { size, peaks })
    }

    /// How many leaves there are.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the complete subtrees, largest first.
    #[must_use]
    pub fn peaks(&self) -> &[Digest] {
        &self.peaks
    }

    /// Adds a leaf.
    pub fn push(&mut self, leaf: Digest) {
        self.push_seen(leaf, |_, _, _| {});
    }

    /// Adds a leaf and shows every complete subtree that this makes: its level, its index on that level, its root.
    fn push_seen(&mut self, leaf: Digest, mut seen: impl FnMut(u32, u64, &Digest)) {
        let mut root = leaf;
        seen(0, self.size, &root);
        // As in a binary counter: each trailing one of the old size is a subtree that the new leaf completes.
        for level in 0..self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                root = node(&left, &root);
                seen(level + 1, self.size >> (level + 1), &root);
            }
        }
        self.peaks.push(root);
        self.size += 1;
    }

    /// The root. That of no leaves is the hash of nothing.
    #[must_use]
    pub fn root(&self) -> Digest {
        fold(&self.peaks).unwrap_or_else(|| Digest::of(&[]))
    }
}

/// The root over neighbouring complete subtrees, largest first.
fn fold(peaks: &[Digest]) -> Option<Digest> {
    peaks.iter().rev().copied().reduce(|right, left| node(&left, &right))
}

/// What shows that a leaf is in a tree: where it is, and the siblings on the way up, leaf to root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inclusion {
    /// The leaf's index, from 0.
    pub index: u64,
    /// The siblings.
    pub path: Vec<Digest>,
}

/// Makes inclusion proofs for chosen leaves while the whole tree streams by. Keeps a logarithmic number of hashes for each
/// chosen leaf, and nothing of the others.
#[derive(Debug)]
pub struct Prover {
    /// How many leaves there will be.
    size: u64,
    frontier: Frontier,
    chosen: Vec<(u64, Vec<Digest>)>,
    /// Right siblings that a chosen leaf will need, by level and index on the level.
    wanted: HashMap<(u32, u64), Option<Digest>>,
}

impl Prover {
    /// For a tree that will have `size` leaves.
    #[must_use]
    pub fn new(size: u64) -> Self {
        Self { size, frontier: Frontier::default(), chosen: Vec::new(), wanted: HashMap::new() }
    }

    /// The levels below the root.
    fn levels(&self) -> impl Iterator<Item = u32> + use<> {
        0..u64::BITS - self.size.saturating_sub(1).leading_zeros()
    }

    /// Adds a leaf; `choose` if a proof for it will be asked for.
    pub fn push(&mut self, leaf: Digest, choose: bool) {
        if choose {
            let index = self.frontier.size();
            // Left siblings are complete already, and they are just the present peaks. Right ones are yet to come.
            self.chosen.push((index, self.frontier.peaks.clone()));
            for level in self.levels().filter(|level| (index >> level) & 1 == 0) {
                self.wanted.entry((level, (index >> level) + 1)).or_insert(None);
            }
        }
        let wanted = &mut self.wanted;
        self.frontier.push_seen(leaf, |level, index, root| {
            if let Some(slot) = wanted.get_mut(&(level, index)) {
                *slot = Some(*root);
            }
        });
    }

    /// The root over all leaves, and a proof for each chosen one. `None` unless just as many leaves were added as were
    /// announced.
    #[must_use]
    pub fn finish(self) -> Option<(Digest, Vec<Inclusion>)> {
        let proof = |(index, left): &(u64, Vec<Digest>)| Inclusion { index: *index, path: self.path(*index, left) };
        let paths = self.chosen.iter().map(proof).collect();
        (self.frontier.size() == self.size).then(|| (self.frontier.root(), paths))
    }

    fn path(&self, index: u64, left: &[Digest]) -> Vec<Digest> {
        let mut left = left.iter().rev();
        let mut path = Vec::new();
        for level in self.levels() {
            let here = index >> level;
            if here & 1 == 1 {
                path.extend(left.next());
            } else if (here + 1) << level < self.size {
                let whole = self.wanted.get(&(level, here + 1)).copied().flatten();
                path.extend(whole.or_else(|| self.ragged((here + 1) << level)));
            }
        }
        path
    }

    /// The root over the leaves from `start`, where the tree's right edge is no complete subtree.
    fn ragged(&self, start: u64) -> Option<Digest> {
        let mut covered = 0;
        let mut bits = (0..u64::BITS).rev().filter(|bit| (self.frontier.size() >> bit) & 1 == 1);
        let skip = std::iter::from_fn(|| {
            if covered >= start {
                return None;
            }
            covered += 1 << bits.next()?;
            Some(())
        })
        .count();
        fold(self.frontier.peaks.get(skip..)?)
    }
}

/// The root that the path from this leaf leads to; `None` if the path has the wrong length for this place.
#[must_use]
pub fn root_of_path(leaf: Digest, index: u64, size: u64, path: &[Digest]) -> Option<Digest> {
    if index >= size {
        return None;
    }
    let (mut here, mut last) = (index, size - 1);
    let mut path = path.iter();
    let mut root = leaf;
    while last > 0 {
        if here & 1 == 1 {
            root = node(path.next()?, &root);
        } else if here < last {
            root = node(&root, path.next()?);
        }
        here >>= 1;
        last >>= 1;
    }
    path.next().is_none().then_some(root)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says what went wrong by failing")]
pub(in crate::audit) mod tests {
    use super::*;

    /// The leaves and roots of the reference test of certificate transparency (RFC 6962's own implementation).
    pub(in crate::audit) const LEAVES: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    const ROOTS: [&str; 9] = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    /// The definition in RFC 6962, word for word.
    fn slow_root(leaves: &[Digest]) -> Digest {
        match leaves {
            [] => Digest::of(&[]),
            [one] => *one,
            _ => {
                let split = 1 << (usize::BITS - 1 - (leaves.len() - 1).leading_zeros());
                node(&slow_root(&leaves[..split]), &slow_root(&leaves[split..]))
            }
        }
    }

    fn slow_path(index: usize, leaves: &[Digest]) -> Vec<Digest> {
        if leaves.len() < 2 {
            return Vec::new();
        }
        let split = 1 << (usize::BITS - 1 - (leaves.len() - 1).leading_zeros());
        let (left, right) = leaves.split_at(split);
        let (mut path, other) = if index < split {
            (slow_path(index, left), slow_root(right))
        } else {
            (slow_path(index - split, right), slow_root(left))
        };
        path.push(other);
        path
    }

    #[test]
    fn roots_are_those_of_the_reference_vectors() {
        let mut frontier = Frontier::default();
        assert_eq!(frontier.root().to_string(), ROOTS[0]);
        for (bytes, root) in LEAVES.iter().zip(&ROOTS[1..]) {
            frontier.push(leaf(bytes));
            assert_eq!(&frontier.root().to_string(), root);
        }
    }

    #[test]
    fn proofs_are_those_of_the_definition_and_lead_to_the_root() {
        for size in 1..70usize {
            let leaves: Vec<Digest> = (0..size).map(|i| leaf(&i.to_be_bytes())).collect();
            let mut prover = Prover::new(size as u64);
            for (i, leaf) in leaves.iter().enumerate() {
                prover.push(*leaf, i % 3 != 1);
            }
            let (root, paths) = prover.finish().unwrap();
            assert_eq!(root, slow_root(&leaves), "{size}");
            for Inclusion { index, path } in paths {
                let i = usize::try_from(index).unwrap();
                assert_eq!(path, slow_path(i, &leaves), "{i} of {size}");
                let size = size as u64;
                assert_eq!(root_of_path(leaves[i], index, size, &path), Some(root));
                assert_ne!(root_of_path(leaf(b"other"), index, size, &path), Some(root));
                let longer = [path.as_slice(), &[root]].concat();
                assert_eq!(root_of_path(leaves[i], index, size, &longer), None);
                if let Some((_, shorter)) = path.split_last() {
                    assert_eq!(root_of_path(leaves[i], index, size, shorter), None);
                }
            }
        }
    }

    #[test]
    fn a_frontier_needs_as_many_peaks_as_its_size_has_ones() {
        assert!(Frontier::from_parts(5, vec![leaf(b"a"), leaf(b"b")]).is_some());
        assert!(Frontier::from_parts(4, vec![leaf(b"a"), leaf(b"b")]).is_none());
    }
}
