//! The one way in which names and values become text of SQL.

/// A name, quoted. A zero byte, which no name of PostgreSQL has, is left out.
pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('\0', "").replace('"', "\"\""))
}

/// A text as a literal, whatever `standard_conforming_strings` says.
pub(super) fn literal(value: &str) -> String {
    let quoted = value.replace('\0', "").replace('\'', "''");
    if quoted.contains('\\') {
        format!(" E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_and_no_value_ends_its_quotes() {
        for (name, expected) in [("a", r#""a""#), (r#"a"; drop--"#, r#""a""; drop--""#), ("a\0b", r#""ab""#)]
        {
            assert_eq!(identifier(name), expected);
        }
        for (value, expected) in
            [("a", "'a'"), ("a' or 'b", "'a'' or ''b'"), (r"a\' or", r" E'a\\'' or'"), ("\0'", "''''")]
        {
            assert_eq!(literal(value), expected);
        }
    }
}
