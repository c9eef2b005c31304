//! Checks a Clover ledger from its published files alone.
//!
//! Everything here is written from the pages in `docs/formats/` and the C2SP specifications they name. It
//! uses no other crate of this project, so that a mistake of the writer is not repeated by the checker.
//! What must hold is one [`Rule`] each; what does not hold is one [`Finding`] in the [`Report`].
//!
//! It trusts the three verifier keys that it is given, and nothing in the tree. It checks a tree that stands
//! still: a copy or a mirror, not a folder that a gateway is writing at the same moment.
//!
//! Start reading at [`verify`] (`verify.rs`), then `levels.rs` for the Merkle tree, `entries.rs` for the
//! entries, `declared.rs` for what they say of the rulebook, and `decide.rs` for deciding again.

mod approvals;
mod bundle;
mod cbor;
mod checkpoint;
mod claims;
mod codes;
mod cosign;
mod daymap;
mod decide;
mod declared;
mod durable;
mod entries;
mod evidence;
mod facts;
mod fetch;
mod flows;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzz;
mod grants;
mod hash;
mod header;
mod history;
mod html;
mod incident;
mod inside;
mod invariants;
mod keygen;
mod keyleaf;
mod levels;
mod maps;
mod measured;
mod migrations;
mod mirror;
mod nodes;
mod noise;
mod note;
mod orders;
mod overrides;
mod proof;
mod quorum;
mod releases;
mod replay;
mod report;
mod rulebook;
mod runs;
mod sample;
mod scan;
mod serve;
mod sitecheck;
mod siteleaf;
mod sitelog;
mod streams;
mod summary;
mod tags;
#[cfg(test)]
mod testsite;
mod tile;
mod tls;
mod tree;
mod verify;
mod walk;
mod watch;

pub use approvals::{Approvals, Approver, Decoys, Pair};
pub use cosign::{KeyKind, SeedError, SigningKey};
pub use evidence::{
    EvidenceError, EvidenceOptions, EvidenceReport, EvidenceTrust, Selection, collect_evidence,
    verify_evidence,
};
pub use history::{HistoryError, HistoryReport, Witnessed, day_of_date, verify_history};
pub use html::report_page;
pub use incident::{
    ActionKind, ActionLine, Clock, Incident, IncidentError, Incidents, Opening, Parties, PartiesError, Party,
    Reference, Severity, State,
};
pub use keygen::{KeygenError, keygen};
pub use maps::{MapLine, MapOptions, MapReport, check_maps};
pub use mirror::{
    ConfigError, Coverage, LogStatus, Mirror, MirrorConfig, SiteStatus, StartError, Status, WitnessedLog,
    mirror_status,
};
pub use note::{KeyError, VerifierKey};
pub use proof::{Inclusion, ProofError, verify_proof};
pub use replay::{ReplayOptions, ReplayReport, Replayed, ReplayedLog, replay};
pub use report::{Finding, Place, Report, Rule};
pub use sample::{SampleError, SampleOptions, SampleReport, run_sample};
pub use scan::Identifier;
pub use serve::{Serve, ServeError, ServeOptions};
pub use sitecheck::{LogReport, SiteOptions, SiteReport, verify_site};
pub use sitelog::FolderError;
pub use summary::{
    Crossings, PeriodCoverage, PeriodError, PeriodOptions, PeriodReport, Volume, report_period,
};
pub use verify::{AuditError, Options, verify};
pub use watch::{
    Watch, WatchConfig, WatchConfigError, WatchError, WatchFinding, WatchOptions, WatchRule, newest_site_time,
};
