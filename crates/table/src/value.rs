//! One value as JSON.

use parquet::record::{Field, Row};

use super::TableError;

/// Groups within one another.
const DEPTH_MAX: usize = 32;

/// Writes a value.
pub(super) fn write(field: &Field, out: &mut Vec<u8>) -> Result<(), TableError> {
    nested(field, out, 0)
}

fn nested(field: &Field, out: &mut Vec<u8>, depth: usize) -> Result<(), TableError> {
    if depth > DEPTH_MAX {
        return Err(TableError::Value);
    }
    match field {
        Field::Group(row) => group(row, out, depth),
        Field::ListInternal(list) => {
            let all = list.elements().iter();
            between(b"[]", all, out, |one, out| nested(one, out, depth + 1))
        }
        Field::MapInternal(map) => between(b"{}", map.entries().iter(), out, |(key, value), out| {
            let Field::Str(key) = key else {
                return Err(TableError::Unread("its maps have keys that are no text"));
            };
            member(key, value, out, depth)
        }),
        Field::Float(n) if !n.is_finite() => Err(TableError::Value),
        Field::Float16(n) if !f64::from(*n).is_finite() => Err(TableError::Value),
        Field::Double(n) if !n.is_finite() => Err(TableError::Value),
        leaf => serde_json::to_writer(out, &leaf.to_json_value()).map_err(|_| TableError::Value),
    }
}

fn group(row: &Row, out: &mut Vec<u8>, depth: usize) -> Result<(), TableError> {
    between(b"{}", row.get_column_iter(), out, |(name, value), out| member(name, value, out, depth))
}

fn member(name: &str, value: &Field, out: &mut Vec<u8>, depth: usize) -> Result<(), TableError> {
    serde_json::to_writer(&mut *out, name).map_err(|_| TableError::Value)?;
    out.push(b':');
    nested(value, out, depth + 1)
}

/// Writes items with commas, between two brackets.
fn between<T>(
    [open, close]: &[u8; 2],
    items: impl Iterator<Item = T>,
    out: &mut Vec<u8>,
    mut write: impl FnMut(T, &mut Vec<u8>) -> Result<(), TableError>,
) -> Result<(), TableError> {
    out.push(*open);
    for (n, item) in items.enumerate() {
        if n > 0 {
            out.push(b',');
        }
        write(item, out)?;
    }
    out.push(*close);
    Ok(())
}
