//! Where personal data really lies, whatever anybody says: canaries that are planted, the sweep that finds them in any
//! store, the watch over replicas and exits of the databases, and findings with a clock that their cause cannot stop.
//!
//! It decides nothing and releases nothing. It never calls a place clean that it could not look into: what cannot be
//! read is a finding of its own. Start reading at [`canary`], then [`scan`] and [`sweep`]; [`watch`]; [`incident`].

pub mod canary;
pub mod connect;
mod error;
mod files;
pub mod forms;
pub mod incident;
pub mod pack;
pub mod recall;
pub mod scan;
pub mod seal;
pub mod sweep;
pub mod unpack;
pub mod watch;

pub use error::ResidencyError;
