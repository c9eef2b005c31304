//! What the border reads besides JSON: CSV, forms, multipart bodies, and what compresses them.

use transform::coding::{Caps, Coding};
use transform::json::{
    Bindings, FieldIndex, Limits, NameVerdict, Scalar, Stop, Verdict, Visitor, write_string,
};
use transform::multipart::{PartKind, Parts};
use transform::{csv, form, multipart};

/// Keeps everything, or keeps, drops and replaces in turn.
struct Turns(Option<u32>);

impl Visitor for Turns {
    fn scalar(&mut self, field: FieldIndex, value: Scalar<'_>, out: &mut Vec<u8>) -> Result<Verdict, Stop> {
        let Some(turn) = &mut self.0 else { return Ok(Verdict::Keep) };
        *turn += 1;
        let mut scratch = Vec::new();
        match (*turn + u32::from(field.0)) % 3 {
            0 => Ok(Verdict::Keep),
            1 => Ok(Verdict::Drop),
            _ => {
                write_string(value.text(&mut scratch).unwrap_or(b"*"), out);
                Ok(Verdict::Replaced)
            }
        }
    }

    fn wild_name(&mut self, _raw: &[u8], _escaped: bool) -> Result<NameVerdict, Stop> {
        let Some(turn) = &mut self.0 else { return Ok(NameVerdict::Keep) };
        *turn += 1;
        Ok(if turn.is_multiple_of(2) { NameVerdict::Keep } else { NameVerdict::Drop })
    }
}

const LIMITS: Limits = Limits { bytes: 1 << 16, depth: 16, members: 50, records: 100 };

/// The first byte chooses the format.
pub fn inputs(data: &[u8]) {
    let Some((which, rest)) = data.split_first() else { return };
    match which {
        b'c' => again(rest, |input, bindings, visitor, out| {
            csv::rewrite(input, bindings, &LIMITS, visitor, out).is_ok()
        }),
        b'f' => again(rest, |input, bindings, visitor, out| {
            form::rewrite(input, bindings, &LIMITS, visitor, out).is_ok()
        }),
        b'm' => again(rest, |input, bindings, visitor, out| {
            let parts = Parts::new()
                .with("t", PartKind::Text(FieldIndex(0)))
                .with("j", PartKind::Json(bindings.clone()))
                .with("n", PartKind::Ndjson(bindings.clone()))
                .with("c", PartKind::Csv(bindings.clone()))
                .with("f", PartKind::Form(bindings.clone()));
            multipart::rewrite(input, "b", &parts, &LIMITS, visitor, out).is_ok()
        }),
        b'g' => open(Coding::Gzip, rest),
        b'b' => open(Coding::Brotli, rest),
        b'z' => open(Coding::Zstd, rest),
        _ => {}
    }
}

/// What is taken comes out in a form that is taken again, whole and unchanged; what is refused leaves nothing.
fn again(input: &[u8], rewrite: impl Fn(&[u8], &Bindings, &mut Turns, &mut Vec<u8>) -> bool) {
    let bound = [("/a", FieldIndex(0)), ("/*", FieldIndex(1))];
    let (Ok(bindings), Ok(all)) =
        (Bindings::compile(bound), Bindings::compile([("/*", FieldIndex(0)), ("/*/**", FieldIndex(0))]))
    else {
        return;
    };
    let (mut out, mut twice) = (Vec::new(), Vec::new());
    if !rewrite(input, &bindings, &mut Turns(Some(0)), &mut out) {
        return assert!(out.is_empty());
    }
    if out.len() <= LIMITS.bytes {
        assert!(rewrite(&out, &all, &mut Turns(None), &mut twice), "the result is refused");
        assert_eq!(out, twice);
    }
}

/// Whatever comes, no more comes out than the caps allow.
fn open(coding: Coding, input: &[u8]) {
    let caps = Caps { bytes: 1 << 20, ratio: 50 };
    let mut out = Vec::new();
    match coding.decode(input, caps, &mut out) {
        Ok(()) => assert!(out.len() <= caps.bytes && out.len() <= (64 << 10) + input.len() * caps.ratio),
        Err(_) => assert!(out.is_empty()),
    }
}
