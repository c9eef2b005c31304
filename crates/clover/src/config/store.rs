//! The control store: where its rows lie, and how long they are kept.

use std::time::Duration;

use model::Problems;

use super::media::{self, Media};
use super::raw::{RawControl, RawNear, RawPostgres, RawStore, RawVault};
use super::{Database, database};

const DAY: Duration = Duration::from_secs(86_400);
/// Most days that anything is kept.
const DAYS_MAX: u32 = 36_500;

/// The control store of an enclave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlStore {
    /// Where its rows lie.
    pub place: Place,
    /// For how long after their end requests and incidents are kept.
    pub keep: Duration,
    /// For how long after its end a grant's amount with the people counted is kept, and a list of ended sessions.
    pub keep_spent: Duration,
}

/// Where a store lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In the enclave's folder, for one process.
    Embedded,
    /// In a PostgreSQL database, for several.
    Postgres(Database),
}

impl Place {
    /// The word for people.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Postgres(_) => "postgres",
        }
    }
}

pub(super) fn check(raw: RawControl, p: &mut Problems) -> Option<ControlStore> {
    let mut days = |key: &str, days: u32| {
        if !(1..=DAYS_MAX).contains(&days) {
            p.add(format!("enclave.toml: control.{key}"), "no such time is of use", "use 1 to 36500");
        }
        DAY * days
    };
    let (keep, keep_spent) = (days("keep_days", raw.keep_days), days("keep_spent_days", raw.keep_spent_days));
    let place = place(["control", "control store"], raw.store, raw.postgres, p);
    place.map(|place| ControlStore { place, keep, keep_spent })
}

/// A server that serves reads of records, and how old what it answers may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Near {
    /// The connection string of one server, reached like `vault.postgres`.
    pub server: String,
    /// What is declared.
    pub staleness: Duration,
}

/// Where people and their records lie, who serves reads of them near by, and where their media lie.
pub(super) fn vault(raw: RawVault, p: &mut Problems) -> Option<(Place, Option<Near>, Media)> {
    let near = near(raw.near, raw.store, p);
    let place = place(["vault", "vault"], raw.store, raw.postgres, p);
    place.zip(media::check(raw.media, p)).map(|(place, media)| (place, near, media))
}

fn near(raw: Option<RawNear>, store: RawStore, p: &mut Problems) -> Option<Near> {
    let raw = raw?;
    let at = "enclave.toml: vault.near";
    if store == RawStore::Embedded {
        p.add(
            at,
            "there is no database whose copy could serve",
            "write store = \"postgres\", or remove the table",
        );
    }
    if !(200..=600_000).contains(&raw.staleness_ms) {
        let fix = "use 200 to 600000";
        p.add(format!("{at}.staleness_ms"), "no copy is so close behind, or of use so far behind", fix);
    }
    Some(Near { server: raw.server, staleness: Duration::from_millis(raw.staleness_ms) })
}

fn place(
    [table, called]: [&str; 2],
    store: RawStore,
    postgres: Option<RawPostgres>,
    p: &mut Problems,
) -> Option<Place> {
    match (store, postgres) {
        (RawStore::Embedded, None) => Some(Place::Embedded),
        (RawStore::Embedded, Some(_)) => {
            let (at, why) = (
                format!("enclave.toml: {table}.postgres"),
                format!("a database is named, and the {called} is not there"),
            );
            p.add(at, why, "write store = \"postgres\", or remove the table");
            None
        }
        (RawStore::Postgres, None) => {
            let fix = format!("add [{table}.postgres] with `server`");
            p.add(format!("enclave.toml: {table}.store"), "no database is named", fix);
            None
        }
        (RawStore::Postgres, Some(raw)) => {
            Some(Place::Postgres(database(raw, &format!("{table}.postgres"), p)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Config, starter};
    use super::*;

    #[test]
    fn a_database_is_named_where_the_control_store_is_and_nowhere_else() {
        let with = |control: &str| {
            let text = starter("dublin-1").replace("store = \"embedded\"", control);
            Config::parse(&text).map_err(|p| p.to_string())
        };
        let plain = with("").unwrap().control_store;
        assert_eq!((plain.place, plain.keep, plain.keep_spent), (Place::Embedded, DAY * 400, DAY * 30));
        let table = "[control.postgres]\nserver = \"host=db.example\"";
        let good =
            with(&format!("store = \"postgres\"\nkeep_days = 9\n{table}\nca_file = \"ca.pem\"")).unwrap();
        assert_eq!(good.control_store.keep, DAY * 9);
        assert!(matches!(good.control_store.place, Place::Postgres(d) if d.ca_file.is_some()));
        for (wrong, why) in [
            ("store = \"postgres\"".to_owned(), "no database"),
            (table.to_owned(), "the control store is not there"),
            (format!("store = \"postgres\"\n{table}\nkey_file = \"c\""), "needs its key"),
            (
                format!("store = \"postgres\"\n{table}\nstatement_timeout_ms = 1"),
                "control.postgres.statement",
            ),
            ("keep_days = 0".to_owned(), "control.keep_days"),
            ("keep_spent_days = 40000".to_owned(), "control.keep_spent_days"),
            ("store = \"file\"".to_owned(), "unknown variant"),
            ("[vault]\nstore = \"postgres\"".to_owned(), "vault.store: no database"),
            (
                "[vault.near]\nserver = \"host=a\"\nstaleness_ms = 5000".to_owned(),
                "vault.near: there is no database",
            ),
            ("[vault.near]\nserver = \"host=a\"\nstaleness_ms = 9".to_owned(), "vault.near.staleness_ms"),
        ] {
            let said = with(&wrong).unwrap_err();
            assert!(said.contains(why), "{wrong}: {said}");
        }
    }
}
