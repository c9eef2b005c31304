//! `enclave.toml`: where things listen and how much they take. No rule stands here: those are in the rulebook.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::{Name, Problems};

use crate::tables::Allowed;

mod keys;
mod media;
mod notify;
mod people;
mod raw;
mod sql;
mod store;
mod tables;

pub use self::raw::starter;
use self::raw::{Raw, RawDestination, RawJournal, RawLedger, RawLogs, RawPostgres};
pub use keys::{Keys, Service};
pub use media::Media;
pub use notify::{Mail, Notify, Webhook};
pub use people::{Console, Signin};
pub use sql::Sql;
pub use store::{ControlStore, Near, Place};

/// A checked configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The site, as the programme names it.
    pub site: Name,
    /// This gateway's name, a part of its log's origin.
    pub gateway: Name,
    /// The gateway's TLS listener.
    pub listen: SocketAddr,
    /// A listener in the clear, loopback only.
    pub cleartext: Option<SocketAddr>,
    /// The names under which callers ask the gateway; its own addresses are added.
    pub hosts: Vec<String>,
    /// Status and metrics; loopback only.
    pub control: SocketAddr,
    /// Where requests, and what came of them, are kept, and for how long.
    pub control_store: ControlStore,
    /// Where people and their records are kept.
    pub vault: Place,
    /// Who serves reads of records near by.
    pub near: Option<Near>,
    /// Where their media lie.
    pub media: Media,
    /// Threads that serve requests.
    pub workers: usize,
    /// Most connections.
    pub connections_max: usize,
    /// Longest wait for a request's head.
    pub head_timeout: Duration,
    /// Longest wait for a service behind.
    pub upstream_timeout: Duration,
    /// How often the public tree is published.
    pub publish_every: Duration,
    /// Where the region's key lies.
    pub keys: Keys,
    /// Where the frames of the site's logs become durable.
    pub journal: Journal,
    /// Where the site's logs are offered to auditors and anyone else.
    pub logs: Listeners,
    /// Whom to trust when a witness is asked over TLS; `None` for the site's own authority.
    pub witness_ca: Option<PathBuf>,
    /// Bytes of released payloads that are held for the auditor's samples.
    pub samples_bytes: usize,
    /// Where a local mirror listens that `clover serve` starts; `None` when others witness.
    pub mirror: Option<SocketAddr>,
    /// What people use in a browser; `None` when nobody signs in here.
    pub console: Option<Console>,
    /// Who is told of requests; `None` when nobody is.
    pub notify: Option<Notify>,
    /// A table of the countries of networks (MaxMind's format), for addresses that the programme does not declare.
    pub mmdb: Option<PathBuf>,
    /// How much those who read tables of lanes may take.
    pub tables: Allowed,
    /// Services inside, by the names that lanes use.
    pub upstreams: BTreeMap<String, SocketAddr>,
    /// Destinations outside, by the names that lanes use: address and certificate name.
    pub destinations: BTreeMap<String, (SocketAddr, String)>,
    /// Where traces are sent (OpenTelemetry over HTTP), if anywhere.
    pub traces: Option<String>,
    /// A proposed rulebook that is asked beside the one in force, and decides nothing.
    pub shadow: Option<PathBuf>,
    /// The SQL gateway, where there is one.
    pub sql: Option<Sql>,
}

/// Where frames of logs become durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Journal {
    /// In files of the log's folder.
    Segments,
    /// In a PostgreSQL database.
    Postgres(Database),
}

/// A PostgreSQL database. Paths are relative to the enclave's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    /// A connection string or URL of libpq's form, without a password.
    pub server: String,
    /// The file that holds the password.
    pub password_file: Option<PathBuf>,
    /// Whom to trust over TLS.
    pub ca_file: Option<PathBuf>,
    /// The certificate to show over TLS, and its key.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// How many other servers must confirm a commit.
    pub quorum: u32,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest wait for the answer to a statement.
    pub statement_timeout: Duration,
}

/// Where the site's logs are offered: in the clear on this machine, over TLS anywhere, or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listeners {
    /// In the clear; loopback only.
    pub clear: Option<SocketAddr>,
    /// Over TLS.
    pub tls: Option<SocketAddr>,
    /// The certificate of the TLS listener and its key, relative to the enclave's folder; `None` for the gateway's.
    pub certificate: Option<(PathBuf, PathBuf)>,
}

const ADDRESS: &str = "use an address and a port, as 127.0.0.1:8443";
/// Fewer than the most servers of one list.
const QUORUM_MAX: u32 = 7;

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// Every problem at once.
    pub fn load(path: &Path) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let text = std::fs::read_to_string(path).map_err(|e| e.to_string());
        match problems.keep(
            &path.display().to_string(),
            "run `clover init`, or name the right folder with --dir",
            text,
        ) {
            Some(text) => Self::parse(&text),
            None => Err(problems),
        }
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// Every problem at once.
    pub fn parse(text: &str) -> Result<Self, Problems> {
        let mut p = Problems::default();
        let raw: Result<Raw, _> = toml::from_str(text).map_err(|e| placed(&e, text));
        let Some(raw) = p.keep("enclave.toml", "compare with what `clover init` writes", raw) else {
            return Err(p);
        };
        let site = p.keep("enclave.toml: site", "name a site of the programme", Name::parse(&raw.site));
        let gateway = gateway_name(&raw.gateway.name, &mut p);
        let listen = address("gateway.listen", &raw.gateway.listen, &mut p);
        let control = address("control.listen", &raw.control.listen, &mut p);
        let cleartext = raw.gateway.cleartext_listen.as_ref();
        let cleartext = cleartext.and_then(|t| address("gateway.cleartext_listen", t, &mut p));
        let (samples_bytes, logs) = (raw.site_logs.samples_bytes, listeners(raw.site_logs, &mut p));
        let publish_every = Duration::from_millis(raw.ledger.publish_every_ms.max(10));
        let (journal, keys) = (journal(raw.ledger, &mut p), keys::check(raw.keys, &mut p));
        let stores = store::check(raw.control, &mut p).zip(store::vault(raw.vault, &mut p));
        let mirror = raw.mirror.as_ref().and_then(|m| address("mirror.listen", &m.listen, &mut p));
        local_only(
            &[
                ("gateway.cleartext_listen", cleartext),
                ("control.listen", control),
                ("site_logs.listen", logs.clear),
                ("mirror.listen", mirror),
            ],
            &mut p,
        );
        mirrored(raw.mirror.is_some(), &logs, &mut p);
        let (console, sql) = (people::check(raw.console, raw.signin, &mut p), sql::check(raw.sql, &mut p));
        let (notify, tables) = (notify::check(raw.notify, &mut p), tables::check(&raw.tables, &mut p));
        let (upstreams, destinations) = services(raw.upstreams, raw.destinations, &mut p);
        at_least_one(&raw.gateway, &mut p);
        let (Some(site), Some(gateway), Some(listen), Some(control)) = (site, gateway, listen, control)
        else {
            return Err(p);
        };
        let (Some(stores), Some(journal), Some(keys)) = (stores, journal, keys) else {
            return Err(p);
        };
        let (control_store, (vault, near, media)) = stores;
        p.or(Self {
            site,
            gateway,
            listen,
            cleartext,
            hosts: raw.gateway.hosts,
            control,
            control_store,
            vault,
            near,
            media,
            workers: raw.gateway.workers,
            connections_max: raw.gateway.connections_max,
            head_timeout: Duration::from_millis(raw.gateway.head_timeout_ms),
            upstream_timeout: Duration::from_millis(raw.gateway.upstream_timeout_ms),
            publish_every,
            keys,
            journal,
            logs,
            witness_ca: raw.witnesses.ca_file,
            samples_bytes,
            mirror,
            console,
            notify,
            mmdb: raw.location.mmdb_file,
            tables,
            upstreams,
            destinations,
            traces: raw.telemetry.otlp_endpoint,
            shadow: raw.rulebook.shadow,
            sql,
        })
    }
}

/// An address and port to listen at.
fn address(key: &str, text: &str, p: &mut Problems) -> Option<SocketAddr> {
    p.keep(&format!("enclave.toml: {key}"), ADDRESS, text.parse())
}

/// A gateway's name, which is not one of the site's own logs.
fn gateway_name(text: &str, p: &mut Problems) -> Option<Name> {
    let fix = "choose another name";
    if ["site", "keys"].contains(&text) {
        p.add("enclave.toml: gateway.name", "the site's own logs have this name", fix);
    }
    p.keep("enclave.toml: gateway.name", fix, Name::parse(text))
}

/// A gateway with no worker or no connection could serve nothing.
fn at_least_one(gateway: &raw::RawGateway, p: &mut Problems) {
    for (key, n) in [("workers", gateway.workers), ("connections_max", gateway.connections_max)] {
        if n == 0 {
            p.add(format!("enclave.toml: gateway.{key}"), "nothing could be served", "use 1 or more");
        }
    }
}

/// What listens in the clear listens on loopback alone.
fn local_only(listeners: &[(&str, Option<SocketAddr>)], p: &mut Problems) {
    for (key, local) in listeners {
        if local.is_some_and(|a| !a.ip().is_loopback()) {
            p.add(format!("enclave.toml: {key}"), "not loopback, and not encrypted", "use 127.0.0.1");
        }
    }
}

/// A local mirror finds the logs.
fn mirrored(mirror: bool, logs: &Listeners, p: &mut Problems) {
    if mirror && logs.clear.is_none() {
        let why = "the local mirror asks for the logs in the clear on this machine";
        p.add("enclave.toml: mirror", why, "give site_logs.listen, or remove [mirror]");
    }
}

/// A certificate and its key: both are named, or none.
fn pair(
    at: &str,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    p: &mut Problems,
) -> Option<(PathBuf, PathBuf)> {
    if certificate.is_some() != key.is_some() {
        p.add(
            format!("enclave.toml: {at}"),
            "a certificate needs its key",
            "name certificate_file and key_file",
        );
    }
    certificate.zip(key)
}

fn listeners(raw: RawLogs, p: &mut Problems) -> Listeners {
    let mut parse = |key: &str, text: Option<String>| {
        p.keep(&format!("enclave.toml: site_logs.{key}"), ADDRESS, text?.parse::<SocketAddr>())
    };
    let given = raw.listen.is_some() || raw.tls_listen.is_some();
    let (clear, tls) = (parse("listen", raw.listen), parse("tls_listen", raw.tls_listen));
    if !given {
        p.add("enclave.toml: site_logs", "nobody could check the logs", "give listen, tls_listen, or both");
    }
    Listeners { clear, tls, certificate: pair("site_logs", raw.certificate_file, raw.key_file, p) }
}

fn journal(raw: RawLedger, p: &mut Problems) -> Option<Journal> {
    match (raw.journal, raw.postgres) {
        (RawJournal::Segments, None) => Some(Journal::Segments),
        (RawJournal::Segments, Some(_)) => {
            let why = "a database is named, and the journal is not there";
            p.add("enclave.toml: ledger.postgres", why, "write journal = \"postgres\", or remove the table");
            None
        }
        (RawJournal::Postgres, None) => {
            p.add(
                "enclave.toml: ledger.journal",
                "no database is named",
                "add [ledger.postgres] with `server`",
            );
            None
        }
        (RawJournal::Postgres, Some(raw)) => Some(Journal::Postgres(database(raw, "ledger.postgres", p))),
    }
}

fn database(raw: RawPostgres, table: &str, p: &mut Problems) -> Database {
    let at = format!("enclave.toml: {table}");
    let certificate = pair(table, raw.certificate_file, raw.key_file, p);
    if certificate.is_some() && raw.ca_file.is_none() {
        p.add(
            at.clone(),
            "a certificate is shown over TLS only",
            "name the authority of the server in ca_file",
        );
    }
    for (key, ms) in [("connect", raw.connect_timeout_ms), ("statement", raw.statement_timeout_ms)] {
        if !(100..=600_000).contains(&ms) {
            p.add(format!("{at}.{key}_timeout_ms"), "no such wait is of use", "use 100 to 600000");
        }
    }
    if raw.quorum > QUORUM_MAX {
        p.add(format!("{at}.quorum"), "there are not so many servers", "use 0 to 7");
    }
    Database {
        server: raw.server,
        password_file: raw.password_file,
        ca_file: raw.ca_file,
        certificate,
        quorum: raw.quorum,
        connect_timeout: Duration::from_millis(raw.connect_timeout_ms),
        statement_timeout: Duration::from_millis(raw.statement_timeout_ms),
    }
}

/// Services inside, and destinations outside with the names on their certificates.
type Services = (BTreeMap<String, SocketAddr>, BTreeMap<String, (SocketAddr, String)>);

fn services(
    inside: BTreeMap<String, String>,
    outside: BTreeMap<String, RawDestination>,
    p: &mut Problems,
) -> Services {
    let (mut upstreams, mut destinations) = (BTreeMap::new(), BTreeMap::new());
    for (name, text) in inside {
        if let Some(a) = p.keep(&format!("enclave.toml: upstreams.{name}"), ADDRESS, text.parse()) {
            upstreams.insert(name, a);
        }
    }
    for (name, d) in outside {
        if let Some(a) = p.keep(&format!("enclave.toml: destinations.{name}"), ADDRESS, d.address.parse()) {
            destinations.insert(name, (a, d.name));
        }
    }
    (upstreams, destinations)
}

/// What is wrong, in one line with its place.
fn placed(error: &toml::de::Error, text: &str) -> String {
    let before = error.span().and_then(|s| text.get(..s.start));
    let line = before.map_or(1, |t| t.matches('\n').count() + 1);
    format!("line {line}: {}", error.message().replace('\n', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_init_writes_is_a_valid_configuration() {
        let config = Config::parse(&starter("dublin-1")).unwrap();
        assert_eq!(config.listen.port(), 8443);
        assert!(config.cleartext.is_none());
    }

    #[test]
    fn the_logs_are_offered_in_the_clear_on_loopback_only_and_over_tls_anywhere() {
        let with = |logs: &str| {
            Config::parse(&starter("dublin-1").replace("listen = \"127.0.0.1:8445\"", logs))
                .map_err(|problems| problems.to_string())
        };
        let both = with("listen = \"127.0.0.1:1\"\ntls_listen = \"0.0.0.0:2\"").unwrap();
        assert_eq!((both.logs.clear.unwrap().port(), both.logs.tls.unwrap().port()), (1, 2));
        for (wrong, why) in [
            ("listen = \"0.0.0.0:1\"", "not encrypted"),
            ("", "nobody could check"),
            ("tls_listen = \"0.0.0.0:2\"", "local mirror"),
            ("listen = \"127.0.0.1:1\"\nkey_file = \"k\"", "needs its key"),
        ] {
            let said = with(wrong).unwrap_err();
            assert!(said.contains(why), "{wrong}: {said}");
        }
    }

    #[test]
    fn a_database_is_named_where_the_journal_is_and_nowhere_else() {
        let with = |ledger: &str| {
            let text = starter("dublin-1").replace("journal = \"segments\"", ledger);
            Config::parse(&text.replace("publish_every_ms = 250\n", "")).map_err(|p| p.to_string())
        };
        let table = "[ledger.postgres]\nserver = \"host=db.example\"";
        let good = with(&format!("journal = \"postgres\"\n{table}\nca_file = \"ca.pem\"")).unwrap();
        assert!(
            matches!(good.journal, Journal::Postgres(d) if d.ca_file.is_some() && d.certificate.is_none())
        );
        for (wrong, why) in [
            ("journal = \"postgres\"".to_owned(), "no database"),
            (table.to_owned(), "the journal is not there"),
            (format!("journal = \"postgres\"\n{table}\ncertificate_file = \"c\""), "needs its key"),
            (format!("journal = \"postgres\"\n{table}\nstatement_timeout_ms = 1"), "no such wait"),
            (format!("journal = \"postgres\"\n{table}\nquorum = 8"), "not so many"),
            (format!("journal = \"postgres\"\n{table}\npassword = \"p\""), "password"),
        ] {
            let said = with(&wrong).unwrap_err();
            assert!(said.contains(why), "{wrong}: {said}");
        }
    }

    #[test]
    fn every_problem_is_told_at_once_and_unknown_keys_are_errors() {
        let bad =
            starter("dublin-1").replace("127.0.0.1:8443", "here").replace("127.0.0.1:8444", "0.0.0.0:1");
        let problems = Config::parse(&bad).unwrap_err();
        assert_eq!(problems.list().len(), 2, "{problems}");
        assert!(Config::parse(&format!("{}\n[gatway]\n", starter("x"))).is_err());
    }
}
