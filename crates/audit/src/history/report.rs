//! What a history shows, for people and for programs.

use std::fmt;

use serde::Serialize;

use super::{
    Maps,
    file::{DayProof, History, date},
    words::Told,
};
use crate::{checkpoint::Checkpoint, quorum::Cosigner};

/// Whether others than the site vouch for the checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Witnessed {
    /// Nobody was asked.
    No,
    /// The quorum of the policy: names, and RFC 3339 times.
    By(Vec<(String, String)>),
}

impl Witnessed {
    pub(crate) fn by(cosigners: Vec<Cosigner>) -> Self {
        let told = |cosigner: Cosigner| (cosigner.name, super::words::instant(cosigner.time));
        Self::By(cosigners.into_iter().map(told).collect())
    }
}

impl fmt::Display for Witnessed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::By(cosigners) = self else { return f.write_str("not independently witnessed") };
        for (number, (name, time)) in cosigners.iter().enumerate() {
            let comma = if number > 0 { ", " } else { "" };
            write!(f, "{comma}{} at {time}", name.escape_debug())?;
        }
        Ok(())
    }
}

/// What a valid history shows.
#[derive(Clone, Debug, Serialize)]
pub struct HistoryReport {
    /// The site log.
    pub site: String,
    /// How many entries the site log had.
    pub size: u64,
    /// First and last day, `YYYY-MM-DD`.
    pub from: String,
    /// See `from`.
    pub to: String,
    /// Who vouches for the checkpoint.
    pub witnessed: Witnessed,
    /// Days whose final map was checked.
    pub days_final: u64,
    /// A day whose map is not final: only what was recorded when it was made is proved.
    pub day_open: Option<String>,
    /// Days before the record begins.
    pub days_before: u64,
    /// Days with entries that name the person.
    pub days_present: Vec<String>,
    /// Days of a map that names the person nowhere.
    pub days_absent: u64,
    /// The entries, by time.
    entries: Vec<Told>,
}

impl HistoryReport {
    pub(super) fn new(
        history: &History,
        maps: &Maps,
        checkpoint: &Checkpoint,
        witnessed: Witnessed,
        entries: Vec<Told>,
    ) -> Self {
        let count =
            |is: fn(&DayProof) -> bool| history.days.iter().filter(|day| is(&day.proof)).count() as u64;
        let open = maps.interim.as_ref().map(|map| map.day);
        let open = open.filter(|day| (history.from..=history.to).contains(day));
        let outside = count(|proof| matches!(proof, DayProof::Outside));
        let present = history.days.iter().filter(|day| matches!(day.proof, DayProof::Present(_)));
        Self {
            site: checkpoint.origin.clone(),
            size: checkpoint.size,
            from: date(history.from),
            to: date(history.to),
            witnessed,
            days_final: history.days.len() as u64 - outside - u64::from(open.is_some()),
            day_open: open.map(date),
            days_before: outside,
            days_present: present.map(|day| date(day.day)).collect(),
            days_absent: count(|proof| matches!(proof, DayProof::Absent(_))),
            entries,
        }
    }

    /// How many entries name the person.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.entries.len()
    }
}

impl fmt::Display for HistoryReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "site        {}, {} entries", self.site.escape_debug(), self.size)?;
        writeln!(f, "witnessed   {}", self.witnessed)?;
        writeln!(f, "period      {} to {}", self.from, self.to)?;
        writeln!(f, "days        {} over and proved", self.days_final)?;
        if let Some(day) = &self.day_open {
            writeln!(f, "            {day} proved up to its newest map; it is not over")?;
        }
        if self.days_before > 0 {
            writeln!(f, "            {} before the record begins", self.days_before)?;
        }
        writeln!(f, "without     {} days on which no entry names you", self.days_absent)?;
        writeln!(f, "with        {} days, {} entries in all", self.days_present.len(), self.entries.len())?;
        for entry in &self.entries {
            writeln!(f, "  {}", entry.line())?;
        }
        Ok(())
    }
}
