//! `residency.toml`: the nodes that are watched, and what may be at each.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::Fact;
use super::replicas::Replica;
use crate::connect::{Server, Web, trusting};
use crate::error::ResidencyError;

/// Longest time between two looks: an undeclared replica is a finding within five seconds.
const POLL_MS_MAX: u64 = 2000;
/// Most nodes.
const NODES_MAX: usize = 64;
/// Longest file.
const BYTES_MAX: u64 = 4 << 20;
/// Kinds of facts whose absence is a finding.
const MUST_BE: &[&str] = &["setting", "hba", "ident", "nftables", "event-trigger", "patroni-config"];

/// The file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Declared {
    /// How long between two looks, at most 2000.
    #[serde(default = "poll_ms")]
    pub poll_ms: u64,
    /// How long an answer is waited for.
    #[serde(default = "patience_ms")]
    pub patience_ms: u64,
    /// How many looks at a server go by between two at all of its databases.
    #[serde(default = "databases_every")]
    pub databases_every: u32,
    /// How long an incident may stay open.
    #[serde(default = "due_hours")]
    pub due_hours: u64,
    /// The nodes.
    #[serde(rename = "node")]
    pub nodes: Vec<Node>,
}

/// One node: a database server, and what is around it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Its name in findings.
    pub name: String,
    /// A connection string of libpq's form, for a role that is in `pg_monitor` or more.
    pub address: String,
    /// A file with its password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// Whom to trust over TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Who we are, if it asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_file: Option<PathBuf>,
    /// The key of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// Patroni's REST API, as `https://host:8008`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patroni: Option<String>,
    /// A member of etcd, as `https://host:2379`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etcd: Option<String>,
    /// The system's user that the server runs as, where the monitor runs on the same machine: then its sockets and the
    /// firewall's rules are looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_user: Option<String>,
    /// Networks that processes of that user may be connected with.
    #[serde(default)]
    pub peers: Vec<IpNet>,
    /// What may be there: texts for each kind of fact.
    #[serde(default)]
    pub facts: BTreeMap<String, Vec<String>>,
    /// Who may take its changes.
    #[serde(default, rename = "replica")]
    pub replicas: Vec<Replica>,
}

const fn poll_ms() -> u64 {
    1000
}
const fn patience_ms() -> u64 {
    2000
}
const fn databases_every() -> u32 {
    15
}
const fn due_hours() -> u64 {
    72
}

impl Node {
    pub(super) fn declares(&self, fact: &Fact) -> bool {
        self.facts.get(&fact.kind).is_some_and(|texts| texts.contains(&fact.text))
    }

    /// What must be there.
    pub(super) fn must_be(&self) -> impl Iterator<Item = Fact> {
        let guarding = self.facts.iter().filter(|(kind, _)| MUST_BE.contains(&kind.as_str()));
        guarding.flat_map(|(kind, texts)| texts.iter().map(|text| Fact::new(kind, text.clone())))
    }

    /// How it is reached.
    ///
    /// # Errors
    /// In words, when a file cannot be used or the address is none.
    pub fn server(&self, folder: &Path, patience: Duration) -> Result<(Server, Web), String> {
        let read = |file: &PathBuf| {
            std::fs::read_to_string(folder.join(file)).map_err(|e| format!("`{}`: {e}", file.display()))
        };
        let password = self.password_file.as_ref().map(read).transpose()?;
        let tls = self.ca_file.as_ref().map(|roots| {
            let own = self.certificate_file.as_ref().zip(self.key_file.as_ref());
            let own = own.map(|(c, k)| (folder.join(c), folder.join(k)));
            let own = own.as_ref().map(|(c, k)| (c.as_path(), k.as_path()));
            trusting(&folder.join(roots), own).map_err(|e| format!("certificates of `{}`: {e}", self.name))
        });
        let tls = tls.transpose()?;
        let server =
            Server::new(&self.address, password.as_deref().map(str::trim_end), tls.clone(), patience);
        Ok((server.map_err(|e| format!("`{}`: {e}", self.name))?, Web { tls, patience }))
    }
}

impl Declared {
    /// Reads the file.
    ///
    /// # Errors
    /// When it cannot be read, or something in it has no meaning.
    pub fn load(path: &Path) -> Result<Self, ResidencyError> {
        let length = std::fs::metadata(path).map_err(ResidencyError::file(path))?.len();
        let wrong = |why: String| ResidencyError::Declared { path: path.to_owned(), why };
        if length > BYTES_MAX {
            return Err(wrong(format!("it is longer than {BYTES_MAX} bytes")));
        }
        let text = std::fs::read_to_string(path).map_err(ResidencyError::file(path))?;
        let declared: Self = toml::from_str(&text).map_err(|e| wrong(e.message().to_owned()))?;
        declared.check().map_err(wrong)?;
        Ok(declared)
    }

    fn check(&self) -> Result<(), String> {
        if !(50..=POLL_MS_MAX).contains(&self.poll_ms) {
            return Err(format!("`poll_ms` is from 50 to {POLL_MS_MAX}"));
        }
        if !(100..=30_000).contains(&self.patience_ms) {
            return Err("`patience_ms` is from 100 to 30000".to_owned());
        }
        if self.databases_every == 0 || self.due_hours == 0 || self.due_hours > 24 * 365 {
            return Err("`databases_every` and `due_hours` are above zero, and no year".to_owned());
        }
        if self.nodes.is_empty() || self.nodes.len() > NODES_MAX {
            return Err(format!("there are from 1 to {NODES_MAX} nodes"));
        }
        for (n, node) in self.nodes.iter().enumerate() {
            if node.name.is_empty() || self.nodes.iter().take(n).any(|other| other.name == node.name) {
                return Err(format!("each node has a name of its own, and `{}` is not one", node.name));
            }
            for replica in &node.replicas {
                replica
                    .check()
                    .map_err(|why| format!("replica `{}` of `{}`: {why}", replica.name, node.name))?;
            }
        }
        Ok(())
    }

    /// How long an answer is waited for.
    #[must_use]
    pub const fn patience(&self) -> Duration {
        Duration::from_millis(self.patience_ms)
    }
}
