//! The wire, with a real PostgreSQL behind and real clients before it, and with what no client would send.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot be set up has failed"
)]

#[path = "wire/clients.rs"]
mod clients;
#[path = "wire/corpus.rs"]
mod corpus;
#[path = "wire/hostile.rs"]
mod hostile;
#[path = "wire/raw.rs"]
mod raw;
#[path = "wire/rows.rs"]
mod rows;
#[path = "wire/windows.rs"]
mod windows;
#[path = "wire/world.rs"]
mod world;
