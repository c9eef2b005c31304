//! Protocols translated into crossings and back. No rule lives here: what may cross is decided on the road.
//!
//! [`enclave`] holds what a running gateway needs; [`http`] speaks HTTP, [`sql`] PostgreSQL's wire protocol.
//! Start reading at [`http::serve`].

pub mod enclave;
pub mod http;
mod inside;
pub mod kept;
pub mod metrics;
mod passage;
mod seen;
pub mod sql;
pub mod tables;

pub use enclave::{Enclave, Live};
