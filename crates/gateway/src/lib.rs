//! Protocols translated into crossings.
