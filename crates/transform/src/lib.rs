//! Treatments: the forms in which a field may cross the border.
//!
//! - [`json`] rewrites a JSON or NDJSON document in one pass, field by field;
//! - [`pseudonym`] makes tokens that two recipients cannot join;
//! - [`mask`] hides one value or shortens a date or count; [`generalise`] makes it coarser;
//! - [`aggregate`] counts people per group and withholds small groups.
//!
//! The crate does no IO and has no clock and no randomness: keys, epochs and thresholds are
//! arguments. It decides nothing; which treatment a field gets is the policy's word.
//! Start reading at [`json::rewrite`].

pub mod aggregate;
pub mod generalise;
pub mod json;
pub mod mask;
pub mod pseudonym;
