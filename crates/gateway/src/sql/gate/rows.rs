//! Whether each row of a result surely tells of one row of one relation, so that a subject's key in it names whom it tells of.
//!
//! Sound, not complete: one `SELECT` from one name, and nothing in it that could be an aggregate, a function of a whole table, or
//! a second relation. The server calls a function of one argument also in the form of a column (`t.count`), which is why names
//! of aggregates behind a point are not taken either. That each shape which is taken is planned as one scan without an aggregate is
//! held against a real server.

use super::super::lex::{Kind, Token, Tokens};

/// Words that begin what combines rows, or a second relation.
const COMBINE: &[&str] = &[
    "select",
    "values",
    "table",
    "with",
    "group",
    "having",
    "distinct",
    "window",
    "over",
    "filter",
    "within",
    "union",
    "intersect",
    "except",
    "join",
    "natural",
    "cross",
    "lateral",
    "tablesample",
    "only",
    "fetch",
    "for",
    "into",
    "rows",
    "exists",
    "operator",
];
/// Words that a parenthesis may follow without being a function.
const BEFORE_PARENTHESIS: &[&str] = &[
    "in", "and", "or", "not", "where", "select", "by", "between", "any", "some", "all", "like", "ilike",
    "when", "then", "else",
];
/// What may follow the one relation.
const AFTER: &[&str] = &["where", "order", "limit", "offset"];
/// Words in the place of a relation's name that the server reads as a function, or that are none.
const NO_NAME: &[&str] = &[
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "localtime",
    "localtimestamp",
    "session_user",
    "system_user",
    "user",
    "where",
    "order",
    "limit",
    "offset",
    "as",
];

/// Whether each row of this statement's result surely tells of one row of one relation. Of a cursor and of `COPY` it is asked for what
/// they read.
#[must_use]
pub fn row_wise(statement: &str) -> bool {
    of(statement).unwrap_or(false)
}

/// `None` where it is not sure.
fn of(statement: &str) -> Option<bool> {
    let mut tokens = Tokens::of(statement);
    let first = loop {
        match tokens.next()?.ok()? {
            t if t.sign(";") => {}
            t => break t,
        }
    };
    if first.is("select") {
        return Some(select(tokens));
    }
    if first.is("declare") {
        while !tokens.next()?.ok()?.is("for") {}
        return of(statement.get(tokens.place()..)?);
    }
    if first.is("copy") {
        return copy(statement, tokens);
    }
    Some(false)
}

fn copy(statement: &str, mut tokens: Tokens<'_>) -> Option<bool> {
    let first = tokens.next()?.ok()?;
    if !first.sign("(") {
        // A relation, some of its columns perhaps.
        return Some(name(&first));
    }
    let (begin, mut depth) = (tokens.place(), 1_usize);
    while depth > 0 {
        let token = tokens.next()?.ok()?;
        if token.sign("(") {
            depth += 1;
        } else if token.sign(")") {
            depth -= 1;
        }
    }
    of(statement.get(begin..tokens.place() - 1)?)
}

/// A name that is one. One with escapes could be any.
fn name(token: &Token<'_>) -> bool {
    match token.kind {
        Kind::Word => !token.is_any(NO_NAME) && !token.is_any(COMBINE),
        Kind::Quoted => token.text.starts_with('"'),
        _ => false,
    }
}

/// Where in the statement we are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    List,
    Rest,
}

fn select(mut tokens: Tokens<'_>) -> bool {
    let mut part = Part::List;
    let mut before: Option<Token<'_>> = None;
    while let Some(token) = tokens.next() {
        let Ok(token) = token else { return false };
        if token.sign(";") {
            return part == Part::Rest && tokens.all(|t| t.is_ok_and(|t| t.sign(";")));
        }
        let dotted = before.is_some_and(|b| b.sign("."));
        if part == Part::List && token.is("from") && !dotted {
            let Some(after) = relation(&mut tokens) else { return false };
            let Some(token) = after else { return true };
            if token.sign(";") {
                return tokens.all(|t| t.is_ok_and(|t| t.sign(";")));
            }
            if !token.is_any(AFTER) {
                return false;
            }
            (part, before) = (Part::Rest, Some(token));
            continue;
        }
        if !single(before.as_ref(), &token, dotted) {
            return false;
        }
        before = Some(token);
    }
    part == Part::Rest
}

/// The one relation with its alias, and what follows.
fn relation<'a>(tokens: &mut Tokens<'a>) -> Option<Option<Token<'a>>> {
    let mut next = || tokens.next().transpose().ok();
    if !next()?.is_some_and(|t| name(&t)) {
        return None;
    }
    let mut token = next()?;
    for _ in 0..2 {
        if token.is_some_and(|t| t.sign(".")) {
            next()?.filter(|t| matches!(t.kind, Kind::Word | Kind::Quoted))?;
            token = next()?;
        }
    }
    let said = token.is_some_and(|t| t.is("as"));
    if said {
        token = next()?;
    }
    match token {
        Some(t) if t.is_any(AFTER) && !said => Some(token),
        Some(t) if name(&t) => next(),
        Some(t) if t.sign(";") && !said => Some(token),
        None if !said => Some(None),
        _ => None,
    }
}

/// Whether a token is part of something about one row.
fn single(before: Option<&Token<'_>>, token: &Token<'_>, dotted: bool) -> bool {
    match token.kind {
        Kind::Quoted if !token.text.starts_with('"') => false,
        Kind::Word | Kind::Quoted if dotted => !aggregate(token.text.trim_matches('"')),
        Kind::Word => !token.is("from") && !token.is_any(COMBINE),
        // Of a row, or of what is in parentheses, a point asks for a function.
        Kind::Sign if token.text == "." => {
            before.is_some_and(|b| matches!(b.kind, Kind::Word | Kind::Quoted))
        }
        Kind::Sign if token.text == "(" => before.is_none_or(|b| match b.kind {
            Kind::Operator => true,
            Kind::Sign => matches!(b.text, "(" | ","),
            Kind::Word => b.is_any(BEFORE_PARENTHESIS),
            _ => false,
        }),
        Kind::Sign => matches!(token.text, ")" | "[" | "]" | "," | ":"),
        _ => true,
    }
}

/// Whether the server has, or may come to have, an aggregate of this name for rows of any kind.
fn aggregate(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.contains("agg")
        || matches!(name.as_str(), "count" | "min" | "max" | "any_value" | "mode" | "sum" | "avg" | "every")
}
