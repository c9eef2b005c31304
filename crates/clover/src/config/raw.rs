//! What `enclave.toml` says, word for word, with its defaults; and what `clover init` writes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{keys, media, notify, people, tables};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    pub(super) site: String,
    pub(super) gateway: RawGateway,
    pub(super) control: RawControl,
    #[serde(default)]
    pub(super) vault: RawVault,
    #[serde(default)]
    pub(super) ledger: RawLedger,
    #[serde(default)]
    pub(super) keys: keys::RawKeys,
    pub(super) site_logs: RawLogs,
    #[serde(default)]
    pub(super) witnesses: RawWitnesses,
    pub(super) mirror: Option<RawMirror>,
    pub(super) console: Option<people::RawConsole>,
    pub(super) signin: Option<people::RawSignin>,
    pub(super) notify: Option<notify::RawNotify>,
    #[serde(default)]
    pub(super) location: people::RawLocation,
    #[serde(default)]
    pub(super) tables: tables::RawTables,
    #[serde(default)]
    pub(super) upstreams: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) destinations: BTreeMap<String, RawDestination>,
    #[serde(default)]
    pub(super) telemetry: RawTelemetry,
    #[serde(default)]
    pub(super) rulebook: RawRulebook,
    pub(super) sql: Option<RawSql>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSql {
    pub(super) listen: String,
    #[serde(default = "sql_connections_max")]
    pub(super) connections_max: usize,
    #[serde(default = "sql_statement_timeout_ms")]
    pub(super) statement_timeout_ms: u64,
    #[serde(default)]
    pub(super) channel_binding: bool,
    #[serde(default)]
    pub(super) sources: BTreeMap<String, RawPostgres>,
}

fn sql_connections_max() -> usize {
    100
}

fn sql_statement_timeout_ms() -> u64 {
    60_000
}

#[derive(serde::Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRulebook {
    pub(super) shadow: Option<PathBuf>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawGateway {
    pub(super) name: String,
    pub(super) listen: String,
    pub(super) cleartext_listen: Option<String>,
    #[serde(default = "hosts")]
    pub(super) hosts: Vec<String>,
    #[serde(default = "workers")]
    pub(super) workers: usize,
    #[serde(default = "connections_max")]
    pub(super) connections_max: usize,
    #[serde(default = "head_timeout_ms")]
    pub(super) head_timeout_ms: u64,
    #[serde(default = "upstream_timeout_ms")]
    pub(super) upstream_timeout_ms: u64,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawControl {
    pub(super) listen: String,
    #[serde(default)]
    pub(super) store: RawStore,
    pub(super) postgres: Option<RawPostgres>,
    #[serde(default = "keep_days")]
    pub(super) keep_days: u32,
    #[serde(default = "keep_spent_days")]
    pub(super) keep_spent_days: u32,
}

#[derive(serde::Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawVault {
    #[serde(default)]
    pub(super) store: RawStore,
    pub(super) postgres: Option<RawPostgres>,
    pub(super) near: Option<RawNear>,
    #[serde(default)]
    pub(super) media: media::RawMedia,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawNear {
    pub(super) server: String,
    pub(super) staleness_ms: u64,
}

#[derive(serde::Deserialize, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawStore {
    #[default]
    Embedded,
    Postgres,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLedger {
    #[serde(default = "publish_every_ms")]
    pub(super) publish_every_ms: u64,
    #[serde(default)]
    pub(super) journal: RawJournal,
    pub(super) postgres: Option<RawPostgres>,
}

#[derive(serde::Deserialize, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawJournal {
    #[default]
    Segments,
    Postgres,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPostgres {
    pub(super) server: String,
    pub(super) password_file: Option<PathBuf>,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) certificate_file: Option<PathBuf>,
    pub(super) key_file: Option<PathBuf>,
    #[serde(default)]
    pub(super) quorum: u32,
    #[serde(default = "connect_timeout_ms")]
    pub(super) connect_timeout_ms: u64,
    #[serde(default = "statement_timeout_ms")]
    pub(super) statement_timeout_ms: u64,
}

#[derive(serde::Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawWitnesses {
    pub(super) ca_file: Option<PathBuf>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLogs {
    pub(super) listen: Option<String>,
    pub(super) tls_listen: Option<String>,
    pub(super) certificate_file: Option<PathBuf>,
    pub(super) key_file: Option<PathBuf>,
    #[serde(default = "samples_bytes")]
    pub(super) samples_bytes: usize,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMirror {
    pub(super) listen: String,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDestination {
    pub(super) address: String,
    pub(super) name: String,
}

#[derive(serde::Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTelemetry {
    pub(super) otlp_endpoint: Option<String>,
}

impl Default for RawLedger {
    fn default() -> Self {
        Self { publish_every_ms: publish_every_ms(), journal: RawJournal::Segments, postgres: None }
    }
}

/// The names on the certificate that `clover init` makes.
pub(super) fn hosts() -> Vec<String> {
    ["localhost", "clover.local"].map(str::to_owned).into()
}
fn workers() -> usize {
    2
}
fn connections_max() -> usize {
    4096
}
fn head_timeout_ms() -> u64 {
    10_000
}
fn upstream_timeout_ms() -> u64 {
    10_000
}
fn keep_days() -> u32 {
    400
}
fn keep_spent_days() -> u32 {
    30
}
fn publish_every_ms() -> u64 {
    250
}
fn connect_timeout_ms() -> u64 {
    5_000
}
fn statement_timeout_ms() -> u64 {
    20_000
}
fn samples_bytes() -> usize {
    64 << 20
}

/// What `clover init` writes. Ports are free to change.
#[must_use]
pub fn starter(site: &str) -> String {
    format!(
        "# Where this enclave listens and how much it takes. Rules stand in the rulebook.\n\
         site = \"{site}\"\n\n\
         [gateway]\n\
         name = \"gw-1\"\n\
         listen = \"127.0.0.1:8443\"\n\
         # cleartext_listen = \"127.0.0.1:8080\"   # loopback only; callers then need a token\n\
         hosts = {:?}\n\
         workers = {}\n\
         connections_max = {}\n\
         head_timeout_ms = {}\n\
         upstream_timeout_ms = {}\n\n\
         [control]\n\
         listen = \"127.0.0.1:8444\"\n\
         store = \"embedded\"   # or \"postgres\", with [control.postgres]: docs/enclave-toml.md\n\n\
         # The region's key: a sealed file here, a token (PKCS#11) or OpenBao (docs/keys.md).\n\
         [keys]\n\
         service = \"file\"\n\
         lease_seconds = 60\n\n\
         [ledger]\n\
         journal = \"segments\"   # or \"postgres\", with [ledger.postgres]: docs/enclave-toml.md\n\
         publish_every_ms = {}\n\n\
         [site_logs]\n\
         listen = \"127.0.0.1:8445\"\n\
         samples_bytes = {}\n\n\
         # A mirror on this machine proves nothing to anybody else. Remove it when trust/policy names others.\n\
         [mirror]\n\
         listen = \"127.0.0.1:8446\"\n\n\
         # What people use, over TLS: they sign in here, with local accounts or through [signin] (docs/signin.md).\n\
         [console]\n\
         listen = \"127.0.0.1:8447\"\n\
         hosts = {:?}\n\
         session_hours = 8\n\
         local_accounts = true\n\n\
         [upstreams]\n\
         video-service = \"127.0.0.1:7001\"\n\n\
         [destinations.us-safety-desk]\n\
         address = \"127.0.0.1:7002\"\n\
         name = \"us-safety-desk.example\"\n",
        hosts(),
        workers(),
        connections_max(),
        head_timeout_ms(),
        upstream_timeout_ms(),
        publish_every_ms(),
        samples_bytes(),
        hosts()
    )
}
