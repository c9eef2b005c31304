//! The scanner of this repository.

use inspect::{Context, Finding, Rule, Scanner, scan_in};

use crate::corpus::Format;
use crate::{Engine, Hit};

#[derive(Default)]
pub(crate) struct Ours {
    scanner: Scanner,
    found: Vec<Finding>,
}

impl Engine for Ours {
    fn name(&self) -> &'static str {
        "clover"
    }

    fn scan(&mut self, chunk: &[u8], format: Format) -> usize {
        self.found.clear();
        match format {
            Format::Json => self.scanner.json(chunk, &mut self.found),
            Format::Csv => self.scanner.csv(chunk, &mut self.found),
        }
        self.found.len()
    }

    fn hits(&self, _: &[u8], out: &mut Vec<Hit>) {
        out.extend(self.found.iter().map(|f| Hit { start: f.start, end: f.end, kind: f.rule.id() }));
    }
}

/// Rules that go by another name than the corpus's kind, and the kinds that they may rightly be said of.
const NAMES: &[(&str, &[&str])] = &[
    ("phone.e164", &["phone"]),
    ("phone.national", &["phone"]),
    ("eui64", &["mac"]),
    ("advertising-id", &["adid"]),
    ("android-id", &["androidid"]),
    ("bearer", &["token", "jwt"]),
    ("cookie", &["token", "jwt"]),
    ("secret", &["token", "apikey", "password", "jwt"]),
    ("secret.prefix", &["apikey", "token"]),
    ("coordinates", &["gps"]),
    ("birth-date", &["birth"]),
    ("at.abgabenkontonummer", &["at.tax"]),
    ("bg.lnch", &["bg.pnf"]),
    // One numbering for two states since their parting.
    ("cz.rodne-cislo", &["cz.rc", "cz.rc9", "sk.rc"]),
    ("sk.rodne-cislo", &["cz.rc", "cz.rc9", "sk.rc"]),
    ("ee.isikukood", &["ee.ik"]),
    ("lt.asmens-kodas", &["lt.ak"]),
    ("de.steuer-id", &["de.idnr"]),
    ("hu.adoazonosito", &["hu.tax"]),
    ("hu.szemelyi-szam", &["hu.personal"]),
    ("it.codice-fiscale", &["it.cf"]),
    ("lv.personas-kods", &["lv.pk", "lv.pk32"]),
    ("mt.id-card", &["mt.id"]),
    ("pt.cartao-de-cidadao", &["pt.cc"]),
    ("se.personnummer", &["se.pnr"]),
    ("si.davcna", &["si.tax"]),
    ("no.fodselsnummer", &["no.fnr"]),
    ("is.kennitala", &["is.kt"]),
];

/// Whether a rule of ours names the label's kind.
pub(crate) fn names(kind: &str, hit: &Hit) -> bool {
    NAMES.iter().any(|(rule, kinds)| *rule == hit.kind && kinds.contains(&kind))
}

/// Whether a value is found whole where the schema declares the field to hold its kind; nothing where no rule has the kind.
pub(crate) fn declared(kind: &str, text: &[u8]) -> Option<bool> {
    let rule =
        Rule::all().find(|r| r.id() == kind || names(kind, &Hit { start: 0, end: 0, kind: r.id() }))?;
    let context = match rule.country() {
        Some(country) => Context::declared(rule.kind()).from_country(country),
        None => Context::declared(rule.kind()),
    };
    let mut found = Vec::new();
    scan_in(context, text, &mut found);
    Some(found.iter().any(|f| (f.end - f.start) * 5 >= text.len() * 4))
}
