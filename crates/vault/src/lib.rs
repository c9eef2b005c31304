//! Everything that is stored: records, keys, grants and cases, and the ledger's log. No other crate of the
//! enclave opens a file of it.
//!
//! Start reading at [`log`] for the ledger, [`records`] for people, [`keys`] for keys.

pub mod accounts;
pub mod control;
pub mod disk;
pub mod export;
pub mod keys;
pub mod log;
pub mod media;
pub mod records;
pub mod sessions;
pub mod tags;
mod tls;

pub use accounts::Accounts;
pub use control::Control;
pub use disk::{Disk, Folder};
pub use keys::{KeyService, PersonKeys};
pub use log::{Border, BorderClosed, Log};
pub use media::Media;
pub use records::Records;
pub use sessions::EndedSessions;
pub use tags::Tags;
