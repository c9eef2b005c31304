//! Exports that recur: the third one of the same fields, to the same person and country, at like distances of days.
//!
//! Whoever sends a table away every second week stays below every limit of an hour. Registered flows of services recur
//! by design and are known; this looks at people.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    entry::{Out, SeenEntry},
    finding::WatchRule,
    volume::export_name,
};
use crate::{codes::Kind, facts::PrincipalKind};

const DAY: u64 = 86_400;

/// The last days on which each export went out, at most three.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Recurring {
    days: BTreeMap<String, Vec<u64>>,
}

impl Recurring {
    pub(super) fn entry(&mut self, entry: &SeenEntry<'_>, out: &mut Out<'_>) {
        let header = entry.header;
        let person = entry.facts.is_some_and(|facts| facts.principal.kind == PrincipalKind::Employee);
        if header.kind != Kind::Answer || !person || u64::from(header.rows) < out.limits.recurring_rows {
            return;
        }
        let key = export_name(entry);
        let keys_max = usize::try_from(out.limits.keys_max).unwrap_or(usize::MAX);
        let (least, apart) = (out.limits.recurring_days, out.limits.recurring_days_apart);
        let Some((first, second)) = self.add(&key, header.time / DAY, keys_max, least, apart) else { return };
        let destination = String::from_utf8_lossy(&header.destination).into_owned();
        let text = format!(
            "the third export of the same fields to the same person, to `{destination}`, {first} and {second} days apart"
        );
        out.entry(WatchRule::RecurringExport, entry, format!("export {key}"), text);
    }

    /// Notes a day, and says how far the last three lie apart when that is regular.
    fn add(&mut self, key: &str, day: u64, keys_max: usize, least: u64, apart: u64) -> Option<(u64, u64)> {
        if !self.days.contains_key(key) && self.days.len() >= keys_max.max(1) {
            let oldest = self.days.iter().min_by_key(|(_, days)| days.last().copied());
            let oldest = oldest.map(|(key, _)| key.clone())?;
            self.days.remove(&oldest);
        }
        let days = self.days.entry(key.to_owned()).or_default();
        // Several on one day, or one that is recorded late, are one occasion.
        if days.last().is_some_and(|last| day <= *last) {
            return None;
        }
        days.push(day);
        if days.len() > 3 {
            days.remove(0);
        }
        let [a, b, c] = *days.as_slice() else { return None };
        let (first, second) = (b - a, c - b);
        (first >= least && second >= least && first.abs_diff(second) <= apart).then_some((first, second))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(days: &[u64]) -> Vec<(u64, u64)> {
        let mut all = Recurring::default();
        days.iter().filter_map(|day| all.add("x", *day, 8, 5, 2)).collect()
    }

    #[test]
    fn the_third_fortnightly_export_is_told_and_daily_work_and_chance_are_not() {
        assert_eq!(told(&[100, 114, 128]), [(14, 14)]);
        assert_eq!(told(&[100, 114, 129, 142]), [(14, 15), (15, 13)], "about every second week");
        assert_eq!(told(&(100..160).collect::<Vec<_>>()), [], "daily work");
        assert_eq!(told(&[100, 100, 114, 114, 128, 128]), [(14, 14)], "several on one day");
        assert_eq!(told(&[100, 106, 130, 190]), [], "no rhythm");
    }

    #[test]
    fn keys_are_bounded_and_the_one_that_rests_longest_gives_way() {
        let mut all = Recurring::default();
        for (key, day) in [("a", 1), ("b", 2), ("c", 3), ("b", 16), ("b", 30)] {
            let found = all.add(key, day, 2, 5, 2);
            assert_eq!(found.is_some(), day == 30);
        }
        assert!(all.days.len() <= 2 && !all.days.contains_key("a"));
    }
}
