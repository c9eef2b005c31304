//! What is told of a text that is no question.

use super::declared::{Declared, Key};

/// The grammar in one line.
pub const GRAMMAR: &str = "SELECT [key, …] count(*) | count(DISTINCT person) | sum(column) | avg(column), … | \
     percentile_disc(part) WITHIN GROUP (ORDER BY column in bands), … FROM table \
     [WHERE column = | <> | < | <= | > | >= value | IN (values) | BETWEEN value AND value | IS [NOT] NULL AND …] \
     [GROUP BY key [, key]] [HAVING count(DISTINCT person) >= number] [ORDER BY column of the answer, …] [LIMIT number]";

/// That a text is no question, and what is. It holds nothing of the text but names that are declared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Refusal {
    /// What is not possible.
    pub why: String,
    /// At which character, counted from one, where it is known.
    pub position: Option<u32>,
    /// PostgreSQL's code for such an error.
    pub sqlstate: &'static str,
    /// What is possible.
    pub possible: String,
}

impl Refusal {
    pub(super) fn new(sqlstate: &'static str, position: Option<u32>, why: impl Into<String>) -> Self {
        Self { why: why.into(), position, sqlstate, possible: format!("possible is: {GRAMMAR}") }
    }

    /// Outside of the grammar.
    pub(super) fn grammar(position: Option<u32>, why: impl Into<String>) -> Self {
        Self::new("0A000", position, why)
    }

    /// Says as well what may be asked of this table.
    pub(super) fn about(mut self, declared: &Declared) -> Self {
        let names = |which: &dyn Fn(&super::declared::Column) -> bool| {
            let names: Vec<&str> =
                declared.columns.iter().filter(|c| which(c)).map(|c| c.name.as_str()).collect();
            if names.is_empty() { "none".to_owned() } else { names.join(", ") }
        };
        let of_table = format!(
            "; of `{}`: person is {}, keys are {}, in bands are {}, WHERE may name {}, sums are of {}",
            declared.name,
            declared.person,
            names(&|c| c.key != Key::No),
            names(&|c| matches!(c.key, Key::Bands(_))),
            names(&|c| c.filter),
            names(&|c| c.sum.is_some()),
        );
        self.possible.push_str(&of_table);
        self
    }
}
