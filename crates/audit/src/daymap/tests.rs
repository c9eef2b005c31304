use std::{fs, path::PathBuf};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::{
    siteleaf::DayMapInput,
    testsite::{DAY, ORIGINS, PageMap, Small, publish_gateway, small_logs as logs, tag},
};

fn by_the_page(day: u64, logs: &[(&str, &[Small], u64, u64)]) -> Built {
    let map = PageMap::new(day, logs);
    Built { root: map.root(), tags: map.tags(), pairs: map.pairs(), sentinels: 0 }
}

pub(super) struct Site {
    folder: TempDir,
    logs: [Vec<Small>; 2],
    roots: [Hash; 2],
}

impl Site {
    pub(super) fn new(logs: [Vec<Small>; 2]) -> Self {
        let folder = TempDir::new().unwrap();
        let roots = [0, 1].map(|n| publish_gateway(&folder.path().join(n.to_string()), ORIGINS[n], &logs[n]));
        Self { folder, logs, roots }
    }

    pub(super) fn folders(&self) -> [PathBuf; 2] {
        [0, 1].map(|n| self.folder.path().join(n.to_string()))
    }

    fn build(&self, day: u64, ranges: [(u64, u64); 2], held_max: usize) -> Result<Built, Problem> {
        let folders = self.folders();
        let sources = [0, 1].map(|n| Source {
            origin: ORIGINS[n],
            folder: &folders[n],
            from: ranges[n].0,
            to: ranges[n].1,
        });
        build(day, &sources, held_max)
    }

    pub(super) fn honest(&self, day: u64, ranges: [(u64, u64); 2]) -> Built {
        let log = |n: usize| (ORIGINS[n], &*self.logs[n], ranges[n].0, ranges[n].1);
        by_the_page(day, &[log(0), log(1)])
    }

    pub(super) fn all(&self) -> [(u64, u64); 2] {
        [0, 1].map(|n| (0, self.logs[n].len() as u64))
    }

    /// An honest final entry over whole logs, after `before`.
    pub(super) fn entry(&self, day: u64, before: &DayMaps) -> DayMapEntry {
        let built = self.honest(day, self.all());
        let mut after = before.clone();
        let mut entry = DayMapEntry {
            day,
            is_final: true,
            root: built.root,
            tags: built.tags,
            pairs: built.pairs,
            inputs: (0..2)
                .map(|n| DayMapInput {
                    origin: ORIGINS[n].into(),
                    from: 0,
                    to: self.logs[n].len() as u64,
                    root: self.roots[n],
                })
                .collect(),
            calendar_root: [0; 32],
            calendar_records: 0,
        };
        after.accept(&entry);
        entry.calendar_root = root_of(&after.records);
        entry.calendar_records = after.records.len() as u64;
        entry
    }

    fn check(&self, maps: &mut DayMaps, entry: &DayMapEntry) -> Result<Built, Problem> {
        let folders = self.folders();
        let held =
            [0, 1].map(|n| Held { origin: ORIGINS[n], folder: &folders[n], size: self.logs[n].len() as u64 });
        maps.check(entry, (entry.day + 1) * DAY_SECONDS, &held, PAIRS_HELD)
    }
}

#[test]
fn a_map_is_the_one_of_the_page_in_memory_and_from_runs() {
    let site = Site::new(logs());
    for day in DAY - 1..DAY + 4 {
        for ranges in [site.all(), [(100, 850), (3, 256)], [(0, 0), (256, 512)]] {
            let expected = site.honest(day, ranges);
            for held_max in [1_000_000, 300, 7] {
                assert_eq!(site.build(day, ranges, held_max).unwrap(), expected, "{day} {held_max}");
            }
        }
    }
    assert_eq!(
        site.build(DAY - 1, site.all(), 9).unwrap().tags,
        0,
        "a day without entries has two sentinels"
    );
}

#[test]
fn honest_days_are_accepted_in_their_order_only() {
    let site = Site::new(logs());
    let mut maps = DayMaps::default();
    for day in [DAY, DAY + 1, DAY + 2, DAY + 3] {
        let entry = site.entry(day, &maps);
        for other in [DAY - 1, day + 1] {
            let other = site.entry(other, &maps);
            assert!(matches!(site.check(&mut maps, &other), Err(Problem::Order { .. })));
        }
        site.check(&mut maps, &entry).unwrap();
        assert!(matches!(site.check(&mut maps, &entry), Err(Problem::Order { .. })), "again");
    }
    assert_eq!(maps.records.len(), 4);
}

#[test]
fn every_lie_in_a_day_map_entry_has_its_rule() {
    let site = Site::new(logs());
    let honest = site.entry(DAY, &DayMaps::default());
    let lie = |change: &dyn Fn(&mut DayMapEntry)| {
        let mut entry = honest.clone();
        change(&mut entry);
        let (mut maps, before) = (DayMaps::default(), DayMaps::default());
        let problem = site.check(&mut maps, &entry).unwrap_err();
        assert_eq!(maps.records, before.records, "a refused entry changes nothing");
        problem.rule()
    };
    assert_eq!(lie(&|entry| entry.root[31] ^= 1), Some(Rule::DayMap));
    assert_eq!(lie(&|entry| entry.tags += 1), Some(Rule::DayMap));
    assert_eq!(lie(&|entry| entry.pairs -= 1), Some(Rule::DayMap));
    assert_eq!(lie(&|entry| entry.inputs[1].root[0] ^= 1), Some(Rule::DayMap));
    assert_eq!(lie(&|entry| entry.inputs.truncate(1)), Some(Rule::DayMap));
    assert_eq!(lie(&|entry| entry.inputs[0].origin = "ledger.t/s/c".into()), Some(Rule::DayMap));
    assert_eq!(lie(&|entry| entry.calendar_root[0] ^= 1), Some(Rule::Calendar));
    assert_eq!(lie(&|entry| entry.calendar_records = 0), Some(Rule::Calendar));
    assert_eq!(lie(&|entry| entry.inputs[0].to += 1), None, "what is not held cannot be judged");
}

#[test]
fn an_entry_of_the_day_outside_of_its_final_map_is_found_at_both_ends() {
    let mut logs = logs();
    let late = Small { time: DAY * DAY_SECONDS + 86_399, tags: vec![tag(9)], ..Small::default() };
    let at = logs[0].iter().position(|small| small.time > (DAY + 1) * DAY_SECONDS + 100).unwrap();
    logs[0].insert(at, late);
    let site = Site::new(logs);
    let last = site.logs[0].iter().rposition(|small| small.time / DAY_SECONDS == DAY).unwrap() as u64;
    assert_eq!(last as usize, at);
    for (n, from, to) in [(0, 0, last), (1, 1, site.logs[1].len() as u64)] {
        let mut ranges = site.all();
        ranges[n] = (from, to);
        let built = site.honest(DAY, ranges);
        let mut entry = site.entry(DAY, &DayMaps::default());
        (entry.root, entry.tags, entry.pairs) = (built.root, built.tags, built.pairs);
        (entry.inputs[n].from, entry.inputs[n].to) = (from, to);
        let folder = site.folders()[n].clone();
        entry.inputs[n].root = Nodes::new(&Tree::new(&folder)).root_at(to).unwrap();
        let problem = site.check(&mut DayMaps::default(), &entry).unwrap_err();
        assert_eq!(problem.rule(), Some(Rule::DayMapLate), "{problem}");
    }
}

#[test]
fn a_map_is_not_final_before_its_day_is_over() {
    let site = Site::new(logs());
    let entry = site.entry(DAY, &DayMaps::default());
    let folders = site.folders();
    let held =
        [0, 1].map(|n| Held { origin: ORIGINS[n], folder: &folders[n], size: site.logs[n].len() as u64 });
    let time = (DAY + 1) * DAY_SECONDS - 1;
    let problem = DayMaps::default().check(&entry, time, &held, PAIRS_HELD);
    assert!(matches!(problem, Err(Problem::Early { .. })));
}

#[test]
fn a_tag_list_that_is_not_the_named_one_is_refused() {
    let site = Site::new(logs());
    let lists = site.folders()[1].join("tags");
    let list = fs::read_dir(&lists).unwrap().next().unwrap().unwrap().path();
    let good = fs::read(&list).unwrap();
    let mut flipped = good.clone();
    flipped[20] ^= 1;
    for bad in [&flipped, &good[..good.len() - 1], &[&good[..], &[7; 16]].concat(), &[]] {
        fs::write(&list, bad).unwrap();
        let found = (DAY..DAY + 3).find_map(|day| site.build(day, site.all(), 1000).err());
        assert!(matches!(found, Some(Problem::Entry { .. })), "{found:?}");
    }
    fs::remove_file(&list).unwrap();
    assert!((DAY..DAY + 3).any(|day| site.build(day, site.all(), 1000).is_err()));
}

#[test]
fn the_tag_of_a_sentinel_is_left_out_and_counted() {
    let honest = Site::new(logs());
    assert!(honest.logs[0][0].tags.is_empty());
    let mut logs = logs();
    logs[0][0].tags = vec![tag(0), tag(0xff)];
    let built = Site::new(logs).build(DAY, honest.all(), 1000).unwrap();
    assert_eq!(built, Built { sentinels: 2, ..honest.build(DAY, honest.all(), 1000).unwrap() });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]
    #[test]
    fn one_tag_more_less_or_moved_gives_another_root(place in 0_usize..60, byte in 1_u8..=250) {
        let short = || logs().map(|log| log[..60].to_vec());
        let honest = Site::new(short());
        let mut changed = short();
        let tags = &mut changed[0][place].tags;
        match tags.iter().position(|other| *other == tag(byte)) {
            Some(at) => { tags.remove(at); }
            None => { tags.push(tag(byte)); tags.sort_unstable(); }
        }
        let day = changed[0][place].time / DAY_SECONDS;
        let changed = Site::new(changed);
        let root = |site: &Site| site.build(day, site.all(), 100_000).unwrap().root;
        prop_assert_ne!(root(&honest), root(&changed));
    }
}
