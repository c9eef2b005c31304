//! Assembly of the enclave.

pub mod sample;
