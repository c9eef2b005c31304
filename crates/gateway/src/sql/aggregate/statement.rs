//! Our own SQL of a question. Names in it are those of the declaration, numbers in it are bounds of the declaration, and what
//! the asker wrote travels in parameters, cast to a type that their text was checked for: no expression of theirs runs, and
//! nothing in it fails on some rows and not on others.

use transform::dp::bound::VALUE_MAX;

use super::declared::{Column, Declared, KEY_BYTES_MAX, Key, Kind, Sum};
use super::literal::Literal;
use super::question::{Filter, Number, Question, Test};

/// A statement and its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    pub(super) text: String,
    pub(super) parameters: Vec<Parameter>,
    /// How many columns it answers with, all of them text.
    pub(super) columns: usize,
    pub(super) rows_max: usize,
}

/// What a parameter is sent as.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Parameter {
    Text(String),
    Texts(Vec<String>),
}

impl std::fmt::Debug for Parameter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Parameter(..)")
    }
}

impl Statement {
    /// Its text, in which no value is.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// For each group its keys and numbers, of which each person contributed no more than is declared: in each group at most so
    /// much, and to so many groups as they may be in, chosen anew by `seed`, which nobody must be able to foresee.
    pub(super) fn of_groups(question: &Question, seed: i64, rows_max: usize) -> Self {
        let mut writing = Writing::new(question);
        let people = writing.people();
        let keys = writing.keys();
        let seed = writing.parameter(Parameter::Text(seed.to_string()));
        let marks: String = keys.iter().map(|key| format!(", coalesce('v' || {key}, 'n')")).collect();
        let order = format!("hashtextextended(concat_ws(chr(31), p{marks}) collate \"C\", {seed}::int8)");
        let bounded =
            question.numbers.iter().filter_map(|number| Some((writing.bounded(*number)?, name(*number))));
        let bounded = bounded.map(|(expression, name)| format!("{expression} as {name}"));
        let chosen: Vec<String> = keys.iter().cloned().chain(bounded).collect();
        let chosen: String = chosen.iter().map(|column| format!("{column}, ")).collect();
        let summed = |number: &Number| match number {
            Number::People => "count(*)::text".to_owned(),
            other => format!("sum({})::text", name(*other)),
        };
        let told: Vec<String> = keys.iter().cloned().chain(question.numbers.iter().map(summed)).collect();
        let group_by = if keys.is_empty() { String::new() } else { format!(" group by {}", keys.join(", ")) };
        let text = format!(
            "{people}, c as (select {chosen}row_number() over (partition by p order by {order}) as r from u) \
             select {} from c where r <= {}{group_by} limit {}",
            told.join(", "),
            question.groups_of_person(),
            rows_max.saturating_add(1),
        );
        Self { text, parameters: writing.parameters, columns: told.len(), rows_max }
    }

    /// For each person and group: who, the keys, and what they contribute, as much as is declared. For what is measured without
    /// noise, inside.
    pub(super) fn of_people(question: &Question, rows_max: usize) -> Self {
        let mut writing = Writing::new(question);
        let people = writing.people();
        let bounded = question.numbers.iter().filter_map(|number| writing.bounded(*number));
        let bounded = bounded.map(|expression| format!("({expression})::text"));
        let told: Vec<String> = ["p".to_owned()].into_iter().chain(writing.keys()).chain(bounded).collect();
        let text = format!("{people} select {} from u limit {}", told.join(", "), rows_max.saturating_add(1));
        Self { text, columns: told.len(), parameters: writing.parameters, rows_max }
    }
}

/// What a number is called between the steps of a statement.
fn name(number: Number) -> String {
    match number {
        Number::People => "p".to_owned(),
        Number::Rows => "n".to_owned(),
        Number::Sum(column) => format!("s{column}"),
    }
}

/// A statement while it is written.
struct Writing<'q> {
    question: &'q Question,
    parameters: Vec<Parameter>,
}

impl<'q> Writing<'q> {
    const fn new(question: &'q Question) -> Self {
        Self { question, parameters: Vec::new() }
    }

    fn parameter(&mut self, parameter: Parameter) -> String {
        let cast = match parameter {
            Parameter::Text(_) => "text",
            Parameter::Texts(_) => "text[]",
        };
        self.parameters.push(parameter);
        format!("${}::{cast}", self.parameters.len())
    }

    fn keys(&self) -> Vec<String> {
        self.question.keys.iter().map(|column| format!("k{column}")).collect()
    }

    /// Rows that count, and what each person has of each number in each group.
    fn people(&mut self) -> String {
        let question = self.question;
        let Declared { schema, relation, person, .. } = question.declared();
        let person = format!("t.{}", quoted(person));
        let mut columns = vec![format!("{person}::text collate \"C\" as p")];
        for (index, column) in question.keys.iter().zip(question.keys()) {
            columns.push(format!("{} as k{index}", self.key(column)));
        }
        let mut sums = Vec::new();
        for number in &question.numbers {
            if let Number::Sum(index) = number
                && let Some(column) = question.declared().columns.get(*index)
            {
                columns.push(format!("{} as x{index}", value(column, question.sum(*index))));
                sums.push(format!(", sum(x{index}) as s{index}"));
            }
        }
        let mut conditions = vec![format!("{person} is not null")];
        for filter in &question.filters {
            conditions.extend(self.filter(filter));
        }
        let keys: String = self.keys().iter().map(|key| format!(", {key}")).collect();
        format!(
            "with v as (select {} from {}.{} as t where {}), \
             u as (select p{keys}, count(*) as n{} from v group by p{keys})",
            columns.join(", "),
            quoted(schema),
            quoted(relation),
            conditions.join(" and "),
            sums.concat(),
        )
    }

    /// A value of a key as text: none for one that is not told by itself.
    fn key(&mut self, column: &Column) -> String {
        let of = format!("t.{}", quoted(&column.name));
        let text = match column.kind {
            Kind::Date => format!(
                "case when {of} between date '0001-01-01' and date '9999-12-31' then to_char({of}, 'YYYY-MM-DD') end"
            ),
            Kind::Text => {
                format!("case when octet_length({of}::text) <= {KEY_BYTES_MAX} then {of}::text end")
            }
            Kind::Integer | Kind::Bool | Kind::Numeric { .. } => format!("{of}::text"),
        };
        match &column.key {
            Key::Listed(values) => {
                let values = self.parameter(Parameter::Texts(values.clone()));
                format!("case when ({text}) collate \"C\" = any({values}) then ({text}) collate \"C\" end")
            }
            Key::Bands(edges) => {
                let bands =
                    edges.iter().rev().map(|edge| format!(" when {of} >= ({edge})::int8 then '{edge}'"));
                format!("(case{} end) collate \"C\"", bands.collect::<String>())
            }
            Key::Open | Key::No => format!("({text}) collate \"C\""),
        }
    }

    fn filter(&mut self, filter: &Filter) -> Option<String> {
        let column = self.question.declared().columns.get(filter.column)?;
        let of = format!("t.{}", quoted(&column.name));
        let mut literal = |literal: &Literal| {
            let cast = literal.cast();
            format!("{}{cast}", self.parameter(Parameter::Text(literal.text())))
        };
        Some(match &filter.test {
            Test::Compare(comparison, value) => format!("{of} {} {}", comparison.word(), literal(value)),
            Test::In(values) => {
                let values: Vec<String> = values.iter().map(literal).collect();
                format!("{of} in ({})", values.join(", "))
            }
            Test::Null(true) => format!("{of} is null"),
            Test::Null(false) => format!("{of} is not null"),
        })
    }

    /// What one person contributes to a number of a group; none for people, who are one each.
    fn bounded(&self, number: Number) -> Option<String> {
        match number {
            Number::People => None,
            Number::Rows => Some(format!("least(n, {})", self.question.declared().rows)),
            Number::Sum(column) => {
                let Sum { low, high, .. } = self.question.sum(column);
                Some(format!("least(greatest(s{column}, ({low})::numeric), ({high})::numeric)"))
            }
        }
    }
}

/// What one row has of a sum, in units: never none, no number or infinite, and so small that no sum of them is too large.
fn value(column: &Column, sum: Sum) -> String {
    let of = format!("t.{}::numeric", quoted(&column.name));
    let units = 10_i64.pow(u32::from(column.kind.scale()));
    let farthest = VALUE_MAX / units;
    format!(
        "case when {of} is null or {of} in ('NaN'::numeric, 'Infinity'::numeric, '-Infinity'::numeric) \
         then ({})::numeric else round(least(greatest({of}, ({})::numeric), ({farthest})::numeric) * {units}) end",
        sum.missing, -farthest
    )
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
