//! The SQL gateway: where it listens, and the databases of services behind it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use model::{Name, Problems};

use super::raw::{RawPostgres, RawSql};
use super::{Database, address, database};

/// The SQL gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sql {
    /// Its TLS listener.
    pub listen: SocketAddr,
    /// Most connections at a time.
    pub connections_max: usize,
    /// Longest time of one statement.
    pub statement_timeout: Duration,
    /// Whether a password is taken only if it is tied to our certificate, which some drivers cannot do.
    pub channel_binding: bool,
    /// Databases of services, by the names that tables use.
    pub sources: BTreeMap<Name, Database>,
}

pub(super) fn check(raw: Option<RawSql>, p: &mut Problems) -> Option<Sql> {
    let raw = raw?;
    if raw.connections_max == 0 {
        p.add("enclave.toml: sql.connections_max", "nothing could be served", "use 1 or more");
    }
    if !(100..=86_400_000).contains(&raw.statement_timeout_ms) {
        p.add("enclave.toml: sql.statement_timeout_ms", "no such wait is of use", "use 100 to 86400000");
    }
    let mut sources = BTreeMap::new();
    for (name, database) in raw.sources {
        sources.extend(source(&name, database, p));
    }
    Some(Sql {
        listen: address("sql.listen", &raw.listen, p)?,
        connections_max: raw.connections_max,
        statement_timeout: Duration::from_millis(raw.statement_timeout_ms),
        channel_binding: raw.channel_binding,
        sources,
    })
}

fn source(name: &str, raw: RawPostgres, p: &mut Problems) -> Option<(Name, Database)> {
    let table = format!("sql.sources.{name}");
    if raw.quorum != 0 {
        p.add(format!("enclave.toml: {table}.quorum"), "nothing is written there", "leave it out");
    }
    let name = p.keep(&format!("enclave.toml: {table}"), "choose another name", Name::parse(name))?;
    Some((name, database(raw, &table, p)))
}

#[cfg(test)]
mod tests {
    use super::super::{Config, starter};

    #[test]
    fn a_source_is_a_database_that_nothing_is_written_to() {
        let with = |sql: &str| {
            Config::parse(&format!("{}\n{sql}", starter("dublin-1")))
                .map(|c| c.sql)
                .map_err(|p| p.to_string())
        };
        assert_eq!(with("").unwrap(), None);
        let table =
            "[sql]\nlisten = \"127.0.0.1:5433\"\n[sql.sources.services]\nserver = \"host=/run/postgresql\"\n";
        let sql = with(table).unwrap().unwrap();
        assert_eq!((sql.connections_max, sql.channel_binding), (100, false));
        assert_eq!(sql.sources.len(), 1);
        for (wrong, why) in [
            ("[sql]".to_owned(), "listen"),
            ("[sql]\nlisten = \"here\"".to_owned(), "sql.listen"),
            ("[sql]\nlisten = \"127.0.0.1:1\"\nconnections_max = 0".to_owned(), "sql.connections_max"),
            (
                "[sql]\nlisten = \"127.0.0.1:1\"\nstatement_timeout_ms = 1".to_owned(),
                "sql.statement_timeout_ms",
            ),
            (format!("{table}quorum = 1"), "sql.sources.services.quorum"),
            (format!("{table}key_file = \"k\""), "needs its key"),
        ] {
            assert!(with(&wrong).unwrap_err().contains(why), "{wrong}: {:?}", with(&wrong));
        }
    }
}
