//! Where things lie in an enclave's folder. One place for each name.

use std::path::{Path, PathBuf};

/// An enclave's folder.
#[derive(Debug, Clone)]
pub struct Layout(PathBuf);

impl Layout {
    /// The folder at a path. Nothing is created.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self(root.to_owned())
    }

    /// The folder itself; the log keeps `ledger`, `wal` and `details` in it.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.0
    }

    /// A file that the configuration names: relative to the folder, unless it is absolute.
    #[must_use]
    pub fn file(&self, path: &Path) -> PathBuf {
        self.0.join(path)
    }

    /// Local configuration.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.0.join("enclave.toml")
    }

    /// The rulebook in preparation or in force.
    #[must_use]
    pub fn rulebook(&self) -> PathBuf {
        self.0.join("rulebook")
    }

    /// Stories that are told of the rulebook.
    #[must_use]
    pub fn stories(&self) -> PathBuf {
        self.0.join("tests")
    }

    /// The digest of the activated rulebook.
    #[must_use]
    pub fn activated(&self) -> PathBuf {
        self.0.join("activated")
    }

    /// The site's keys.
    #[must_use]
    pub fn keys(&self) -> PathBuf {
        self.0.join("keys")
    }

    /// The public keys that a checker is given by hand.
    #[must_use]
    pub fn trust(&self) -> PathBuf {
        self.0.join("trust")
    }

    /// Keys that belong on the auditor's machine.
    #[must_use]
    pub fn auditor(&self) -> PathBuf {
        self.0.join("auditor")
    }

    /// The key that belongs to the regulator.
    #[must_use]
    pub fn regulator(&self) -> PathBuf {
        self.0.join("regulator")
    }

    /// Certificates of the site's listeners and its credential authority.
    #[must_use]
    pub fn tls(&self) -> PathBuf {
        self.0.join("tls")
    }

    /// Actors, as the operator signed them.
    #[must_use]
    pub fn control(&self) -> PathBuf {
        self.0.join("control")
    }

    /// The embedded control store: requests for access and what came of them.
    #[must_use]
    pub fn control_store(&self) -> PathBuf {
        self.control().join("store")
    }

    /// Wishes of people to be erased.
    #[must_use]
    pub fn wishes(&self) -> PathBuf {
        self.control().join("wishes")
    }

    /// The site's own log.
    #[must_use]
    pub fn site(&self) -> PathBuf {
        self.0.join("site")
    }

    /// The key service's log.
    #[must_use]
    pub fn key_log(&self) -> PathBuf {
        self.0.join("keylog")
    }

    /// The folder of one of the site's logs, by the name of its key: `site`, `keys`, or the gateway's `log`.
    #[must_use]
    pub fn log(&self, name: &str) -> PathBuf {
        match name {
            "site" => self.site(),
            "keys" => self.key_log(),
            _ => self.0.clone(),
        }
    }

    /// Canaries, incidents, and the evidence of them.
    #[must_use]
    pub fn residency(&self) -> PathBuf {
        self.0.join("residency")
    }

    /// Day maps, kept for proofs.
    #[must_use]
    pub fn days(&self) -> PathBuf {
        self.0.join("days")
    }

    /// The local mirror: its configuration, its keys, and what it holds.
    #[must_use]
    pub fn mirror(&self) -> PathBuf {
        self.0.join("mirror")
    }

    /// Who must have signed a checkpoint of the site (C2SP tlog-policy).
    #[must_use]
    pub fn policy(&self) -> PathBuf {
        self.trust().join("policy")
    }

    /// A signed border override that waits to be recorded.
    #[must_use]
    pub fn border_override(&self) -> PathBuf {
        self.control().join("border-override.note")
    }

    /// Orders that wait to be taken by the enclave.
    #[must_use]
    pub fn orders(&self) -> PathBuf {
        self.control().join("orders")
    }

    /// The last order about each country that was ever suspended.
    #[must_use]
    pub fn suspensions(&self) -> PathBuf {
        self.control().join("suspensions")
    }

    /// Demands of authorities that are on the record.
    #[must_use]
    pub fn demands(&self) -> PathBuf {
        self.control().join("demands")
    }

    /// Stages of migrations that are on the record.
    #[must_use]
    pub fn migrations(&self) -> PathBuf {
        self.control().join("migrations")
    }

    /// People who are laid down for the vault, in a folder for each dataset.
    #[must_use]
    pub fn spool(&self) -> PathBuf {
        self.control().join("spool")
    }

    /// Up to when each receiver of notices has had everything.
    #[must_use]
    pub fn notices(&self) -> PathBuf {
        self.control().join("notices")
    }

    /// Records of people.
    #[must_use]
    pub fn vault(&self) -> PathBuf {
        self.0.join("vault")
    }

    /// The public copy of a rulebook that decided here.
    #[must_use]
    pub fn published_rulebook(&self, digest: &str) -> PathBuf {
        self.0.join("ledger").join("rulebook").join(digest)
    }
}
