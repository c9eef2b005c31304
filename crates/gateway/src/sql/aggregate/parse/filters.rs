//! `WHERE`: conditions that all must hold, each of one declared column and values.

use std::collections::BTreeSet;

use sqlparser::ast::{BinaryOperator, DataType, Expr, InTarget, UnaryOperator, Value};

use super::super::declared::Column;
use super::super::literal::{Literal, Written};
use super::super::question::{Comparison, Filter, Test};
use super::super::refusal::Refusal;
use super::Reading;

/// Most conditions of a question.
const FILTERS_MAX: usize = 32;
/// Most values of a list.
const LIST_MAX: usize = 200;

impl Reading<'_> {
    pub(super) fn filters(&self, selection: &Expr) -> Result<BTreeSet<Filter>, Refusal> {
        let (mut filters, mut left) = (BTreeSet::new(), vec![selection]);
        while let Some(expr) = left.pop() {
            match expr {
                Expr::Nested(inner) => left.push(inner),
                Expr::BinaryOp { left: a, op: BinaryOperator::And, right: b } => left.extend([&**a, &**b]),
                condition => self.condition(condition, &mut filters)?,
            }
        }
        if filters.len() > FILTERS_MAX {
            return Err(Refusal::new(
                "54000",
                None,
                format!("at most {FILTERS_MAX} conditions are possible"),
            ));
        }
        Ok(filters)
    }

    fn condition(&self, expr: &Expr, filters: &mut BTreeSet<Filter>) -> Result<(), Refusal> {
        let at = self.places.expr(expr);
        let only = || {
            Refusal::grammar(
                at,
                "conditions compare a declared column with values (=, <>, <, <=, >, >=, IN, BETWEEN, IS [NOT] NULL), joined by AND",
            )
        };
        let mut add = |column: usize, test: Test| {
            filters.insert(Filter { column, test });
        };
        match expr {
            Expr::BinaryOp { left, op, right } => {
                let comparison = comparison(op).ok_or_else(only)?;
                // The side that is a value decides which is the column.
                let (column, value, comparison) = match (written(left), written(right)) {
                    (None, Some(value)) => (left, value, comparison),
                    (Some(value), None) => (right, value, comparison.turned()),
                    _ => return Err(only()),
                };
                let (index, column) = self.filtered(column)?;
                let literal = self.literal(column, value, at)?;
                if matches!(literal, Literal::Text(_) | Literal::Bool(_))
                    && !matches!(comparison, Comparison::Equal | Comparison::Unequal)
                {
                    return Err(Refusal::grammar(at, "texts and truths are only equal or not"));
                }
                add(index, Test::Compare(comparison, literal));
            }
            Expr::In { expr, target: InTarget::List(list), negated: false, global: false }
                if (1..=LIST_MAX).contains(&list.len()) =>
            {
                let (index, column) = self.filtered(expr)?;
                let literal = |value: &Expr| self.literal(column, written(value).ok_or_else(only)?, at);
                add(index, Test::In(list.iter().map(literal).collect::<Result<_, _>>()?));
            }
            Expr::Between { expr, negated: false, low, high } => {
                let (index, column) = self.filtered(expr)?;
                let literal = |value: &Expr| self.literal(column, written(value).ok_or_else(only)?, at);
                let (low, high) = (literal(low)?, literal(high)?);
                if matches!(low, Literal::Text(_) | Literal::Bool(_)) {
                    return Err(Refusal::grammar(at, "texts and truths are only equal or not"));
                }
                add(index, Test::Compare(Comparison::GreaterOrEqual, low));
                add(index, Test::Compare(Comparison::LessOrEqual, high));
            }
            Expr::IsNull(expr) => add(self.filtered(expr)?.0, Test::Null(true)),
            Expr::IsNotNull(expr) => add(self.filtered(expr)?.0, Test::Null(false)),
            _ => return Err(only()),
        }
        Ok(())
    }

    /// A column that conditions may be about.
    fn filtered(&self, expr: &Expr) -> Result<(usize, &Column), Refusal> {
        let at = self.places.expr(expr);
        let name = self
            .column_name(expr)
            .ok_or_else(|| Refusal::grammar(at, "a condition is about one column as it is"))?;
        let found = self.declared.column(&name).filter(|(_, column)| column.filter);
        found.ok_or_else(|| Refusal::new("42703", at, "WHERE may not name this column"))
    }

    fn literal(&self, column: &Column, value: Written<'_>, at: Option<u32>) -> Result<Literal, Refusal> {
        let wrong =
            || Refusal::new("22P02", at, format!("`{}` is compared with {}", column.name, column.word()));
        Literal::of(column.kind, value).ok_or_else(wrong)
    }
}

const fn comparison(op: &BinaryOperator) -> Option<Comparison> {
    Some(match op {
        BinaryOperator::Eq => Comparison::Equal,
        BinaryOperator::NotEq => Comparison::Unequal,
        BinaryOperator::Lt => Comparison::Less,
        BinaryOperator::LtEq => Comparison::LessOrEqual,
        BinaryOperator::Gt => Comparison::Greater,
        BinaryOperator::GtEq => Comparison::GreaterOrEqual,
        _ => return None,
    })
}

fn written(expr: &Expr) -> Option<Written<'_>> {
    match expr {
        Expr::Value(value) => plain(&value.value),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match &**expr {
            Expr::Value(value) => match &value.value {
                Value::Number(digits, false) => Some(Written::Number { negative: true, digits }),
                _ => None,
            },
            _ => None,
        },
        Expr::TypedString(typed) if matches!(typed.data_type, DataType::Date) && !typed.uses_odbc_syntax => {
            match &typed.value.value {
                Value::SingleQuotedString(text) => Some(Written::Quoted(text)),
                _ => None,
            }
        }
        _ => None,
    }
}

fn plain(value: &Value) -> Option<Written<'_>> {
    match value {
        Value::Number(digits, false) => Some(Written::Number { negative: false, digits }),
        Value::SingleQuotedString(text) => Some(Written::Quoted(text)),
        Value::Boolean(truth) => Some(Written::Bool(*truth)),
        _ => None,
    }
}
