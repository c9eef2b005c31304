//! A connection to one end, on which values are written in one way only.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::task::JoinHandle;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, SimpleQueryMessage};
use vault::log::Database;

use crate::error::MigrateError;
use crate::plan::End;

/// How values are written as text, whatever the server's settings: the source's changes come as text, and differences are
/// told by keys.
const WRITING: &str = "set client_encoding = 'UTF8'; set datestyle = 'ISO, YMD'; set intervalstyle = 'postgres'; \
    set timezone = 'UTC'; set bytea_output = 'hex'; set extra_float_digits = 1; set xmlbinary = 'base64'; \
    set lc_monetary = 'C'; set search_path = pg_catalog; set row_security = off; set statement_timeout = 0";

/// A connection.
pub(crate) struct Session {
    pub(crate) client: Client,
    end: &'static str,
    driver: JoinHandle<()>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Session {
    /// Connects to the source.
    pub(crate) async fn source(end: &End) -> Result<Self, MigrateError> {
        Self::open("source", end).await
    }

    /// Connects to the target. Its triggers and foreign keys are silent, as on any replica: they have done their work where
    /// the rows come from.
    pub(crate) async fn target(end: &End) -> Result<Self, MigrateError> {
        let session = Self::open("target", end).await?;
        session.run("set session_replication_role = replica").await?;
        Ok(session)
    }

    async fn open(name: &'static str, end: &End) -> Result<Self, MigrateError> {
        let wrong = |why: String| MigrateError::End { end: name, why };
        let password = password(end)?;
        let tls = end.roots.as_deref().map(|path| trusting(path).map_err(wrong)).transpose()?;
        let database = Database { address: end.address.clone(), password, tls, ..Database::default() };
        let told = |e: vault::log::PostgresError| {
            // The server's own words stand behind ours.
            let cause = std::error::Error::source(&e).map(|cause| format!(": {cause}")).unwrap_or_default();
            wrong(format!("{e}{cause}"))
        };
        let (client, moving) = vault::log::connect(&database).await.map_err(told)?;
        let session = Self { client, end: name, driver: tokio::spawn(moving) };
        session.run(WRITING).await?;
        Ok(session)
    }

    /// Keeps others of our kind from the same migration as long as the session lasts. One that was killed is waited for a little.
    pub(crate) async fn alone(&self, migration: &str) -> Result<(), MigrateError> {
        let name = literal(&format!("clover_migrate {migration}"));
        self.run("set lock_timeout = '10s'").await?;
        let locked = self.texts(&format!("select pg_advisory_lock(hashtextextended({name}, 0))::text")).await;
        self.run("set lock_timeout = 0").await?;
        match locked {
            Err(MigrateError::Server { text, .. }) if text.contains("(55P03)") => {
                Err(MigrateError::State("somebody else is at work on this migration".into()))
            }
            locked => locked.map(drop),
        }
    }

    /// Which database of which server this is, whatever address led here.
    pub(crate) async fn identity(&self) -> Result<String, MigrateError> {
        let sql = "select concat_ws('/', system_identifier, (select oid from pg_database where datname = current_database())) from pg_control_system()";
        self.text(sql).await
    }

    /// A trigger or rule of a table, by its name as SQL writes it, that would change what this session brings.
    pub(crate) async fn loud(&self, table: &str) -> Result<Option<String>, MigrateError> {
        let sql = format!(
            "select tgname::text from pg_trigger where tgrelid = {0}::regclass and not tgisinternal
               and tgenabled::text = any (case current_setting('session_replication_role') when 'replica' then '{{A,R}}'::text[] else '{{O,A}}' end)
             union all select rulename::text from pg_rewrite where ev_class = {0}::regclass and rulename <> '_RETURN' limit 1",
            literal(table)
        );
        Ok(self.texts(&sql).await?.into_iter().next())
    }

    pub(crate) fn wrong(&self, error: &tokio_postgres::Error) -> MigrateError {
        MigrateError::server(self.end, error)
    }

    /// Runs statements that answer nothing.
    pub(crate) async fn run(&self, statements: &str) -> Result<(), MigrateError> {
        self.client.batch_execute(statements).await.map_err(|e| self.wrong(&e))
    }

    /// Runs a statement.
    pub(crate) async fn rows(
        &self,
        statement: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, MigrateError> {
        self.client.query(statement, values).await.map_err(|e| self.wrong(&e))
    }

    /// Runs a statement whose rows have one text each; null is left out.
    pub(crate) async fn texts(&self, statement: &str) -> Result<Vec<String>, MigrateError> {
        let told = self.client.simple_query(statement).await.map_err(|e| self.wrong(&e))?;
        let text = |message: SimpleQueryMessage| match message {
            SimpleQueryMessage::Row(row) => row.try_get(0).ok().flatten().map(str::to_owned),
            _ => None,
        };
        Ok(told.into_iter().filter_map(text).collect())
    }

    /// Runs a statement that answers one text.
    pub(crate) async fn text(&self, statement: &str) -> Result<String, MigrateError> {
        let none = || MigrateError::Server { end: self.end, text: "it answers nothing".into() };
        self.texts(statement).await?.into_iter().next().ok_or_else(none)
    }
}

/// The password of an end's user.
pub(crate) fn password(end: &End) -> Result<Option<String>, MigrateError> {
    let Some(path) = &end.password_file else { return Ok(None) };
    let text = std::fs::read_to_string(path).map_err(|e| MigrateError::file(path, e))?;
    Ok(Some(text.trim_end().to_owned()))
}

/// TLS that trusts the authorities of a file, and no other.
pub(crate) fn trusting(path: &Path) -> Result<Arc<ClientConfig>, String> {
    let wrong = |what: &str| format!("{}: {what}", path.display());
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| wrong(&e.to_string()))?;
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates);
    if added == 0 {
        return Err(wrong("no certificate"));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = versions.map_err(|e| wrong(&e.to_string()))?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

/// A name as SQL writes it.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as SQL writes it.
pub(crate) fn literal(text: &str) -> String {
    // With `E`, so that backslashes mean the same whatever the server's settings.
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_stay_what_they_are() {
        assert_eq!(quoted("a\"b"), "\"a\"\"b\"");
        assert_eq!(literal("o'h\\no"), "E'o''h\\\\no'");
    }
}
