//! The Merkle tree of RFC 6962 (section 2.1; verification after RFC 9162).
//!
//! ```text
//! leaf  = SHA-256(0x00 ‖ bytes)          the two prefixes keep a leaf from
//! node  = SHA-256(0x01 ‖ left ‖ right)   being passed off as a node
//! empty = SHA-256()
//! ```
//!
//! An [`Edge`] is all that a log needs to grow: the roots of the perfect
//! subtrees that its size is made of, at most 64 hashes. Proofs are lists of
//! ranges of leaves whose subtree roots the verifier is given; the ranges are
//! pure arithmetic, so that a reader can compute a proof over millions of leaves
//! from one pass and as many edges.

use std::ops::Range;

use portreeve_model::Digest;
use sha2::{Digest as _, Sha256};

/// What is wrong with a tree, an edge or a proof.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MerkleError {
    /// An index beyond the tree.
    #[error("leaf {index} is not in a tree of {size} leaves")]
    NoSuchLeaf {
        /// The index that was asked for, from 0.
        index: u64,
        /// Leaves in the tree.
        size: u64,
    },
    /// A prefix longer than the tree.
    #[error("a tree of {new} leaves cannot continue one of {old}; the log went backwards")]
    Shrunk {
        /// Leaves in the earlier tree.
        old: u64,
        /// Leaves in the later tree.
        new: u64,
    },
    /// A proof with too many or too few hashes.
    #[error("the proof has {found} hashes; expected {expected}")]
    ProofLength {
        /// Hashes in the proof.
        found: usize,
        /// Hashes that this position needs.
        expected: usize,
    },
    /// The hashes lead to another root.
    #[error("the proof leads to root {found}; expected {expected}")]
    RootDiffers {
        /// What the proof leads to.
        found: Digest,
        /// What the checkpoint says.
        expected: Digest,
    },
    /// Stored bytes that are no edge.
    #[error("{found} bytes are no right edge of a tree of {size} leaves; expected {expected} bytes")]
    EdgeLength {
        /// Bytes given.
        found: usize,
        /// Leaves that the bytes claim.
        size: u64,
        /// Bytes that such an edge has.
        expected: usize,
    },
    /// More than 2^64 − 1 leaves.
    #[error("a tree cannot have more than 2^64 - 1 leaves")]
    Full,
}

/// The hash of a leaf's bytes.
#[must_use]
pub fn leaf_hash(bytes: &[u8]) -> Digest {
    let mut hasher = Sha256::new();
    hasher.update([0x00]);
    hasher.update(bytes);
    Digest::from_bytes(hasher.finalize().into())
}

/// The hash over two subtrees.
#[must_use]
pub fn node_hash(left: &Digest, right: &Digest) -> Digest {
    let mut hasher = Sha256::new();
    hasher.update([0x01]);
    hasher.update(left.as_bytes());
    hasher.update(right.as_bytes());
    Digest::from_bytes(hasher.finalize().into())
}

/// The root of a tree without leaves.
#[must_use]
pub fn empty_root() -> Digest {
    Digest::of(b"")
}

/// The root over these leaf hashes.
///
/// # Errors
/// When there are more leaves than a tree can have.
pub fn root<'a>(leaf_hashes: impl IntoIterator<Item = &'a Digest>) -> Result<Digest, MerkleError> {
    let mut edge = Edge::new();
    for leaf_hash in leaf_hashes {
        edge.append(*leaf_hash)?;
    }
    Ok(edge.root())
}

/// The right edge of a tree: what is needed to append to it and to know its root.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Edge {
    size: u64,
    /// Roots of the perfect subtrees, largest first: one for each bit set in `size`.
    subtrees: Vec<Digest>,
}

impl Edge {
    /// The edge of the empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one leaf; the next index was [`Edge::size`].
    ///
    /// # Errors
    /// When the tree is full.
    pub fn append(&mut self, leaf_hash: Digest) -> Result<(), MerkleError> {
        let next = self.size.checked_add(1).ok_or(MerkleError::Full)?;
        // Every trailing one bit of the size is a perfect subtree as large as
        // what has been gathered so far.
        let mut gathered = leaf_hash;
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.subtrees.pop() {
                gathered = node_hash(&left, &gathered);
            }
        }
        self.subtrees.push(gathered);
        self.size = next;
        Ok(())
    }

    /// Leaves in the tree.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root of the tree.
    #[must_use]
    pub fn root(&self) -> Digest {
        let mut from_the_right = self.subtrees.iter().rev().copied();
        let Some(smallest) = from_the_right.next() else {
            return empty_root();
        };
        from_the_right.fold(smallest, |right, left| node_hash(&left, &right))
    }

    /// The perfect subtrees that the tree is made of, largest first: the leaves
    /// under each and its root.
    pub fn subtrees(&self) -> impl Iterator<Item = (Range<u64>, Digest)> {
        let sizes = (0..64).rev().map(|bit| 1_u64 << bit).filter(|bit| self.size & bit != 0);
        let mut start = 0;
        sizes.zip(&self.subtrees).map(move |(size, root)| {
            let leaves = start..start + size;
            start = leaves.end;
            (leaves, *root)
        })
    }

    /// The form in which a store keeps it: the size (8 bytes, big endian), then
    /// the subtree roots, largest first (32 bytes each).
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.size.to_be_bytes().to_vec();
        for subtree in &self.subtrees {
            bytes.extend_from_slice(subtree.as_bytes());
        }
        bytes
    }

    /// Reads what [`Edge::to_bytes`] wrote. That the hashes are right is not
    /// known from this; compare [`Edge::root`] with a signed checkpoint.
    ///
    /// # Errors
    /// When there are not exactly as many hashes as the size needs.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, MerkleError> {
        match Self::split_from_bytes(bytes)? {
            (edge, []) => Ok(edge),
            (edge, rest) => Err(MerkleError::EdgeLength {
                found: bytes.len(),
                size: edge.size,
                expected: bytes.len().saturating_sub(rest.len()),
            }),
        }
    }

    /// The same for an edge with something behind it, which comes back with it.
    ///
    /// # Errors
    /// When there are fewer hashes than the size needs.
    pub fn split_from_bytes(bytes: &[u8]) -> Result<(Self, &[u8]), MerkleError> {
        let (size, hashes) = match bytes.split_first_chunk::<8>() {
            Some((size, hashes)) => (u64::from_be_bytes(*size), hashes),
            None => (0, bytes),
        };
        let needed_bytes = usize::try_from(size.count_ones()).map_or(usize::MAX, |count| 32 * count);
        match hashes.split_at_checked(needed_bytes) {
            Some((hashes, rest)) if bytes.len() >= 8 => {
                let (subtrees, _) = hashes.as_chunks::<32>();
                Ok((Self { size, subtrees: subtrees.iter().copied().map(Digest::from_bytes).collect() }, rest))
            }
            _ => Err(MerkleError::EdgeLength { found: bytes.len(), size, expected: needed_bytes.saturating_add(8) }),
        }
    }
}

/// The ranges of leaves whose subtree roots prove that leaf `index` is in a tree
/// of `size` leaves, in the order of the proof: the leaf's sibling first. With
/// the leaf itself they cover the tree exactly once.
///
/// # Errors
/// When the index is not in the tree.
pub fn inclusion_ranges(index: u64, size: u64) -> Result<Vec<Range<u64>>, MerkleError> {
    if index >= size {
        return Err(MerkleError::NoSuchLeaf { index, size });
    }
    let mut ranges = Vec::new();
    let mut around = 0..size;
    while around.end - around.start > 1 {
        let middle = around.start + split(around.end - around.start);
        let (same_side, other_side) = if index < middle {
            (around.start..middle, middle..around.end)
        } else {
            (middle..around.end, around.start..middle)
        };
        ranges.push(other_side);
        around = same_side;
    }
    ranges.reverse();
    Ok(ranges)
}

/// The ranges of leaves whose subtree roots prove that the tree of `new` leaves
/// continues the one of `old`, in the order of the proof. Empty when the old
/// tree is empty or both are the same size.
///
/// # Errors
/// When the old tree is the larger one.
pub fn consistency_ranges(old: u64, new: u64) -> Result<Vec<Range<u64>>, MerkleError> {
    if old > new {
        return Err(MerkleError::Shrunk { old, new });
    }
    if old == 0 || old == new {
        return Ok(Vec::new());
    }
    let mut ranges = Vec::new();
    let mut around = 0..new;
    while around.end != old {
        let middle = around.start + split(around.end - around.start);
        let (holds_the_end, other_side) = if old <= middle {
            (around.start..middle, middle..around.end)
        } else {
            (middle..around.end, around.start..middle)
        };
        ranges.push(other_side);
        around = holds_the_end;
    }
    // A perfect subtree from the very first leaf is the old root, which the
    // verifier has already.
    if around.start != 0 {
        ranges.push(around);
    }
    ranges.reverse();
    Ok(ranges)
}

/// The proof that leaf `index` is in the tree over these leaf hashes.
///
/// # Errors
/// When the index is not in the tree.
pub fn inclusion_proof(leaf_hashes: &[Digest], index: u64) -> Result<Vec<Digest>, MerkleError> {
    subtree_roots(leaf_hashes, &inclusion_ranges(index, count(leaf_hashes))?)
}

/// The proof that the tree over these leaf hashes continues the one over the
/// first `old` of them.
///
/// # Errors
/// When there are fewer than `old`.
pub fn consistency_proof(leaf_hashes: &[Digest], old: u64) -> Result<Vec<Digest>, MerkleError> {
    subtree_roots(leaf_hashes, &consistency_ranges(old, count(leaf_hashes))?)
}

/// Checks that a leaf is at `index` of the tree with this size and root
/// (RFC 9162, section 2.1.3.2).
///
/// # Errors
/// When the index is not in the tree, or the proof has another length or leads
/// to another root.
pub fn verify_inclusion(
    leaf_hash: &Digest,
    index: u64,
    size: u64,
    expected_root: &Digest,
    proof: &[Digest],
) -> Result<(), MerkleError> {
    let ranges = inclusion_ranges(index, size)?;
    expect_length(proof, ranges.len())?;
    let found = ranges.iter().zip(proof).fold(*leaf_hash, |below, (range, beside)| {
        if range.start > index { node_hash(&below, beside) } else { node_hash(beside, &below) }
    });
    expect_root(found, expected_root)
}

/// Checks that the tree with the new size and root continues the one with the
/// old size and root (RFC 9162, section 2.1.4.2).
///
/// # Errors
/// When the new tree is smaller, or the proof has another length or leads to
/// other roots.
pub fn verify_consistency(
    old_size: u64,
    old_root: &Digest,
    new_size: u64,
    new_root: &Digest,
    proof: &[Digest],
) -> Result<(), MerkleError> {
    let ranges = consistency_ranges(old_size, new_size)?;
    expect_length(proof, ranges.len())?;
    if old_size == 0 {
        return expect_root(*old_root, &empty_root());
    }
    if old_size == new_size {
        return expect_root(*old_root, new_root);
    }

    // What lies left of the old end is in both trees, what lies right of it in
    // the new one only.
    let mut steps = ranges.iter().zip(proof).peekable();
    let inner = steps.next_if(|(range, _)| range.end == old_size);
    let start = inner.map_or(*old_root, |(_, hash)| *hash);
    let (mut in_old, mut in_new) = (start, start);
    for (range, hash) in steps {
        if range.start >= old_size {
            in_new = node_hash(&in_new, hash);
        } else {
            in_old = node_hash(hash, &in_old);
            in_new = node_hash(hash, &in_new);
        }
    }
    expect_root(in_old, old_root)?;
    expect_root(in_new, new_root)
}

/// The largest power of two smaller than `leaves`, which is at least 2.
fn split(leaves: u64) -> u64 {
    1 << (leaves - 1).ilog2()
}

fn subtree_roots(leaf_hashes: &[Digest], ranges: &[Range<u64>]) -> Result<Vec<Digest>, MerkleError> {
    let size = count(leaf_hashes);
    ranges
        .iter()
        .map(|range| {
            let beyond = || MerkleError::NoSuchLeaf { index: range.end, size };
            let start = usize::try_from(range.start).map_err(|_| beyond())?;
            let end = usize::try_from(range.end).map_err(|_| beyond())?;
            root(leaf_hashes.get(start..end).ok_or_else(beyond)?)
        })
        .collect()
}

fn count(leaf_hashes: &[Digest]) -> u64 {
    u64::try_from(leaf_hashes.len()).unwrap_or(u64::MAX)
}

fn expect_length(proof: &[Digest], expected: usize) -> Result<(), MerkleError> {
    let found = proof.len();
    if found == expected { Ok(()) } else { Err(MerkleError::ProofLength { found, expected }) }
}

fn expect_root(found: Digest, expected: &Digest) -> Result<(), MerkleError> {
    if found == *expected { Ok(()) } else { Err(MerkleError::RootDiffers { found, expected: *expected }) }
}

#[cfg(test)]
mod tests {
    #![expect(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        clippy::cast_possible_truncation,
        reason = "tests fail loudly"
    )]

    use proptest::prelude::*;

    use super::*;

    /// RFC 6962, section 2.1, word for word.
    fn naive_root(leaves: &[Digest]) -> Digest {
        match leaves {
            [] => empty_root(),
            [only] => *only,
            _ => {
                let k = leaves.len().next_power_of_two() / 2;
                node_hash(&naive_root(&leaves[..k]), &naive_root(&leaves[k..]))
            }
        }
    }

    /// PATH(m, D[n]) of section 2.1.1.
    fn naive_path(m: usize, leaves: &[Digest]) -> Vec<Digest> {
        if leaves.len() == 1 {
            return Vec::new();
        }
        let k = leaves.len().next_power_of_two() / 2;
        let (mut path, other) = if m < k {
            (naive_path(m, &leaves[..k]), naive_root(&leaves[k..]))
        } else {
            (naive_path(m - k, &leaves[k..]), naive_root(&leaves[..k]))
        };
        path.push(other);
        path
    }

    /// SUBPROOF(m, D[n], b) of section 2.1.2.
    fn naive_subproof(m: usize, leaves: &[Digest], known: bool) -> Vec<Digest> {
        if m == leaves.len() {
            return if known { Vec::new() } else { vec![naive_root(leaves)] };
        }
        let k = leaves.len().next_power_of_two() / 2;
        let (mut proof, other) = if m <= k {
            (naive_subproof(m, &leaves[..k], known), naive_root(&leaves[k..]))
        } else {
            (naive_subproof(m - k, &leaves[k..], false), naive_root(&leaves[..k]))
        };
        proof.push(other);
        proof
    }

    fn leaves(count: usize) -> Vec<Digest> {
        (0..count).map(|n| leaf_hash(n.to_string().as_bytes())).collect()
    }

    #[test]
    fn matches_the_published_test_vectors() {
        // google/certificate-transparency: roots over the first n of these inputs.
        let inputs =
            ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
        let hashes: Vec<Digest> = inputs.iter().map(|input| leaf_hash(&hex::decode(input).unwrap())).collect();
        let expect = |size: usize, digits: &str| {
            assert_eq!(root(&hashes[..size]).unwrap().to_string(), format!("sha256:{digits}"));
        };
        expect(0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        expect(1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
        expect(8, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        #[test]
        fn grows_as_the_recursive_definition_says(size in 0_usize..200) {
            let leaves = leaves(size);
            let mut edge = Edge::new();
            for leaf in &leaves {
                edge.append(*leaf).unwrap();
            }
            prop_assert_eq!(edge.root(), naive_root(&leaves));
            prop_assert_eq!(edge.size(), size as u64);
            for (range, subtree) in edge.subtrees() {
                prop_assert_eq!(subtree, naive_root(&leaves[range.start as usize..range.end as usize]));
            }
            prop_assert_eq!(Edge::from_bytes(&edge.to_bytes()).unwrap(), edge);
        }

        #[test]
        fn proves_inclusion_and_nothing_else((size, index) in (1_usize..150).prop_flat_map(|n| (Just(n), 0..n))) {
            let leaves = leaves(size);
            let root = naive_root(&leaves);
            let (at, of) = (index as u64, size as u64);
            let proof = inclusion_proof(&leaves, at).unwrap();
            prop_assert_eq!(&proof, &naive_path(index, &leaves));
            verify_inclusion(&leaves[index], at, of, &root, &proof).unwrap();

            prop_assert!(verify_inclusion(&leaf_hash(b"other"), at, of, &root, &proof).is_err());
            prop_assert!(verify_inclusion(&leaves[index], of, of, &root, &proof).is_err());
            for wrong in 0..proof.len() {
                let mut changed = proof.clone();
                changed[wrong] = leaf_hash(b"changed");
                prop_assert!(verify_inclusion(&leaves[index], at, of, &root, &changed).is_err());
            }
            let mut longer = proof;
            longer.push(root);
            prop_assert!(verify_inclusion(&leaves[index], at, of, &root, &longer).is_err());
        }

        #[test]
        fn proves_that_a_tree_continues_another((new, old) in (0_usize..150).prop_flat_map(|n| (Just(n), 0..=n))) {
            let leaves = leaves(new);
            let (old_root, new_root) = (naive_root(&leaves[..old]), naive_root(&leaves));
            let (from, to) = (old as u64, new as u64);
            let proof = consistency_proof(&leaves, from).unwrap();
            if old > 0 {
                prop_assert_eq!(&proof, &naive_subproof(old, &leaves, true));
            }
            verify_consistency(from, &old_root, to, &new_root, &proof).unwrap();

            let other = leaf_hash(b"other");
            prop_assert!(verify_consistency(from, &other, to, &new_root, &proof).is_err());
            if old > 0 {
                prop_assert!(verify_consistency(from, &old_root, to, &other, &proof).is_err());
            }
            for wrong in 0..proof.len() {
                let mut changed = proof.clone();
                changed[wrong] = other;
                prop_assert!(verify_consistency(from, &old_root, to, &new_root, &changed).is_err());
            }
        }
    }

    #[test]
    fn refuses_an_edge_with_missing_hashes() {
        let mut edge = Edge::new();
        for leaf in leaves(5) {
            edge.append(leaf).unwrap();
        }
        let bytes = edge.to_bytes();
        assert_eq!(bytes.len(), 8 + 2 * 32);
        for short in [0, 7, 8, 40, 71] {
            assert!(Edge::from_bytes(&bytes[..short]).is_err());
        }
    }

    #[test]
    fn refuses_a_tree_that_shrank() {
        let found = verify_consistency(3, &empty_root(), 2, &empty_root(), &[]);
        assert_eq!(found, Err(MerkleError::Shrunk { old: 3, new: 2 }));
    }
}
