//! Treatments: the forms in which a field may cross the border.
//!
//! - [`json`] rewrites a JSON or NDJSON document in one pass, field by field;
//! - [`pseudonym`] makes tokens that two recipients cannot join;
//! - [`mask`] generalises or hides one value;
//! - [`aggregate`] counts people per group and withholds small groups, also in tables with margins and over many releases;
//! - [`dp`] adds noise, [`budget`] counts what it has cost;
//! - [`risk`] measures what a release gives away.
//!
//! The crate does no IO and has no clock and no randomness, OpenDP's sampler in [`dp`] apart: keys,
//! epochs and thresholds are arguments. It decides nothing; which treatment a field gets is the policy's word.
//! Start reading at [`json::rewrite`].

pub mod aggregate;
pub mod budget;
pub mod dp;
pub mod json;
pub mod mask;
pub mod pseudonym;
pub mod risk;
