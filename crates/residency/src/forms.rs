//! The forms in which a value may lie somewhere: how each is written. The scanner knows how they are read; `recall`
//! writes them all to see whether it does.

use std::fmt::Write;

use data_encoding::{BASE64, BASE64_MIME, BASE64URL_NOPAD};
use serde::{Deserialize, Serialize};

/// A form that the scanner reads, as its findings name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// As it is, in any of the usual cases.
    Plain,
    /// With invisible characters or soft line breaks inside.
    Broken,
    /// Two bytes a character, of either order.
    Utf16,
    /// Hexadecimal.
    Hex,
    /// Base64 of either alphabet, at any alignment, with line breaks or without.
    Base64,
    /// `%7a`.
    Percent,
    /// `\u007a`.
    Json,
    /// `&#122;`.
    HtmlDecimal,
    /// `&#x7a;`.
    HtmlHex,
    /// `=7A`.
    QuotedPrintable,
}

/// One way to write a value.
#[derive(Debug, Clone, Copy)]
pub struct Writing {
    /// Its name in the table of recall.
    pub name: &'static str,
    /// Whether the scanner claims to read it.
    pub claimed: bool,
    /// Writes a value; the number chooses alignment or place.
    pub write: fn(&str, usize) -> Vec<u8>,
}

/// Every way that is planted, the last ones to say what is not seen.
pub const WRITINGS: &[Writing] = &[
    claimed("plain", |v, _| v.as_bytes().to_vec()),
    claimed("upper case", |v, _| v.to_uppercase().into_bytes()),
    claimed("title case", |v, _| title(v).into_bytes()),
    claimed("utf-16le", |v, _| v.encode_utf16().flat_map(u16::to_le_bytes).collect()),
    claimed("utf-16be", |v, _| v.encode_utf16().flat_map(u16::to_be_bytes).collect()),
    claimed("hex, lower case", |v, _| each(v, |b| format!("{b:02x}"))),
    claimed("hex, upper case", |v, _| each(v, |b| format!("{b:02X}"))),
    claimed("base64", |v, n| BASE64.encode(&shifted(v, n)).into_bytes()),
    claimed("base64, upper case", |v, n| BASE64.encode(&shifted(&v.to_uppercase(), n)).into_bytes()),
    claimed("base64, url", |v, n| BASE64URL_NOPAD.encode(&shifted(v, n)).into_bytes()),
    claimed("base64, wrapped at 76", |v, n| BASE64_MIME.encode(&shifted(v, n)).into_bytes()),
    claimed("percent", |v, _| each(v, |b| format!("%{b:02X}"))),
    claimed("percent, lower case", |v, _| each(v, |b| format!("%{b:02x}"))),
    claimed("percent where needed", |v, _| {
        v.replace('@', "%40").replace(' ', "%20").replace('+', "%2B").into_bytes()
    }),
    claimed("json \\u", |v, _| each(v, |b| format!("\\u{b:04x}"))),
    claimed("html decimal", |v, _| each(v, |b| format!("&#{b};"))),
    claimed("html hex", |v, _| each(v, |b| format!("&#x{b:X};"))),
    claimed("quoted-printable", |v, _| each(v, |b| format!("={b:02X}"))),
    claimed("quoted-printable, soft break", |v, n| inserted(v, n, "=\r\n")),
    claimed("zero-width everywhere", |v, n| {
        everywhere(v, ZERO_WIDTH.get(n % ZERO_WIDTH.len()).copied().unwrap_or('\u{200b}'))
    }),
    claimed("zero-width once", |v, n| inserted(v, n, "\u{200b}")),
    blind("mixed case", |v, _| {
        v.char_indices()
            .map(|(n, c)| if n % 2 == 0 { c.to_ascii_uppercase() } else { c })
            .collect::<String>()
            .into_bytes()
    }),
    blind("spaces in between", |v, _| everywhere(v, ' ')),
    blind("base64 twice", |v, n| BASE64.encode(BASE64.encode(&shifted(v, n)).as_bytes()).into_bytes()),
    blind("reversed", |v, _| v.bytes().rev().collect()),
];

const ZERO_WIDTH: [char; 4] = ['\u{200b}', '\u{200c}', '\u{200d}', '\u{feff}'];

const fn claimed(name: &'static str, write: fn(&str, usize) -> Vec<u8>) -> Writing {
    Writing { name, claimed: true, write }
}

const fn blind(name: &'static str, write: fn(&str, usize) -> Vec<u8>) -> Writing {
    Writing { name, claimed: false, write }
}

/// Each word with a capital.
pub(crate) fn title(value: &str) -> String {
    let mut begins = true;
    let capital = |c: char| {
        let out = if begins { c.to_ascii_uppercase() } else { c };
        begins = c == ' ';
        out
    };
    value.chars().map(capital).collect()
}

fn each(value: &str, form: impl Fn(u8) -> String) -> Vec<u8> {
    value.bytes().map(form).collect::<String>().into_bytes()
}

/// The value in a line of other text, so that it stands at every alignment and its line breaks anywhere.
fn shifted(value: &str, n: usize) -> Vec<u8> {
    let lead: String = "name=the quick brown fox jumps over the lazy dog and looks at the moon again; "
        .chars()
        .cycle()
        .take(n % 97)
        .collect();
    format!("{lead}{value} and so on").into_bytes()
}

fn inserted(value: &str, n: usize, what: &str) -> Vec<u8> {
    let (a, b) = value.split_at(1 + n % (value.len() - 1).max(1));
    format!("{a}{what}{b}").into_bytes()
}

fn everywhere(value: &str, what: char) -> Vec<u8> {
    let mut out = String::new();
    for c in value.chars() {
        let _ = write!(out, "{c}{what}");
    }
    out.into_bytes()
}
