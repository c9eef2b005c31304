//! What a session of a compiled grant needs to know beside it: the numbers of views and columns, and who is in a table.

use tokio_postgres::{Client, Row};

use super::plan::Role;
use super::quote::identifier;
use super::{CompileError, asked};

/// A column of a grant's view, as rows name it by numbers. They are others whenever the views are made anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Number of the view.
    pub view: u32,
    /// Its name.
    pub name: String,
    /// Number of the column in it.
    pub number: i16,
    /// The column's name.
    pub column: String,
}

/// The columns of all views of a compiled grant, by view and number.
///
/// # Errors
/// [`CompileError::Database`].
pub async fn views(client: &Client, role: &Role) -> Result<Vec<Shown>, CompileError> {
    let doing = asked("tell the columns of views");
    let rows = client
        .query(
            "select c.oid, c.relname::text, a.attnum, a.attname::text from pg_catalog.pg_class c
             join pg_catalog.pg_namespace n on n.oid = c.relnamespace join pg_catalog.pg_attribute a on a.attrelid = c.oid
             where n.nspname = $1 and c.relkind = 'v' and a.attnum > 0 order by c.oid, a.attnum",
            &[&role.as_str()],
        )
        .await
        .map_err(&doing)?;
    let shown = |row: &Row| -> Result<Shown, tokio_postgres::Error> {
        Ok(Shown {
            view: row.try_get(0)?,
            name: row.try_get(1)?,
            number: row.try_get(2)?,
            column: row.try_get(3)?,
        })
    };
    rows.iter().map(|row| shown(row).map_err(&doing)).collect()
}

/// The people whose rows are in a table, by the text of its column of the person, each once and at most `limit` of them, in no order.
/// Who asks for one more than they may take learns whether there are more.
///
/// # Errors
/// [`CompileError::Database`], also where the column is not declared.
pub async fn people(
    client: &Client,
    (schema, relation, column): (&str, &str, &str),
    limit: u32,
) -> Result<Vec<String>, CompileError> {
    let column = identifier(column);
    let text = format!(
        "select distinct {column}::text from {}.{} where {column} is not null limit $1",
        identifier(schema),
        identifier(relation)
    );
    let doing = asked("tell whose rows are in a table");
    let rows = client.query(&text, &[&i64::from(limit)]).await.map_err(&doing)?;
    rows.iter().map(|row| row.try_get(0).map_err(&doing)).collect()
}
