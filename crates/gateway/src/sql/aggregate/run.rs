//! A statement of ours on a connection of ours.
//!
//! Which connection: one that may read the declared relation and that no asker ever has, best of a login role that may read
//! nothing else. That is enough, since the text holds names and bounds of the declaration only ([`Statement`]). It runs in a
//! transaction that only reads, with names looked up in PostgreSQL's own schema, after the types of the columns were compared
//! with the declared ones. What the server says of a failure may name values, and is not passed on.

use std::time::Duration;

use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, IsolationLevel, Transaction};

use super::declared::Declared;
use super::statement::{Parameter, Statement};
use super::{Row, Unanswered};

/// Rows that are asked for at once.
const PAGE: i32 = 1_000;
/// Types of a column of people: their values have one spelling each.
const PERSON_TYPES: &[u32] = &[20, 21, 23, 25, 1042, 1043, 2950];
const COLUMNS: &str = "select a.attname::text, a.atttypid from pg_attribute a join pg_class c on c.oid = a.attrelid \
     join pg_namespace n on n.oid = c.relnamespace where n.nspname = $1::text and c.relname = $2::text \
     and a.attnum > 0 and not a.attisdropped";

/// Why a statement gave no rows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The relation is not as it is declared.
    #[error("column `{0}` of the relation is missing, or has another type than was declared")]
    Drift(String),
    /// The server refused it, or took too long.
    #[error("the database did not answer (SQLSTATE `{0}`)")]
    Server(String),
    /// What it answered cannot be taken.
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
}

impl From<Error> for RunError {
    fn from(error: Error) -> Self {
        Self::Server(error.code().map_or("none", |code| code.code()).to_owned())
    }
}

/// Runs a statement and hands over its rows, of which it takes no more than the statement says.
///
/// # Errors
/// [`RunError`]; rows that were handed over before are no answer.
pub async fn run(
    client: &mut Client,
    declared: &Declared,
    statement: &Statement,
    within: Duration,
    take: &mut (dyn FnMut(Row) -> Result<(), Unanswered> + Send),
) -> Result<(), RunError> {
    let transaction =
        client.build_transaction().read_only(true).isolation_level(IsolationLevel::RepeatableRead);
    let transaction = transaction.start().await?;
    let millis = within.as_millis().clamp(1, i32::MAX.unsigned_abs().into());
    let settings = format!(
        "set local search_path = pg_catalog, pg_temp; set local statement_timeout = {millis}; \
         set local standard_conforming_strings = on"
    );
    transaction.batch_execute(&settings).await?;
    compare(&transaction, declared).await?;
    let prepared = transaction.prepare(&statement.text).await?;
    let parameters: Vec<&(dyn ToSql + Sync)> = statement.parameters.iter().map(Parameter::sent).collect();
    let portal = transaction.bind(&prepared, &parameters).await?;
    let mut taken = 0_usize;
    loop {
        let page = transaction.query_portal(&portal, PAGE).await?;
        let more = !page.is_empty();
        for row in page {
            taken += 1;
            if taken > statement.rows_max {
                return Err(Unanswered::TooMany.into());
            }
            let text = |index: usize| row.try_get::<_, Option<String>>(index).map_err(RunError::from);
            take((0..statement.columns).map(text).collect::<Result<Row, _>>()?)?;
        }
        if !more {
            transaction.rollback().await?;
            return Ok(());
        }
    }
}

/// Whether all columns have the types that they are declared with.
async fn compare(transaction: &Transaction<'_>, declared: &Declared) -> Result<(), RunError> {
    let found = transaction.query(COLUMNS, &[&declared.schema, &declared.relation]).await?;
    let found: Vec<(String, u32)> =
        found.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Result<_, Error>>()?;
    let columns = declared.columns.iter().map(|column| (column.name.as_str(), column.kind.types()));
    for (name, types) in columns.chain([(declared.person.as_str(), PERSON_TYPES)]) {
        if !found.iter().any(|(column, of)| column == name && types.contains(of)) {
            return Err(RunError::Drift(name.to_owned()));
        }
    }
    Ok(())
}

impl Parameter {
    fn sent(&self) -> &(dyn ToSql + Sync) {
        match self {
            Self::Text(text) => text,
            Self::Texts(texts) => texts,
        }
    }
}
