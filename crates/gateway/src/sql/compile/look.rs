//! What a gateway asks of a database besides: which columns the views have, and whose rows there are.

use tokio_postgres::Client;

use super::plan::Role;
use super::quote::identifier;
use super::{CompileError, asked};

/// A column of a view of a grant, as row descriptions name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewColumn {
    /// The view's number.
    pub oid: u32,
    /// The column's number in it.
    pub number: u16,
    /// The view's name.
    pub view: String,
    /// The column's.
    pub column: String,
}

const COLUMNS: &str = "\
    select c.oid, a.attnum, c.relname::text, a.attname::text
    from pg_catalog.pg_namespace n join pg_catalog.pg_class c on c.relnamespace = n.oid join pg_catalog.pg_attribute a on a.attrelid = c.oid
    where n.nspname = $1 and c.relkind = 'v' and a.attnum > 0 and not a.attisdropped";

/// The columns of a compiled grant's views.
///
/// # Errors
/// [`CompileError::Database`]
pub async fn views(client: &Client, role: &Role) -> Result<Vec<ViewColumn>, CompileError> {
    let doing = asked("tell the columns of a grant's views");
    let rows = client.query(COLUMNS, &[&role.as_str()]).await.map_err(&doing)?;
    let column = |row: &tokio_postgres::Row| {
        let number: i16 = row.try_get(1)?;
        Ok(ViewColumn {
            oid: row.try_get(0)?,
            number: u16::try_from(number).unwrap_or(0),
            view: row.try_get(2)?,
            column: row.try_get(3)?,
        })
    };
    rows.iter().map(column).collect::<Result<_, _>>().map_err(doing)
}

/// Whose rows a table has, at most so many, as text.
///
/// # Errors
/// [`CompileError::Database`]
pub async fn people(
    client: &Client,
    (schema, relation, column): (&str, &str, &str),
    most: usize,
) -> Result<Vec<String>, CompileError> {
    let (schema, relation, column) = (identifier(schema), identifier(relation), identifier(column));
    // As the owner of views, which may read this column.
    let text = format!(
        "select distinct {column}::pg_catalog.text from {schema}.{relation} where {column} is not null limit $1"
    );
    let doing = asked("tell whose rows a table has");
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let rows = client.query(&text, &[&most]).await.map_err(&doing)?;
    rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>().map_err(doing)
}

/// The roles of all grants in it, of whatever gateway.
///
/// # Errors
/// [`CompileError::Database`]
pub async fn roles(client: &Client) -> Result<Vec<Role>, CompileError> {
    let doing = asked("tell the grants in it");
    let rows = client.query(super::ended::NAMES, &[]).await.map_err(&doing)?;
    let names =
        rows.iter().map(|row| row.try_get::<_, String>(0)).collect::<Result<Vec<_>, _>>().map_err(doing)?;
    Ok(names.iter().filter_map(|name| Role::parse(name)).collect())
}
