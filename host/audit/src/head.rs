//! What is kept with the head of the log: its right edge, and two earlier ones.
//!
//! A start has to know that the last entries are those under the head without
//! reading all of them. An earlier edge stands for everything before it: whoever
//! appends the entries since then and comes to the signed root has checked them
//! all. An earlier edge needs no signature of its own, for a wrong one leads to
//! another root.
//!
//! ```text
//!   0 ─────────────── tail ──────── next ───── head      entries
//!                       └ at least `tail_entries` ┘      hashed again at a start
//! ```
//!
//! When `next` has come as far behind the head, it becomes `tail` and the head
//! becomes `next`: there are never many more than twice as many to be read.

use portreeve_record::{Edge, MerkleError};

/// The edges as a store keeps them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Edges {
    head: Edge,
    tail: Edge,
    next: Edge,
}

impl Edges {
    /// The right edge of the log.
    pub(crate) fn head(&self) -> &Edge {
        &self.head
    }

    /// The edge that a start appends the last entries to. The empty one when
    /// what is stored covers fewer than `tail_entries`: whoever moves it forward,
    /// so that less is checked, gains that everything is.
    pub(crate) fn tail(&self, tail_entries: u64) -> Edge {
        let covered = self.head.size().checked_sub(self.tail.size());
        if covered.is_some_and(|covered| covered >= tail_entries) { self.tail.clone() } else { Edge::new() }
    }

    /// The edges once the log has grown to a new head.
    pub(crate) fn grown(&self, head: Edge, tail_entries: u64) -> Self {
        let far_enough = head.size().saturating_sub(self.next.size()) >= tail_entries;
        if far_enough {
            Self { tail: self.next.clone(), next: head.clone(), head }
        } else {
            Self { tail: self.tail.clone(), next: self.next.clone(), head }
        }
    }

    /// The three edges one behind the other: head, tail, next.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        [self.head.to_bytes(), self.tail.to_bytes(), self.next.to_bytes()].concat()
    }

    /// Reads what [`Edges::to_bytes`] wrote.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, MerkleError> {
        let (head, rest) = Edge::split_from_bytes(bytes)?;
        let (tail, rest) = Edge::split_from_bytes(rest)?;
        Ok(Self { head, tail, next: Edge::from_bytes(rest)? })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail loudly")]

    use portreeve_model::Digest;

    use super::*;

    fn edge(entries: u64) -> Edge {
        let mut edge = Edge::new();
        (0..entries).for_each(|entry| edge.append(Digest::of(&entry.to_be_bytes())).unwrap());
        edge
    }

    #[test]
    fn covers_the_last_entries_and_not_many_more() {
        for (step, tail_entries) in [(1, 8), (3, 8), (8, 8), (20, 8), (5, 1)] {
            let mut edges = Edges::default();
            for size in (step..500).step_by(step) {
                edges = edges.grown(edge(size.try_into().unwrap()), tail_entries);
                let (size, tail) = (edges.head().size(), edges.tail(tail_entries).size());
                let covered = size - tail;
                assert!(covered >= tail_entries.min(size), "{covered} of {size} entries");
                let step = u64::try_from(step).unwrap();
                assert!(covered <= 2 * (tail_entries + step), "{covered} of {size} entries in steps of {step}");
                assert_eq!(Edges::from_bytes(&edges.to_bytes()).unwrap(), edges);
            }
        }
    }

    #[test]
    fn reads_everything_when_the_tail_was_moved_forward() {
        let moved = Edges { head: edge(100), tail: edge(99), next: edge(100) };
        assert_eq!(moved.tail(8), Edge::new());
        let beyond = Edges { head: edge(100), tail: edge(101), next: edge(100) };
        assert_eq!(beyond.tail(8), Edge::new());
        assert!(Edges::from_bytes(&edge(100).to_bytes()).is_err());
    }
}
