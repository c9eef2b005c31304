//! Comparing: every row of both ends, part by part, by digests that do not depend on their order; then row by row where they
//! differ.

use std::collections::BTreeMap;
use std::pin::pin;

use bytes::Bytes;
use futures_util::StreamExt;

use crate::Migration;
use crate::copy::copy_out;
use crate::database::{Session, literal, quoted};
use crate::digest::{DigestKey, Sum};
use crate::error::MigrateError;
use crate::follow::Touched;
use crate::rows::{Splitter, cells};
use crate::table::{Form, Table};

/// How often a row that differs is looked at again while the source is written to.
const LOOKS: u32 = 5;

/// Most rows that are told one by one.
const TOLD_MAX: usize = 1_000;

/// A row that is not the same at both ends.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Difference {
    /// The table.
    pub table: String,
    /// The row's key, which may be personal data: for the eyes of who runs the migration.
    pub key: Vec<String>,
    /// What is different.
    pub what: &'static str,
}

/// What a comparison found.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Comparison {
    /// Rows of the source that were compared.
    pub rows: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Parts whose digests were not the same at first: what was written meanwhile makes such.
    pub parts_looked_into: u64,
    /// What is different in the end; empty if all is well.
    pub differences: Vec<Difference>,
    /// The sum of each set's rows at the source.
    #[serde(skip)]
    pub(crate) sums: BTreeMap<String, Sum>,
}

/// Rows by their keys, as digests.
type Rows = BTreeMap<Vec<String>, [u8; 32]>;

impl Migration {
    /// Compares all rows. Where they differ, changes are followed and the rows looked at again, for the source may be written to.
    ///
    /// # Errors
    /// When an end does not answer, or nothing was begun.
    pub async fn compare(&self) -> Result<Comparison, MigrateError> {
        self.compare_noting(&mut Touched::default()).await
    }

    /// The same; what is followed meanwhile is noted.
    pub(crate) async fn compare_noting(&self, touched: &mut Touched) -> Result<Comparison, MigrateError> {
        let source = Session::source(&self.plan.source.database).await?;
        self.compare_with(&source, &self.target, Some(touched)).await
    }

    /// Compares with the target as one session sees it. The source is not written to: what differs is not looked at again.
    pub(crate) async fn compare_fixed(&self, target: &Session) -> Result<Comparison, MigrateError> {
        self.compare_with(&self.source, target, None).await
    }

    async fn compare_with(
        &self,
        source: &Session,
        target: &Session,
        mut live: Option<&mut Touched>,
    ) -> Result<Comparison, MigrateError> {
        let key = self.begun().await?.key;
        let mut found = Comparison::default();
        for part in self.parts().await? {
            let Some(table) = self.tables.iter().find(|table| table.plain == part.table) else { continue };
            let within = part.within(table);
            let moves = format!("{within} and {}", self.plan.moves(&self.tables, table));
            let (here, there) =
                tokio::join!(sum(source, table, &moves, key), sum(target, table, &within, key));
            let (here, there) = (here?, there?);
            (found.rows, found.bytes) = (found.rows + here.rows, found.bytes + here.bytes);
            found.sums.entry(table.plain.clone()).or_default().join(&here);
            // So many are told, and there is no need to know more.
            if here == there || found.differences.len() >= TOLD_MAX {
                continue;
            }
            found.parts_looked_into += 1;
            let here = digests(source, table, &moves, key).await?;
            let there = digests(target, table, &within, key).await?;
            found.differences.extend(match &mut live {
                Some(touched) => self.look_again(table, &here, &there, key, touched).await?,
                None => told(table, &here, &there),
            });
        }
        found.differences.truncate(TOLD_MAX);
        Ok(found)
    }

    /// Looks at rows that differ again, each time after the source's changes were followed, and tells those that differ in the end.
    async fn look_again(
        &self,
        table: &Table,
        here: &Rows,
        there: &Rows,
        key: DigestKey,
        touched: &mut Touched,
    ) -> Result<Vec<Difference>, MigrateError> {
        let mut differences = told(table, here, there);
        for _ in 0..LOOKS {
            if differences.is_empty() {
                break;
            }
            self.catch_up_noting(touched).await?;
            let left: Vec<Vec<String>> = differences.drain(..).map(|d| d.key).collect();
            for keys in left.chunks(TOLD_MAX) {
                differences.extend(self.differences(table, &one_of(table, keys), key).await?);
            }
        }
        Ok(differences)
    }

    /// The differences of rows for which a condition is true.
    pub(crate) async fn differences(
        &self,
        table: &Table,
        those: &str,
        key: DigestKey,
    ) -> Result<Vec<Difference>, MigrateError> {
        let condition = format!("{those} and {}", self.plan.moves(&self.tables, table));
        let here = digests(&self.source, table, &condition, key).await?;
        let there = digests(&self.target, table, those, key).await?;
        Ok(told(table, &here, &there))
    }
}

/// What is different between rows of the source and of the target.
fn told(table: &Table, here: &Rows, there: &Rows) -> Vec<Difference> {
    let what = |key: &Vec<String>| match (here.get(key), there.get(key)) {
        (Some(_), None) => Some("it is missing at the target"),
        (None, Some(_)) => Some("it is at the target only"),
        (Some(here), Some(there)) if here != there => Some("it is another at the target"),
        _ => None,
    };
    let difference = |key: &Vec<String>| {
        what(key).map(|what| Difference { table: table.plain.clone(), key: key.clone(), what })
    };
    let only = there.keys().filter(|key| !here.contains_key(*key));
    let mut all: Vec<Difference> = here.keys().chain(only).filter_map(difference).collect();
    all.sort_unstable();
    all
}

/// True for rows with one of these keys.
pub(crate) fn one_of(table: &Table, keys: &[Vec<String>]) -> String {
    let columns: Vec<String> = table.key_columns().map(|c| quoted(&c.name)).collect();
    let kinds: Vec<&str> = table.key_columns().map(|c| c.kind.as_str()).collect();
    let row = |key: &Vec<String>| {
        let values: Vec<String> =
            key.iter().zip(&kinds).map(|(v, kind)| format!("{}::{kind}", literal(v))).collect();
        format!("({})", values.join(", "))
    };
    let rows: Vec<String> = keys.iter().map(row).collect();
    if rows.is_empty() {
        "false".into()
    } else {
        format!("({}) in ({})", columns.join(", "), rows.join(", "))
    }
}

/// The sum of the rows for which a condition is true.
pub(crate) async fn sum(
    session: &Session,
    table: &Table,
    condition: &str,
    key: DigestKey,
) -> Result<Sum, MigrateError> {
    let mut sum = Sum::default();
    each_row(session, table, condition, table.form(), |row| {
        sum.add(&key.row(row), row.len());
        Ok(())
    })
    .await?;
    Ok(sum)
}

/// The digest of each row for which a condition is true.
async fn digests(
    session: &Session,
    table: &Table,
    condition: &str,
    key: DigestKey,
) -> Result<Rows, MigrateError> {
    let mut rows = Rows::new();
    each_row(session, table, condition, Form::Text, |line| {
        let cells = cells(line)?;
        let of = |place: &usize| cells.get(*place).cloned().flatten().unwrap_or_default();
        rows.insert(table.key.iter().map(of).collect(), key.row(line));
        Ok(())
    })
    .await?;
    Ok(rows)
}

/// Gives each row for which a condition is true, up to the first that is refused.
async fn each_row(
    session: &Session,
    table: &Table,
    condition: &str,
    form: Form,
    mut take: impl FnMut(&[u8]) -> Result<(), MigrateError>,
) -> Result<(), MigrateError> {
    let mut stream = pin!(copy_out(session, table, condition, form).await?);
    let mut splitter = Splitter::new(form);
    let mut taken = Ok(());
    while let Some(piece) = stream.next().await {
        let piece: Bytes = piece.map_err(|e| session.wrong(&e))?;
        splitter.push(&piece, |row| {
            if taken.is_ok() {
                taken = take(row);
            }
        })?;
        std::mem::replace(&mut taken, Ok(()))?;
    }
    splitter.finish()
}
