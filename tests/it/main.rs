//! Integration tests: the tree's own rules, and the whole enclave as real processes with real clients.
//!
//! Each test of the enclave has its own world (`support::Stage`), with its own folder and ports.

#[cfg(test)]
mod access;
#[cfg(test)]
mod activation;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod bypass;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod console;
#[cfg(test)]
mod control_store;
#[cfg(test)]
mod counts;
#[cfg(test)]
mod cutting;
#[cfg(test)]
mod database;
#[cfg(test)]
mod differential;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod inspection;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod migration;
#[cfg(test)]
mod moving;
#[cfg(test)]
mod notify;
#[cfg(test)]
mod privacy;
#[cfg(test)]
mod records;
#[cfg(test)]
mod remote;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod residency;
#[cfg(test)]
mod signin;
#[cfg(test)]
mod sql;
#[cfg(test)]
mod story;
#[cfg(test)]
mod streams;
#[cfg(test)]
mod subjects;
#[cfg(test)]
mod support;
#[cfg(test)]
mod suspension;
#[cfg(test)]
mod tables;
mod tidy;
#[cfg(test)]
mod verify_py;
#[cfg(test)]
mod witness;
