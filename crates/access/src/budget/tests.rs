use proptest::prelude::*;

use super::*;

const MOST: Amount = Amount { rows: 10, bytes: 1000, subjects: 2 };

fn people(of: &[u8]) -> Vec<Tag> {
    of.iter().map(|b| Tag::new([*b; 16])).collect()
}

#[test]
fn a_person_counts_once_in_a_grants_life_and_the_one_too_many_takes_nothing() {
    let mut b = Budget::default();
    let _ = b.take(&MOST, 1, 100, &people(&[1]), 0).unwrap();
    let _ = b.take(&MOST, 1, 100, &people(&[1, 2]), 0).unwrap();
    let before = b.clone();
    assert_eq!(b.take(&MOST, 1, 100, &people(&[3]), 0), Err(Spent("people")));
    assert_eq!(b.take(&MOST, 1, 100, &[], 1), Err(Spent("people")));
    assert_eq!(b.take(&MOST, 9, 100, &people(&[1]), 0), Err(Spent("rows")));
    assert_eq!(b.take(&MOST, 1, 801, &people(&[1]), 0), Err(Spent("bytes")));
    assert_eq!(b, before);
    assert_eq!(b.taken(), Amount { rows: 2, bytes: 200, subjects: 2 });
}

#[test]
fn what_did_not_cross_is_there_again() {
    let mut b = Budget::default();
    let kept = b.take(&MOST, 1, 1, &people(&[1]), 0).unwrap();
    let before = b.clone();
    let taken = b.take(&MOST, 2, 3, &people(&[1, 2]), 0).unwrap();
    b.give_back(&taken);
    assert_eq!(b, before);
    b.give_back(&kept);
    assert_eq!(b, Budget::default());
}

#[test]
fn somebody_who_crossed_stays_counted_when_the_crossing_that_named_them_first_is_given_back() {
    let mut b = Budget::default();
    let one = Amount { subjects: 1, ..MOST };
    let first = b.take(&one, 1, 1, &people(&[1]), 0).unwrap();
    let _crossed = b.take(&one, 1, 1, &people(&[1]), 0).unwrap();
    b.give_back(&first);
    assert_eq!(b.take(&one, 1, 1, &people(&[2]), 0), Err(Spent("people")));
}

#[test]
fn a_process_reserves_an_eighth_or_what_it_needs_and_never_more_than_is_left() {
    let most = Amount { rows: 80, bytes: 800, subjects: 1 };
    let mut all = Reserved::default();
    let lacks = |rows, bytes, subjects| Amount { rows, bytes, subjects };
    assert_eq!(all.reserve(&most, &lacks(1, 0, 1)).unwrap(), lacks(10, 0, 1));
    assert_eq!(all.reserve(&most, &lacks(65, 1, 0)).unwrap(), lacks(65, 100, 0));
    assert_eq!(all.reserve(&most, &lacks(6, 1, 0)), Err(Spent("rows")));
    assert_eq!(all.reserve(&most, &lacks(1, 0, 1)), Err(Spent("people")));
    assert_eq!(all.reserve(&most, &lacks(1, 0, 0)).unwrap(), lacks(5, 0, 0));
    assert_eq!(all.reserved(), lacks(80, 100, 1));
}

#[test]
fn whom_a_settled_process_counted_costs_the_next_one_nothing() {
    let mut all = Reserved::default();
    let mut first = Process::default();
    assert!(first.take(&mut all, 1, 10, &[1, 2], 0));
    all.settle(&first.share.rest());
    assert_eq!(all.reserved(), Amount { rows: 1, bytes: 10, subjects: 2 });
    let mut second = Process::default();
    assert!(second.take(&mut all, 1, 10, &[1, 2], 0));
    assert!(!second.take(&mut all, 1, 10, &[3], 0));
}

/// A process with what it took and has not given back.
#[derive(Default)]
struct Process {
    share: Share,
    out: Vec<(Taken, Vec<u8>, u64)>,
}

impl Process {
    fn take(&mut self, all: &mut Reserved, rows: u64, bytes: u64, who: &[u8], unnamed: u64) -> bool {
        self.share.learn(all);
        let taken = match self.share.take(rows, bytes, &people(who), unnamed) {
            Ok(taken) => taken,
            Err(lacks) => {
                let Ok(chunk) = all.reserve(&MOST, &lacks) else { return false };
                self.share.add(&chunk);
                self.share.take(rows, bytes, &people(who), unnamed).expect("it was reserved")
            }
        };
        self.out.push((taken, who.to_vec(), unnamed));
        true
    }
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
        let (mut b, mut out) = (Budget::default(), Vec::<(Taken, Vec<u8>)>::new());
        for (give, rows, bytes, who) in steps {
            if give && !out.is_empty() {
                b.give_back(&out.swap_remove(0).0);
            } else if let Ok(taken) = b.take(&MOST, rows, bytes, &people(&who), 0) {
                out.push((taken, who));
            }
            prop_assert!(b.taken().within(&MOST));
            prop_assert_eq!(b.taken().rows, out.iter().map(|(t, _)| t.rows).sum::<u64>());
            let named: BTreeSet<_> = out.iter().flat_map(|(_, who)| who).collect();
            prop_assert_eq!(b.taken().subjects, named.len() as u64);
        }
    }

    /// Several processes with one grant: whoever settles or crashes when, what crossed is within the amount.
    #[test]
    fn no_number_of_processes_takes_more_than_the_amount(steps in prop::collection::vec(step(), 0..80)) {
        let mut all = Reserved::default();
        let mut processes: [Process; 3] = Default::default();
        let mut crossed: Vec<(Taken, Vec<u8>, u64)> = Vec::new();
        for (who, step) in steps {
            let process = &mut processes[who];
            match step {
                Step::Take { rows, bytes, who, unnamed } => {
                    process.take(&mut all, rows, bytes, &who, unnamed);
                }
                Step::GiveBack(n) if n < process.out.len() => {
                    let (taken, ..) = process.out.swap_remove(n);
                    process.share.give_back(&taken);
                }
                Step::GiveBack(_) => {}
                Step::Settle => {
                    all.settle(&process.share.rest());
                    crossed.append(&mut std::mem::take(process).out);
                }
                Step::Crash => crossed.append(&mut std::mem::take(process).out),
            }
            let out = || crossed.iter().chain(processes.iter().flat_map(|p| &p.out));
            prop_assert!(all.reserved().within(&MOST));
            prop_assert!(out().map(|(t, ..)| t.rows).sum::<u64>() <= all.reserved().rows);
            prop_assert!(out().map(|(t, ..)| t.bytes).sum::<u64>() <= all.reserved().bytes);
            let named: BTreeSet<_> = out().flat_map(|(_, who, _)| who).collect();
            let unnamed: u64 = out().map(|(.., unnamed)| unnamed).sum();
            prop_assert!(named.len() as u64 + unnamed <= all.reserved().subjects);
        }
    }

    /// Of what is stored nothing is lost.
    #[test]
    fn what_is_reserved_reads_back(rows in 0u64..10, who in prop::collection::vec(0u8..2, 0..3)) {
        let (mut all, mut process) = (Reserved::default(), Process::default());
        process.take(&mut all, rows, 0, &who, 0);
        all.settle(&process.share.rest());
        let text = serde_json::to_string(&all).unwrap();
        prop_assert_eq!(serde_json::from_str::<Reserved>(&text).unwrap(), all);
    }
}
