use proptest::prelude::*;

use super::*;
use crate::{
    daymap::{DayMaps, tests::Site},
    testsite::{DAY, ORIGINS, small_logs},
};

/// Logs that end with the second day, as they are when the map of the first is made.
fn two_days() -> Site {
    Site::new(small_logs().map(|mut log| {
        log.retain(|small| small.time / DAY_SECONDS < DAY + 2);
        log
    }))
}

fn collect(ahead: &mut Ahead, site: &Site, day: u64, sizes: [u64; 2]) {
    let folders = site.folders();
    let held = [0, 1].map(|n| Held { origin: ORIGINS[n], folder: &folders[n], size: sizes[n] });
    while ahead.collect(day, &held, 100).unwrap() {}
}

fn build_ahead(ahead: &mut Ahead, site: &Site, day: u64, ranges: [(u64, u64); 2]) -> Built {
    let folders = site.folders();
    let source =
        |n: usize| Source { origin: ORIGINS[n], folder: &folders[n], from: ranges[n].0, to: ranges[n].1 };
    ahead.build(day, &[source(0), source(1)], 1000).unwrap()
}

fn done(ahead: &Ahead, before: Work) -> (u64, u64) {
    let now = ahead.work();
    (now.entries - before.entries, now.pairs - before.pairs)
}

#[test]
fn a_final_map_reads_only_the_entries_that_were_not_read_ahead() {
    let site = two_days();
    let mut ahead = Ahead::new(50);
    let [(_, a), (_, b)] = site.all();
    collect(&mut ahead, &site, DAY, [a - 7, b - 2]);
    let before = ahead.work();
    assert_eq!(build_ahead(&mut ahead, &site, DAY, site.all()), site.honest(DAY, site.all()));
    assert_eq!(done(&ahead, before).0, 9);
}

#[test]
fn a_day_that_is_over_is_hashed_before_its_map_comes() {
    let site = two_days();
    let mut ahead = Ahead::new(50);
    collect(&mut ahead, &site, DAY, site.all().map(|(_, to)| to));
    let before = ahead.work();
    assert!(before.pairs > 0);
    assert_eq!(build_ahead(&mut ahead, &site, DAY, site.all()), site.honest(DAY, site.all()));
    assert_eq!(done(&ahead, before), (0, 0), "nothing is left to do");
    // Of the next day nothing is read again either.
    collect(&mut ahead, &site, DAY + 1, site.all().map(|(_, to)| to));
    assert_eq!(build_ahead(&mut ahead, &site, DAY + 1, site.all()), site.honest(DAY + 1, site.all()));
    assert_eq!(done(&ahead, before).0, 0);
}

#[test]
fn an_entry_that_comes_after_its_day_was_hashed_is_in_the_map() {
    let mut logs = small_logs();
    let late = logs[0].iter().find(|small| small.tags.len() == 2).unwrap().clone();
    logs.iter_mut().for_each(|log| log.retain(|small| small.time / DAY_SECONDS < DAY + 2));
    logs[0].push(late);
    let site = Site::new(logs);
    let mut ahead = Ahead::new(50);
    let [(_, a), (_, b)] = site.all();
    collect(&mut ahead, &site, DAY, [a - 1, b]);
    let first = build_ahead(&mut ahead, &site, DAY, [(0, a - 1), (0, b)]);
    let whole = build_ahead(&mut ahead, &site, DAY, site.all());
    assert_eq!(whole, site.honest(DAY, site.all()));
    assert_eq!(whole.pairs, first.pairs + 2);
}

#[test]
fn a_map_that_lies_is_refused_however_much_was_read_ahead() {
    let site = two_days();
    let folders = site.folders();
    let sizes = site.all().map(|(_, to)| to);
    let held = [0, 1].map(|n| Held { origin: ORIGINS[n], folder: &folders[n], size: sizes[n] });
    for collected in [[0, 0], [100, 256], sizes] {
        let mut ahead = Ahead::new(50);
        collect(&mut ahead, &site, DAY, collected);
        let honest = site.entry(DAY, &DayMaps::default());
        let time = (DAY + 1) * DAY_SECONDS;
        for lie in 0..4 {
            let mut entry = honest.clone();
            match lie {
                0 => entry.root[7] ^= 1,
                1 => entry.tags += 1,
                2 => entry.pairs -= 1,
                _ => entry.inputs[1].root[0] ^= 1,
            }
            let mut maps = DayMaps::default();
            assert!(maps.check_ahead(&entry, time, &held, &mut ahead).is_err(), "{collected:?} {lie}");
        }
        DayMaps::default().check_ahead(&honest, time, &held, &mut ahead).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn what_is_read_ahead_gives_the_map_of_the_entries(
        steps in prop::collection::vec((0_u64..4, prop::array::uniform2((0_u64..=900, 0_u64..=900)), any::<bool>()), 1..12),
        held in 1_usize..400,
    ) {
        // Three days, so that a log may go on beyond the two that are collected.
        let site = Site::new(small_logs());
        let sizes = site.all().map(|(_, to)| to);
        let mut ahead = Ahead::new(held);
        for (day, ranges, collects) in steps {
            if collects {
                collect(&mut ahead, &site, DAY + day, [0, 1].map(|n| ranges[n].1.min(sizes[n])));
            }
            let ranges = [0, 1].map(|n| {
                let (one, other) = (ranges[n].0.min(sizes[n]), ranges[n].1.min(sizes[n]));
                (one.min(other), one.max(other))
            });
            for day in [DAY + day, DAY + 1] {
                prop_assert_eq!(build_ahead(&mut ahead, &site, day, ranges), site.honest(day, ranges));
            }
        }
    }
}
