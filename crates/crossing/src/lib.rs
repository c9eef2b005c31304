//! The one road: identify, decide, inspect, transform, seal, record, release.
//!
//! Every gateway and tool translates its protocol into an [`Ask`] and back, and holds no rule of its own.
//! Each step consumes the one before it; a [`Sealed`] payload has no accessor, and only the receipt of its
//! own entry opens it. No IO, no clock, no randomness: `vault` records, callers pass time and random bytes.
//!
//! Where proof is minted: [`identify::identify`] makes a [`VerifiedActor`], [`Road::decide`] a [`Permitted`],
//! [`Permitted::treat`] a [`Treated`], [`Treated::seal`] a [`Sealed`], and the ledger's sequencer the receipt.
//! Start reading at [`road`].

pub mod acts;
pub mod credential;
pub mod format;
pub mod identify;
pub mod in_force;
pub mod inside;
pub mod inward;
pub mod road;
pub mod rulebook;
pub mod seal;
pub mod select;
pub mod shadow;
mod treat;

pub use format::Format;
pub use identify::{Session, VerifiedActor};
pub use in_force::{InForce, Passing};
pub use road::{
    Ask, Border, Calendar, Counted, Guarded, Intent, NoisyQuestion, OwnerKeys, PEOPLE_CLASS, Permitted,
    Pseudonyms, Refused, Road, Told, Treated,
};
pub use rulebook::{ActiveRulebook, RulebookError};
pub use seal::{Payload, ReceiptMismatch, Receipts, Recording, Sealed, SealedRefusal, Sealing, Witnessed};
pub use select::Selection;
pub use shadow::Shadow;
pub use treat::{Column, Rows, Whose};
