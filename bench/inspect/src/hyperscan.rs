//! Hyperscan from Debian's `libhyperscan`, called through the few functions of its C interface that are needed.

use std::ffi::{CString, c_char, c_int, c_uint, c_ulonglong, c_void};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ptr;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, AhoCorasickKind};

use crate::check::{self, NATIONAL};
use crate::corpus::Format;
use crate::patterns::{Form, PATTERNS};
use crate::{Engine, Hit};

#[repr(C)]
struct CompileError {
    message: *const c_char,
    expression: c_int,
}

type OnMatch = extern "C" fn(c_uint, c_ulonglong, c_ulonglong, c_uint, *mut c_void) -> c_int;

#[link(name = "hs")]
unsafe extern "C" {
    fn hs_compile_multi(
        expressions: *const *const c_char,
        flags: *const c_uint,
        ids: *const c_uint,
        elements: c_uint,
        mode: c_uint,
        platform: *const c_void,
        db: *mut *mut c_void,
        error: *mut *mut CompileError,
    ) -> c_int;
    fn hs_alloc_scratch(db: *const c_void, scratch: *mut *mut c_void) -> c_int;
    fn hs_scan(
        db: *const c_void,
        data: *const c_char,
        len: c_uint,
        flags: c_uint,
        scratch: *mut c_void,
        on: OnMatch,
        context: *mut c_void,
    ) -> c_int;
}

const MODE_BLOCK: c_uint = 1;
const SOM_LEFTMOST: c_uint = 256;

/// How much of the work is done.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Only ends of matches are told: not enough to mask anything.
    Ends,
    /// Starts and ends.
    Starts,
    /// Starts, check digits, lengths and the words beside.
    Validated,
}

pub(crate) struct Hyperscan {
    work: Work,
    db: *mut c_void,
    scratch: *mut c_void,
    events: Vec<(u32, u32, u32)>,
    found: Vec<(u32, u32, u8)>,
    words: Words,
}

/// The words that must stand before an identifier without a form of its own.
struct Words {
    automaton: AhoCorasick,
    /// By pattern: the kinds that the word speaks for, as a bit of `KINDS`.
    kinds: Vec<u128>,
}

/// The kinds that a hit can have.
const OTHER: [&str; 23] = [
    "email",
    "ipv4",
    "ipv6",
    "mac",
    "iban",
    "card",
    "phone",
    "jwt",
    "imei",
    "imsi",
    "iccid",
    "adid",
    "androidid",
    "apikey",
    "token",
    "bic",
    "birth",
    "gps",
    "postcode",
    "password",
    "name",
    "address",
    "",
];
/// Bytes before a match in which a word is looked for.
const BEFORE: usize = 64;

const fn kind_bit(kind: &str) -> u128 {
    match check::place(&OTHER, kind) {
        Some(at) => 1 << (at + 64),
        None => check::bit(kind) as u128,
    }
}

impl Words {
    /// Set A's words: the peer is tuned on what our scanner may be tuned on.
    fn new() -> Self {
        let mut words: Vec<(String, u128)> = Vec::new();
        for line in include_str!("../corpus/words_a.txt").lines() {
            let (kind, rest) = line.split_once('|').expect("a kind");
            for word in rest.split(['|', ',']).filter(|w| w.len() > 1) {
                match words.iter_mut().find(|(w, _)| w.eq_ignore_ascii_case(word)) {
                    Some((_, kinds)) => *kinds |= kind_bit(kind),
                    None => words.push((word.to_owned(), kind_bit(kind))),
                }
            }
        }
        let automaton = AhoCorasickBuilder::new()
            .ascii_case_insensitive(true)
            .kind(Some(AhoCorasickKind::DFA))
            .build(words.iter().map(|(w, _)| w))
            .unwrap();
        Self { automaton, kinds: words.into_iter().map(|(_, kinds)| kinds).collect() }
    }

    fn before(&self, chunk: &[u8], start: usize) -> u128 {
        let from = start.saturating_sub(BEFORE);
        let window = &chunk[from..start];
        let window = memchr::memrchr(b'\n', window).map_or(window, |n| &window[n..]);
        self.automaton
            .find_overlapping_iter(window)
            .fold(0, |kinds, m| kinds | self.kinds[m.pattern().as_usize()])
    }
}

extern "C" fn keep(id: c_uint, from: c_ulonglong, to: c_ulonglong, _: c_uint, context: *mut c_void) -> c_int {
    // SAFETY: `scan` passes its own vector, which lives through the call.
    let events = unsafe { &mut *context.cast::<Vec<(u32, u32, u32)>>() };
    events.push((id, from as u32, to as u32));
    0
}

impl Hyperscan {
    pub(crate) fn new(work: Work) -> Self {
        let expressions: Vec<CString> = PATTERNS.iter().map(|(e, ..)| CString::new(*e).unwrap()).collect();
        let pointers: Vec<*const c_char> = expressions.iter().map(|e| e.as_ptr()).collect();
        let som = if work == Work::Ends { 0 } else { SOM_LEFTMOST };
        let flags: Vec<c_uint> = PATTERNS.iter().map(|(_, f, _)| f | som).collect();
        let ids: Vec<c_uint> = (0..PATTERNS.len() as c_uint).collect();
        let (mut db, mut error, mut scratch) =
            (ptr::null_mut(), ptr::null_mut::<CompileError>(), ptr::null_mut());
        // SAFETY: arrays of equal length that outlive the call; the database and the scratch are never freed before the end.
        unsafe {
            let code = hs_compile_multi(
                pointers.as_ptr(),
                flags.as_ptr(),
                ids.as_ptr(),
                ids.len() as c_uint,
                MODE_BLOCK,
                ptr::null(),
                &mut db,
                &mut error,
            );
            if code != 0 {
                panic!("pattern {}: {:?}", (*error).expression, std::ffi::CStr::from_ptr((*error).message));
            }
            assert_eq!(hs_alloc_scratch(db, &mut scratch), 0);
        }
        Self { work, db, scratch, events: Vec::new(), found: Vec::new(), words: Words::new() }
    }

    /// Of the matches that begin together under one pattern, the longest; then what validators and words leave.
    fn validate(&mut self, chunk: &[u8]) {
        self.events.sort_unstable_by_key(|&(id, from, to)| (from, id, std::cmp::Reverse(to)));
        let mut last = None;
        let mut covered = 0;
        for i in 0..self.events.len() {
            let (id, from, to) = self.events[i];
            let form = PATTERNS[id as usize].2;
            // A shorter end is tried only where the longer was refused.
            if last == Some((id, from)) || to <= covered {
                continue;
            }
            if let Some((start, kind)) = self.kind(form, chunk, from as usize, to as usize) {
                last = Some((id, from));
                covered = end_of(form, chunk, to as usize) as u32;
                self.found.push((start as u32, covered, kind));
            }
        }
    }

    /// The start and kind of a match that is an identifier; a kind is its bit's number.
    fn kind(&self, form: Form, chunk: &[u8], from: usize, to: usize) -> Option<(usize, u8)> {
        let text = &chunk[from..to];
        let str = || std::str::from_utf8(text).unwrap_or_default();
        let near = || self.words.before(chunk, from);
        let one = |mask: u128| (mask != 0).then(|| (from, mask.trailing_zeros() as u8));
        let when = |yes: bool, kind: u128| if yes { one(kind) } else { None };
        let edge =
            |b: Option<&u8>| !b.is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
        let alone = || {
            edge(from.checked_sub(1).and_then(|i| chunk.get(i)))
                && (edge(chunk.get(to))
                    || chunk[to] == b'.' && !chunk.get(to + 1).is_some_and(u8::is_ascii_digit))
        };
        match form {
            Form::Email => one(const { kind_bit("email") }),
            Form::Ipv4 => when(
                alone() && str().parse::<Ipv4Addr>().is_ok_and(|a| !a.is_loopback() && !a.is_unspecified()),
                const { kind_bit("ipv4") },
            ),
            Form::Ipv6 => when(str().parse::<Ipv6Addr>().is_ok(), const { kind_bit("ipv6") }),
            Form::Mac => when(alone() && !matches!(chunk.get(to), Some(b':')), const { kind_bit("mac") }),
            Form::Iban => when(check::iban(text), const { kind_bit("iban") }),
            Form::PhoneAbroad => {
                when(edge(from.checked_sub(1).and_then(|i| chunk.get(i))), const { kind_bit("phone") })
            }
            Form::Jwt => one(const { kind_bit("jwt") }),
            Form::Digits if alone() => self.digits(chunk, from, to),
            Form::Digits => None,
            Form::Letters => match u128::from(check::kinds(text)) {
                // Dates and check letters: told by its form.
                mask if mask & (const { kind_bit("it.cf") } | const { kind_bit("fi.hetu") }) != 0 => {
                    one(mask)
                }
                0 => None,
                mask => one(mask & near()),
            },
            Form::Uuid => when(near() & const { kind_bit("adid") } != 0, const { kind_bit("adid") }),
            Form::Hex16 => {
                when(near() & const { kind_bit("androidid") } != 0, const { kind_bit("androidid") })
            }
            Form::ApiKey => one(const { kind_bit("apikey") }),
            Form::Bearer => Some((to - 20, const { kind_bit("token").trailing_zeros() as u8 })),
            Form::Bic => when(near() & const { kind_bit("bic") } != 0, const { kind_bit("bic") }),
            Form::Date => when(near() & const { kind_bit("birth") } != 0, const { kind_bit("birth") }),
            Form::Coordinate => Some((
                from + memchr::memrchr2(b'"', b':', text).map_or(0, |i| i + 1),
                const { kind_bit("gps") }.trailing_zeros() as u8,
            )),
            Form::CoordinatePair => when(near() & const { kind_bit("gps") } != 0, const { kind_bit("gps") }),
            Form::Keyed(kind) => Some((
                from + memchr::memrchr2(b'"', b':', &text[..text.len() - 1]).map_or(0, |i| i + 1),
                kind_bit(kind).trailing_zeros() as u8,
            )),
        }
    }
}

impl Hyperscan {
    /// A run of digits and separators: a card by its form, anything else by check digit and a word before it.
    fn digits(&self, chunk: &[u8], from: usize, to: usize) -> Option<(usize, u8)> {
        let text = &chunk[from..to];
        let count = text.iter().filter(|b| b.is_ascii_digit()).count();
        let one = |mask: u128| (mask != 0).then(|| (from, mask.trailing_zeros() as u8));
        if count >= 13 && check::card(text) {
            return one(const { kind_bit("card") });
        }
        let mut mask = u128::from(check::kinds(text));
        if count <= 11 && text.len() <= 15 {
            mask |= const { kind_bit("phone") };
        }
        if count == 15 && text.len() == 15 {
            mask |=
                const { kind_bit("imsi") } | if check::luhn(text) { const { kind_bit("imei") } } else { 0 };
        }
        if count == text.len() && text.starts_with(b"89") && matches!(count, 18..=20) && check::luhn(text) {
            mask |= const { kind_bit("iccid") };
        }
        if mask == 0 { None } else { one(mask & self.words.before(chunk, from)) }
    }
}

/// The end of a match that stops early on purpose, or at the quote that closes the value.
fn end_of(form: Form, chunk: &[u8], to: usize) -> usize {
    match form {
        Form::Bearer => {
            to + chunk[to..].iter().take_while(|b| b.is_ascii_alphanumeric() || b"-_+/=".contains(b)).count()
        }
        Form::Keyed(_) => to - 1,
        _ => to,
    }
}

impl Engine for Hyperscan {
    fn name(&self) -> &'static str {
        match self.work {
            Work::Ends => "hyperscan, ends only",
            Work::Starts => "hyperscan, starts",
            Work::Validated => "hyperscan, starts, validators and words",
        }
    }

    fn scan(&mut self, chunk: &[u8], _: Format) -> usize {
        self.events.clear();
        self.found.clear();
        // SAFETY: database and scratch belong together, the chunk is shorter than 4 GiB, `keep` gets the vector it expects.
        let code = unsafe {
            hs_scan(
                self.db,
                chunk.as_ptr().cast(),
                chunk.len() as c_uint,
                0,
                self.scratch,
                keep,
                ptr::from_mut(&mut self.events).cast(),
            )
        };
        assert_eq!(code, 0);
        if self.work == Work::Validated {
            self.validate(chunk);
            return self.found.len();
        }
        self.events.len()
    }

    fn hits(&self, _: &[u8], out: &mut Vec<Hit>) {
        for &(start, end, bit) in &self.found {
            let kind = if bit < 64 { NATIONAL[usize::from(bit)] } else { OTHER[usize::from(bit) - 64] };
            out.push(Hit { start: start as usize, end: end as usize, kind });
        }
    }
}
