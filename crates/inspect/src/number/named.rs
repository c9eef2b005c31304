//! Numbers that are identifiers: by their form, or by a word before them.

use super::sequence::{Group, Sequence};
use crate::ids::{alone_bare, alone_sequence, alone_word};
use crate::key::{self, Hint, NEAR_MAX};
use crate::{Confidence, Finding, keyed};

/// Longest word of letters and digits that can be an identifier.
const WORD_MAX: usize = 24;

fn is_word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_'
}

/// A byte that ties what is beside it to something longer.
fn ties(b: Option<&u8>) -> bool {
    b.is_some_and(|b| is_word(*b) || matches!(b, b'-' | b'/' | b'+'))
}

/// True behind a decimal sign.
fn is_fraction(text: &[u8], at: usize) -> bool {
    let sign = matches!(before(text, at), Some(b'.' | b','));
    sign && at.checked_sub(2).and_then(|at| text.get(at)).is_some_and(u8::is_ascii_digit)
}

fn before(text: &[u8], at: usize) -> Option<&u8> {
    at.checked_sub(1).and_then(|at| text.get(at))
}

/// Looks at a word that begins with letters and goes on with the digit at `start`: a codice fiscale, a NIE, or
/// what a word before it names. Returns where to go on if it was one.
#[inline]
pub(super) fn lettered(text: &[u8], start: usize, hint: Hint, out: &mut Vec<Finding>) -> Option<usize> {
    let head = text.get(start.saturating_sub(8)..start).unwrap_or_default();
    let letters = head.iter().rev().take_while(|b| b.is_ascii_alphabetic()).count();
    if !(1..=6).contains(&letters) {
        return None;
    }
    let first = start - letters;
    let tail = text.get(start..).unwrap_or_default();
    let len = tail.iter().take(WORD_MAX).take_while(|b| b.is_ascii_alphanumeric()).count();
    let mut end = start + len;
    if letters == 1 && len == 7 && text.get(end) == Some(&b'-') {
        end += 2;
    }
    if !(7..=17).contains(&(letters + len)) || ties(before(text, first)) || ties(text.get(end)) {
        return None;
    }
    let word = text.get(first..end)?;
    if matches!(letters, 1 | 2 | 6)
        && let Some(rule) = alone_word(word)
    {
        out.push(Finding::sure(rule, first, end));
        return Some(end);
    }
    if matches!(hint, Hint::Harmless | Hint::Version) {
        return None;
    }
    let finding = match near(text, first) {
        Hint::Id(wanted) => keyed::identifier_at(wanted, text, first)?,
        Hint::Document => {
            let known = out.len();
            keyed::scan(Hint::Document, false, word, out);
            let finding = out.get(known).copied()?;
            out.truncate(known);
            Finding { start: first, end, ..finding }
        }
        _ => return None,
    };
    out.push(finding);
    Some(finding.end)
}

/// Looks at groups of digits, and the letters that may follow them.
pub(super) fn numbered(text: &[u8], sequence: &Sequence, hint: Hint, out: &mut Vec<Finding>) {
    let groups = sequence.groups();
    for group in groups {
        if matches!(group.len(), 11 | 13 | 15)
            && !ties(before(text, group.start))
            && !is_fraction(text, group.start)
            && !ties(text.get(group.end))
        {
            let rule = text.get(group.start..group.end).and_then(alone_bare);
            out.extend(rule.map(|rule| Finding::sure(rule, group.start, group.end)));
        }
    }
    if groups.len() >= 2 && sequence.digits() >= 10 {
        printed(text, groups, out);
    }
    let end = sequence.end();
    if let Some(tail) = letter_tail(text, end) {
        with_letters(text, groups, tail, out);
    }
    if !matches!(hint, Hint::Harmless | Hint::Version) {
        told(text, sequence, out);
    }
}

/// Most groups of one identifier.
const GROUPS_MAX: usize = 7;

/// Groups in the way in which identifiers are printed.
fn printed(text: &[u8], groups: &[Group], out: &mut Vec<Finding>) {
    for (place, first) in groups.iter().enumerate() {
        if first.len() > 13 || ties(before(text, first.start)) {
            continue;
        }
        let (mut lens, mut gaps) = ([0; GROUPS_MAX], [0; GROUPS_MAX]);
        let mut end = first.start;
        for (count, group) in groups.get(place..).unwrap_or_default().iter().take(GROUPS_MAX).enumerate() {
            let (Some(len), Some(gap)) = (lens.get_mut(count), gaps.get_mut(count)) else { break };
            if count > 0 {
                let Some([sign]) = text.get(end..group.start) else { break };
                *gap = *sign;
            }
            *len = group.len().min(255) as u8;
            end = group.end;
            if count == 0
                || ties(text.get(end))
                || text.get(end) == Some(&b'.') && text.get(end + 1).is_some_and(u8::is_ascii_digit)
            {
                continue;
            }
            let (lens, gaps) =
                (lens.get(..=count).unwrap_or_default(), gaps.get(1..=count).unwrap_or_default());
            let spelled = text.get(first.start..end).unwrap_or_default();
            if let Some(rule) = alone_sequence(lens, gaps, spelled) {
                out.push(Finding::sure(rule, first.start, end));
                return;
            }
        }
    }
}

/// Where the letters end that follow the digits at `end`, directly or after one sign.
#[inline]
fn letter_tail(text: &[u8], end: usize) -> Option<usize> {
    match text.get(end) {
        Some(b'A'..=b'Z') => {}
        Some(b' ' | b'-') if text.get(end + 1).is_some_and(u8::is_ascii_uppercase) => {}
        _ => return None,
    }
    let mut at = end;
    for _ in 0..3 {
        let sign = usize::from(at > end || !text.get(at).is_some_and(u8::is_ascii_alphanumeric));
        let run = text.get(at + sign..).unwrap_or_default();
        let len = run.iter().take(12).take_while(|b| b.is_ascii_digit() || b.is_ascii_uppercase()).count();
        if len == 0 || len > 10 || text.get(at + sign + len).is_some_and(u8::is_ascii_alphanumeric) {
            break;
        }
        at += sign + len;
        if !matches!(text.get(at), Some(b' ' | b'-')) {
            break;
        }
    }
    (at > end).then_some(at)
}

/// Digits and letters that are an identifier together: from any group on, to the end or a little before it.
fn with_letters(text: &[u8], groups: &[Group], tail: usize, out: &mut Vec<Finding>) {
    let last = groups.last().map_or(0, |group| group.end);
    for group in groups.iter().rev().take(4).rev() {
        // Two letters stand before a NINO.
        let lettered = group.start.checked_sub(3).filter(|at| {
            text.get(*at..group.start).is_some_and(
                |three| matches!(three, [a, b, b' '] if a.is_ascii_uppercase() && b.is_ascii_uppercase()),
            ) && !ties(before(text, *at))
        });
        let starts =
            [lettered, Some(group.start).filter(|at| !ties(before(text, *at)) && !is_fraction(text, *at))];
        for start in starts.into_iter().flatten() {
            let mut end = tail;
            while end > last {
                let word = text.get(start..end).unwrap_or_default();
                if word.len() <= WORD_MAX
                    && !ties(text.get(end))
                    && let Some(rule) = alone_word(word)
                {
                    out.push(Finding::sure(rule, start, end));
                    return;
                }
                end = text
                    .get(last..end)
                    .and_then(|rest| rest.iter().rposition(|b| !is_word(*b)))
                    .map_or(last, |at| last + at);
            }
        }
    }
}

/// What the words before a number say of it, if there are any.
fn near(text: &[u8], start: usize) -> Hint {
    let before = text.get(start.saturating_sub(NEAR_MAX)..start).unwrap_or_default();
    let close = before.get(before.len().saturating_sub(12)..).unwrap_or_default();
    // Signs outside ASCII are letters of some name, too.
    if close.iter().any(|b| b.is_ascii_alphabetic() || *b >= 0x80) { key::named(before) } else { Hint::None }
}

/// A number that a word before it names: `BSN 123456782`, `mobile: 612 345 678`.
fn told(text: &[u8], sequence: &Sequence, out: &mut Vec<Finding>) {
    let groups = sequence.groups();
    let Some(first) = groups.first() else { return };
    let longest = groups.iter().map(|group| group.len()).max().unwrap_or(0);
    // Versions are many, and few.
    let version = groups.len() >= 3
        && groups.windows(2).all(|pair| matches!(pair, [l, r] if l.joined_by(text, r, b".")));
    if sequence.digits() < 7 || longest < 2 {
        return;
    }
    let hint = near(text, first.start);
    if !hint.is_telling() {
        return;
    }
    // What a word names has its check digit to tell it from a version.
    if let Hint::Id(wanted) = hint {
        out.extend(keyed::identifier_at(wanted, text, first.start));
        return;
    }
    if version && longest < 5 {
        return;
    }
    let plus = usize::from(before(text, first.start) == Some(&b'+'));
    let start = first.start - plus;
    let span = text.get(start..sequence.end()).unwrap_or_default();
    let known = out.len();
    match hint {
        Hint::Phone | Hint::Imei | Hint::Imsi | Hint::Iccid | Hint::Card | Hint::BirthDate => {
            keyed::scan(hint, false, span, out);
        }
        Hint::Coordinates | Hint::Latitude | Hint::Longitude => {
            keyed::scan(
                Hint::Coordinates,
                false,
                text.get(start..(start + 48).min(text.len())).unwrap_or_default(),
                out,
            );
        }
        _ => {}
    }
    for finding in out.iter_mut().skip(known) {
        finding.start += start;
        finding.end += start;
        finding.confidence = finding.confidence.min(Confidence::Medium);
    }
}
