//! What is searched for at once: two pieces of each marker, as each form writes them.

use data_encoding::BASE64;

use crate::canary::{Canaries, MARKER, MARKER_IN_NUMBER};
use crate::forms::Form;

/// Letters or digits in an anchor.
const HALF: usize = MARKER / 2;
/// What an invisible character begins with, or is.
const INVISIBLE: [&[u8]; 4] = [b"\xe2\x80\x8b", b"\xe2\x80\x8c", b"\xe2\x80\x8d", b"\xef\xbb\xbf"];

/// Some bytes, and what they are the middle of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Anchor {
    pub(super) text: Vec<u8>,
    pub(super) form: Form,
    /// Which letter or digit of the whole it begins with.
    pub(super) offset: usize,
    /// Of a number.
    pub(super) digits: bool,
    /// For base64: where in a group of three bytes it begins.
    pub(super) shift: usize,
}

/// All anchors: fewer than 64, so that vector instructions take them at once.
pub(super) fn of(canaries: &Canaries) -> Vec<Anchor> {
    let (letters, digits) = canaries.markers();
    let mut anchors = Vec::new();
    let upper = letters.map(|b| b.to_ascii_uppercase());
    for (marker, number) in [(letters, false), (&upper, false), (digits, true)] {
        let base = if number { MARKER_IN_NUMBER } else { 0 };
        // Wherever one break comes, one of the two is whole; and neither has the capital at the front.
        for (at, second) in [(1, false), (HALF, true)] {
            let (half, offset) = (marker.get(at..at + HALF).unwrap_or_default(), base + at);
            let mut add = |form, shift, text| {
                let anchor = Anchor { text, form, offset, digits: number, shift };
                if !anchors.contains(&anchor) {
                    anchors.push(anchor);
                }
            };
            add(Form::Plain, 0, half.to_vec());
            for shift in 0..3 {
                add(Form::Base64, shift, base64(half, shift));
            }
            if !second {
                continue;
            }
            add(Form::Utf16, 0, utf16(half));
            for (form, text) in escapes(half) {
                add(form, 0, text);
            }
            // The last is left out between capitals, where it hardly stands: 64 are the most that are taken at once.
            let invisible = if half.iter().any(u8::is_ascii_uppercase) { 3 } else { INVISIBLE.len() };
            for between in INVISIBLE.iter().take(invisible) {
                add(Form::Broken, 0, [half.get(..1).unwrap_or_default(), between].concat());
            }
        }
    }
    anchors
}

fn utf16(half: &[u8]) -> Vec<u8> {
    let mut text: Vec<u8> = half.iter().flat_map(|b| [*b, 0]).collect();
    // Without the last byte it is the middle of either order.
    text.pop();
    text
}

fn escapes(half: &[u8]) -> Vec<(Form, Vec<u8>)> {
    let each = |form: &dyn Fn(u8) -> String| half.iter().map(|b| form(*b)).collect::<String>().into_bytes();
    vec![
        (Form::Hex, each(&|b| format!("{b:02x}"))),
        (Form::Hex, each(&|b| format!("{b:02X}"))),
        (Form::Percent, each(&|b| format!("%{b:02x}"))),
        (Form::Percent, each(&|b| format!("%{b:02X}"))),
        (Form::Json, each(&|b| format!("\\u{b:04x}"))),
        (Form::Json, each(&|b| format!("\\u{b:04X}"))),
        (Form::HtmlDecimal, each(&|b| format!("&#{b};"))),
        (Form::HtmlHex, each(&|b| format!("&#x{b:x};"))),
        (Form::HtmlHex, each(&|b| format!("&#x{b:X};"))),
        (Form::QuotedPrintable, each(&|b| format!("={b:02X}"))),
    ]
}

/// The characters that are certain, whatever stands before and behind.
pub(super) fn base64(half: &[u8], shift: usize) -> Vec<u8> {
    let before = [0; 2];
    let padded = [before.get(..shift).unwrap_or_default(), half, &[0; 2]].concat();
    let text = BASE64.encode(&padded).into_bytes();
    let (from, to) = ((shift * 8).div_ceil(6), (shift + half.len()) * 8 / 6);
    text.get(from..to).unwrap_or_default().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anchors_are_few_and_none_is_short() {
        for key in 0..=255 {
            let anchors = of(&Canaries::derive(&[key; 32], 1, "mail.example"));
            assert!(anchors.len() <= 64, "{}", anchors.len());
            assert!(anchors.iter().all(|a| a.text.len() >= 4), "{anchors:?}");
        }
    }
}
