//! Bytes that have to be the same for ever: what a record looks like when it is
//! hashed, how hashes become a tree, how a tree head is signed, how a payload is
//! sealed, and how somebody who has only the files checks all of it.
//!
//! Nothing here reads a clock, a disk or a network, and nothing here imports a
//! room that does: whoever distrusts the host runs [`verify`] alone. A change to
//! these bytes makes every older record unverifiable, so each format carries its
//! version inside.
//!
//! Modules in reading order: a value becomes [`canonical`] bytes, those of a
//! stage become a [`leaf`], leaves a [`merkle`] tree, its head a [`checkpoint`], which
//! is a signed [`note`];
//! [`mod@seal`] keeps what may have to be forgotten out of the leaves, [`verify`]
//! goes through a whole log.

pub mod canonical;

pub mod leaf;

pub mod merkle;

pub mod note;

pub mod checkpoint;

pub mod proof;

pub mod seal;

pub mod verify;

pub use canonical::{RecordError, canonical_digest, canonical_json, parse_canonical, read_members};
pub use checkpoint::{Checkpoint, CheckpointError, LogKey, SignedCheckpoint, VerifierKey};
pub use leaf::{LEAF_BYTES_MAX, Leaf, LeafBody, LeafRecord};
pub use merkle::{Edge, MerkleError};
pub use note::{Note, NoteError, NoteKey};
pub use proof::{InclusionProof, ProofError};
pub use seal::{PayloadKey, SealError, Sealed, open, seal};
pub use verify::{OrderFault, Verifier, VerifyError, VerifyReport, verify_log};
