//! Every transition under a clock of the test.

use std::fs;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::cosign::KeyKind;

const START: u64 = 1_900_000_000;
const DAY: u64 = 86_400;

fn key(name: &str, seed: u8) -> SigningKey {
    SigningKey::from_seed(name, KeyKind::Auditor, &[seed; 32]).unwrap()
}

fn operator() -> SigningKey {
    key("operator.test", 1)
}

fn auditor() -> SigningKey {
    key("auditor.test", 2)
}

fn regulator() -> SigningKey {
    key("regulator.test", 3)
}

/// Of the operator's company, under another name and key.
fn subsidiary() -> SigningKey {
    key("subsidiary.test", 4)
}

fn parties() -> Parties {
    let party = |name: &str, company: &str, key: SigningKey, more: &str| {
        format!("[[party]]\nname = \"{name}\"\ncompany = \"{company}\"\nvkey = \"{}\"\n{more}\n", key.vkey())
    };
    let text = [
        party("operator", "Example Ltd", operator(), ""),
        party("auditor", "Checks Ltd", auditor(), ""),
        party("regulator", "The State", regulator(), ""),
        party("subsidiary", "example ltd", subsidiary(), "answers_for = [\"gateway:ledger.t/s/east*\"]"),
    ];
    Parties::parse(&text.concat()).unwrap()
}

struct Case {
    folder: TempDir,
    incidents: Incidents,
}

fn case() -> Case {
    let folder = TempDir::new().unwrap();
    let incidents = Incidents::at(folder.path(), parties()).unwrap();
    Case { folder, incidents }
}

fn opening(cause: &str) -> Opening {
    Opening {
        rule: "WATCH-07".into(),
        severity: Severity::Grave,
        cause: cause.into(),
        about: "flow 0011".into(),
        clock_seconds: Opening::CLOCK_SECONDS,
        references: vec![Reference { origin: "keys.t/s".into(), index: 17 }],
        text: "a key was released and no entry says for what".into(),
    }
}

fn at(seconds: u64) -> Clock {
    Clock { wall: START + seconds, ledger: START + seconds, running: seconds }
}

impl Case {
    fn open(&self, cause: &str) -> Incident {
        self.incidents.open("one", &opening(cause), &auditor(), at(0)).unwrap()
    }

    fn act(&self, kind: ActionKind, key: &SigningKey, seconds: u64) -> Result<Incident, IncidentError> {
        self.incidents.act("one", kind, "for a reason", key, at(seconds))
    }

    fn state(&self) -> State {
        self.incidents.find("one").unwrap().state
    }

    fn actions(&self) -> Vec<u8> {
        fs::read(self.folder.path().join("incidents/one/actions.ndjson")).unwrap()
    }

    fn write(&self, bytes: &[u8]) -> Incident {
        fs::write(self.folder.path().join("incidents/one/actions.ndjson"), bytes).unwrap();
        self.incidents.find("one").unwrap()
    }
}

#[test]
fn an_incident_goes_from_open_over_escalated_to_closed_and_back() {
    let case = case();
    assert_eq!(case.open("operator").state, State::Open);
    assert_eq!(case.act(ActionKind::Escalate, &regulator(), 10).unwrap().state, State::Escalated);
    assert_eq!(case.act(ActionKind::Close, &auditor(), 20).unwrap().state, State::Closed);
    assert_eq!(case.act(ActionKind::Reopen, &operator(), 30).unwrap().state, State::Escalated);
    assert_eq!(case.act(ActionKind::Close, &regulator(), 40).unwrap().state, State::Closed);
    let found = case.incidents.find("one").unwrap();
    assert_eq!((found.actions.len(), found.damaged.as_deref()), (5, None));
    assert_eq!(found.opening, opening("operator"));
}

#[test]
fn what_may_not_follow_is_refused_and_writes_nothing() {
    let case = case();
    case.open("operator");
    let refused =
        |kind, seconds| matches!(case.act(kind, &auditor(), seconds), Err(IncidentError::Refused(_)));
    assert!(refused(ActionKind::Reopen, 1));
    case.act(ActionKind::Escalate, &auditor(), 2).unwrap();
    assert!(refused(ActionKind::Escalate, 3));
    case.act(ActionKind::Close, &auditor(), 4).unwrap();
    let before = case.actions();
    assert!(refused(ActionKind::Close, 5) && refused(ActionKind::Escalate, 5));
    assert!(matches!(case.act(ActionKind::Open, &auditor(), 5), Err(IncidentError::Form(_))));
    let again = case.incidents.open("one", &opening("operator"), &auditor(), at(6));
    assert!(matches!(again, Err(IncidentError::Exists(_))));
    assert_eq!(case.actions(), before);
}

#[test]
fn the_cause_cannot_close_nor_can_its_company() {
    for (cause, cannot, can) in [
        ("operator", vec![operator(), subsidiary()], vec![auditor(), regulator()]),
        ("gateway:ledger.t/s/west", vec![operator(), subsidiary()], vec![auditor()]),
        ("gateway:ledger.t/s/east-1", vec![operator(), subsidiary()], vec![regulator()]),
        ("auditor", vec![auditor()], vec![operator(), regulator()]),
        ("regulator", vec![regulator()], vec![auditor()]),
    ] {
        let case = case();
        case.open(cause);
        for key in cannot {
            let closed = case.act(ActionKind::Close, &key, 5);
            assert!(matches!(closed, Err(IncidentError::Refused(_))), "{cause} by {}", key.name());
        }
        assert_eq!(case.state(), State::Open);
        for key in can {
            assert_eq!(case.act(ActionKind::Close, &key, 6).unwrap().state, State::Closed, "{cause}");
            case.act(ActionKind::Reopen, &key, 7).unwrap();
        }
    }
}

#[test]
fn a_stranger_can_do_nothing_and_a_cause_that_nobody_answers_for_is_no_cause() {
    let case = case();
    let stranger = key("stranger.test", 9);
    let opened = case.incidents.open("one", &opening("operator"), &stranger, at(0));
    assert!(matches!(opened, Err(IncidentError::Stranger(_))));
    let opened = case.incidents.open("one", &opening("somebody"), &auditor(), at(0));
    assert!(matches!(opened, Err(IncidentError::Cause(_))));
    case.open("operator");
    // The name of a party under another key is a stranger too.
    let forged = key("auditor.test", 9);
    assert!(matches!(case.act(ActionKind::Close, &forged, 1), Err(IncidentError::Stranger(_))));
    for id in ["", "..", "a/b", "A", "tmp", "lock"] {
        assert!(case.incidents.open(id, &opening("operator"), &auditor(), at(0)).is_err(), "{id}");
    }
}

#[test]
fn the_clock_escalates_after_72_hours_and_not_before() {
    let case = case();
    case.open("operator");
    assert!(case.incidents.escalate_due(&auditor(), at(3 * DAY - 1)).unwrap().is_empty());
    let due = case.incidents.escalate_due(&auditor(), at(3 * DAY)).unwrap();
    assert_eq!(due.len(), 1);
    assert!(due[0].state == State::Escalated && due[0].actions[1].by_clock);
    assert!(case.incidents.escalate_due(&auditor(), at(4 * DAY)).unwrap().is_empty(), "once");
}

#[test]
fn the_clock_is_not_stopped_by_attempts_to_close_nor_by_closing_and_opening_again() {
    let case = case();
    case.open("operator");
    for hour in 1..72 {
        assert!(case.act(ActionKind::Close, &operator(), hour * 3600).is_err());
    }
    case.act(ActionKind::Close, &auditor(), 71 * 3600 + 1).unwrap();
    assert!(case.incidents.escalate_due(&auditor(), at(5 * DAY)).unwrap().is_empty(), "it is closed");
    case.act(ActionKind::Reopen, &regulator(), 5 * DAY).unwrap();
    assert_eq!(case.incidents.escalate_due(&auditor(), at(5 * DAY)).unwrap().len(), 1, "its time was over");
}

#[test]
fn one_clock_that_runs_is_enough() {
    let start = at(0);
    for (what, now) in [
        ("wall", Clock { wall: START + 3 * DAY, ..start }),
        ("ledger", Clock { ledger: START + 3 * DAY, ..start }),
        ("running", Clock { running: 3 * DAY, ..start }),
        ("wall set back", Clock { wall: START - 9 * DAY, ledger: START + 3 * DAY, running: 0 }),
    ] {
        let case = case();
        case.open("operator");
        assert_eq!(case.incidents.escalate_due(&auditor(), now).unwrap().len(), 1, "{what}");
    }
    // A ledger that was never seen says nothing about how long ago that was.
    let now = Clock { wall: START + 5, ledger: START + 5, running: 5 };
    assert_eq!(now.since(Clock { wall: START, ledger: 0, running: 0 }), 5);
}

#[test]
fn a_clock_that_is_set_back_is_not_believed() {
    let case = case();
    let first = case.incidents.clock(START + 100, Some(START + 50), 7).unwrap();
    assert_eq!(first, Clock { wall: START + 100, ledger: START + 50, running: 7 });
    let again = Incidents::at(case.folder.path(), parties()).unwrap();
    let second = again.clock(START - DAY, None, 5).unwrap();
    assert_eq!(second, Clock { wall: START + 100, ledger: START + 50, running: 12 });
    case.open("operator");
    let wall = Clock { wall: 5, ledger: 0, running: 0 };
    let closed = case.incidents.act("one", ActionKind::Close, "done", &auditor(), wall).unwrap();
    assert_eq!(closed.actions[1].clock, at(0), "an action is never before the one it follows");
}

#[test]
fn a_changed_moved_or_missing_action_damages_the_incident_and_it_is_not_closed() {
    let case = case();
    case.open("operator");
    case.act(ActionKind::Escalate, &auditor(), 5).unwrap();
    case.act(ActionKind::Reopen, &auditor(), 6).unwrap_err();
    let good = case.actions();
    let lines: Vec<&[u8]> = good.split_inclusive(|byte| *byte == b'\n').collect();
    for bad in [
        lines[1].to_vec(),
        [lines[1], lines[0]].concat(),
        [lines[0], lines[1], lines[1]].concat(),
        good[..good.len() - 1].to_vec(),
        Vec::new(),
    ] {
        let found = case.write(&bad);
        assert!(found.damaged.is_some());
        let closed = case.act(ActionKind::Close, &auditor(), 7);
        assert!(matches!(closed, Err(IncidentError::Damaged { .. })));
    }
    case.write(&good);
    case.act(ActionKind::Close, &auditor(), 7).unwrap();
}

#[test]
fn a_close_that_the_cause_wrote_past_the_program_damages_the_incident() {
    let case = case();
    let found = case.open("operator");
    let action = Action {
        id: "one".into(),
        sequence: 1,
        previous: found.head,
        clock: at(5),
        body: Body::Close { text: "nothing to see".into() },
    };
    let text = action.text();
    let line = Line {
        sequence: 1,
        action: ActionKind::Close,
        party: "operator".into(),
        time: START + 5,
        note: format!("{text}\n{}", operator().line(&text, 0)),
    };
    let forged = [case.actions(), serde_json::to_vec(&line).unwrap(), b"\n".to_vec()].concat();
    let found = case.write(&forged);
    assert_eq!(found.state, State::Open);
    assert!(found.damaged.unwrap().contains("cannot close it"));
}

#[test]
fn an_end_between_writing_and_renaming_leaves_what_was() {
    let case = case();
    case.open("operator");
    let before = case.actions();
    // What a process leaves that ends after it wrote a draft.
    let draft = case.folder.path().join("incidents/tmp/draft");
    fs::write(&draft, [&before[..], b"{\"half\":"].concat()).unwrap();
    let again = Incidents::at(case.folder.path(), parties()).unwrap();
    assert_eq!(again.find("one").unwrap().damaged, None);
    assert_eq!(again.list().unwrap().len(), 1);
    again.act("one", ActionKind::Escalate, "on we go", &auditor(), at(9)).unwrap();
    assert!(case.actions().starts_with(&before), "lines are only added");
    // And one that ends before the first rename has opened nothing.
    fs::create_dir_all(case.folder.path().join("incidents/two")).unwrap();
    assert_eq!(again.list().unwrap().len(), 1);
    again.open("two", &opening("operator"), &auditor(), at(10)).unwrap();
}

#[test]
fn parties_with_one_key_or_one_name_are_refused() {
    let text = |second: &str, key: SigningKey| {
        let one = format!("[[party]]\nname = \"a\"\ncompany = \"A\"\nvkey = \"{}\"\n", auditor().vkey());
        let two = format!("[[party]]\nname = \"{second}\"\ncompany = \"B\"\nvkey = \"{}\"\n", key.vkey());
        Parties::parse(&(one + &two))
    };
    assert!(text("b", operator()).is_ok());
    assert!(matches!(text("b", auditor()), Err(PartiesError::Twice(_))));
    assert!(matches!(text("b", key("other.test", 2)), Err(PartiesError::Twice(_))));
    assert!(matches!(text("a", operator()), Err(PartiesError::Twice(_))));
    assert!(matches!(text(" ", operator()), Err(PartiesError::Name)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_changed_byte_of_the_record_is_found(place in 0_usize..10_000, bit in 0_u8..8) {
        let case = case();
        case.open("operator");
        case.act(ActionKind::Close, &auditor(), 5).unwrap();
        let mut bytes = case.actions();
        let place = place % bytes.len();
        bytes[place] ^= 1 << bit;
        let found = case.write(&bytes);
        // A change that JSON reads as the same, if there is one, changes nothing.
        let same = found.state == State::Closed && found.actions.len() == 2 && found.opening == opening("operator");
        prop_assert!(found.damaged.is_some() || same);
    }

    #[test]
    fn no_text_panics_and_what_is_read_is_spelt_so(text in "(clover incident v1\n)?(id [a-z]{1,3}\n)?(.|\n){0,200}") {
        if let Ok(action) = Action::parse(&text) {
            prop_assert_eq!(action.text(), text);
        }
    }
}
