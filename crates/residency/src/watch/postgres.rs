//! What is read of a PostgreSQL server. A query that is refused is blindness about what it asks, and a finding.

use data_encoding::HEXLOWER;

use super::queries::{DATABASE, HASHED, SERVER, SETTINGS, SUBSCRIPTIONS, WALSENDERS};
use super::replicas::{Purpose, Walsender};
use super::{Fact, Seen};
use crate::connect::{ConnectError, Database, Row, Server};

/// A server that is looked at again and again, over one connection.
pub struct Looking {
    server: Server,
    connection: Option<Database>,
}

impl Looking {
    /// For a server; nothing is asked yet.
    #[must_use]
    pub const fn new(server: Server) -> Self {
        Self { server, connection: None }
    }

    /// Looks at the server as a whole.
    pub async fn server(&mut self) -> Seen {
        let mut seen = Seen::default();
        if self.connection.is_none() {
            match self.server.open(None).await {
                Ok(connection) => self.connection = Some(connection),
                Err(e) => {
                    seen.blind("server", e);
                    return seen;
                }
            }
        }
        if let Some(connection) = &self.connection
            && let Err(e) = whole(connection, &mut seen).await
        {
            seen.blind("server", e);
            self.connection = None;
        }
        seen
    }

    /// Looks at each of its databases.
    pub async fn databases(&self) -> Seen {
        let mut seen = Seen::default();
        let asked = self.server.open(None).await;
        let names = match &asked {
            Ok(c) => c.rows("select datname from pg_database where datallowconn order by 1").await,
            Err(e) => {
                seen.blind("databases", e);
                return seen;
            }
        };
        match names {
            Err(e) => seen.blind("databases", e),
            Ok(names) => {
                for name in names.iter().filter_map(|row| row.first()) {
                    match self.server.open(Some(name)).await {
                        Ok(database) => one(&database, name, &mut seen).await,
                        Err(e) => seen.blind("database", format!("{name}: {e}")),
                    }
                }
            }
        }
        seen
    }

    /// What one question is answered, over a connection of its own.
    pub(super) async fn ask(&self, query: &str) -> Option<Vec<Row>> {
        self.server.open(None).await.ok()?.rows(query).await.ok()
    }
}

/// A refusal is told and passed by; anything else means that the connection is of no use.
fn refused<T>(
    asked: Result<T, ConnectError>,
    what: &str,
    seen: &mut Seen,
) -> Result<Option<T>, ConnectError> {
    match asked {
        Ok(answer) => Ok(Some(answer)),
        // Class 42 is what this role may not see, or this version does not have.
        Err(ConnectError::Server(why)) if why.contains("(42") => {
            seen.blind(what, why);
            Ok(None)
        }
        Err(e) => Err(e),
    }
}

async fn whole(database: &Database, seen: &mut Seen) -> Result<(), ConnectError> {
    let may = "select pg_has_role(current_user, 'pg_monitor', 'member') or rolsuper from pg_roles where rolname = current_user";
    if database.rows(may).await?.first().and_then(|row| row.first()).is_none_or(|may| may != "t") {
        seen.blind("replication", "the monitor's role is not in pg_monitor, and sees no walsender");
    }
    for row in database.rows(WALSENDERS).await? {
        if let [name, role, address, encrypted, certificate, slot, backup] = row.as_slice() {
            seen.walsenders.push(Walsender {
                name: name.clone(),
                role: role.clone(),
                address: address.clone(),
                encrypted: encrypted == "t",
                certificate: certificate.clone(),
                slot: slot.clone(),
                purpose: if backup == "t" { Purpose::Backup } else { Purpose::Stream },
            });
        }
    }
    for query in SERVER {
        let rows = refused(database.rows(query.sql).await, query.kind, seen)?;
        seen.facts.extend(
            rows.into_iter().flatten().filter_map(|row| Some(Fact::new(query.kind, row.into_iter().next()?))),
        );
    }
    settings(database, seen).await
}

async fn settings(database: &Database, seen: &mut Seen) -> Result<(), ConnectError> {
    let names: Vec<String> = SETTINGS.iter().chain(HASHED).map(|name| format!("'{name}'")).collect();
    let query = format!(
        "select name, setting, pending_restart from pg_settings where name in ({})",
        names.join(", ")
    );
    let rows = database.rows(&query).await?;
    for name in SETTINGS.iter().chain(HASHED) {
        let found = rows.iter().find_map(|row| match row.as_slice() {
            [n, value, pending] if n == name => Some((value, pending)),
            _ => None,
        });
        let Some((value, pending)) = found else {
            seen.blind("setting", format!("{name}: this role may not see it, or this version has none"));
            continue;
        };
        let value = if HASHED.contains(name) && !matches!(value.as_str(), "" | "(disabled)") {
            hashed(value)
        } else {
            value.clone()
        };
        seen.facts.insert(Fact::new("setting", format!("{name}={value}")));
        if pending == "t" {
            seen.facts.insert(Fact::new("pending-setting", *name));
        }
    }
    Ok(())
}

async fn one(database: &Database, name: &str, seen: &mut Seen) {
    for query in DATABASE {
        match database.rows(query.sql).await {
            Ok(rows) => {
                let texts = rows.into_iter().filter_map(|row| Some(format!("{name}/{}", row.first()?)));
                seen.facts.extend(texts.map(|text| Fact::new(query.kind, text)));
            }
            Err(e) => seen.blind(query.kind, format!("{name}: {e}")),
        }
    }
    match database.rows(SUBSCRIPTIONS).await {
        Ok(rows) => {
            let texts = rows.into_iter().filter_map(|row| Some(format!("{name}/{}", row.first()?)));
            seen.facts.extend(texts.map(|text| Fact::new("subscription", text)));
        }
        Err(e) => seen.blind("subscription", format!("{name}: {e}")),
    }
}

/// The digest that stands for a text which may hold a secret, or is a program.
#[must_use]
pub fn hashed(text: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    format!("sha256:{}", HEXLOWER.encode(digest.as_ref()))
}
