//! Numbers of devices, SIM cards and network interfaces.

use crate::number::luhn_valid;
use crate::{Confidence, Finding, Rule};

/// MAC addresses and EUI-64 with colons or dashes between their bytes, or dots between groups of four.
pub(crate) fn scan_mac(text: &[u8], out: &mut Vec<Finding>) {
    let mut floor = 0;
    for joint in memchr::memchr3_iter(b':', b'-', b'.', text) {
        let Some(start) = joint.checked_sub(2).filter(|start| *start >= floor) else { continue };
        let dotted = text.get(joint) == Some(&b'.');
        let found = if dotted { dotted_mac(text, joint) } else { bytewise(text, start, joint) };
        if let Some((rule, start, end)) = found {
            out.push(Finding::sure(rule, start, end));
            floor = end;
        }
    }
}

/// Six or eight bytes with the same sign between them.
fn bytewise(text: &[u8], start: usize, joint: usize) -> Option<(Rule, usize, usize)> {
    let sign = *text.get(joint)?;
    let byte = |at: usize| text.get(at..at + 2).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit));
    if !byte(start) || is_glued(text, start, sign) {
        return None;
    }
    let mut end = start + 2;
    let mut count = 1;
    while count < 9 && text.get(end) == Some(&sign) && byte(end + 1) {
        end += 3;
        count += 1;
    }
    let goes_on = text.get(end).is_some_and(|b| b.is_ascii_alphanumeric() || *b == sign);
    let rule = match count {
        6 => Rule::MAC,
        8 => Rule::EUI64,
        _ => return None,
    };
    (!goes_on && names_device(text.get(start..end)?)).then_some((rule, start, end))
}

/// `0123.4567.89ab`
fn dotted_mac(text: &[u8], joint: usize) -> Option<(Rule, usize, usize)> {
    let start = joint.checked_sub(4)?;
    let spelled = text.get(start..start + 14)?;
    let fits = spelled.iter().enumerate().all(|(place, b)| match place {
        4 | 9 => *b == b'.',
        _ => b.is_ascii_hexdigit(),
    });
    let goes_on = text.get(start + 14).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'.');
    // Without a letter it could be a number in groups.
    let lettered = spelled.iter().any(u8::is_ascii_alphabetic);
    (fits && lettered && !goes_on && !is_glued(text, start, b'.') && names_device(spelled)).then_some((
        Rule::MAC,
        start,
        start + 14,
    ))
}

fn is_glued(text: &[u8], start: usize, sign: u8) -> bool {
    let before = start.checked_sub(1).and_then(|at| text.get(at));
    before.is_some_and(|b| b.is_ascii_alphanumeric() || *b == sign)
}

/// Not all zeros, not the broadcast address, and not only digits in pairs like a time (`12:34:56:07:08:09` is one
/// of a million; a time has three).
fn names_device(spelled: &[u8]) -> bool {
    let mut letters = spelled.iter().filter(|b| b.is_ascii_hexdigit());
    let Some(first) = letters.next() else { return false };
    !letters.all(|b| b.eq_ignore_ascii_case(first))
}

fn push_whole(rule: Rule, text: &[u8], confidence: Confidence, out: &mut Vec<Finding>) {
    out.push(Finding::new(rule, 0, text.len(), confidence));
}

/// The digits of a text that has only digits and separators, at most `N` of them.
fn digits_of<const N: usize>(text: &[u8]) -> Option<([u8; N], usize)> {
    let mut digits = [0; N];
    let mut len = 0;
    for b in text {
        match b {
            b'0'..=b'9' => {
                *digits.get_mut(len)? = *b;
                len += 1;
            }
            b' ' | b'-' | b'.' | b'/' => {}
            _ => return None,
        }
    }
    Some((digits, len))
}

fn is_hex(text: &[u8], len: usize) -> bool {
    text.len() == len && text.iter().all(u8::is_ascii_hexdigit)
}

/// A MAC address without separators; others are found by form.
pub(crate) fn keyed_mac(text: &[u8], out: &mut Vec<Finding>) {
    if is_hex(text, 12) && names_device(text) {
        push_whole(Rule::MAC, text, Confidence::Medium, out);
    } else if is_hex(text, 16) && names_device(text) {
        push_whole(Rule::EUI64, text, Confidence::Medium, out);
    }
}

/// Fifteen digits with a check digit, fourteen without, or sixteen with a version in its place.
pub(crate) fn keyed_imei(text: &[u8], declared: bool, out: &mut Vec<Finding>) {
    let Some((digits, len)) = digits_of::<16>(text) else {
        return each_word(text, |word, out| keyed_imei(word, false, out), out);
    };
    let number = digits.get(..len).unwrap_or_default();
    let fits = match len {
        15 => declared || luhn_valid(number),
        14 | 16 => true,
        _ => false,
    };
    if fits && number.iter().any(|b| *b != b'0') {
        let sure = if len == 15 && luhn_valid(number) { Confidence::High } else { Confidence::Medium };
        push_whole(Rule::IMEI, text, sure, out);
    }
}

/// Country, network and subscriber: fourteen or fifteen digits, the first a region's.
pub(crate) fn keyed_imsi(text: &[u8], out: &mut Vec<Finding>) {
    let Some((digits, len)) = digits_of::<15>(text) else { return each_word(text, keyed_imsi, out) };
    if matches!(len, 14 | 15) && matches!(digits.first(), Some(b'2'..=b'7' | b'9')) {
        push_whole(Rule::IMSI, text, Confidence::Medium, out);
    }
}

/// 89 and up to eighteen more digits; the check digit may be left out.
pub(crate) fn keyed_iccid(text: &[u8], declared: bool, out: &mut Vec<Finding>) {
    let bare = text.strip_suffix(b"F").or_else(|| text.strip_suffix(b"f")).unwrap_or(text);
    let Some((digits, len)) = digits_of::<20>(bare) else {
        return each_word(text, |word, out| keyed_iccid(word, false, out), out);
    };
    let number = digits.get(..len).unwrap_or_default();
    let fits = match len {
        19 | 20 => declared || luhn_valid(number),
        18 => true,
        _ => false,
    };
    if fits && number.starts_with(b"89") {
        let sure = if len > 18 && luhn_valid(number) { Confidence::High } else { Confidence::Medium };
        push_whole(Rule::ICCID, text, sure, out);
    }
}

/// Asks about each word of a longer text.
fn each_word(text: &[u8], ask: impl Fn(&[u8], &mut Vec<Finding>), out: &mut Vec<Finding>) {
    if text.len() > 256 {
        return;
    }
    let mut at = 0;
    for word in text.split(|b| matches!(b, b' ' | b',' | b';' | b':' | b'=' | b'\t' | b'\n')) {
        // A word has no space, so that this ends after one step.
        if word.len() < text.len() && word.len() >= 12 && word.iter().all(u8::is_ascii_alphanumeric) {
            let first = out.len();
            ask(word, out);
            for finding in out.iter_mut().skip(first) {
                finding.start += at;
                finding.end += at;
            }
        }
        at += word.len() + 1;
    }
}

/// Where the dashes of a UUID stand.
fn is_uuid(text: &[u8]) -> bool {
    let Ok(text) = <&[u8; 36]>::try_from(text) else { return false };
    let dashed = text[8] == b'-' && text[13] == b'-' && text[18] == b'-' && text[23] == b'-';
    // Counted without a way out, which the compiler makes quick.
    let count = |is: fn(&u8) -> bool| text.iter().map(|b| u8::from(is(b))).sum::<u8>();
    dashed && count(u8::is_ascii_hexdigit) == 32 && count(|b| *b == b'0') < 32
}

/// A UUID anywhere in the text, or 32 hexadecimal digits. The id of zeros stands for a refusal.
pub(crate) fn keyed_uuid(rule: Rule, text: &[u8], out: &mut Vec<Finding>) {
    if is_hex(text, 32) && text.iter().any(|b| *b != b'0') {
        return push_whole(rule, text, Confidence::Medium, out);
    }
    if is_uuid(text) {
        return push_whole(rule, text, Confidence::Medium, out);
    }
    for (start, window) in text.windows(36).enumerate().take(256) {
        if is_uuid(window) {
            out.push(Finding::new(rule, start, start + 36, Confidence::Medium));
            return;
        }
    }
}

/// Sixteen hexadecimal digits, or a UUID.
pub(crate) fn keyed_android_id(text: &[u8], out: &mut Vec<Finding>) {
    if is_hex(text, 16) {
        push_whole(Rule::ANDROID_ID, text, Confidence::Medium, out);
    } else {
        keyed_uuid(Rule::ANDROID_ID, text, out);
    }
}
