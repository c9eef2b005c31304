//! The control API of a site: status for people and probes, metrics for Prometheus. Loopback only; it shows
//! counts and states, never a person.
//!
//! Start reading at [`api::router`].

pub mod api;
pub mod logs;
