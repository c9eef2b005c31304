//! What inspection reads: payloads of any form, and the expressions of an operator.

use inspect::{
    Context, Finding, Kind, OperatorRules, Scanner, TextStream, scan, scan_csv, scan_in, scan_json, scan_text,
};

/// The first byte chooses the entrance. Findings stand in order, apart, and within what was read.
pub fn inputs(data: &[u8]) {
    let Some((which, rest)) = data.split_first() else { return };
    let mut found = Vec::new();
    match which {
        b'j' => scan_json(rest, &mut found),
        b'c' => scan_csv(rest, &mut found),
        b't' => scan_text(rest, &mut found),
        b'v' => scan(rest, &mut found),
        b'k' => return keyed(rest),
        b's' => return stream(rest),
        b'o' => return operator(rest),
        _ => return,
    }
    check(rest, &found);
}

fn check(text: &[u8], found: &[Finding]) {
    assert!(found.is_sorted_by(|a, b| a.end <= b.start));
    assert!(found.iter().all(|f| f.start < f.end && f.end <= text.len()));
    if let Ok(text) = std::str::from_utf8(text) {
        assert!(found.iter().all(|f| text.get(f.start..f.end).is_some()));
    }
}

/// A name, a line's end, and a value: under the name, and in a field declared for each kind.
fn keyed(data: &[u8]) {
    let (name, value) = data.split_at(data.iter().position(|b| *b == b'\n').unwrap_or(0));
    let declared = Kind::ALL.iter().map(|kind| Context::declared(*kind));
    for context in declared.chain([Context::of_key(name), Context::none().after(name)]) {
        let mut found = Vec::new();
        scan_in(context, value, &mut found);
        check(value, &found);
    }
}

/// The first byte tells how long the chunks are.
fn stream(data: &[u8]) {
    let Some((len, text)) = data.split_first() else { return };
    let (mut stream, mut found) = (TextStream::new(), Vec::new());
    for chunk in text.chunks(usize::from(*len) + 1) {
        stream.push(chunk, &mut found);
    }
    stream.finish(&mut found);
    check(text, &found);
}

/// An expression, a line's end, and a text.
fn operator(data: &[u8]) {
    let Some((pattern, text)) = std::str::from_utf8(data).ok().and_then(|data| data.split_once('\n')) else {
        return;
    };
    let mut rules = OperatorRules::new();
    if rules.add("own", pattern, "luhn").is_ok() {
        let mut found = Vec::new();
        Scanner::new().with_operators(std::sync::Arc::new(rules)).json(text.as_bytes(), &mut found);
        check(text.as_bytes(), &found);
    }
}
