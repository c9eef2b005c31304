//! What the entries say, day by day: read from the mirror's folder in the background.

use std::{collections::BTreeMap, path::Path};

use crate::{
    bundle::{BUNDLE_BYTES_MAX, ENTRY_BYTES_MAX},
    codes::Kind,
    daymap::DAY_SECONDS,
    header::Header,
    note::VerifierKey,
    sample::{Choice, choice},
    siteleaf::{Enrolled, Role, SiteBody},
    sitelog::{FolderError, Site, State},
    summary::{Crossings, Volume, count_crossing, reason_word},
};

/// Longer between two entries of the site log is a gap (`docs/formats/site-log.md`).
const GAP_SECONDS_MAX: u64 = 10;
/// Days that are told apart: a hundred years, which only a lying clock needs.
const DAYS_MAX: usize = 36_600;
/// Samples that are listed; all are counted.
const SAMPLES_MAX: usize = 10_000;
/// Entries that a request for samples asks for, as `clover-audit sample` does by itself.
pub(super) const SAMPLE_COUNT: u64 = 16;

/// Everything that was counted at one time.
#[derive(Default)]
pub(super) struct Tally {
    /// When it was read, by this machine's clock.
    pub(super) at: u64,
    /// The newest time of the site log.
    pub(super) newest: u64,
    pub(super) logs: Vec<Counted>,
    pub(super) days: BTreeMap<u64, Day>,
    /// The newest last.
    pub(super) samples: Vec<Sampled>,
    /// Entries that were ever opened and when the last was, by origin.
    pub(super) opened: BTreeMap<String, (u64, u64)>,
    /// What a request would open now.
    pub(super) choices: Vec<Choice>,
    pub(super) rounds: u64,
    pub(super) gaps: u64,
    /// What could not be counted, and why.
    pub(super) failures: Vec<String>,
}

/// A log of the site.
#[derive(Clone)]
pub(super) struct Counted {
    pub(super) enrolled: Enrolled,
    pub(super) retired: bool,
}

/// One day.
#[derive(Default)]
pub(super) struct Day {
    /// Entries of gateways.
    pub(super) entries: u64,
    pub(super) crossings: Crossings,
    pub(super) refusals: BTreeMap<&'static str, u64>,
}

/// One request for samples, as the site log has it.
pub(super) struct Sampled {
    pub(super) time: u64,
    /// Its place in the site log.
    pub(super) place: u64,
    pub(super) origin: String,
    /// Size of the checkpoint that chose.
    pub(super) size: u64,
    pub(super) indices: Vec<u64>,
}

impl Day {
    /// Adds another day's numbers.
    pub(super) fn merge(&mut self, other: &Self) {
        self.entries += other.entries;
        let (sum, more) = (&mut self.crossings, &other.crossings);
        sum.streams += more.streams;
        add(&mut sum.total, more.total);
        for (sum, more) in [
            (&mut sum.by_country, &more.by_country),
            (&mut sum.by_class, &more.by_class),
            (&mut sum.by_treatment, &more.by_treatment),
            (&mut sum.by_purpose, &more.by_purpose),
        ] {
            for (word, volume) in more {
                add(sum.entry(word.clone()).or_default(), *volume);
            }
        }
        for (reason, count) in &other.refusals {
            *self.refusals.entry(reason).or_default() += count;
        }
    }

    pub(super) fn refused(&self) -> u64 {
        self.refusals.values().sum()
    }

    fn count(&mut self, header: &Header) {
        self.entries += 1;
        match header.kind {
            Kind::Answer | Kind::Open | Kind::Close => count_crossing(header, &mut self.crossings),
            Kind::Refusal => *self.refusals.entry(reason_word(header)).or_default() += 1,
            _ => {}
        }
    }
}

fn add(sum: &mut Volume, more: Volume) {
    sum.crossings = sum.crossings.saturating_add(more.crossings);
    sum.rows = sum.rows.saturating_add(more.rows);
    sum.bytes = sum.bytes.saturating_add(more.bytes);
}

impl Tally {
    /// Reads everything that the mirror holds. A gateway's log that does not lead to its signed root counts nowhere.
    pub(super) fn read(mirror: &Path, key: &VerifierKey, now: u64) -> Result<Self, FolderError> {
        let site = Site::open(mirror, key)?;
        let mut tally = Self { at: now, ..Self::default() };
        let state = tally.read_site(&site)?;
        let all = state.enrolled.iter().map(|log| (log, false));
        for (enrolled, retired) in all.chain(state.retired.iter().map(|log| (log, true))) {
            tally.logs.push(Counted { enrolled: enrolled.clone(), retired });
            if enrolled.role != Role::Gateway {
                continue;
            }
            if let Err(error) = tally.read_gateway(&site, &state, enrolled, retired) {
                let origin = enrolled.origin.escape_debug();
                tally.failures.push(format!("The entries of `{origin}` are not counted: {error}"));
            }
        }
        Ok(tally)
    }

    /// The sums of some days.
    pub(super) fn sum(&self, from: u64, to: u64) -> Day {
        let mut sum = Day::default();
        if from <= to {
            self.days.range(from..=to).for_each(|(_, day)| sum.merge(day));
        }
        sum
    }

    fn read_site(&mut self, site: &Site) -> Result<State, FolderError> {
        let (mut state, mut last) = (State::default(), None);
        site.each(|leaf| {
            let gap = last.map_or(0, |last| leaf.time.saturating_sub(last));
            self.gaps += u64::from(gap > GAP_SECONDS_MAX);
            last = last.max(Some(leaf.time));
            match &leaf.body {
                SiteBody::Round(_) => self.rounds += 1,
                SiteBody::Sample(sample) => {
                    let (count, newest) = self.opened.entry(sample.origin.clone()).or_default();
                    *count += sample.indices.len() as u64;
                    *newest = leaf.time.max(*newest);
                    self.samples.push(Sampled {
                        time: leaf.time,
                        place: leaf.sequence,
                        origin: sample.origin.clone(),
                        size: sample.size,
                        indices: sample.indices.clone(),
                    });
                    if self.samples.len() >= 2 * SAMPLES_MAX {
                        self.samples.drain(..SAMPLES_MAX);
                    }
                }
                _ => {}
            }
            state.take(leaf);
            Ok(())
        })?;
        self.newest = last.unwrap_or(0);
        Ok(state)
    }

    fn read_gateway(
        &mut self,
        site: &Site,
        state: &State,
        enrolled: &Enrolled,
        retired: bool,
    ) -> Result<(), FolderError> {
        let log = site.open_log(enrolled)?;
        let (mut days, mut beyond, mut unreadable) = (BTreeMap::<u64, Day>::new(), 0_u64, 0_u64);
        log.each(BUNDLE_BYTES_MAX, ENTRY_BYTES_MAX, |_, leaf| {
            let Ok((header, _)) = Header::parse(leaf) else {
                unreadable += 1;
                return Ok::<_, FolderError>(());
            };
            let day = header.time / DAY_SECONDS;
            if days.len() < DAYS_MAX || days.contains_key(&day) {
                days.entry(day).or_default().count(&header);
            } else {
                beyond += 1;
            }
            Ok(())
        })?;
        for (day, counted) in &days {
            if self.days.len() < DAYS_MAX || self.days.contains_key(day) {
                self.days.entry(*day).or_default().merge(counted);
            } else {
                beyond += counted.entries;
            }
        }
        let origin = enrolled.origin.escape_debug();
        if beyond + unreadable > 0 {
            let text = format!(
                "{unreadable} entries of `{origin}` cannot be read, and {beyond} are of days beyond counting"
            );
            self.failures.push(text);
        }
        if !retired && let Ok(Some(choice)) = choice(site, state, &log, SAMPLE_COUNT) {
            self.choices.push(choice);
        }
        Ok(())
    }
}
