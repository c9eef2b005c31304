//! Decisions by Cedar over recorded facts.
//!
//! A decision is a pure function of a rulebook and a [`model::Facts`]; both stand in the ledger, so that
//! whoever holds an entry can decide again. How facts become Cedar requests is specified in
//! `docs/formats/policies.md`.
//!
//! It refuses to guess: a rulebook that does not validate makes no [`Engine`], and a policy that cannot be
//! evaluated permits nothing, since Cedar skips a policy that errs, a `forbid` included. It does not hold
//! budgets or promise that row limits are kept: whoever releases enforces what the facts say.
//! Start reading at [`Engine`].

mod action;
pub mod bridge;
pub mod compare;
pub mod diff;
mod duty;
mod engine;
mod load;
mod memo;
pub mod mutants;
mod property;
pub mod scope;
pub mod stories;
mod world;

pub use duty::Duty;
pub use engine::{Decision, Engine};
pub use load::Texts;
pub use memo::Memo;
pub use property::{Promise, Property};
