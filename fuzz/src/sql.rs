//! What SQL clients and servers send: texts of statements, frames, errors, and the messages of a sign-in.

use std::hint::black_box;
use std::num::NonZeroU32;

use gateway::sql::gate::{Ceilings, Verdict, judge, row_wise};
use gateway::sql::lex::{Tokens, normalised};
use gateway::sql::wire::frame::{Body, Frames, HEAD, length};
use gateway::sql::wire::own::{self, Wording};
use gateway::sql::wire::scram::{self, Binding, Verifier};

/// The first byte chooses the parser.
pub fn inputs(data: &[u8]) {
    let Some((which, rest)) = data.split_first() else { return };
    match which {
        b'f' => frames(rest),
        b'p' => sign_in(rest),
        b's' => {
            if let Ok(text) = std::str::from_utf8(rest) {
                statement(text);
            }
        }
        _ => {}
    }
}

/// What passes has a form, which is a statement of the same kind; what is row-wise is one that reads.
fn statement(text: &str) {
    let judged = judge(text, &Ceilings { statement_timeout_ms: Some(1000) });
    let form = normalised(text);
    assert!(Tokens::of(text).count() <= text.len());
    if let Ok(verdict) = &judged {
        assert!(form.is_ok_and(|form| Tokens::of(&form).all(|t| t.is_ok())), "it passed and has no form");
        if row_wise(text) {
            assert!(matches!(verdict, Verdict::Read | Verdict::Declare(_) | Verdict::CopyOut));
        }
    }
}

fn frames(bytes: &[u8]) {
    let mut frames = Frames::of(bytes);
    let mut taken = 0;
    for (tag, body) in frames.by_ref() {
        taken += body.len() + HEAD;
        for wording in [Wording::Inside, Wording::Outside] {
            let reduced = own::reduced(tag, body, wording);
            assert!(reduced.code.iter().all(u8::is_ascii_alphanumeric));
        }
        black_box(own::values(body).count());
        let mut body = Body(body);
        let _ = black_box((body.text(), body.short(), body.long(), body.string(), body.end()));
    }
    assert_eq!(taken + frames.rest().len(), bytes.len());
    let _ = black_box(length(bytes, |_| 100));
}

/// Whoever does not know the password proves nothing.
fn sign_in(message: &[u8]) {
    let (first, last) = message.split_at(message.len() / 2);
    let verifier = Verifier::of(b"pencil", b"salt", NonZeroU32::MIN);
    for (mechanism, end_point) in [(scram::PLAIN, None), (scram::PLUS, Some(&b"end point"[..]))] {
        let binding = Binding { end_point, demanded: false };
        for message in [first, message] {
            if let Ok((exchange, _)) = scram::first(mechanism, message, binding, "nonce", verifier.clone()) {
                assert!(exchange.last(last).is_err());
            }
        }
    }
}
