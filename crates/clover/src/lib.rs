//! Assembly of the enclave: folders, configuration, and the parts put together. No rule lives here.
//!
//! Start reading at [`assemble`].

pub mod assemble;
pub mod authority;
mod budget;
pub mod caller;
pub mod cli;
pub mod config;
pub mod control;
pub mod error;
pub mod import;
pub mod init;
pub mod keys;
pub mod layout;
pub mod location;
pub mod logs;
pub mod notices;
pub mod office;
pub mod pages;
pub mod people;
pub mod replay;
pub mod sample;
mod shadow;
pub mod site;
mod sql;
pub mod subjects;
pub mod tables;
pub mod wishes;

/// The time now.
#[must_use]
pub fn now() -> model::UnixSeconds {
    gateway::enclave::now().0
}
