//! The demo, and what integration tests share with it: an enclave of real processes, the services behind
//! it, the destinations outside, and callers with real credentials from several countries' addresses.
//!
//! Start reading at [`world`], then [`story`].

pub mod accounts;
pub mod client;
pub mod services;
pub mod story;
pub mod tables;
pub mod world;
