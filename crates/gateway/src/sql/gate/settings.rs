//! Settings that a client may make, and their values.

use super::{Kind, Refusal, Words, modes, no};

/// How far settings may go.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ceilings {
    /// The longest time of a statement. Without one, any.
    pub statement_timeout_ms: Option<u64>,
}

const NAME: Refusal = no(
    "only client_encoding, DateStyle, TimeZone, extra_float_digits, application_name, statement_timeout and \
     standard_conforming_strings can be set here",
);
const ENCODING: Refusal = no("texts are UTF8 here: set client_encoding to UTF8, or leave it");
const STRINGS: Refusal = no("standard_conforming_strings stays on here");
const TIMEOUT: Refusal = no("statement_timeout can only be made shorter here");
const VALUE: Refusal = Refusal { code: "22023", text: "this setting does not take that value here" };
/// The longest value.
const VALUE_MAX: usize = 64;

/// Whether a client may begin its session with this setting.
///
/// # Errors
/// When the setting or its value is not possible.
pub fn startup(name: &str, value: &str, ceilings: &Ceilings) -> Result<(), Refusal> {
    check(&name.to_ascii_lowercase(), value, ceilings)
}

/// The rest of a `SET`.
pub(super) fn set(words: &mut Words<'_>, ceilings: &Ceilings) -> Result<(), Refusal> {
    let mut name = words.next()?;
    if name.is_some_and(|t| t.is_any(&["session", "local"])) {
        name = words.next()?;
    }
    let Some(name) = name.filter(|t| t.kind == Kind::Word) else { return Err(NAME) };
    if name.is("transaction") {
        return modes(words);
    }
    if name.is("characteristics") {
        let mut next = || words.next().map(|t| t.is_some_and(|t| t.is("as") || t.is("transaction")));
        return if next()? && next()? { modes(words) } else { Err(NAME) };
    }
    let name = if name.is("time") {
        if !words.next()?.is_some_and(|t| t.is("zone")) {
            return Err(NAME);
        }
        "timezone".to_owned()
    } else {
        let name = name.text.to_ascii_lowercase();
        if !words.next()?.is_some_and(|t| t.is("to") || t.kind == Kind::Operator && t.text == "=") {
            return Err(NAME);
        }
        name
    };
    check(&name, &value(words)?, ceilings)
}

/// The value as one text. Several are parted by commas.
fn value(words: &mut Words<'_>) -> Result<String, Refusal> {
    let mut value = String::new();
    while let Some(token) = words.next()? {
        match token.kind {
            Kind::Text => {
                let inner = token.text.strip_prefix('\'').and_then(|t| t.strip_suffix('\''));
                value.push_str(inner.filter(|i| !i.contains('\'')).ok_or(VALUE)?);
            }
            Kind::Word | Kind::Number => value.push_str(token.text),
            Kind::Operator if matches!(token.text, "-" | "+") => value.push_str(token.text),
            Kind::Sign if token.text == "," => value.push(','),
            _ => return Err(VALUE),
        }
        if value.len() > VALUE_MAX {
            return Err(VALUE);
        }
    }
    Ok(value)
}

fn check(name: &str, value: &str, ceilings: &Ceilings) -> Result<(), Refusal> {
    if value.len() > VALUE_MAX || !value.bytes().all(|b| matches!(b, b' '..=b'~')) {
        return Err(VALUE);
    }
    let low = value.to_ascii_lowercase();
    let (fits, otherwise) = match name {
        "client_encoding" => {
            let plain: String = low.chars().filter(char::is_ascii_alphanumeric).collect();
            (matches!(plain.as_str(), "utf8" | "unicode"), ENCODING)
        }
        "datestyle" => (low.split(',').all(|part| DATE_STYLES.contains(&part.trim())), VALUE),
        "timezone" => {
            let sign = |b: u8| {
                b.is_ascii_alphanumeric()
                    || matches!(b, b'_' | b'/' | b'+' | b'-' | b':' | b'.' | b'<' | b'>')
            };
            (!low.is_empty() && low.bytes().all(sign), VALUE)
        }
        "extra_float_digits" => {
            (low == "default" || low.parse().is_ok_and(|n: i8| (-15..=3).contains(&n)), VALUE)
        }
        "application_name" => (true, VALUE),
        "statement_timeout" => (shorter(&low, ceilings), TIMEOUT),
        "standard_conforming_strings" => (matches!(low.as_str(), "on" | "true" | "yes" | "1"), STRINGS),
        _ => return Err(NAME),
    };
    if fits { Ok(()) } else { Err(otherwise) }
}

const DATE_STYLES: &[&str] = &[
    "iso",
    "sql",
    "postgres",
    "postgresql",
    "german",
    "mdy",
    "dmy",
    "ymd",
    "us",
    "noneuro",
    "noneuropean",
    "euro",
    "european",
    "default",
];

fn shorter(value: &str, ceilings: &Ceilings) -> bool {
    let Some(most) = ceilings.statement_timeout_ms else { return true };
    if value == "default" {
        return true;
    }
    let digits = value.len() - value.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let Some((number, unit)) = value.split_at_checked(digits) else { return false };
    let factor = match unit.trim() {
        "" | "ms" => 1_u64,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        _ => return false,
    };
    let time = number.parse::<u64>().ok().and_then(|n| n.checked_mul(factor));
    // 0 is no limit.
    time.is_some_and(|t| (1..=most).contains(&t))
}
