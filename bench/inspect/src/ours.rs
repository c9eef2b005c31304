//! The scanner of this repository.

use inspect::Finding;

use crate::corpus::Format;
use crate::{Engine, Hit};

#[derive(Default)]
pub(crate) struct Ours {
    found: Vec<Finding>,
}

impl Engine for Ours {
    fn name(&self) -> &'static str {
        "clover"
    }

    fn scan(&mut self, chunk: &[u8], _: Format) -> usize {
        self.found.clear();
        let mut at = 0;
        let mut one = Vec::new();
        for quote in memchr::memchr_iter(b'"', chunk) {
            let first = self.found.len();
            inspect::scan(&chunk[at..quote], &mut one);
            self.found.extend(one.drain(..).map(|mut f| {
                f.start += at;
                f.end += at;
                f
            }));
            let _ = first;
            at = quote + 1;
        }
        self.found.len()
    }

    fn hits(&self, _: &[u8], out: &mut Vec<Hit>) {
        out.extend(self.found.iter().map(|f| Hit {
            start: f.start,
            end: f.end,
            kind: f.kind.name(),
            country: "",
        }));
    }
}

/// Whether a hit of ours names the label's kind.
pub(crate) fn names(kind: &str, _country: &str, hit: &Hit) -> bool {
    match kind {
        "email" => hit.kind == "e-mail address",
        "ipv4" => hit.kind == "IPv4 address",
        "ipv6" => hit.kind == "IPv6 address",
        "iban" => hit.kind == "IBAN",
        "phone" => hit.kind == "telephone number",
        "card" => hit.kind == "payment card",
        "jwt" => hit.kind == "JSON web token",
        _ => false,
    }
}
