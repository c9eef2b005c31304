//! A text as a question: what `sqlparser` makes of it is taken apart to the last field, and what is not in the grammar is
//! refused. Nothing of its tree goes on: names become columns of the declaration, values are typed.

use std::collections::BTreeSet;
use std::sync::Arc;

use sqlparser::ast::helpers::attached_token::AttachedToken;
use sqlparser::ast::{
    Expr, GroupByExpr, Ident, LimitClause, ObjectName, ObjectNamePart, Query, Select, SelectFlavor,
    SelectItem, SetExpr, Statement, TableAlias, TableFactor, TableWithJoins, Value,
};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

use super::declared::{Declared, Key};
use super::question::{KEYS_MAX, Number, Question, Shown};
use super::refusal::Refusal;

mod columns;
mod filters;
#[cfg(test)]
mod tests;

/// Longest text, in bytes.
pub const TEXT_MAX: usize = 64 * 1024;
/// Most words, signs and values of a text: what is nested to one side only is as deep as that at most.
const TOKENS_MAX: usize = 1_000;
/// How deep brackets may be.
const DEPTH_MAX: usize = 4;
/// How deep the parser goes by itself. A step of it takes tens of kilobytes.
const RECURSION_MAX: usize = 16;
/// The stack of who reads a text: for the deepest that the limits above let pass, several times over. What is not used is not
/// taken.
const STACK: usize = 16 << 20;
/// Words that PostgreSQL keeps for itself, so that no column has them as its name, and that begin what is not in the grammar.
const NOT_POSSIBLE: &[Keyword] = &[
    Keyword::ARRAY,
    Keyword::CASE,
    Keyword::CAST,
    Keyword::EXCEPT,
    Keyword::INTERSECT,
    Keyword::LATERAL,
    Keyword::SELECT,
    Keyword::UNION,
    Keyword::WITH,
];
/// Most columns of an answer.
const SHOWN_MAX: usize = 32;

/// Reads a question about one of these tables, on a thread of its own: a parser that goes deep, or gives up, ends nothing else.
///
/// # Errors
/// [`Refusal`], which says what is possible.
pub fn parse(text: &str, tables: &[Arc<Declared>]) -> Result<Question, Refusal> {
    let read = std::thread::scope(|scope| {
        let reader = std::thread::Builder::new().stack_size(STACK);
        reader.spawn_scoped(scope, || read(text, tables)).ok()?.join().ok()
    });
    read.unwrap_or_else(|| Err(Refusal::new("53000", None, "this cannot be read now")))
}

fn read(text: &str, tables: &[Arc<Declared>]) -> Result<Question, Refusal> {
    let places = Places(text);
    let query = query_of(&places)?;
    let Query {
        with: None,
        body,
        order_by,
        limit_clause,
        fetch: None,
        locks,
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators,
    } = query
    else {
        return Err(Refusal::grammar(
            None,
            "`WITH`, `FETCH` and what else stands around a SELECT are not possible",
        ));
    };
    if !locks.is_empty() || !pipe_operators.is_empty() {
        return Err(Refusal::grammar(None, "rows cannot be locked: none are seen"));
    }
    let SetExpr::Select(select) = *body else {
        return Err(Refusal::grammar(
            None,
            "one SELECT is possible, without UNION, VALUES or brackets around it",
        ));
    };
    let parts = Parts::of(*select)?;
    let (declared, names) = table(&parts.from, tables, &places)?;
    let reading = Reading { places, declared: &declared, names };
    let question = reading.question(&parts).and_then(|question| {
        let order = reading.order(order_by, &question)?;
        let limit = reading.limit(limit_clause)?;
        let question = Question { order, limit, ..question };
        if question.keeps() {
            Ok(question)
        } else {
            Err(Refusal::grammar(None, "the keys name too many groups together"))
        }
    });
    question.map_err(|refusal| refusal.about(&declared))
}

/// What is needed to say where something stands.
struct Places<'t>(&'t str);

impl Places<'_> {
    fn of(&self, at: Location) -> Option<u32> {
        let lines = self.0.split('\n').take(usize::try_from(at.line).ok()?.checked_sub(1)?);
        let before: usize = lines.map(|line| line.chars().count() + 1).sum();
        u32::try_from(before).ok()?.checked_add(u32::try_from(at.column).ok()?)
    }

    fn ident(&self, ident: &Ident) -> Option<u32> {
        self.of(ident.span.start)
    }

    /// Where an expression stands, as far as its first layer tells: what lies below is as deep as whoever wrote it liked.
    fn expr(&self, expr: &Expr) -> Option<u32> {
        match expr {
            Expr::Identifier(ident) => self.ident(ident),
            Expr::CompoundIdentifier(parts) => parts.first().and_then(|ident| self.ident(ident)),
            Expr::Value(value) => self.of(value.span.start),
            Expr::TypedString(typed) => self.of(typed.value.span.start),
            Expr::Function(function) => match function.name.0.first() {
                Some(ObjectNamePart::Identifier(ident)) => self.ident(ident),
                _ => None,
            },
            Expr::BinaryOp { right, .. } => match &**right {
                Expr::BinaryOp { .. } => None,
                right => self.expr(right),
            },
            _ => None,
        }
    }
}

/// The one query of a text.
fn query_of(places: &Places<'_>) -> Result<Query, Refusal> {
    let text = places.0;
    if text.len() > TEXT_MAX {
        return Err(Refusal::new("54000", None, format!("a question has at most {TEXT_MAX} bytes")));
    }
    let dialect = PostgreSqlDialect {};
    let tokens = Tokenizer::new(&dialect, text).tokenize_with_location();
    let mut tokens = tokens.map_err(|e| Refusal::new("42601", places.of(e.location), "this is not SQL"))?;
    tokens.retain(|token| !matches!(token.token, Token::Whitespace(_)));
    possible(&tokens, places)?;
    let mut parser =
        Parser::new(&dialect).with_recursion_limit(RECURSION_MAX).with_tokens_with_locations(tokens);
    let mut statements = parser.parse_statements().map_err(|e| unread(&e, places))?;
    match (statements.pop(), statements.is_empty()) {
        (Some(Statement::Query(query)), true) => Ok(*query),
        (Some(_), true) => Err(Refusal::grammar(None, "only SELECT is possible")),
        _ => Err(Refusal::new("42601", None, "one statement is possible at a time")),
    }
}

/// Whether these can be the words and signs of a question, before a parser sees them.
fn possible(tokens: &[TokenWithSpan], places: &Places<'_>) -> Result<(), Refusal> {
    if tokens.len() > TOKENS_MAX {
        return Err(Refusal::new(
            "54000",
            None,
            format!("a question has at most {TOKENS_MAX} words and signs"),
        ));
    }
    if !matches!(tokens.first().map(|t| &t.token), Some(Token::Word(word)) if word.keyword == Keyword::SELECT)
    {
        return Err(Refusal::grammar(Some(1), "only SELECT is possible"));
    }
    let (mut depth, mut over) = (0_usize, false);
    for (number, token) in tokens.iter().enumerate() {
        let at = || places.of(token.span.start);
        match &token.token {
            Token::EOF => {}
            Token::SemiColon => over = true,
            _ if over => return Err(Refusal::new("42601", at(), "one statement is possible at a time")),
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            Token::Word(word) if word.quote_style.is_none() => {
                if number > 0 && NOT_POSSIBLE.contains(&word.keyword) {
                    return Err(Refusal::grammar(at(), "what begins with this word is not in the grammar"));
                }
            }
            Token::Word(word) if word.quote_style == Some('"') => {}
            Token::Number(_, false) | Token::SingleQuotedString(_) | Token::Comma | Token::Period => {}
            Token::Eq | Token::Neq | Token::Lt | Token::LtEq | Token::Gt | Token::GtEq => {}
            Token::Minus | Token::Mul => {}
            _ => return Err(Refusal::grammar(at(), "this sign or kind of value is not in the grammar")),
        }
        if depth > DEPTH_MAX {
            return Err(Refusal::new("54000", at(), "brackets are too deep"));
        }
    }
    Ok(())
}

/// What the parser says, without the words of the text that it repeats.
fn unread(error: &ParserError, places: &Places<'_>) -> Refusal {
    let position = match error {
        ParserError::ParserError(text) | ParserError::TokenizerError(text) => {
            let place = text.rsplit_once(" at Line: ").and_then(|(_, place)| place.split_once(", Column: "));
            let numbers =
                place.and_then(|(line, column)| Some((line.parse().ok()?, column.trim().parse().ok()?)));
            numbers.and_then(|(line, column)| places.of(Location { line, column }))
        }
        ParserError::RecursionLimitExceeded => None,
    };
    Refusal::new("42601", position, "this cannot be read as a SELECT")
}

/// The parts of a SELECT that a question has.
struct Parts {
    projection: Vec<SelectItem>,
    from: Vec<TableWithJoins>,
    selection: Option<Expr>,
    group_by: Vec<Expr>,
    having: Option<Expr>,
}

impl Parts {
    fn of(select: Select) -> Result<Self, Refusal> {
        let Select {
            select_token: AttachedToken(_),
            optimizer_hints,
            distinct: None,
            select_modifiers: None,
            top: None,
            top_before_distinct: false,
            projection,
            exclude: None,
            into: None,
            from,
            lateral_views,
            prewhere: None,
            selection,
            connect_by,
            group_by: GroupByExpr::Expressions(group_by, modifiers),
            cluster_by,
            distribute_by,
            sort_by,
            having,
            named_window,
            qualify: None,
            window_before_qualify: false,
            value_table_mode: None,
            flavor: SelectFlavor::Standard,
        } = select
        else {
            return Err(Refusal::grammar(
                None,
                "`DISTINCT`, `INTO`, `GROUP BY ALL` and the like are not possible",
            ));
        };
        let none = optimizer_hints.is_empty() && lateral_views.is_empty() && connect_by.is_empty();
        let none = none && modifiers.is_empty() && cluster_by.is_empty() && distribute_by.is_empty();
        if !none || !sort_by.is_empty() || !named_window.is_empty() {
            return Err(Refusal::grammar(None, "windows, `ROLLUP`, `CUBE` and the like are not possible"));
        }
        Ok(Self { projection, from, selection, group_by, having })
    }
}

/// The one table, and the names by which it may be called.
fn table(
    from: &[TableWithJoins],
    tables: &[Arc<Declared>],
    places: &Places<'_>,
) -> Result<(Arc<Declared>, Vec<String>), Refusal> {
    let only =
        || Refusal::grammar(None, "one table is possible after FROM, without joins, subqueries or functions");
    let [TableWithJoins { relation, joins }] = from else { return Err(only()) };
    let TableFactor::Table {
        name,
        alias,
        args: None,
        with_hints,
        version: None,
        with_ordinality: false,
        partitions,
        json_path: None,
        sample: None,
        index_directives,
        inheritance: None,
    } = relation
    else {
        return Err(only());
    };
    if !joins.is_empty() || !with_hints.is_empty() || !partitions.is_empty() || !index_directives.is_empty() {
        return Err(only());
    }
    let ObjectName(parts) = name;
    let [ObjectNamePart::Identifier(ident)] = parts.as_slice() else {
        return Err(Refusal::new("42P01", None, "a table is called by its name alone"));
    };
    let called = folded(ident);
    let Some(declared) = tables.iter().find(|declared| declared.name == called) else {
        let names: Vec<&str> = tables.iter().map(|declared| declared.name.as_str()).collect();
        let mut refusal = Refusal::new("42P01", places.ident(ident), "there is no such table to ask");
        refusal.possible = format!("{}; tables are {}", refusal.possible, names.join(", "));
        return Err(refusal);
    };
    let names = match alias {
        None => vec![called],
        Some(TableAlias { explicit: _, name, columns, at: None }) if columns.is_empty() => vec![folded(name)],
        Some(_) => return Err(only()),
    };
    Ok((Arc::clone(declared), names))
}

/// A name as PostgreSQL takes it.
fn folded(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_ascii_lowercase() }
}

/// A question while it is read.
struct Reading<'r> {
    places: Places<'r>,
    declared: &'r Arc<Declared>,
    names: Vec<String>,
}

impl Reading<'_> {
    fn question(&self, parts: &Parts) -> Result<Question, Refusal> {
        let mut keys = self.keys(&parts.group_by)?;
        if parts.projection.len() > SHOWN_MAX {
            return Err(Refusal::new("54000", None, format!("an answer has at most {SHOWN_MAX} columns")));
        }
        let shown =
            parts.projection.iter().map(|item| self.shown(item, &keys)).collect::<Result<Vec<_>, _>>()?;
        let quantile = shown.iter().find_map(|(_, shown)| match shown {
            Shown::Quantile(column, _) => Some(*column),
            Shown::Key(_) | Shown::Number(_) | Shown::Mean(_) => None,
        });
        if let Some(column) = quantile {
            let alone = shown.iter().all(|(_, s)| matches!(s, Shown::Quantile(of, _) if *of == column));
            if !alone || !keys.is_empty() || parts.having.is_some() {
                let why = "quantiles of one column stand alone: without other numbers, GROUP BY and HAVING";
                return Err(Refusal::grammar(None, why));
            }
            keys = vec![column];
        }
        let numbers = |shown: &Shown| match shown {
            Shown::Key(_) => Vec::new(),
            Shown::Number(number) => vec![*number],
            Shown::Mean(column) => vec![Number::Sum(*column), self.declared.counted()],
            Shown::Quantile(..) => vec![self.declared.counted()],
        };
        let asked: BTreeSet<Number> = shown.iter().flat_map(|(_, shown)| numbers(shown)).collect();
        if asked.is_empty() {
            return Err(Refusal::grammar(
                None,
                "at least one of count, sum, avg and percentile_disc is needed: no rows are seen",
            ));
        }
        if asked.len() >= transform::dp::table::NUMBERS_MAX {
            return Err(Refusal::new("54000", None, "too many different numbers are asked for at once"));
        }
        let filters =
            parts.selection.as_ref().map_or_else(|| Ok(BTreeSet::new()), |expr| self.filters(expr))?;
        let least = parts.having.as_ref().map(|expr| self.least(expr)).transpose()?;
        Ok(Question {
            declared: Arc::clone(self.declared),
            keys,
            filters,
            numbers: asked.into_iter().chain([Number::People]).collect(),
            shown,
            order: Vec::new(),
            limit: None,
            least,
        })
    }

    fn keys(&self, group_by: &[Expr]) -> Result<Vec<usize>, Refusal> {
        let mut keys = BTreeSet::new();
        for expr in group_by {
            let at = self.places.expr(expr);
            let Some(name) = self.column_name(expr) else {
                return Err(Refusal::grammar(at, "`GROUP BY` takes names of declared keys"));
            };
            match self.declared.column(&name) {
                Some((index, column)) if column.key != Key::No => keys.insert(index),
                _ => return Err(Refusal::new("42703", at, "this is no key of the table")),
            };
        }
        if keys.len() > KEYS_MAX {
            return Err(Refusal::grammar(None, format!("at most {KEYS_MAX} keys are possible")));
        }
        Ok(keys.into_iter().collect())
    }

    /// A column's name, also after the name of the table.
    fn column_name(&self, expr: &Expr) -> Option<String> {
        match expr {
            Expr::Identifier(ident) => Some(folded(ident)),
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [table, column] if self.names.contains(&folded(table)) => Some(folded(column)),
                _ => None,
            },
            _ => None,
        }
    }

    fn limit(&self, clause: Option<LimitClause>) -> Result<Option<u64>, Refusal> {
        match clause {
            None | Some(LimitClause::LimitOffset { limit: None, offset: None, .. }) => Ok(None),
            Some(LimitClause::LimitOffset { limit: Some(limit), offset: None, limit_by })
                if limit_by.is_empty() =>
            {
                let number = whole(&limit)
                    .ok_or_else(|| Refusal::grammar(self.places.expr(&limit), "`LIMIT` takes a number"));
                number.map(Some)
            }
            Some(_) => Err(Refusal::grammar(None, "`OFFSET` is not possible")),
        }
    }
}

/// A number without sign and point.
fn whole(expr: &Expr) -> Option<u64> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Number(digits, false) => digits.parse().ok(),
            _ => None,
        },
        _ => None,
    }
}
