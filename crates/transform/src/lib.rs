//! Treatments: the forms in which a field may cross the border.
//!
//! - [`json`] rewrites a JSON or NDJSON document in one pass, field by field; [`csv`], [`form`] and
//!   [`multipart`] do the same for theirs, with the same bindings and visitors, and [`coding`]
//!   takes off and puts on what HTTP compresses them with;
//! - [`pseudonym`] makes tokens that two recipients cannot join;
//! - [`mask`] hides one value or shortens a date or count; [`generalise`] makes it coarser;
//! - [`aggregate`] counts people per group and withholds small groups, also in tables with margins and over many releases;
//! - [`dp`] adds noise, [`budget`] counts what it has cost;
//! - [`risk`] measures what a release gives away.
//!
//! The crate does no IO and has no clock and no randomness, OpenDP's sampler in [`dp`] apart: keys,
//! epochs and thresholds are arguments. It decides nothing; which treatment a field gets is the policy's word.
//! Start reading at [`json::rewrite`].

pub mod aggregate;
pub mod budget;
pub mod coding;
pub mod csv;
pub mod dp;
mod flat;
pub mod form;
pub mod generalise;
pub mod json;
pub mod mask;
pub mod multipart;
pub mod pseudonym;
pub mod risk;
