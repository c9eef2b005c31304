//! Approvers of a small site, and the numbers that show how they decide.

use ciborium::{Value, cbor};

use super::*;
use crate::{
    hash::Hash,
    watch::{WatchRule, tests::World},
};

/// Somebody who takes their time, and somebody who does not.
const CAREFUL: u8 = 0xca;
const HASTY: u8 = 0xa5;
const REQUESTER: u8 = 0x11;

/// One act, by numbers.
#[derive(Clone, Copy)]
pub(crate) struct Act {
    act: u8,
    request: u8,
    number: u8,
    state: u8,
    by: Option<u8>,
    step: u8,
    decoy: bool,
}

pub(crate) fn act(act: u8, request: u8, number: u8, state: u8, by: u8) -> Act {
    Act { act, request, number, state, by: Some(by), step: 0, decoy: false }
}

pub(crate) fn ask(request: u8) -> Act {
    act(1, request, 0, 1, REQUESTER)
}

fn grant(request: u8, by: u8) -> Act {
    act(2, request, 1, 2, by)
}

fn deny(request: u8, by: u8) -> Act {
    act(3, request, 1, 3, by)
}

impl Act {
    pub(crate) fn entry(&self) -> AccessEntry {
        AccessEntry {
            act: self.act.into(),
            request: [self.request; 16],
            number: self.number.into(),
            state: self.state.into(),
            by: self.by.map(|by| ([by; 16], "acme".into(), "IE".into())),
            requester: [REQUESTER; 16],
            step: self.step.into(),
            ground: 1,
            purpose: 1,
            dataset: "export".into(),
            procedure: "data-grant".into(),
            amount: [1, 1, 1],
            asked_at: 0,
            step_began: 0,
            serves: if self.state == 2 { (1, 2) } else { (0, 0) },
            decoy: self.decoy,
            rulebook: Hash::default(),
        }
    }

    /// The body of its leaf (`docs/formats/site-log.md`, kind 9).
    fn body(&self) -> Value {
        let bytes = |byte: u8, length: usize| Value::Bytes(vec![byte; length]);
        let by = self.by.map_or(Value::Array(vec![]), |by| {
            Value::Array(vec![bytes(by, 16), Value::from("acme"), Value::from("IE")])
        });
        let serves = if self.state == 2 { [1, 2] } else { [0, 0] };
        let values = [
            Value::from(self.act),
            bytes(self.request, 16),
            Value::from(self.number),
            Value::from(self.state),
            by,
            bytes(REQUESTER, 16),
            Value::from(self.step),
            cbor!([1, 1, "export", "data-grant"]).unwrap(),
            cbor!([1, 1, 1]).unwrap(),
            cbor!([0, 0, serves[0], serves[1]]).unwrap(),
            Value::from(self.decoy),
            bytes(0, 32),
        ];
        Value::Map((0..12_u64).map(Value::from).zip(values).collect())
    }
}

/// Has acts done in a world, some seconds after each other.
fn done(world: &mut World, acts: &[(u64, Act)]) {
    for (seconds, act) in acts {
        world.round(*seconds);
        world.leaf(9, &act.body());
    }
}

/// Requests of a small site: two granted in haste, one denied with care, and a decoy that was approved.
pub(crate) fn story(world: &mut World) {
    done(
        world,
        &[
            (1, ask(1)),
            (4, grant(1, HASTY)),
            (1, ask(2)),
            (2, grant(2, HASTY)),
            (1, ask(3)),
            (9, act(2, 3, 1, 1, HASTY)),
            (9, Act { step: 1, ..act(3, 3, 2, 3, CAREFUL) }),
            (1, ask(4)),
            (3, Act { decoy: true, ..grant(4, HASTY) }),
        ],
    );
}

fn collected(acts: &[(u64, Act)]) -> Approvals {
    let mut all = Collector::default();
    acts.iter().for_each(|(time, act)| all.act(*time, &act.entry()));
    all.finish(|time| (100..1000).contains(&time))
}

fn tag(byte: u8) -> String {
    hex(&[byte; 16])
}

#[test]
fn decisions_are_counted_by_who_made_them_with_the_time_that_each_took() {
    let all = collected(&[
        (100, ask(1)),
        (104, grant(1, HASTY)),
        (110, ask(2)),
        (150, act(2, 2, 1, 1, HASTY)),
        (160, Act { step: 1, ..act(2, 2, 2, 1, CAREFUL) }),
        (180, Act { step: 1, ..act(3, 2, 3, 3, HASTY) }),
        (200, ask(3)),
        (300, Act { by: None, ..act(6, 3, 1, 4, 0) }),
    ]);
    assert_eq!((all.requests, all.granted, all.denied, all.timed_out), (3, 1, 1, 1));
    let hasty = &all.approvers[&tag(HASTY)];
    assert_eq!((hasty.decisions, hasty.approved, hasty.rate_percent), (3, 2, Some(66)));
    // 4 s, 40 s, and 30 s since the step before was approved: an approval of another in the same step begins nothing.
    assert_eq!((hasty.median_seconds, hasty.under_10_seconds), (Some(30), 1));
    let careful = &all.approvers[&tag(CAREFUL)];
    assert_eq!((careful.median_seconds, careful.under_10_seconds), (Some(10), 0));
    let pair = Pair { approver: tag(HASTY), requester: tag(REQUESTER), approvals: 2 };
    assert_eq!(all.repeated_pairs, [pair], "one who approved once is no pair");
}

#[test]
fn an_escalation_begins_the_step_anew_and_what_is_recorded_twice_counts_once() {
    let escalated = Act { by: None, ..act(7, 1, 1, 1, 0) };
    let all = collected(&[
        (100, ask(1)),
        (500, escalated),
        (507, act(2, 1, 2, 2, CAREFUL)),
        // The store refused, and it was done again.
        (520, act(2, 1, 2, 2, CAREFUL)),
    ]);
    let one = &all.approvers[&tag(CAREFUL)];
    assert_eq!((one.decisions, one.median_seconds), (1, Some(20)));
}

#[test]
fn a_decoy_is_one_once_it_is_over_for_all_who_approved_it_and_counts_nowhere_else() {
    let mut acts = vec![(100, ask(1)), (103, act(2, 1, 1, 1, HASTY))];
    let open = collected(&acts);
    assert_eq!((open.requests, open.approvers[&tag(HASTY)].decisions, open.decoys.shown), (1, 1, 0));
    acts.push((140, Act { step: 1, decoy: true, ..act(3, 1, 2, 3, CAREFUL) }));
    acts.extend([(200, ask(2)), (230, Act { decoy: true, ..deny(2, CAREFUL) })]);
    let all = collected(&acts);
    assert_eq!((all.requests, all.granted, all.denied), (0, 0, 0));
    assert_eq!(all.decoys, Decoys { shown: 2, approved: 1, refused: 1 });
    let (hasty, careful) = (&all.approvers[&tag(HASTY)], &all.approvers[&tag(CAREFUL)]);
    assert_eq!((hasty.decisions, hasty.rate_percent, hasty.decoys_approved), (0, None, 1));
    assert_eq!((careful.decisions, careful.decoys_denied), (0, 2));
    assert!(all.repeated_pairs.is_empty());
}

#[test]
fn only_what_was_done_in_the_period_counts() {
    let all = collected(&[(90, ask(1)), (99, grant(1, HASTY)), (990, ask(2)), (1000, grant(2, HASTY))]);
    assert_eq!((all.requests, all.approvers.len()), (1, 0));
    let late = collected(&[(90, ask(1)), (140, grant(1, CAREFUL))]);
    assert_eq!((late.requests, late.approvers[&tag(CAREFUL)].median_seconds), (0, Some(50)));
}

fn found(world: &World) -> Vec<(&'static str, String)> {
    world.findings().into_iter().map(|one| (one.rule.code(), one.about)).collect()
}

#[test]
fn the_watch_finds_everybody_who_approved_a_decoy_and_nobody_who_denied_it() {
    let mut world = World::new();
    done(&mut world, &[(1, ask(1)), (30, act(2, 1, 1, 1, HASTY))]);
    assert!(found(&world).is_empty(), "nobody can know yet");
    done(&mut world, &[(30, Act { step: 1, decoy: true, ..act(3, 1, 2, 3, CAREFUL) })]);
    done(&mut world, &[(1, ask(2)), (30, Act { decoy: true, ..deny(2, CAREFUL) })]);
    let about = format!("decoy {} and {}", tag(1), tag(HASTY));
    assert_eq!(found(&world), [(WatchRule::DecoyApproved.code(), about)]);
}

#[test]
fn the_watch_finds_approvals_in_a_row_that_nobody_can_have_read() {
    let run = |fast: u64, slow: u64, denied: &[u8]| {
        let mut world = World::new();
        for n in 1..=20 {
            let seconds = if n % 2 == 0 { slow } else { fast };
            let act = if denied.contains(&n) { deny(n, HASTY) } else { grant(n, HASTY) };
            done(&mut world, &[(1, ask(n)), (seconds, act)]);
        }
        found(&world)
    };
    let stamp = vec![(WatchRule::RubberStamp.code(), format!("approver {}", tag(HASTY)))];
    assert_eq!(run(9, 9, &[]), stamp);
    assert_eq!(run(9, 50, &[]), stamp, "half of them were not read");
    assert_eq!(run(10, 50, &[]), []);
    assert_eq!(run(2, 2, &[20]), stamp, "one denial in between excuses nobody");
    assert_eq!(run(2, 2, &[1, 10, 20]), [], "who denies more than one in ten looks");
}

#[test]
fn the_watch_finds_an_act_that_was_recorded_again_as_another_and_not_the_same_again() {
    let run = |acts: &[Act]| {
        let mut world = World::new();
        done(&mut world, &acts.iter().map(|one| (60, *one)).collect::<Vec<_>>());
        found(&world)
    };
    let displaced = [(WatchRule::ActDisplaced.code(), format!("request {}", tag(1)))];
    let first = act(2, 1, 1, 1, CAREFUL);
    assert_eq!(run(&[ask(1), first, first]), [], "the store refused it once");
    assert_eq!(run(&[ask(1), first, act(2, 1, 1, 1, HASTY)]), displaced);
    assert_eq!(run(&[ask(1), first, act(3, 1, 1, 3, CAREFUL)]), displaced);
    assert_eq!(run(&[ask(1), deny(1, CAREFUL), grant(1, HASTY)]), displaced, "it was over before");
    assert_eq!(run(&[ask(1), grant(1, CAREFUL), act(5, 1, 2, 6, CAREFUL)]), [], "revoked afterwards");
}
