//! A person's history: every crossing of a period that names them, with its proofs, or the proof that there is
//! none. Form: `docs/formats/day-map.md`.
//!
//! Whoever makes one only fetches: [`Period::begin`] says which maps to ask for which tag, [`Questions::answered`]
//! which entries to prove, and [`Entries::proved`] gives the file. Each step checks what it is given, so no
//! history leaves here that a checker would refuse; [`History::check`] takes a file the same way again.

use model::{Tag, UnixSeconds};

use crate::checkpoint::Checkpoint;
use crate::daymap::{Answer, AnswerError, Calendar, CalendarError, Pair};
use crate::detail::{self, SecretKey};
use crate::entry::{Entry, EntryError, short_name};
use crate::merkle::{self, Hash, ProofError, TreeHead};
use crate::site::{self, DayMapEntry, Input, SiteEntry, SiteError};

mod file;

pub use file::History;

/// Longest period in days.
pub const DAYS_MAX: u32 = 3_660;

/// Whose history, and of when.
pub struct Period {
    /// Name of the log set (`docs/formats/detail.md`).
    pub log_set: String,
    /// The person's tag key. The file holds it: it is for their own hands.
    pub tag_key: SecretKey,
    /// First day, as days since 1970-01-01 UTC.
    pub from: u32,
    /// Last day.
    pub to: u32,
}

impl std::fmt::Debug for Period {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Period").field("from", &self.from).field("to", &self.to).finish_non_exhaustive()
    }
}

/// A leaf of the site log, and the proof that it stands in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proved {
    /// Its index.
    pub index: u64,
    /// Its bytes.
    pub leaf: Vec<u8>,
    /// The proof, as [`merkle::prove_several`] gives it.
    pub proof: Vec<Hash>,
}

/// Leaves of a gateway's log, and one proof that they stand in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaves {
    /// Their bytes, in the order of [`Wanted::indices`].
    pub leaves: Vec<Vec<u8>>,
    /// The proof, as [`merkle::prove_several`] gives it.
    pub proof: Vec<Hash>,
}

/// The maps that cover the period.
#[derive(Debug, Clone, Default)]
pub struct Maps {
    /// The newest final day-map entry of the site log, if there is one.
    pub anchor: Option<Proved>,
    /// The records that it counts.
    pub calendar: Calendar,
    /// A newer day-map entry that is not final, if the period needs it.
    pub interim: Option<Proved>,
}

/// A history that cannot be made, or one that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// The days are out of order or too many.
    #[error("the period is not of 1 to 3660 days in order")]
    Period,
    /// The text is not a checkpoint note, or of another tree than the one given.
    #[error("the checkpoint is not that of the site log")]
    Checkpoint,
    /// A leaf is not that of a day map.
    #[error("the site log's leaf `{0}` is not the day map that is needed")]
    Leaf(u64),
    /// A leaf of the site log cannot be read.
    #[error("cannot read a leaf of the site log")]
    Site(#[from] SiteError),
    /// The calendar is not the one that the anchor counts.
    #[error("the calendar is not the one that the newest final map counts")]
    Calendar,
    /// The calendar has a gap.
    #[error("cannot read the calendar")]
    Records(#[from] CalendarError),
    /// A day is in no map, and not before the first.
    #[error("day `{0}` is in no map")]
    Uncovered(u32),
    /// An answer does not hold.
    #[error("the answer for day `{day}` does not hold")]
    Answer {
        /// Days since 1970-01-01 UTC.
        day: u32,
        /// Why not.
        source: AnswerError,
    },
    /// More or fewer answers or entries than were asked for, or in another order.
    #[error("what was given is not what was asked for")]
    Given,
    /// A list names an entry of a log that the map's inputs do not name, or beyond them.
    #[error("a list names an entry that no input of the map covers")]
    Input,
    /// A leaf is not in its log, or not all of them are.
    #[error("leaves from `{index}` on are not in their log")]
    Proof {
        /// Index of the first.
        index: u64,
        /// Why not.
        source: ProofError,
    },
    /// An entry cannot be read.
    #[error("cannot read an entry")]
    Entry(#[from] EntryError),
    /// An entry is of another place, another day or another person than the list says.
    #[error("entry `{0}` is not the one that the list names")]
    Named(u64),
    /// Not the bytes of a history.
    #[error("this is no subject history: `{0}` is missing or of another form")]
    Form(&'static str),
}

/// A day, and what its map is to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Days since 1970-01-01 UTC.
    pub day: u32,
    /// The person's tag on that day.
    pub tag: Tag,
    /// Number of leaves and root of the map.
    pub map: TreeHead,
}

/// The entries of one log that the lists name, and the tree in which they are to be proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Origin of the log.
    pub origin: String,
    /// The log's size and root for the proof.
    pub log: TreeHead,
    /// The entries, ascending.
    pub indices: Vec<u64>,
    /// On which day, and by which tag, the map names each of them.
    named: Vec<(u32, Tag)>,
}

/// The first step: which maps to ask.
#[derive(Debug)]
pub struct Questions {
    period: Period,
    checkpoint: String,
    maps: Maps,
    /// The newest map, whose inputs the entries are proved against.
    newest: Option<DayMapEntry>,
    questions: Vec<Question>,
}

/// The second step: which entries to prove.
#[derive(Debug)]
pub struct Entries {
    asked: Questions,
    answers: Vec<Answer>,
    wanted: Vec<Wanted>,
}

impl Period {
    /// The person's tag in entries of a day. Form: `docs/formats/detail.md`.
    #[must_use]
    pub fn tag(&self, day: u32) -> Tag {
        detail::subject_tag(&self.tag_key, &self.log_set, day)
    }

    /// Begins a history. `note` is the cosigned checkpoint of the site log that the file will hold, and `site`
    /// what it says: the caller has opened it with the keys that it trusts.
    ///
    /// # Errors
    /// [`HistoryError`] when the maps are not in that site log or do not cover the period.
    ///
    /// ```
    /// # use ledger::{SecretKey, checkpoint::{Checkpoint, open}, daymap::DayMap, history::{History, HistoryError, Maps, Period}};
    /// // `site` is what `open` found in `note`; `map_of` reads the map of a day, `prove` asks a gateway's log.
    /// # fn history(note: &str, site: &Checkpoint, maps: Maps, map_of: impl Fn(u32) -> DayMap,
    /// #     prove: impl Fn(&ledger::history::Wanted) -> ledger::history::Leaves) -> Result<History, Box<dyn std::error::Error>> {
    /// let period = Period { log_set: "example".into(), tag_key: SecretKey::new([7; 32]), from: 20_000, to: 20_364 };
    /// let questions = period.begin(note, site, maps)?;
    /// let answers: Result<_, _> = questions.list().iter().map(|q| map_of(q.day).prove(&q.tag)).collect();
    /// let entries = questions.answered(answers?)?;
    /// let proved = entries.wanted().iter().map(prove).collect();
    /// Ok(entries.proved(proved)?)
    /// # }
    /// ```
    pub fn begin(self, note: &str, site: &Checkpoint, maps: Maps) -> Result<Questions, HistoryError> {
        if self.to < self.from || self.to - self.from >= DAYS_MAX {
            return Err(HistoryError::Period);
        }
        if !note.starts_with(&format!("{site}\n")) {
            return Err(HistoryError::Checkpoint);
        }
        let anchor = maps.anchor.as_ref().map(|a| day_map(a, site, true)).transpose()?;
        let interim = maps.interim.as_ref().map(|i| day_map(i, site, false)).transpose()?;
        check_calendar(&maps.calendar, anchor.as_ref(), interim.as_ref())?;
        let mut questions = Vec::new();
        for day in self.from..=self.to {
            let of_interim = interim.as_ref().filter(|i| i.day == day).map(head);
            match maps.calendar.day(day).map(|r| r.head()).or(of_interim) {
                Some(map) => questions.push(Question { day, tag: self.tag(day), map }),
                None if maps.calendar.records().first().is_some_and(|first| day < first.day) => {}
                None => return Err(HistoryError::Uncovered(day)),
            }
        }
        let newest = interim.or(anchor);
        Ok(Questions { period: self, checkpoint: note.to_owned(), maps, newest, questions })
    }
}

/// Number of leaves and root of a map as the site log states them.
fn head(map: &DayMapEntry) -> TreeHead {
    TreeHead { size: map.tags.saturating_add(2), root: map.root }
}

/// Reads a leaf of the site log that must be a day map, final or not.
fn day_map(proved: &Proved, site: &Checkpoint, is_final: bool) -> Result<DayMapEntry, HistoryError> {
    let index = proved.index;
    merkle::verify_several(&proved.proof, &[(index, merkle::leaf_hash(&proved.leaf))], &site.head())
        .map_err(|source| HistoryError::Proof { index, source })?;
    let leaf = site::decode(&proved.leaf)?;
    match leaf.entry {
        SiteEntry::DayMap(map)
            if map.is_final == is_final
                && leaf.sequence == index
                && leaf.log == short_name(site.origin()) =>
        {
            Ok(map)
        }
        _ => Err(HistoryError::Leaf(index)),
    }
}

/// The calendar is the anchor's and ends with it; the interim map is of a later day and counts no more.
fn check_calendar(
    calendar: &Calendar,
    anchor: Option<&DayMapEntry>,
    interim: Option<&DayMapEntry>,
) -> Result<(), HistoryError> {
    let counts = |map: &DayMapEntry, c: &Calendar| {
        c.head() == TreeHead { size: map.calendar_size, root: map.calendar_root }
    };
    let anchored = match (anchor, calendar.records().last()) {
        (None, None) => true,
        (Some(a), Some(last)) => {
            (last.day, last.root, last.tags, last.pairs) == (a.day, a.root, a.tags, a.pairs)
                && counts(a, calendar)
        }
        _ => false,
    };
    let follows = interim.is_none_or(|i| {
        let earlier = calendar.at(i.calendar_size);
        anchor.is_none_or(|a| i.day > a.day) && earlier.is_some_and(|c| counts(i, &c))
    });
    if anchored && follows { Ok(()) } else { Err(HistoryError::Calendar) }
}

impl Questions {
    /// The days whose maps are to be asked, ascending. Days before the first record are not among them.
    #[must_use]
    pub fn list(&self) -> &[Question] {
        &self.questions
    }

    /// Takes one answer for each question, in order.
    ///
    /// # Errors
    /// [`HistoryError`] when an answer does not hold, or names an entry that no input covers.
    pub fn answered(self, answers: Vec<Answer>) -> Result<Entries, HistoryError> {
        if answers.len() != self.questions.len() {
            return Err(HistoryError::Given);
        }
        let mut named = Vec::new();
        for (question, answer) in self.questions.iter().zip(&answers) {
            let (day, tag) = (question.day, question.tag);
            let checked = answer.verify(&tag, &question.map);
            checked.map_err(|source| HistoryError::Answer { day, source })?;
            named.extend(answer.list().iter().map(|pair| (*pair, (day, tag))));
        }
        named.sort_by_key(|(pair, _)| *pair);
        if !named.is_sorted_by(|a, b| a.0 < b.0) {
            return Err(HistoryError::Given);
        }
        let logs = named.chunk_by(|a, b| a.0.gateway == b.0.gateway);
        let wanted = logs.map(|of_log| self.want(of_log)).collect::<Result<_, _>>()?;
        Ok(Entries { asked: self, answers, wanted })
    }

    /// The entries of one log, which the newest map covers.
    fn want(&self, named: &[(Pair, (u32, Tag))]) -> Result<Wanted, HistoryError> {
        let covers =
            |i: &&Input| named.iter().all(|(p, _)| p.gateway == short_name(&i.origin) && p.index < i.to);
        let input = self.newest.iter().flat_map(|m| &m.inputs).find(covers).ok_or(HistoryError::Input)?;
        Ok(Wanted {
            origin: input.origin.clone(),
            log: TreeHead { size: input.to, root: input.root },
            indices: named.iter().map(|(pair, _)| pair.index).collect(),
            named: named.iter().map(|(_, by)| *by).collect(),
        })
    }
}

impl Entries {
    /// The logs of which entries are to be proved, in the order of the file.
    #[must_use]
    pub fn wanted(&self) -> &[Wanted] {
        &self.wanted
    }

    /// Takes the proved entries of each log, in order, and gives the file.
    ///
    /// # Errors
    /// [`HistoryError`] when an entry is not in its log, or not the one that the list names.
    pub fn proved(self, entries: Vec<Leaves>) -> Result<History, HistoryError> {
        if entries.len() != self.wanted.len() {
            return Err(HistoryError::Given);
        }
        self.wanted.iter().zip(&entries).try_for_each(|(wanted, proved)| check_log(wanted, proved))?;
        Ok(History::of(self, entries))
    }
}

fn check_log(wanted: &Wanted, proved: &Leaves) -> Result<(), HistoryError> {
    if proved.leaves.len() != wanted.indices.len() {
        return Err(HistoryError::Given);
    }
    let leaves = wanted.indices.iter().zip(&proved.leaves);
    let hashes: Vec<_> = leaves.clone().map(|(index, leaf)| (*index, merkle::leaf_hash(leaf))).collect();
    merkle::verify_several(&proved.proof, &hashes, &wanted.log).map_err(|source| HistoryError::Proof {
        index: wanted.indices.first().copied().unwrap_or_default(),
        source,
    })?;
    let gateway = short_name(&wanted.origin);
    for ((index, leaf), (day, tag)) in leaves.zip(&wanted.named) {
        let entry = Entry::decode(leaf)?;
        let place = entry.sequence == *index && entry.gateway == gateway;
        // Whether a tag list holds the tag, the header does not show: the map does.
        let person = entry.tag_root.is_some() || entry.draft.subjects.tags().contains(tag);
        if !(place && person && entry.draft.time.day() == *day) {
            return Err(HistoryError::Named(*index));
        }
    }
    Ok(())
}

/// `YYYY-MM-DD`.
fn date(day: u32) -> String {
    let mut text = UnixSeconds::midnight(day).rfc3339();
    text.truncate(10);
    text
}

/// Reads `YYYY-MM-DD` as days since 1970-01-01 UTC; `None` for any other text.
#[must_use]
pub fn day_of(date: &str) -> Option<u32> {
    let day = UnixSeconds::parse(&format!("{date}T00:00:00Z")).ok()?.day();
    (self::date(day) == date).then_some(day)
}

#[cfg(test)]
mod tests;
