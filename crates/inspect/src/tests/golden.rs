//! Every rule of the table against values that `bench/inspect/oracle.py` drew and others judged.

use std::collections::BTreeMap;

use super::*;

const TABLE: &str = include_str!("../../tests/golden/identifiers.tsv");

/// Rule, what the value is, value.
fn rows() -> impl Iterator<Item = (Rule, &'static str, &'static str)> {
    let rows = TABLE.lines().filter(|line| !line.starts_with('#'));
    rows.map(|line| {
        let [rule, what, value] = line.split('\t').collect::<Vec<_>>().try_into().unwrap();
        (Rule::named(rule).unwrap_or_else(|| panic!("no rule `{rule}`")), what, value)
    })
}

/// Valid identifiers with their rules.
pub(super) fn valid() -> impl Iterator<Item = (Rule, &'static str)> {
    rows().filter(|(_, what, _)| *what == "valid").map(|(rule, _, value)| (rule, value))
}

fn found_in(context: Context<'_>, value: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    scan_in(context, value.as_bytes(), &mut found);
    found
}

/// A field's name that says which rule to expect.
pub(super) fn key_of(rule: Rule) -> &'static str {
    match rule.id() {
        "at.svnr" => "SVNR",
        "at.abgabenkontonummer" => "abgabenkontonummer",
        "be.nrn" => "rijksregisternummer",
        "bg.egn" => "egn",
        "bg.lnch" => "lnch",
        "hr.oib" => "OIB",
        "cy.tic" => "cy_tic",
        "cz.rodne-cislo" | "sk.rodne-cislo" => "rodné číslo",
        "dk.cpr" => "cprNumber",
        "ee.isikukood" => "isikukood",
        "lt.asmens-kodas" => "asmens kodas",
        "lv.personas-kods" => "personas_kods",
        "fi.hetu" => "henkilötunnus",
        "fr.nir" => "nir",
        "fr.spi" => "numero_spi",
        "de.steuer-id" => "steuerId",
        "de.rvnr" => "rentenversicherungsnummer",
        "de.personalausweis" => "personalausweisnummer",
        "gr.afm" => "ΑΦΜ",
        "gr.amka" => "amka",
        "hu.adoazonosito" => "adóazonosító jel",
        "hu.szemelyi-szam" => "személyi szám",
        "hu.taj" => "taj_szam",
        "ie.ppsn" => "ppsn",
        "it.codice-fiscale" => "codiceFiscale",
        "lu.matricule" => "matricule",
        "mt.id-card" => "malta_id",
        "nl.bsn" => "bsn",
        "pl.pesel" => "pesel",
        "pl.nip" => "nip",
        "pt.nif" => "nif",
        "pt.cartao-de-cidadao" => "cartao_cidadao",
        "pt.niss" => "segurança social",
        "ro.cnp" => "cnp",
        "se.personnummer" => "personnummer",
        "si.emso" => "EMŠO",
        "si.davcna" => "davčna številka",
        "es.dni" => "dni",
        "es.nie" => "nie",
        "no.fodselsnummer" => "fødselsnummer",
        "is.kennitala" => "kennitala",
        "li.peid" => "peid",
        "ch.ahv" => "AHV-Nr",
        "gb.nino" => "national_insurance_number",
        "gb.nhs" => "nhsNumber",
        "gb.utr" => "utr",
        other => panic!("no key for `{other}`"),
    }
}

#[test]
fn valid_identifiers_are_found_whole_under_their_names_and_in_declared_fields() {
    for (rule, _, value) in rows().filter(|(_, what, _)| *what == "valid") {
        for context in [
            Context::of_key(key_of(rule).as_bytes()),
            Context::declared(rule.kind()),
            Context::declared(rule.kind()).from_country(rule.country().unwrap()),
            Context::none().after(format!("{} is ", key_of(rule)).as_bytes()),
        ] {
            let found = found_in(context, value);
            assert_eq!(found.len(), 1, "{rule} {value} {context:?}: {found:?}");
            assert_eq!((found[0].start, found[0].end), (0, value.len()), "{rule} {value} {context:?}");
        }
        let found = found_in(Context::of_key(key_of(rule).as_bytes()), value);
        // Neighbours share their scheme: a Czech number is a Slovak one.
        let shared = ["cz.rodne-cislo", "sk.rodne-cislo"];
        let alike =
            found[0].rule == rule || shared.contains(&found[0].rule.id()) && shared.contains(&rule.id());
        assert!(alike, "{rule} {value}: {}", found[0].rule);
        assert!(found[0].confidence >= Confidence::Medium);
    }
}

#[test]
fn a_wrong_check_digit_clears_nothing_in_a_declared_field() {
    for (rule, what, value) in rows().filter(|(_, what, _)| *what != "valid") {
        let found = found_in(Context::declared(rule.kind()), value);
        assert!(found.iter().any(|f| f.start == 0 && f.end == value.len()), "{rule} {what} {value}");
    }
}

/// Identifiers that are reported with a wrong check digit, or have none.
const UNCHECKED: &[&str] = &["dk.cpr", "mt.id-card", "lv.personas-kods", "gb.nino"];

#[test]
fn near_misses_are_not_found_by_their_rule_unless_its_check_digit_is_not_relied_upon() {
    for (rule, what, value) in rows().filter(|(_, what, _)| *what != "valid") {
        assert!(!identifier_valid(rule, value.as_bytes()), "{rule} {what} {value}");
        let found = found_in(Context::of_key(key_of(rule).as_bytes()), value);
        let by_rule = found.iter().any(|f| f.rule == rule);
        // Without its key a French number is one all the same.
        let unchecked = UNCHECKED.contains(&rule.id()) || rule.id() == "fr.nir" && value.len() == 13;
        assert!(!by_rule || unchecked, "{rule} {what} {value}: {found:?}");
    }
    for number in ["0101901234", "320000-12345"] {
        let key: &[u8] = if number.contains('-') { b"personas kods" } else { b"cpr" };
        assert_eq!(found_in(Context::of_key(key), number).len(), 1, "{number}");
    }
    assert_eq!(found_in(Context::of_key(b"rodne cislo"), "530101/123").len(), 1);
}

#[test]
fn digits_alone_are_found_only_where_dates_or_several_checks_make_chance_rare() {
    let mut alone: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (rule, _, value) in rows().filter(|(_, what, _)| *what == "valid") {
        let found = !is_clean(value.as_bytes());
        let count = alone.entry(rule.id()).or_default();
        *count = (count.0 + usize::from(found), count.1 + 1);
        let bare = value.bytes().all(|b| b.is_ascii_digit());
        let must = rule.needs() == Needs::Nothing && rule.country().is_some();
        assert!(!must || found, "{rule} {value} needs no context");
        let may = must || card_valid(value.as_bytes());
        assert!(may || !bare || !found, "{rule} {value} is only digits and needs context");
    }
    assert_eq!(
        alone.len(),
        Rule::all().filter(|rule| rule.country().is_some() && rule.id() != "li.peid").count()
    );
}

#[test]
fn every_rule_about_a_country_has_values_of_each_sort() {
    let mut sorts: BTreeMap<Rule, Vec<&str>> = BTreeMap::new();
    for (rule, what, _) in rows() {
        sorts.entry(rule).or_default().push(what);
    }
    for rule in Rule::all().filter(|rule| rule.country().is_some()) {
        // Liechtenstein's number has no form but its length.
        let sorts = sorts.get(&rule).cloned().unwrap_or_default();
        let whole = sorts.contains(&"valid") && sorts.contains(&"invalid");
        assert!(whole || rule.id() == "li.peid", "{rule}: {sorts:?}");
    }
    let countries: std::collections::BTreeSet<_> = Rule::all().filter_map(Rule::country).collect();
    assert_eq!(countries.len(), 32);
}

#[test]
fn the_page_of_rules_is_the_table() {
    let page = include_str!("../../../../docs/inspection.md");
    let rows: Vec<&str> =
        page.lines().skip_while(|line| !line.starts_with("| code | rule |")).skip(2).collect();
    let rows = rows.into_iter().take_while(|line| line.starts_with('|'));
    let expected: Vec<String> = Rule::all()
        .map(|rule| {
            let needs = match rule.needs() {
                Needs::Nothing => "nothing",
                Needs::Spelling => "its printed spelling, or context",
                Needs::Context => "context",
            };
            let country = rule.country().map(|country| country.to_string()).unwrap_or_default();
            let (code, kind) = (rule.code(), rule.kind().name());
            format!("| {code} | `{rule}` | {kind} | {country} | {needs} | {} |", rule.reference())
        })
        .collect();
    assert_eq!(rows.collect::<Vec<_>>(), expected);
    for kind in Kind::ALL {
        assert!(page.contains(&format!("| {} | {} |", kind.code(), kind.name())), "{kind:?}");
    }
}
