//! An answer in rows, as PostgreSQL would encode it, and in lines of JSON.

use std::cmp::Ordering;

use transform::dp::table::Key;

use super::declared::{Kind, Sum};
use super::literal::days;
use super::question::{Number, Order, Question, Shown};

/// Digits that a mean has more than what it is a mean of.
const MEAN_DIGITS: u8 = 2;

/// What is told: columns with their types, and rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The columns.
    pub columns: Vec<ToldColumn>,
    /// The rows, each with a cell for each column.
    pub rows: Vec<Vec<Cell>>,
    /// How many groups are withheld, where that may be told.
    pub withheld: Option<usize>,
}

/// A column of an answer, as a row description tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToldColumn {
    /// Its name.
    pub name: String,
    /// PostgreSQL's number of its type.
    pub oid: u32,
    /// How many bytes its values have, or -1.
    pub bytes: i16,
}

/// A value of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// None.
    Null,
    /// `int8`
    Integer(i64),
    /// `numeric`: units, and how many of their digits stand after the point.
    Numeric(i64, u8),
    /// `text`
    Text(String),
    /// `bool`
    Bool(bool),
    /// `date`: as text, and as days since 1 January 2000.
    Date(String, i32),
}

impl Told {
    /// A line of JSON for each row.
    pub fn json_lines(&self) -> impl Iterator<Item = String> {
        self.rows.iter().map(|row| {
            let field = |(column, cell): (&ToldColumn, &Cell)| {
                format!("{}:{}", serde_json::Value::from(column.name.as_str()), cell.json())
            };
            let fields: Vec<String> = self.columns.iter().zip(row).map(field).collect();
            format!("{{{}}}", fields.join(","))
        })
    }
}

impl Cell {
    /// In PostgreSQL's text format; none for NULL.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        Some(match self {
            Self::Null => return None,
            Self::Integer(n) => n.to_string(),
            Self::Numeric(units, scale) => decimal(*units, *scale),
            Self::Text(text) | Self::Date(text, _) => text.clone(),
            Self::Bool(truth) => if *truth { "t" } else { "f" }.to_owned(),
        })
    }

    /// In PostgreSQL's binary format; none for NULL.
    #[must_use]
    pub fn binary(&self) -> Option<Vec<u8>> {
        Some(match self {
            Self::Null => return None,
            Self::Integer(n) => n.to_be_bytes().to_vec(),
            Self::Numeric(units, scale) => numeric(*units, *scale),
            Self::Text(text) => text.clone().into_bytes(),
            Self::Bool(truth) => vec![u8::from(*truth)],
            Self::Date(_, day) => day.to_be_bytes().to_vec(),
        })
    }

    fn json(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Bool(truth) => truth.to_string(),
            Self::Integer(n) => n.to_string(),
            Self::Numeric(units, scale) => decimal(*units, *scale),
            Self::Text(text) | Self::Date(text, _) => serde_json::Value::from(text.as_str()).to_string(),
        }
    }

    /// As far as two values of one column can be compared. NULL has its place by other rules.
    fn compared(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => a.cmp(b),
            (Self::Numeric(a, _), Self::Numeric(b, _)) => a.cmp(b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Date(_, a), Self::Date(_, b)) => a.cmp(b),
            _ => Ordering::Equal,
        }
    }
}

impl Question {
    /// The rows in the order that was asked for, and no more than were. Without keys there is one row, whatever is told.
    pub(super) fn told(&self, mut rows: Vec<Vec<Cell>>, withheld: Option<usize>) -> Told {
        let columns: Vec<ToldColumn> =
            self.shown.iter().map(|(name, shown)| self.column(name, *shown)).collect();
        if self.keys.is_empty() && rows.is_empty() {
            rows.push(vec![Cell::Null; columns.len()]);
        }
        rows.sort_by(|a, b| {
            self.order.iter().map(|order| order.of(a, b)).find(|o| o.is_ne()).unwrap_or(Ordering::Equal)
        });
        rows.truncate(self.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX)));
        Told { columns, rows, withheld }
    }

    fn column(&self, name: &str, shown: Shown) -> ToldColumn {
        let kind = |column: usize| self.declared.columns.get(column).map_or(Kind::Text, |c| c.kind);
        let (oid, bytes) = match shown {
            Shown::Key(column) => match kind(column) {
                Kind::Integer => (20, 8),
                Kind::Bool => (16, 1),
                Kind::Date => (1082, 4),
                Kind::Text | Kind::Numeric { .. } => (25, -1),
            },
            Shown::Number(Number::Sum(column)) if kind(column) != Kind::Integer => (1700, -1),
            Shown::Number(_) | Shown::Quantile(..) => (20, 8),
            Shown::Mean(_) => (1700, -1),
        };
        ToldColumn { name: name.to_owned(), oid, bytes }
    }

    /// The value of a key in a group; none where the group is not in its form.
    pub(super) fn key_cell(&self, shown: Shown, key: &Key) -> Option<Cell> {
        let Shown::Key(column) = shown else { return None };
        let place = self.keys.iter().position(|key| *key == column)?;
        let Some(text) = key.get(place)? else { return Some(Cell::Null) };
        Some(match self.declared.columns.get(column)?.kind {
            Kind::Integer => Cell::Integer(text.parse().ok()?),
            Kind::Bool => Cell::Bool(text.parse().ok()?),
            Kind::Date => Cell::Date(text.clone(), days(text)?),
            Kind::Text | Kind::Numeric { .. } => Cell::Text(text.clone()),
        })
    }

    pub(super) fn number_cell(&self, number: Number, value: i64) -> Cell {
        let Number::Sum(column) = number else { return Cell::Integer(value) };
        match self.declared.columns.get(column).map(|c| c.kind) {
            Some(Kind::Numeric { scale }) => Cell::Numeric(value, scale),
            _ => Cell::Integer(value),
        }
    }

    /// The least number of the first band up to which so many millionths of all lie, by noisy numbers of all bands. They are added as
    /// they are, since cutting off what is under zero would count people where there are none. Who is in no band is not counted.
    /// None where nobody is left.
    pub(super) fn quantile_cell(&self, part: u32, bands: &[(i64, i64)]) -> Cell {
        let all: i128 = bands.iter().map(|(_, number)| i128::from(*number)).sum();
        let mut so_far = 0_i128;
        let reached = bands.iter().find(|(_, number)| {
            so_far += i128::from(*number);
            so_far * 1_000_000 >= all * i128::from(part)
        });
        // The last band reaches it, if all is not under zero.
        reached.filter(|_| all > 0).map_or(Cell::Null, |(edge, _)| Cell::Integer(*edge))
    }

    /// The noisy numbers of all bands by their least ones, ascending; none where the groups are not in their form.
    pub(super) fn bands(&self, groups: &[(Key, Vec<i64>)], number: Number) -> Option<Vec<(i64, i64)>> {
        let place = self.numbers.iter().position(|of| *of == number)?;
        let mut bands = Vec::with_capacity(groups.len());
        for (key, numbers) in groups {
            let [edge] = key.as_slice() else { return None };
            let number = *numbers.get(place)?;
            if let Some(edge) = edge {
                bands.push((edge.parse().ok()?, number));
            }
        }
        bands.sort_unstable();
        Some(bands)
    }

    /// A sum by a count, rounded to a few digits more, and within what a mean can be: of people with one row each the bounds of
    /// the sum, of others also nothing. None where nobody is counted.
    pub(super) fn mean_cell(&self, column: usize, sum: i64, rows: i64) -> Cell {
        if rows < 1 {
            return Cell::Null;
        }
        let (sum, rows) = (i128::from(sum), i128::from(rows));
        let Sum { mut low, mut high, .. } = self.sum(column);
        if self.declared.rows > 1 {
            (low, high) = (low.min(0), high.max(0));
        }
        let parts = 10_i128.pow(u32::from(MEAN_DIGITS));
        let half = (sum.abs() * parts + rows / 2) / rows;
        let mean = if sum < 0 { -half } else { half };
        let mean = mean.clamp(i128::from(low) * parts, i128::from(high) * parts);
        let scale = self.declared.columns.get(column).map_or(0, |c| c.kind.scale());
        i64::try_from(mean).map_or(Cell::Null, |mean| Cell::Numeric(mean, scale + MEAN_DIGITS))
    }
}

impl Order {
    fn of(self, a: &[Cell], b: &[Cell]) -> Ordering {
        let (Some(a), Some(b)) = (a.get(self.by), b.get(self.by)) else { return Ordering::Equal };
        let null = |null: Ordering| if self.nulls_first { null } else { null.reverse() };
        match (a, b) {
            (Cell::Null, Cell::Null) => Ordering::Equal,
            (Cell::Null, _) => null(Ordering::Less),
            (_, Cell::Null) => null(Ordering::Greater),
            _ if self.down => b.compared(a),
            _ => a.compared(b),
        }
    }
}

fn decimal(units: i64, scale: u8) -> String {
    let (sign, digits) = (if units < 0 { "-" } else { "" }, units.unsigned_abs().to_string());
    let scale = usize::from(scale);
    if scale == 0 {
        return format!("{sign}{digits}");
    }
    let digits = format!("{digits:0>width$}", width = scale + 1);
    let (whole, part) = digits.split_at(digits.len() - scale);
    format!("{sign}{whole}.{part}")
}

/// PostgreSQL's binary `numeric`: how many digits to the base of 10,000, the place of the first, the sign, and how many decimal
/// digits stand after the point; then the digits.
fn numeric(units: i64, scale: u8) -> Vec<u8> {
    let filled = u32::from((4 - scale % 4) % 4);
    let mut rest = u128::from(units.unsigned_abs()) * 10_u128.pow(filled);
    let mut digits = Vec::new();
    while rest > 0 {
        digits.push((rest % 10_000) as u16);
        rest /= 10_000;
    }
    digits.reverse();
    let places = i16::try_from(digits.len()).unwrap_or(0);
    let after = i16::from(scale.div_ceil(4));
    let weight = if digits.is_empty() { 0 } else { places - after - 1 };
    while digits.last() == Some(&0) {
        digits.pop();
    }
    let sign: u16 = if units < 0 { 0x4000 } else { 0 };
    let head = [u16::try_from(digits.len()).unwrap_or(0), weight.cast_unsigned(), sign, u16::from(scale)];
    head.into_iter().chain(digits).flat_map(u16::to_be_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_encoded_as_postgresql_does() {
        for (units, scale, text, binary) in [
            (0, 2, "0.00", vec![0, 0, 0, 2]),
            (5, 2, "0.05", vec![1, 0xffff, 0, 2, 500]),
            (-123_456_789, 3, "-123456.789", vec![3, 1, 0x4000, 3, 12, 3_456, 7_890]),
            (10_000, 0, "10000", vec![1, 1, 0, 0, 1]),
            (1, 5, "0.00001", vec![1, 0xfffe, 0, 5, 1_000]),
        ] {
            let cell = Cell::Numeric(units, scale);
            assert_eq!(cell.text().as_deref(), Some(text));
            let binary: Vec<u8> = binary.into_iter().flat_map(u16::to_be_bytes).collect();
            assert_eq!(cell.binary(), Some(binary), "{text}");
        }
        assert_eq!(Cell::Null.text().is_none(), Cell::Null.binary().is_none());
        assert_eq!(Cell::Date("2026-11-27".to_owned(), 9_827).binary(), Some(vec![0, 0, 38, 99]));
    }
}
