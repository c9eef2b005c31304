//! Unusual volume, repeated exports and bursts of refusals: sums in windows of time.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use super::{
    entry::{Out, SeenEntry},
    finding::WatchRule,
    top::{Top, threshold},
};
use crate::{
    codes::{Kind, purpose_name},
    hash::sha256,
    rulebook::ShortName,
    tree::hex_of,
};

const HOUR: u64 = 3600;
/// Days back of which the same hour is compared.
const DAYS: u64 = 7;
/// Fewer such hours, and the last hours are compared instead.
const DAYS_LEAST: usize = 3;
const HOURS: u64 = 24;
/// Entries may stand so many windows before the newest: times go back by at most 300 s.
const MINUTES_HELD: u64 = 7;

/// The sums of one measure, by hour.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Hours {
    hours: BTreeMap<u64, Top>,
    /// The first hour that was seen.
    first: Option<u64>,
}

/// What one sum is compared with.
struct Measure {
    rule: WatchRule,
    unit: &'static str,
    floor: u64,
}

impl Hours {
    fn add(&mut self, measure: &Measure, key: &str, weight: u64, entry: &SeenEntry<'_>, out: &mut Out<'_>) {
        let (limits, hour) = (out.limits, entry.header.time / HOUR);
        let first = *self.first.get_or_insert(hour);
        let newest = self.hours.last_key_value().map_or(hour, |(newest, _)| *newest);
        if hour > newest {
            self.turn(hour, measure.floor);
        }
        let samples: Vec<u64> = hours_before(hour, first).map(|hour| self.most(hour, key)).collect();
        let unusual = threshold(&samples, limits.volume_k, measure.floor);
        let keys_max = usize::try_from(limits.keys_max).unwrap_or(usize::MAX);
        let sum = self.hours.entry(hour).or_default().add(key, weight, keys_max);
        if sum.most <= unusual || sum.told {
            return;
        }
        sum.told = true;
        let (most, least) = (sum.most, sum.most - sum.error);
        let between = if least == most { most.to_string() } else { format!("between {least} and {most}") };
        let text = format!(
            "{between} {} in the hour from {}; more than {unusual} is unusual ({} hours compared)",
            measure.unit,
            hour * HOUR,
            samples.len()
        );
        out.entry(measure.rule, entry, format!("{} {key}", measure.unit), text);
    }

    fn most(&self, hour: u64, key: &str) -> u64 {
        self.hours.get(&hour).map_or(0, |top| top.most(key))
    }

    /// Forgets hours that are too old, and small sums of hours that are over. A small sum then counts as
    /// none, which makes the usual look smaller; the floor holds all the same.
    fn turn(&mut self, hour: u64, floor: u64) {
        let oldest = hour.saturating_sub(DAYS * 24);
        self.hours = self.hours.split_off(&oldest);
        for (_, top) in self.hours.range_mut(..hour.saturating_sub(1)) {
            top.trim(floor / 10);
        }
    }
}

/// The hours that `hour` is compared with, none of them before `first`. An hour without entries counts as 0.
fn hours_before(hour: u64, first: u64) -> impl Iterator<Item = u64> {
    let back = move |step: u64, count: u64| {
        (1..=count)
            .map_while(move |number| hour.checked_sub(number * step))
            .filter(move |hour| *hour >= first)
    };
    let by_day = back(24, DAYS).count() >= DAYS_LEAST;
    if by_day { back(24, DAYS) } else { back(1, HOURS) }
}

/// Everything that is summed up.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Volumes {
    actor_rows: Hours,
    actor_bytes: Hours,
    purpose_rows: Hours,
    purpose_bytes: Hours,
    destination_rows: Hours,
    destination_bytes: Hours,
    exports: BTreeMap<u64, Top>,
    actor_refusals: BTreeMap<u64, Top>,
    lane_refusals: BTreeMap<u64, Top>,
}

impl Volumes {
    pub(super) fn entry(&mut self, entry: &SeenEntry<'_>, out: &mut Out<'_>) {
        match entry.header.kind {
            // What a stream released is known when it is closed.
            Kind::Answer | Kind::Close => {
                self.released(entry, out);
                self.export(entry, out);
            }
            Kind::Refusal => self.refused(entry, out),
            _ => {}
        }
    }

    fn released(&mut self, entry: &SeenEntry<'_>, out: &mut Out<'_>) {
        let (header, limits) = (entry.header, out.limits);
        let (rows, bytes) = (u64::from(header.rows), header.bytes);
        let actor = HEXLOWER.encode(&header.actor);
        let purpose = purpose_name(header.purpose);
        let destination = String::from_utf8_lossy(&header.destination).into_owned();
        let measure = |rule, unit, floor| Measure { rule, unit, floor };
        let of_actor = |unit, floor| measure(WatchRule::ActorVolume, unit, floor);
        let of_purpose = |unit, floor| measure(WatchRule::PurposeVolume, unit, floor);
        let of_place = |unit, floor| measure(WatchRule::DestinationVolume, unit, floor);
        self.actor_rows.add(&of_actor("rows", limits.actor_rows_per_hour), &actor, rows, entry, out);
        self.actor_bytes.add(&of_actor("bytes", limits.actor_bytes_per_hour), &actor, bytes, entry, out);
        self.purpose_rows.add(&of_purpose("rows", limits.purpose_rows_per_hour), purpose, rows, entry, out);
        self.purpose_bytes.add(
            &of_purpose("bytes", limits.purpose_bytes_per_hour),
            purpose,
            bytes,
            entry,
            out,
        );
        let floor = limits.destination_rows_per_hour;
        self.destination_rows.add(&of_place("rows", floor), &destination, rows, entry, out);
        let floor = limits.destination_bytes_per_hour;
        self.destination_bytes.add(&of_place("bytes", floor), &destination, bytes, entry, out);
    }

    fn export(&mut self, entry: &SeenEntry<'_>, out: &mut Out<'_>) {
        let header = entry.header;
        if u64::from(header.rows) < out.limits.export_rows {
            return;
        }
        let key = export_name(entry);
        let (actor, lane) = (HEXLOWER.encode(&header.actor), HEXLOWER.encode(&header.lane));
        let destination = String::from_utf8_lossy(&header.destination).into_owned();
        let text = move |count: &str| {
            format!(
                "the same fields went {count} times in an hour to `{destination}`, to actor {actor} on lane {lane}"
            )
        };
        let most = out.limits.exports_per_hour;
        let Some(sum) = counted(&mut self.exports, HOUR, 2, &key, most, entry, out) else { return };
        out.entry(WatchRule::RepeatedExport, entry, format!("export {key}"), text(&sum));
    }

    fn refused(&mut self, entry: &SeenEntry<'_>, out: &mut Out<'_>) {
        let header = entry.header;
        let (actor_most, lane_most) =
            (out.limits.actor_refusals_per_minute, out.limits.lane_refusals_per_minute);
        // Who could not be identified has no tag, and what no lane takes has no name.
        if header.actor != [0; 16] {
            let key = HEXLOWER.encode(&header.actor);
            let windows = &mut self.actor_refusals;
            if let Some(sum) = counted(windows, 60, MINUTES_HELD, &key, actor_most, entry, out) {
                let text = format!("{sum} refusals in a minute");
                out.entry(WatchRule::DeniedBurst, entry, format!("actor {key}"), text);
            }
        }
        if header.lane != ShortName::default() {
            let key = HEXLOWER.encode(&header.lane);
            let windows = &mut self.lane_refusals;
            if let Some(sum) = counted(windows, 60, MINUTES_HELD, &key, lane_most, entry, out) {
                let text = format!("{sum} refusals in a minute");
                out.entry(WatchRule::DeniedBurst, entry, format!("lane {key}"), text);
            }
        }
    }
}

/// The same for the same fields on the same way to the same actor and country.
pub(super) fn export_name(entry: &SeenEntry<'_>) -> String {
    let header = entry.header;
    // The close of a stream has no facts: its fields are told apart by their classes and treatments only.
    let codes = [header.classes, header.treatments];
    let mut name = [&header.lane[..], &header.actor, &header.destination, &codes].concat();
    name.extend(entry.fields());
    hex_of(&sha256(&name)).chars().take(32).collect()
}

/// Counts one more in its window, and says how many they are when that is `enough` for the first time.
fn counted(
    windows: &mut BTreeMap<u64, Top>,
    seconds: u64,
    held: u64,
    key: &str,
    enough: u64,
    entry: &SeenEntry<'_>,
    out: &Out<'_>,
) -> Option<String> {
    let window = entry.header.time / seconds;
    let newest = windows.last_key_value().map_or(window, |(newest, _)| window.max(*newest));
    *windows = windows.split_off(&newest.saturating_sub(held - 1));
    let keys_max = usize::try_from(out.limits.keys_max).unwrap_or(usize::MAX);
    let sum = windows.entry(window).or_default().add(key, 1, keys_max);
    if sum.most < enough || sum.told {
        return None;
    }
    sum.told = true;
    let least = sum.most - sum.error;
    Some(if sum.error == 0 { sum.most.to_string() } else { format!("between {least} and {}", sum.most) })
}
