//! Of whom a statement can tell, by its words alone. Whatever is not sure tells of anybody.

use model::tables::IDENTIFIER_MAX;

use super::lex::{Kind, Tokens};

/// Of whom a statement can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Nobody: it names none of the views, and nothing else is readable that has people in it.
    Nobody,
    /// Each row of the person whom it names, if it names one.
    Rows,
    /// Anybody in the tables.
    Anybody,
}

/// What a statement reaches, given the names of the views.
///
/// A view is reached by its name alone: no function that runs a text as a statement can be called, and what a cursor reads is
/// asked of the statement that declared it.
pub(super) fn of<'v>(text: &str, row_wise: bool, mut views: impl Iterator<Item = &'v str>) -> Reach {
    let words: Option<Vec<String>> = words(text);
    match words {
        Some(words) if !views.any(|view| words.iter().any(|word| word == view)) => Reach::Nobody,
        _ if row_wise => Reach::Rows,
        _ => Reach::Anybody,
    }
}

/// Every word that could be a name, as PostgreSQL folds it; `None` where it is not sure what they are.
fn words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    for token in Tokens::of(text) {
        let token = token.ok()?;
        // PostgreSQL cuts longer names, and what is left may be a view's.
        if matches!(token.kind, Kind::Word | Kind::Quoted) && token.text.len() > IDENTIFIER_MAX {
            return None;
        }
        match token.kind {
            Kind::Word => words.push(token.text.to_ascii_lowercase()),
            // With escapes it could spell anything.
            Kind::Quoted if !token.text.starts_with('"') => return None,
            Kind::Quoted => words.push(token.text.trim_matches('"').to_owned()),
            _ => {}
        }
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_that_names_no_view_tells_of_nobody_and_what_is_not_sure_of_anybody() {
        let reach = |text: &str, row_wise| of(text, row_wise, ["videos", "orders"].into_iter());
        for text in [
            "select 1",
            "select relname from pg_catalog.pg_class where relname ~ '^(videos)$'",
            "select 'videos'::regclass -- videos",
            "select \"Videos\" from pg_class",
            "",
        ] {
            assert_eq!(reach(text, false), Reach::Nobody, "{text}");
        }
        for text in [
            "select count(*) from videos",
            "select count(*) from VIDEOS v",
            "select * from clover_g_1.\"videos\"",
            "table orders",
            "select U&\"vid\\0065os\" from x",
            "select * from (select 1) x, orders",
            "select 'unterminated",
        ] {
            assert_eq!(reach(text, false), Reach::Anybody, "{text}");
        }
        assert_eq!(reach("select state from videos", true), Reach::Rows);
        let long = format!("select 1 from {}", "v".repeat(64));
        assert_eq!(reach(&long, false), Reach::Anybody);
    }
}
