//! Checks a Clover ledger from its published files alone.
//!
//! Everything here is written from the pages in `docs/formats/` and the C2SP specifications they name. It
//! uses no other crate of this project, so that a mistake of the writer is not repeated by the checker.
//! What must hold is one [`Rule`] each; what does not hold is one [`Finding`] in the [`Report`].
//!
//! It trusts the three verifier keys that it is given, and nothing in the tree. It checks a tree that stands
//! still: a copy or a mirror, not a folder that a gateway is writing at the same moment.
//!
//! Start reading at [`verify`] (`verify.rs`), then `levels.rs` for the Merkle tree, `entries.rs` for the
//! entries, `declared.rs` for what they say of the rulebook, and `decide.rs` for deciding again.

mod bundle;
mod cbor;
mod checkpoint;
mod codes;
mod decide;
mod declared;
mod entries;
mod facts;
mod hash;
mod header;
mod invariants;
mod levels;
mod note;
mod proof;
mod report;
mod rulebook;
mod tags;
mod tile;
mod tree;
mod verify;

pub use note::{KeyError, VerifierKey};
pub use proof::{Inclusion, ProofError, verify_proof};
pub use report::{Finding, Place, Report, Rule};
pub use verify::{AuditError, Options, verify};
