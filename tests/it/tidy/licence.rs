//! Licence expressions (SPDX): whether a list of licences satisfies one.

/// Whether an expression can be satisfied with the licences that `takes` accepts.
///
/// `OR` needs one side, `AND` both; `WITH` belongs to the licence before it; `/` is an old spelling of `OR`.
pub(super) fn satisfied(expression: &str, takes: &dyn Fn(&str) -> bool) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    let satisfied = any(&mut rest, takes);
    satisfied && rest.is_empty()
}

fn any(words: &mut &[&str], takes: &dyn Fn(&str) -> bool) -> bool {
    let mut satisfied = all(words, takes);
    while words.first() == Some(&"OR") {
        *words = &words[1..];
        // Not `||`: the words of the other side must be read in any case.
        satisfied |= all(words, takes);
    }
    satisfied
}

fn all(words: &mut &[&str], takes: &dyn Fn(&str) -> bool) -> bool {
    let mut satisfied = one(words, takes);
    while words.first() == Some(&"AND") {
        *words = &words[1..];
        satisfied &= one(words, takes);
    }
    satisfied
}

fn one(words: &mut &[&str], takes: &dyn Fn(&str) -> bool) -> bool {
    match *words {
        ["(", rest @ ..] => {
            *words = rest;
            let satisfied = any(words, takes);
            let closed = words.first() == Some(&")");
            *words = words.get(1..).unwrap_or_default();
            satisfied && closed
        }
        [licence, "WITH", exception, rest @ ..] => {
            *words = rest;
            takes(&format!("{licence} WITH {exception}"))
        }
        [licence, rest @ ..] => {
            *words = rest;
            takes(licence)
        }
        [] => false,
    }
}

#[test]
fn an_expression_is_read_as_spdx_says() {
    let takes = |l: &str| ["MIT", "ISC", "Zlib"].contains(&l);
    for (expression, expected) in [
        ("MIT", true),
        ("GPL-2.0-only", false),
        ("GPL-2.0-only OR MIT", true),
        ("MIT/Apache-2.0", true),
        ("MIT AND GPL-2.0-only", false),
        ("MIT AND GPL-2.0-only OR ISC", true),
        ("MIT AND (GPL-2.0-only OR ISC)", true),
        ("(MIT OR ISC) AND GPL-2.0-only", false),
        ("MIT WITH LLVM-exception", false),
        ("MIT WITH LLVM-exception OR Zlib", true),
        ("MIT ISC", false),
        ("(MIT", false),
        ("", false),
    ] {
        assert_eq!(satisfied(expression, &takes), expected, "{expression}");
    }
}
