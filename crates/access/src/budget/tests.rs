use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const MOST: Amount = Amount { rows: 10, bytes: 1000, subjects: 2 };

fn people(of: &[u8]) -> Vec<Tag> {
    of.iter().map(|b| Tag::new([*b; 16])).collect()
}

fn amount(rows: u64, bytes: u64, subjects: u64) -> Amount {
    Amount { rows, bytes, subjects }
}

/// What a store keeps under one grant.
#[derive(Debug, Clone, Default, PartialEq)]
struct Stored {
    all: Reserved,
    counted: BTreeMap<Tag, Option<Tag>>,
}

/// A process with what it took and has not given back.
#[derive(Default)]
struct Process {
    share: Share,
    out: Vec<(Taken, Vec<u8>, u64)>,
}

impl Process {
    /// As the control store does it: all of it or nothing.
    fn take(
        &mut self,
        stored: &mut Stored,
        rows: u64,
        bytes: u64,
        who: &[u8],
        unnamed: u64,
    ) -> Result<(), Spent> {
        let strangers = self.share.strangers(&people(who));
        let need = amount(rows, bytes, unnamed);
        let taken = match self.share.take(&need) {
            Ok(taken) if strangers.is_empty() => taken,
            early => {
                if let Ok(taken) = early {
                    self.share.give_back(&taken);
                }
                let mut after = stored.clone();
                let fresh = strangers.iter().filter(|p| !after.counted.contains_key(p)).copied().collect();
                after.counted.extend(after.all.count(&MOST, &fresh)?.iter().map(|c| (c.person, c.before)));
                let lacks = self.share.lacks(&need);
                let chunk = after.all.reserve(&MOST, &lacks)?;
                *stored = after;
                self.share.learn(strangers);
                self.share.add(&chunk);
                self.share.take(&need).expect("it was reserved")
            }
        };
        self.out.push((taken, who.to_vec(), unnamed));
        Ok(())
    }

    fn give_back(&mut self, n: usize) {
        let (taken, ..) = self.out.swap_remove(n);
        self.share.give_back(&taken);
    }
}

#[test]
fn a_person_counts_once_in_a_grants_life_and_the_one_too_many_takes_nothing() {
    let (mut stored, mut process) = (Stored::default(), Process::default());
    process.take(&mut stored, 1, 100, &[1], 0).unwrap();
    process.take(&mut stored, 1, 100, &[1, 2, 2], 0).unwrap();
    let before = stored.clone();
    assert_eq!(process.take(&mut stored, 1, 100, &[3], 0), Err(Spent("people")));
    assert_eq!(process.take(&mut stored, 1, 100, &[], 1), Err(Spent("people")));
    assert_eq!(process.take(&mut stored, 9, 100, &[1], 0), Err(Spent("rows")));
    assert_eq!(process.take(&mut stored, 1, 801, &[1], 0), Err(Spent("bytes")));
    assert_eq!(stored, before);
    assert_eq!(stored.all.reserved().subjects, 2);
}

#[test]
fn what_did_not_cross_is_there_again_and_who_was_counted_stays_counted() {
    let (mut stored, mut process) = (Stored::default(), Process::default());
    process.take(&mut stored, 10, 1000, &[1, 2], 0).unwrap();
    process.give_back(0);
    process.take(&mut stored, 10, 1000, &[1], 0).unwrap();
    assert_eq!(process.take(&mut stored, 0, 0, &[3], 0), Err(Spent("people")));
    process.give_back(0);
    assert_eq!(process.share.rest(), amount(10, 1000, 0));
}

#[test]
fn a_process_reserves_an_eighth_or_what_it_needs_and_never_more_than_is_left() {
    let most = amount(80, 800, 1);
    let mut all = Reserved::default();
    assert_eq!(all.reserve(&most, &amount(1, 0, 1)).unwrap(), amount(10, 0, 1));
    assert_eq!(all.reserve(&most, &amount(65, 1, 0)).unwrap(), amount(65, 100, 0));
    assert_eq!(all.reserve(&most, &amount(6, 1, 0)), Err(Spent("rows")));
    assert_eq!(all.reserve(&most, &amount(1, 0, 1)), Err(Spent("people")));
    assert_eq!(all.reserve(&most, &amount(1, 0, 0)).unwrap(), amount(5, 0, 0));
    assert_eq!(all.reserved(), amount(80, 100, 1));
}

#[test]
fn whom_a_process_counted_costs_the_next_one_nothing_whether_it_settled_or_not() {
    let (mut stored, mut first) = (Stored::default(), Process::default());
    first.take(&mut stored, 1, 10, &[1, 2], 0).unwrap();
    stored.all.settle(&first.share.rest());
    assert_eq!(stored.all.reserved(), amount(1, 10, 2));
    for _crashes in 0..3 {
        let mut next = Process::default();
        next.take(&mut stored, 1, 10, &[1, 2], 0).unwrap();
        assert_eq!(next.take(&mut stored, 1, 10, &[3], 0), Err(Spent("people")));
    }
}

#[test]
fn each_row_of_somebody_counted_names_the_one_before_so_that_all_are_found_from_the_last() {
    let (mut all, most) = (Reserved::default(), amount(0, 0, 100));
    let mut rows = BTreeMap::new();
    for who in [&[3, 1][..], &[2], &[], &[9, 7, 8]] {
        let fresh = people(who).into_iter().collect();
        rows.extend(all.count(&most, &fresh).unwrap().iter().map(|c| (c.person, c.before)));
    }
    let mut found = Vec::new();
    let mut at = all.last.map(Tag::new);
    while let Some(person) = at {
        at = rows[&person];
        found.push(person);
    }
    assert_eq!(found, people(&[9, 8, 7, 2, 3, 1]));
}

#[test]
fn where_too_many_are_counted_by_name_the_others_get_no_row() {
    let (mut all, most) = (Reserved::default(), amount(0, 0, u64::MAX));
    let some = |n: u32| (0..n).map(|i| Tag::new(u128::from(i).to_be_bytes())).collect::<BTreeSet<_>>();
    assert_eq!(all.count(&most, &some(10_000)).unwrap().len(), PEOPLE_MAX);
    let before = all.clone();
    assert_eq!(all.count(&most, &some(1)), Ok(vec![]));
    assert_eq!(all, before);
}

#[derive(Debug, Clone)]
enum Step {
    Take { rows: u64, bytes: u64, who: Vec<u8>, unnamed: u64 },
    GiveBack(usize),
    Settle,
    Crash,
}

fn step() -> impl Strategy<Value = (usize, Step)> {
    let take = (0u64..6, 0u64..500, prop::collection::vec(0u8..5, 0..4), 0u64..2)
        .prop_map(|(rows, bytes, who, unnamed)| Step::Take { rows, bytes, who, unnamed });
    let other = prop_oneof![(0usize..9).prop_map(Step::GiveBack), Just(Step::Settle), Just(Step::Crash)];
    (0usize..3, prop_oneof![3 => take, 2 => other])
}

proptest! {
    /// Whatever is taken and given back in whatever order, no more than the amount is out at any time.
    #[test]
    fn no_order_of_taking_and_giving_back_takes_more_than_the_amount(
        steps in prop::collection::vec((any::<bool>(), 0u64..6, 0u64..500, prop::collection::vec(0u8..5, 0..4)), 0..60)
    ) {
        let (mut stored, mut process) = (Stored::default(), Process::default());
        let mut shown = BTreeSet::new();
        for (give, rows, bytes, who) in steps {
            if give && !process.out.is_empty() {
                process.give_back(0);
            } else if process.take(&mut stored, rows, bytes, &who, 0).is_ok() {
                shown.extend(who);
            }
            let out = process.share.taken;
            prop_assert!(out.within(&MOST) && stored.all.reserved().within(&MOST));
            prop_assert_eq!(out.rows, process.out.iter().map(|(t, ..)| t.0.rows).sum::<u64>());
            prop_assert_eq!(out.bytes, process.out.iter().map(|(t, ..)| t.0.bytes).sum::<u64>());
            prop_assert_eq!(stored.all.reserved().subjects, shown.len() as u64);
        }
    }

    /// Several processes with one grant: whoever settles or crashes when, what crossed is within the amount.
    #[test]
    fn no_number_of_processes_takes_more_than_the_amount(steps in prop::collection::vec(step(), 0..80)) {
        let mut stored = Stored::default();
        let mut processes: [Process; 3] = Default::default();
        let mut crossed: Vec<(Taken, Vec<u8>, u64)> = Vec::new();
        for (who, step) in steps {
            let process = &mut processes[who];
            match step {
                Step::Take { rows, bytes, who, unnamed } => {
                    let _spent = process.take(&mut stored, rows, bytes, &who, unnamed);
                }
                Step::GiveBack(n) if n < process.out.len() => process.give_back(n),
                Step::GiveBack(_) => {}
                Step::Settle => {
                    stored.all.settle(&process.share.rest());
                    crossed.append(&mut std::mem::take(process).out);
                }
                Step::Crash => crossed.append(&mut std::mem::take(process).out),
            }
            let out = || crossed.iter().chain(processes.iter().flat_map(|p| &p.out));
            let reserved = stored.all.reserved();
            prop_assert!(reserved.within(&MOST));
            prop_assert!(out().map(|(t, ..)| t.0.rows).sum::<u64>() <= reserved.rows);
            prop_assert!(out().map(|(t, ..)| t.0.bytes).sum::<u64>() <= reserved.bytes);
            let named: BTreeSet<_> = out().flat_map(|(_, who, _)| who).collect();
            let unnamed: u64 = out().map(|(.., unnamed)| unnamed).sum();
            prop_assert!(named.len() as u64 + unnamed <= reserved.subjects);
        }
    }

    /// Of what is stored nothing is lost.
    #[test]
    fn what_is_reserved_reads_back(rows in 0u64..10, who in prop::collection::vec(0u8..2, 0..3)) {
        let (mut stored, mut process) = (Stored::default(), Process::default());
        process.take(&mut stored, rows, 0, &who, 0).unwrap();
        let text = serde_json::to_string(&stored.all).unwrap();
        prop_assert_eq!(serde_json::from_str::<Reserved>(&text).unwrap(), stored.all);
    }
}
