//! The starter rulebook against what it promises: stories, decisions on record, the matrix, properties.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "policy/any.rs"]
mod any;
#[path = "policy/assessments.rs"]
mod assessments;
#[path = "policy/cast.rs"]
mod cast;
#[path = "policy/compare.rs"]
mod compare;
#[path = "policy/decided.rs"]
mod decided;
#[path = "policy/loading.rs"]
mod loading;
#[path = "policy/matrix.rs"]
mod matrix;
#[path = "policy/mistakes.rs"]
mod mistakes;
#[path = "policy/promises.rs"]
mod promises;
#[path = "policy/properties.rs"]
mod properties;
#[path = "policy/stories.rs"]
mod stories;
