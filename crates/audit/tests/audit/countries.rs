//! What leaves for a country: assessments and adequacy by the day, suspensions by sequence, demands that grant nothing.

use audit::{Place, Rule};
use ciborium::{Value, cbor};

use crate::expect;
use crate::writer::{Entry, Log, ROUND, START, Signer, auditor, index_of, log_key, operator};

fn in_country(entry: &mut Entry, country: &str) {
    entry.inner_fact(1, 2, Value::from(country));
    entry.place = country.as_bytes().try_into().unwrap();
    entry.destination = entry.place;
}

/// The assessments of the tests, less what begins with `from`, and with `to` in its place.
fn assessed(from: &str, to: &str) -> Vec<u8> {
    let text = include_str!("rulebook/assessments.toml");
    assert!(text.contains(from));
    text.replace(from, to).into_bytes()
}

/// Some of the honest log under one changed rulebook.
fn ruled(guardrails: &str, assessments: &[u8], name: &str, change: impl Fn(&mut Entry), expected: &[Rule]) {
    let mut log = Log::honest(12);
    log.rulebooks.truncate(1);
    let files = &mut log.rulebooks[0].files;
    files.insert("10-guardrails.cedar".into(), guardrails.into());
    files.insert("assessments.toml".into(), assessments.to_vec());
    let digest = log.rulebooks[0].digest();
    log.entries.iter_mut().for_each(|entry| entry.rulebook = digest);
    // Those that leave the region by the flow would be found besides.
    for (index, entry) in log.entries.iter_mut().enumerate() {
        let keeps =
            index == 0 || index == index_of(name) || matches!(entry.kind, 3 | 5) || entry.place == *b"IE";
        if !keeps || (index == index_of("flow") && name != "flow") {
            *entry = Entry { sequence: entry.sequence, flow: entry.flow, rulebook: digest, ..log_filler() };
            entry.set_time(START);
        }
    }
    change(&mut log.entries[index_of(name)]);
    expect(&log, expected);
}

/// An entry that says nothing but that the border opened again.
fn log_filler() -> Entry {
    Log::honest(12).entries[index_of("border")].clone()
}

const ALL: &str = "permit (principal, action, resource);";

#[test]
fn a_release_without_an_assessment_in_force_is_found() {
    let singapore = |entry: &mut Entry| in_country(entry, "SG");
    let honest = assessed("2040-01-01", "2040-01-02");
    ruled(ALL, &honest, "public", singapore, &[]);
    for (what, assessments) in [
        ("missing", assessed("country = \"SG\"", "country = \"TW\"")),
        ("expired", assessed("2040-01-01", "2030-03-17")),
        ("not yet begun", assessed("2025-01-01", "2030-03-18")),
        ("plain is not named", assessed("\"plain\", ", "")),
        ("negative", assessed("\"equivalent\"\ntreatments = [\"plain\", ", "\"negative\"\ntreatments = [")),
    ] {
        println!("{what}");
        ruled(ALL, &assessments, "public", singapore, &[Rule::Assessment]);
        ruled(ALL, &assessments, "public", |entry| in_country(entry, "IE"), &[]);
    }
    // In the last second of the day before it expires, and in the first of the day.
    let lost = |second: u64| {
        let at = move |entry: &mut Entry| {
            in_country(entry, "SG");
            entry.set_time(second);
        };
        (assessed("2040-01-01", "2030-03-18"), at)
    };
    let midnight = 1_900_022_400;
    for (second, expected) in [(midnight - 1, &[][..]), (midnight, &[Rule::Assessment])] {
        let (assessments, at) = lost(second);
        let with_time = |entry: &mut Entry| at(entry);
        let expected: Vec<Rule> = expected.iter().copied().chain([Rule::Time]).collect();
        ruled(ALL, &assessments, "public", with_time, &expected);
    }
}

#[test]
fn a_transfer_on_lost_adequacy_is_found() {
    let adequacy = |until: &str| {
        let more =
            format!("[[adequacy]]\ncountry = \"US\"\ndecision = \"d\"\nfrom = \"2025-01-01\"\n{until}\n");
        [assessed("2040-01-01", "2040-01-02"), more.into_bytes()].concat()
    };
    // The flow is registered so, too.
    let flow = |assessments: &[u8], expected: &[Rule]| {
        let mut log = Log::honest(12);
        log.rulebooks.truncate(1);
        let files = &mut log.rulebooks[0].files;
        let lanes = String::from_utf8(files["lanes.toml"].clone()).unwrap().replace("sccWithTia", "adequacy");
        files.insert("lanes.toml".into(), lanes.into_bytes());
        files.insert("assessments.toml".into(), assessments.to_vec());
        let digest = log.rulebooks[0].digest();
        log.entries.iter_mut().for_each(|entry| entry.rulebook = digest);
        log.entries[index_of("flow")].inner_fact(9, 4, Value::from(1));
        expect(&log, expected);
    };
    flow(&adequacy(""), &[]);
    flow(&adequacy("until = \"2030-03-18\""), &[]);
    flow(&adequacy("until = \"2030-03-17\""), &[Rule::Assessment]);
    flow(&assessed("2040-01-01", "2040-01-02"), &[Rule::Assessment]);
}

#[test]
fn a_refusal_for_an_assessment_that_stopped_nothing_is_found() {
    let guardrail = "@id(\"A\") forbid (principal, action == Clover::Action::\"releasePlain\", resource) \
                     unless { principal.location in resource.region || principal.location.plain };";
    let guardrail = format!("{ALL}\n{guardrail}");
    let refused = |entry: &mut Entry| {
        in_country(entry, "SG");
        entry.reason = 14;
        entry.fact(10, cbor!([1]).unwrap());
        entry.fact(11, cbor!([[1, [], 4, 0]]).unwrap());
    };
    ruled(&guardrail, &assessed("\"plain\", ", ""), "refused", refused, &[]);
    ruled(&guardrail, &assessed("2040-01-01", "2040-01-02"), "refused", refused, &[Rule::Refusal]);
    let place = "principal.location == Clover::Country::\"SG\"";
    let anyway =
        format!("{guardrail}\nforbid (principal is Clover::Employee, action, resource) when {{ {place} }};");
    ruled(&anyway, &assessed("\"plain\", ", ""), "refused", refused, &[Rule::Refusal]);
}

/// Two rounds of the honest log with a signed text in place of an entry of the first.
fn with_text(kind: u8, country: &str, text: &str, by: &[&Signer]) -> Log {
    let mut log = Log::honest(23);
    log.rulebooks.truncate(1);
    put_text(&mut log, index_of("border"), kind, country, text, by);
    log
}

fn put_text(log: &mut Log, index: usize, kind: u8, country: &str, text: &str, by: &[&Signer]) {
    let lines: String = by.iter().map(|key| key.line(text)).collect();
    let entry = &mut log.entries[index];
    (entry.kind, entry.direction, entry.lane) = (kind, 0, [0; 8]);
    (entry.place, entry.destination) = (*b"ZZ", country.as_bytes().try_into().unwrap());
    entry.facts = None;
    entry.raw_facts = Some(format!("{text}\n{lines}").into_bytes());
}

fn order(what: &str, time: u64, issuer: &str) -> String {
    format!("clover suspension v1\ntest\n{what}\n{time}\n{issuer}\n")
}

#[test]
fn a_release_after_a_suspension_is_caught() {
    let (operator, auditor) = (operator(), auditor());
    // What the first round released to the United States stands before the order, and the second's behind it: a flow,
    // and somebody's own reading there.
    let behind = ["flow", "self"].map(|name| Place::Entry((index_of(name) + ROUND.len()) as u64));
    for key in [&operator, &auditor] {
        let log = with_text(9, "US", &order("suspend US", START, key.name), &[key]);
        let report = expect(&log, &[Rule::Suspended]);
        assert_eq!(
            report.findings.iter().map(|finding| finding.place.clone()).collect::<Vec<_>>(),
            behind,
            "{report}"
        );
    }
    // Suspended elsewhere, or lifted again by both, there is nothing behind it.
    expect(&with_text(9, "BR", &order("suspend BR", START, operator.name), &[&operator]), &[]);
    let mut lifted = with_text(9, "US", &order("suspend US", START, operator.name), &[&operator]);
    let place = index_of("public") + ROUND.len();
    let lift = order("lift US", START + 1, auditor.name);
    put_text(&mut lifted, place, 9, "US", &lift, &[&operator, &auditor]);
    expect(&lifted, &[]);
    // The same order once more is no other; one signature lifts nothing.
    put_text(&mut lifted, place, 9, "US", &order("suspend US", START, operator.name), &[&operator]);
    expect(&lifted, &[Rule::Suspended]);
    put_text(&mut lifted, place, 9, "US", &lift, &[&auditor]);
    expect(&lifted, &[Rule::SuspensionOrder, Rule::Suspended]);
    // An old order that lifts, used again, is older than the suspension.
    put_text(&mut lifted, place, 9, "US", &order("lift US", START, auditor.name), &[&operator, &auditor]);
    expect(&lifted, &[Rule::SuspensionOrder, Rule::Suspended]);
}

#[test]
fn a_suspension_order_must_be_signed_new_and_of_this_programme() {
    let (operator, auditor) = (operator(), auditor());
    let good = order("suspend BR", START, operator.name);
    expect(&with_text(9, "BR", &good, &[&operator]), &[]);
    let stranger = Signer::new("operator.test", 9);
    for log in [
        with_text(9, "BR", &good, &[&stranger]),
        with_text(9, "BR", &good, &[&auditor]),
        with_text(9, "BR", &good, &[&log_key()]),
        with_text(9, "SG", &good, &[&operator]),
        with_text(9, "BR", &good.replace("\ntest\n", "\nother\n"), &[&operator]),
        with_text(9, "BR", &order("suspend BR", START + 1000, operator.name), &[&operator]),
        with_text(9, "BR", &order("lift BR", START, operator.name), &[&operator, &auditor]),
        with_text(9, "BR", "hello\n", &[&operator]),
    ] {
        expect(&log, &[Rule::SuspensionOrder]);
    }
    let demand = format!("clover demand v1\ntest\nUS\nDOJ-1\n{}\n", START);
    expect(&with_text(10, "US", &demand, &[&operator]), &[]);
    for log in [
        with_text(10, "US", &demand, &[&auditor]),
        with_text(10, "CN", &demand, &[&operator]),
        with_text(10, "US", &good, &[&operator]),
    ] {
        expect(&log, &[Rule::Demand]);
    }
}
