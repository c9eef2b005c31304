//! The statements that make changes of cells, each about one key, so that a sharded database can route it.

use std::collections::HashSet;

use super::engine::{At, Change, Edit, Expect, To};

/// Most edits that one statement makes: its text is kept with the connection, and differs with the kinds of its edits.
const EDITS_MAX: usize = 8;

/// A statement that is to touch one row if its condition holds, with its values from number `first` on.
pub(super) fn touching(edit: &Edit, first: usize) -> Option<String> {
    let table = format!("clover_vault_{}", edit.at.table.word());
    let [part, key, third, fourth] = [0, 1, 2, 3].map(|n| format!("${}", first + n));
    let here = format!("part = {part} and key = {key}");
    Some(match (&edit.to, edit.expect) {
        (To::Put(_), Expect::Absent) => {
            format!("insert into {table} values ({part}, {key}, 1, {third}) on conflict do nothing")
        }
        (To::Put(_), Expect::Version(_)) => format!(
            "update {table} set version = version + 1, value = {third} where {here} and version = {fourth}"
        ),
        (To::Put(_), Expect::Any) => format!(
            "insert into {table} as t values ({part}, {key}, 1, {third}) on conflict (part, key) \
             do update set version = t.version + 1, value = excluded.value"
        ),
        (To::Removed, Expect::Version(_)) => {
            format!("delete from {table} where {here} and version = {third}")
        }
        (To::Removed, Expect::Any) => format!("delete from {table} where {here}"),
        (To::Kept, Expect::Version(_)) => {
            format!("select 1 from {table} where {here} and version = {third} for share")
        }
        (To::Kept, Expect::Any) => return None,
        (To::Removed | To::Kept, Expect::Absent) => {
            format!("select 1 where not exists (select from {table} where {here})")
        }
    })
}

/// The same with the rows that it touched, and whether that must be one.
fn touched(edit: &Edit, first: usize) -> Option<(String, bool)> {
    let sql = touching(edit, first)?;
    Some(match (&edit.to, edit.expect) {
        (To::Kept, _) | (To::Removed, Expect::Absent) => (sql, true),
        // Whatever was there may be removed, or nothing.
        (To::Removed, Expect::Any) => (format!("{sql} returning 1"), false),
        _ => (format!("{sql} returning 1"), true),
    })
}

/// One that fails by a division by zero if it touches no row and should.
pub(super) fn asserted(edit: &Edit) -> Option<String> {
    let (sql, one) = touched(edit, 1)?;
    Some(if one { format!("with touched as ({sql}) select 1 / count(*) from touched") } else { sql })
}

/// How many values a statement about an edit takes.
fn values(edit: &Edit) -> usize {
    2 + usize::from(matches!(edit.to, To::Put(_))) + usize::from(matches!(edit.expect, Expect::Version(_)))
}

/// All edits as one statement, which fails by a division by zero if a condition does not hold, and by a number that cannot be read
/// if the server no longer asks the same others, by the first value; and the edits whose values follow. `None` for more than a few, or where a later edit must
/// see an earlier one: of one statement all parts see the same moment.
pub(super) fn whole<'e>(changes: &[&'e Change]) -> Option<(String, Vec<&'e Edit>)> {
    let edits = || changes.iter().copied().flatten();
    if edits().count() > EDITS_MAX {
        return None;
    }
    let mut seen: HashSet<&At> = HashSet::new();
    if edits().any(|edit| !seen.insert(&edit.at)) {
        return None;
    }
    let (mut parts, mut counts, mut made, mut first) = (Vec::new(), Vec::new(), Vec::new(), 2);
    for edit in edits() {
        let Some((sql, one)) = touched(edit, first) else { continue };
        first += values(edit);
        made.push(edit);
        if one {
            counts.push(format!("(select count(*) from e{})", parts.len()));
        }
        parts.push(format!("e{} as ({sql})", parts.len()));
    }
    let all = if counts.is_empty() { "1".to_owned() } else { counts.join(" * ") };
    let names = "current_setting('synchronous_standby_names')";
    let with = if parts.is_empty() { String::new() } else { format!("with {} ", parts.join(", ")) };
    let sql = format!(
        "{with}select case when {names} = $1 then 1 / ({all}) else (names.told || '?')::bigint end \
         from (select {names} as told) names"
    );
    Some((sql, made))
}
