//! Compiled grants on a real PostgreSQL, asked as their role with no gate in between.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests, which fail by panicking"
)]

mod attacks;
mod catalogue;
mod drift;
mod life;
mod noninterference;
mod smith;
mod support;
mod tokens;
