//! What became of a set of records on its way into the region: a signed text in place of facts, a stage each.
//!
//! Form and rules: `docs/formats/migration.md`. [`Record`] is one text, [`Ways`] what all of them so far allow next.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use data_encoding::HEXLOWER;
use model::{Country, Name, UnixSeconds};

/// The first line.
pub const TITLE: &str = "clover migration v1";

/// How far a set is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// It lies at the source.
    Found,
    /// It came into the region; changes are followed.
    Copied,
    /// Both ends were compared whole, while nothing was written.
    Compared,
    /// Services were pointed to the region.
    Served,
    /// Services were pointed back.
    Undone,
    /// What is to be destroyed is on file, under the auditor's mark.
    Sealed,
    /// It is gone from the source.
    Destroyed,
    /// The auditor has looked.
    Witnessed,
}

impl Stage {
    /// All, in the order of the way.
    pub const ALL: [Self; 8] = [
        Self::Found,
        Self::Copied,
        Self::Compared,
        Self::Served,
        Self::Undone,
        Self::Sealed,
        Self::Destroyed,
        Self::Witnessed,
    ];

    /// Its word in the text.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Copied => "copied",
            Self::Compared => "compared",
            Self::Served => "served",
            Self::Undone => "undone",
            Self::Sealed => "sealed",
            Self::Destroyed => "destroyed",
            Self::Witnessed => "witnessed",
        }
    }

    /// Whether operator and auditor must sign.
    #[must_use]
    pub const fn signers(self) -> [bool; 2] {
        match self {
            Self::Sealed => [true, true],
            Self::Witnessed => [false, true],
            _ => [true, false],
        }
    }

    fn may_follow(self, last: Option<Self>) -> bool {
        match self {
            Self::Found => last.is_none(),
            Self::Copied => last == Some(Self::Found),
            Self::Compared => matches!(last, Some(Self::Copied | Self::Undone)),
            Self::Served => last == Some(Self::Compared),
            Self::Undone => last == Some(Self::Served),
            Self::Sealed => matches!(last, Some(Self::Served | Self::Sealed)),
            Self::Destroyed => matches!(last, Some(Self::Sealed | Self::Destroyed)),
            Self::Witnessed => last == Some(Self::Destroyed),
        }
    }

    /// Whether digests of source and target, and evidence, belong to it.
    const fn holds(self) -> ([bool; 2], bool) {
        match self {
            Self::Found | Self::Undone => ([false; 2], false),
            Self::Copied | Self::Compared | Self::Served => ([true; 2], false),
            Self::Sealed => ([true, false], true),
            Self::Destroyed | Self::Witnessed => ([false; 2], true),
        }
    }
}

/// One text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The programme.
    pub programme: Name,
    /// Which migration.
    pub migration: Name,
    /// Which set of it.
    pub set: Name,
    /// How far.
    pub stage: Stage,
    /// The old site and its country.
    pub source: (Name, Country),
    /// The resident site and its country.
    pub target: (Name, Country),
    /// Rows, bytes and people.
    pub amount: Amount,
    /// Digests of both ends.
    pub digests: [Option<[u8; 32]>; 2],
    /// SHA-256 of what stands behind it.
    pub evidence: Option<[u8; 32]>,
    /// What could not be destroyed from there, and by when the last of it is to be dealt with.
    pub open: (u64, UnixSeconds),
    /// When.
    pub time: UnixSeconds,
}

/// How much a set is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amount {
    /// Rows.
    pub rows: u64,
    /// Their bytes as they were sent.
    pub bytes: u64,
    /// People, of a set of people; else 0.
    pub people: u64,
}

/// Why a text is none, or does not count where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MigrationError {
    /// Another form.
    #[error("not a text as docs/formats/migration.md has it: {0}")]
    Form(&'static str),
    /// It cannot come after what is on record of its set.
    #[error("{0}")]
    Place(&'static str),
}

const fn form(what: &'static str) -> MigrationError {
    MigrationError::Form(what)
}

impl Record {
    /// The text that is signed.
    #[must_use]
    pub fn text(&self) -> String {
        let digest = |d: &Option<[u8; 32]>| d.map_or_else(|| "-".to_owned(), |d| HEXLOWER.encode(&d));
        let Amount { rows, bytes, people } = self.amount;
        let mut text = format!("{TITLE}\n{}\n", self.programme);
        let _ = writeln!(text, "{} {} {}", self.migration, self.set, self.stage.word());
        let _ = writeln!(text, "{} {} {} {}", self.source.0, self.source.1, self.target.0, self.target.1);
        let _ = writeln!(text, "rows {rows} bytes {bytes} people {people}");
        let [source, target] = [0, 1].map(|n| self.digests.get(n).map(digest).unwrap_or_default());
        let _ = writeln!(text, "digests {source} {target}\nevidence {}", digest(&self.evidence));
        let _ = writeln!(text, "open {} {}\n{}", self.open.0, self.open.1.0, self.time.0);
        text
    }

    /// Reads a text, without its signatures.
    ///
    /// # Errors
    /// [`MigrationError::Form`] for anything that [`Record::text`] would not write.
    pub fn parse(text: &str) -> Result<Self, MigrationError> {
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(' ').collect()).collect();
        let [title, programme, what, places, amount, digests, evidence, open, time] = lines.as_slice() else {
            return Err(form("nine lines"));
        };
        let ([programme], [migration, set, stage]) = (programme.as_slice(), what.as_slice()) else {
            return Err(form("programme, migration, set and stage"));
        };
        let [source, its, target, theirs] = places.as_slice() else { return Err(form("the sites")) };
        let ["rows", rows, "bytes", bytes, "people", people] = amount.as_slice() else {
            return Err(form("rows, bytes and people"));
        };
        let (["digests", here, there], ["evidence", evidence], ["open", open, until], [time]) =
            (digests.as_slice(), evidence.as_slice(), open.as_slice(), time.as_slice())
        else {
            return Err(form("digests, evidence, what is open, and the time"));
        };
        let stage = Stage::ALL.into_iter().find(|s| s.word() == *stage).ok_or(form("the stage"))?;
        let record = Self {
            programme: name(programme)?,
            migration: name(migration)?,
            set: name(set)?,
            stage,
            source: (name(source)?, country(its)?),
            target: (name(target)?, country(theirs)?),
            amount: Amount { rows: number(rows)?, bytes: number(bytes)?, people: number(people)? },
            digests: [digest(here)?, digest(there)?],
            evidence: digest(evidence)?,
            open: (number(open)?, UnixSeconds(number(until)?)),
            time: UnixSeconds(number(time)?),
        };
        record.agrees()?;
        if title.join(" ") == TITLE && record.text() == text { Ok(record) } else { Err(form("the title")) }
    }

    /// That what a stage needs is there, and nothing else.
    fn agrees(&self) -> Result<(), MigrationError> {
        let (digests, evidence) = self.stage.holds();
        if self.digests.map(|d| d.is_some()) != digests || self.evidence.is_some() != evidence {
            return Err(form("the digests and evidence of its stage"));
        }
        if let [Some(source), Some(target)] = self.digests
            && source != target
        {
            return Err(form("two ends that are the same"));
        }
        let (open, until) = self.open;
        if (open == 0) != (until.0 == 0) || (open > 0 && self.stage != Stage::Destroyed) {
            return Err(form("what is open"));
        }
        Ok(())
    }
}

fn name(text: &str) -> Result<Name, MigrationError> {
    Name::parse(text).map_err(|_| form("a name"))
}

fn country(text: &str) -> Result<Country, MigrationError> {
    Country::parse(text).ok().filter(|c| *c != Country::UNKNOWN).ok_or(form("a country"))
}

fn number(text: &str) -> Result<u64, MigrationError> {
    text.parse::<u64>().ok().filter(|n| n.to_string() == text).ok_or(form("a number"))
}

fn digest(text: &str) -> Result<Option<[u8; 32]>, MigrationError> {
    if text == "-" {
        return Ok(None);
    }
    let bytes = HEXLOWER.decode(text.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.map(Some).ok_or(form("a digest"))
}

/// How far every set of every migration is.
#[derive(Debug, Clone, Default)]
pub struct Ways(BTreeMap<(Name, Name), Record>);

impl Ways {
    /// Takes the next text of a set, and says whether it was not the last one once more.
    ///
    /// # Errors
    /// [`MigrationError::Place`] if it cannot come after the last one; then nothing has changed.
    pub fn take(&mut self, record: Record) -> Result<bool, MigrationError> {
        let key = (record.migration.clone(), record.set.clone());
        let last = self.0.get(&key);
        if last == Some(&record) {
            return Ok(false);
        }
        record.follows(last).map_err(MigrationError::Place)?;
        self.0.insert(key, record);
        Ok(true)
    }
}

impl Record {
    fn follows(&self, last: Option<&Self>) -> Result<(), &'static str> {
        if !self.stage.may_follow(last.map(|last| last.stage)) {
            return Err("this stage cannot come after what is on record of the set");
        }
        let Some(last) = last else { return Ok(()) };
        if (&self.source, &self.target) != (&last.source, &last.target) {
            return Err("its sites are others than before");
        }
        if self.time < last.time {
            return Err("it is older than what is on record of the set");
        }
        let [source, target] = self.digests;
        match self.stage {
            Stage::Served if (self.digests, self.amount.rows) != (last.digests, last.amount.rows) => {
                Err("its digests or rows are not those that were compared")
            }
            // A later seal is of the same rows.
            Stage::Sealed
                if (source, self.amount.rows, target) != (last.digests[0], last.amount.rows, None) =>
            {
                Err("its digest or rows are not those that are served")
            }
            Stage::Destroyed | Stage::Witnessed if self.amount.rows != last.amount.rows => {
                Err("its rows are not those that were sealed")
            }
            Stage::Destroyed
                if last.stage == Stage::Destroyed
                    && (self.open.0 > last.open.0 || self.open.1 > last.open.1) =>
            {
                Err("more is open than before, or for longer")
            }
            Stage::Witnessed if last.open.0 > 0 => Err("something is still open"),
            Stage::Witnessed if self.evidence != last.evidence => Err("it witnesses another certificate"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(stage: Stage, time: u64) -> Record {
        let name = |text| Name::parse(text).unwrap();
        let ([source, target], evidence) = stage.holds();
        Record {
            programme: name("demo"),
            migration: name("video"),
            set: name("app.users"),
            stage,
            source: (name("singapore"), Country::parse("SG").unwrap()),
            target: (name("dublin"), Country::parse("IE").unwrap()),
            amount: Amount { rows: 7, bytes: 700, people: 7 },
            digests: [source.then_some([1; 32]), target.then_some([1; 32])],
            evidence: evidence.then_some([2; 32]),
            open: (0, UnixSeconds(0)),
            time: UnixSeconds(time),
        }
    }

    #[test]
    fn a_text_is_read_as_it_was_written_and_in_no_other_form() {
        for stage in Stage::ALL {
            let record = record(stage, 9);
            assert_eq!(Record::parse(&record.text()), Ok(record));
        }
        let good = record(Stage::Served, 9).text();
        for (from, to) in [
            ("v1", "v2"),
            ("demo\n", "demo \n"),
            ("served", "done"),
            ("served", "found"),
            ("SG", "ZZ"),
            ("SG", "sg"),
            ("rows 7", "rows 07"),
            ("rows 7", "rows -7"),
            ("0101 0101", "0101 0102"),
            ("digests 01", "digests 0A"),
            ("evidence -", "evidence 01"),
            ("open 0 0", "open 1 0"),
            ("open 0 0", "open 1 20"),
            ("\n9\n", "\n9\n9\n"),
            ("\n9\n", "\n9"),
            ("\n9\n", "\r\n9\n"),
        ] {
            let text = good.replacen(from, to, 1);
            assert!(Record::parse(&text).is_err(), "{from:?} {to:?}");
        }
    }

    fn way(stages: &[Stage]) -> Ways {
        let mut ways = Ways::default();
        for (time, stage) in (1..).zip(stages) {
            ways.take(record(*stage, time)).unwrap();
        }
        ways
    }

    #[test]
    fn nothing_is_destroyed_that_was_not_sealed_and_each_stage_has_its_place() {
        use Stage::{Compared, Copied, Destroyed, Found, Sealed, Served, Undone, Witnessed};
        let whole = [
            Found, Copied, Compared, Served, Undone, Compared, Served, Sealed, Sealed, Destroyed, Destroyed,
            Witnessed,
        ];
        let _ = way(&whole);
        for (before, wrong) in [
            (&whole[..0], Copied),
            (&whole[..1], Found),
            (&whole[..2], Served),
            (&whole[..4], Destroyed),
            (&whole[..4], Compared),
            (&whole[..5], Sealed),
            (&whole[..8], Witnessed),
            (&whole[..8], Undone),
            (&whole[..10], Sealed),
            (&whole[..12], Destroyed),
        ] {
            let mut ways = way(before);
            // Newer, so that it is not the last one once more.
            assert!(ways.take(record(wrong, 99)).is_err(), "{wrong:?} after {before:?}");
        }
        let mut again = way(&whole[..4]);
        assert_eq!(again.take(record(Served, 4)), Ok(false), "the same once more");
    }

    #[test]
    fn what_contradicts_the_stage_before_does_not_count() {
        use Stage::{Compared, Copied, Destroyed, Found, Sealed, Served, Witnessed};
        let all = [Found, Copied, Compared, Served, Sealed, Destroyed];
        let wrong = |before: usize, stage: Stage, change: fn(&mut Record)| {
            let mut ways = way(&all[..before]);
            let mut next = record(stage, 50);
            assert_eq!(ways.clone().take(next.clone()), Ok(true));
            change(&mut next);
            ways.take(next).unwrap_err()
        };
        wrong(3, Served, |r| r.digests = [Some([3; 32]); 2]);
        wrong(3, Served, |r| r.amount.rows = 6);
        wrong(3, Served, |r| r.target.0 = Name::parse("hamar").unwrap());
        wrong(3, Served, |r| r.time = UnixSeconds(2));
        wrong(4, Sealed, |r| r.digests[0] = Some([3; 32]));
        wrong(5, Destroyed, |r| r.amount.rows = 6);
        wrong(6, Destroyed, |r| r.open = (1, UnixSeconds(100)));
        wrong(6, Witnessed, |r| r.evidence = Some([3; 32]));
        let mut open = way(&all[..5]);
        let left = Record { open: (2, UnixSeconds(100)), ..record(Destroyed, 6) };
        open.take(left.clone()).unwrap();
        let later = Record { open: (1, UnixSeconds(101)), time: UnixSeconds(7), ..left };
        assert!(open.take(later).is_err(), "a clock that its cause moves");
        assert!(open.take(record(Witnessed, 7)).is_err());
        open.take(record(Destroyed, 8)).unwrap();
        open.take(record(Witnessed, 9)).unwrap();
    }
}
