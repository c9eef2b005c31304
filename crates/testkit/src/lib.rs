//! Sample services, clients and faults for tests.
//!
//! Start reading at [`disk`] for disks that lose and refuse, at [`index`] for a tag index that does, at
//! [`postgres`] and [`mysql`] for database servers, at [`openbao`] and [`hsm`] for key services,
//! at [`s3`] for objects.

pub mod dice;
pub mod disk;
pub mod faulty;
pub mod hsm;
pub mod index;
pub mod mmdb;
pub mod mysql;
pub mod openbao;
pub mod postgres;
pub mod s3;

pub use dice::Dice;
pub use disk::{Crash, MemoryDisk};
pub use faulty::{Fault, FaultyDisk, Plan, Space, Step, Then};
pub use hsm::SoftHsm;
pub use index::MemoryIndex;
pub use mysql::MySql;
pub use openbao::OpenBao;
pub use postgres::{Confirming, Postgres, Tls};
pub use s3::S3;
