//! Stages of migrations: signed texts in a gateway's log (`docs/formats/migration.md`). Nothing is destroyed at a source without
//! the auditor's mark over what was sealed.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    checkpoint::decimal,
    codes::is_country,
    header::Header,
    note::{VerifierKey, open},
};

const TITLE: &str = "clover migration v1";
/// How far a text's time may be ahead of its entry's.
const AHEAD_SECONDS_MAX: u64 = 300;
const NAME_BYTES_MAX: usize = 64;
const PURPOSE_MIGRATION: u16 = 10;
const INWARD: u8 = 2;

/// How far a set is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Stage {
    Found,
    Copied,
    Compared,
    Served,
    Undone,
    Sealed,
    Destroyed,
    Witnessed,
}

/// What the page's table says of a stage.
struct Row {
    word: &'static str,
    stage: Stage,
    after: &'static [Stage],
    operator: bool,
    auditor: bool,
    digests: [bool; 2],
    evidence: bool,
}

const fn row(
    (word, stage): (&'static str, Stage),
    after: &'static [Stage],
    (operator, auditor): (bool, bool),
    digests: [bool; 2],
    evidence: bool,
) -> Row {
    Row { word, stage, after, operator, auditor, digests, evidence }
}

/// The page's table, line by line.
const TABLE: [Row; 8] = {
    use Stage::{Compared, Copied, Destroyed, Found, Sealed, Served, Undone, Witnessed};
    let both = [true, true];
    let none = [false, false];
    [
        row(("found", Found), &[], (true, false), none, false),
        row(("copied", Copied), &[Found], (true, false), both, false),
        row(("compared", Compared), &[Copied, Undone], (true, false), both, false),
        row(("served", Served), &[Compared], (true, false), both, false),
        row(("undone", Undone), &[Served], (true, false), none, false),
        row(("sealed", Sealed), &[Served, Sealed], (true, true), [true, false], true),
        row(("destroyed", Destroyed), &[Sealed, Destroyed], (true, false), none, true),
        row(("witnessed", Witnessed), &[Destroyed], (false, true), none, true),
    ]
};

fn row_of(stage: Stage) -> Result<&'static Row, String> {
    TABLE.iter().find(|row| row.stage == stage).ok_or_else(|| "its stage is unknown".into())
}

/// One text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Moved {
    programme: String,
    migration: String,
    set: String,
    stage: Stage,
    /// Both sites with their countries, as the text has them.
    places: String,
    source_country: String,
    target_country: String,
    rows: u64,
    bytes: u64,
    people: u64,
    source: Option<String>,
    target: Option<String>,
    evidence: Option<String>,
    open: u64,
    open_until: u64,
    time: u64,
}

impl Moved {
    /// Reads the text, whoever signed it.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, String> {
        Self::parse(open(bytes, &[]).map_err(|error| error.to_string())?)
    }

    /// The same of the text alone.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let text = text.strip_suffix('\n').ok_or("its last line has no end")?;
        let lines: Vec<&str> = text.split('\n').collect();
        let [TITLE, programme, what, places, amount, digests, evidence, open, time] = lines.as_slice() else {
            return Err("it is not a text of nine lines of its kind".into());
        };
        let [migration, set, word] = words(what)?;
        let row = TABLE.iter().find(|row| row.word == word).ok_or("its stage is unknown")?;
        let [source_site, source_country, target_site, target_country] = words(places)?;
        for name in [*programme, migration, set, source_site, target_site] {
            if !is_name(name) {
                return Err("a name of it is none".into());
            }
        }
        for country in [source_country, target_country] {
            if !is_country(country.as_bytes()) || country == "ZZ" {
                return Err("a country of it is none".into());
            }
        }
        let ["rows", rows, "bytes", bytes, "people", people] = words(amount)? else {
            return Err("its amounts are malformed".into());
        };
        let (["digests", source, target], ["evidence", evidence], ["open", open, until]) =
            (words(digests)?, words(evidence)?, words(open)?)
        else {
            return Err("its digests, evidence or what is open are malformed".into());
        };
        let number = |text| decimal(text).ok_or("a number of it is malformed");
        let moved = Self {
            programme: (*programme).into(),
            migration: migration.into(),
            set: set.into(),
            stage: row.stage,
            places: (*places).into(),
            source_country: source_country.into(),
            target_country: target_country.into(),
            rows: number(rows)?,
            bytes: number(bytes)?,
            people: number(people)?,
            source: digest(source)?,
            target: digest(target)?,
            evidence: digest(evidence)?,
            open: number(open)?,
            open_until: number(until)?,
            time: number(time)?,
        };
        moved.agrees(row)?;
        Ok(moved)
    }

    fn agrees(&self, row: &Row) -> Result<(), String> {
        let there = [self.source.is_some(), self.target.is_some()];
        if there != row.digests || self.evidence.is_some() != row.evidence {
            return Err("its digests or evidence are not those of its stage".into());
        }
        if self.target.is_some() && self.source != self.target {
            return Err("its two ends differ".into());
        }
        let may_be_open = self.stage == Stage::Destroyed;
        if (self.open == 0) != (self.open_until == 0) || (self.open > 0 && !may_be_open) {
            return Err("what it has open contradicts itself".into());
        }
        Ok(())
    }

    /// Reads it, and checks who signed.
    pub(crate) fn check(bytes: &[u8], [operator, auditor]: [&VerifierKey; 2]) -> Result<Self, String> {
        let moved = Self::read(bytes)?;
        let row = row_of(moved.stage)?;
        let by = |key: &VerifierKey| open(bytes, &[key]).is_ok();
        if (row.operator && !by(operator)) || (row.auditor && !by(auditor)) {
            return Err(format!("`{}` is not signed by those who must", row.word));
        }
        Ok(moved)
    }

    /// What is wrong with its places under a programme whose region has these countries.
    pub(crate) fn misplaced(&self, region: &BTreeSet<String>) -> Option<&'static str> {
        let outside = !region.contains(&self.source_country) && region.contains(&self.target_country);
        (!outside).then_some("a migration comes from outside the region and ends inside")
    }

    /// The words for people; all of it is plain.
    pub(crate) fn words(&self) -> String {
        let word = row_of(self.stage).map_or("unknown", |row| row.word);
        let open = if self.open == 0 { String::new() } else { format!(", {} still open", self.open) };
        format!(
            "{} of migration {} ({} to {}) {word}: {} rows{open}",
            self.set, self.migration, self.source_country, self.target_country, self.rows
        )
    }

    /// The country it came from, its set, and the rest of the row that a report shows.
    pub(crate) fn standing(&self) -> (String, String, &'static str, u64) {
        let word = row_of(self.stage).map_or("unknown", |row| row.word);
        (self.source_country.clone(), format!("{} {}", self.migration, self.set), word, self.rows)
    }
}

fn words<const N: usize>(line: &str) -> Result<[&str; N], String> {
    let words: Vec<&str> = line.split(' ').collect();
    words.try_into().map_err(|_| "a line of it is malformed".into())
}

fn is_name(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (1..=NAME_BYTES_MAX).contains(&text.len())
        && text.bytes().all(plain)
        && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
}

fn digest(text: &str) -> Result<Option<String>, String> {
    let good = text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    match text {
        "-" => Ok(None),
        text if good => Ok(Some(text.into())),
        _ => Err("a digest of it is malformed".into()),
    }
}

/// How far every set is at one point of one log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Ways(BTreeMap<String, Moved>);

impl Ways {
    /// Takes a checked text from an entry of the log of this programme, or says what is wrong with its place. What is wrong changes
    /// nothing.
    pub(crate) fn take(
        &mut self,
        programme: Option<&str>,
        header: &Header,
        moved: &Moved,
    ) -> Result<(), String> {
        if programme != Some(moved.programme.as_str()) {
            return Err("it is for another programme".into());
        }
        let came = if moved.stage == Stage::Copied { (moved.rows, moved.bytes) } else { (0, 0) };
        let same = header.place == *moved.source_country.as_bytes()
            && header.destination == *moved.target_country.as_bytes()
            && header.direction == INWARD
            && header.purpose == PURPOSE_MIGRATION
            && (u64::from(header.rows), header.bytes) == (came.0.min(u64::from(u32::MAX)), came.1);
        if !same {
            return Err("its header says something else".into());
        }
        if moved.time > header.time.saturating_add(AHEAD_SECONDS_MAX) {
            return Err("its time is ahead of the entry's".into());
        }
        let key = format!("{} {}", moved.migration, moved.set);
        let last = self.0.get(&key);
        if last != Some(moved) {
            moved.follows(last)?;
            self.0.insert(key, moved.clone());
        }
        Ok(())
    }

    /// Sets of which something is open beyond its time, each in words.
    pub(crate) fn overdue(&self, now: u64) -> impl Iterator<Item = (&String, String)> {
        self.0.iter().filter(move |(_, moved)| moved.open > 0 && moved.open_until < now).map(
            |(key, moved)| {
                (
                    key,
                    format!(
                        "{} of {key}, which was destroyed in {}, is open beyond its time",
                        moved.open, moved.source_country
                    ),
                )
            },
        )
    }
}

impl Moved {
    fn follows(&self, last: Option<&Self>) -> Result<(), String> {
        let row = row_of(self.stage)?;
        let after = last.map_or(row.after.is_empty(), |last| row.after.contains(&last.stage));
        if !after {
            return Err(format!("`{}` cannot come after what is on record of the set", row.word));
        }
        let Some(last) = last else { return Ok(()) };
        if self.places != last.places {
            return Err("its sites are others than before".into());
        }
        if self.time < last.time {
            return Err("it is older than what is on record of the set".into());
        }
        let held = (&self.source, self.rows) == (&last.source, last.rows);
        let wrong = match self.stage {
            Stage::Served | Stage::Sealed if !held => "its digest or rows are not those before",
            Stage::Destroyed | Stage::Witnessed if self.rows != last.rows => "its rows are not those before",
            Stage::Destroyed
                if last.stage == Stage::Destroyed
                    && (self.open > last.open || self.open_until > last.open_until) =>
            {
                "more is open than before, or for longer"
            }
            Stage::Witnessed if last.open > 0 => "something is still open",
            Stage::Witnessed if self.evidence != last.evidence => "it witnesses another certificate",
            _ => return Ok(()),
        };
        Err(wrong.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(stage: &str) -> String {
        let row = TABLE.iter().find(|row| row.word == stage).unwrap();
        let digest = |there: bool| if there { "ab".repeat(32) } else { "-".into() };
        let [source, target] = row.digests.map(digest);
        format!(
            "clover migration v1\nt\nvideo app.users {stage}\nsingapore SG dublin IE\nrows 7 bytes 70 people 7\n\
             digests {source} {target}\nevidence {}\nopen 0 0\n100\n",
            digest(row.evidence)
        )
    }

    fn read(text: &str) -> Result<Moved, String> {
        Moved::read(format!("{text}\n— a AAAAAAAA\n").as_bytes())
    }

    #[test]
    fn a_stage_is_read_and_any_other_form_is_refused() {
        for row in &TABLE {
            assert_eq!(read(&text(row.word)).unwrap().stage, row.stage);
        }
        let good = text("served");
        for (from, to) in [
            ("v1", "v2"),
            ("served", "done"),
            ("served", "sealed"),
            ("SG", "ZZ"),
            ("singapore", "-singapore"),
            ("rows 7", "rows 07"),
            ("rows 7", "rows 7 7"),
            ("abab ab", "abab ac"),
            ("evidence -", "evidence 00"),
            ("open 0 0", "open 1 200"),
            ("\n100\n", "\n100\n100\n"),
        ] {
            assert!(read(&good.replacen(from, to, 1)).is_err(), "{from} → {to}");
        }
    }

    #[test]
    fn nothing_is_destroyed_without_a_seal_and_what_is_open_has_its_time() {
        let step = |last: Option<&Moved>, stage: &str| {
            let next = read(&text(stage)).unwrap();
            next.follows(last).map(|()| next)
        };
        let mut last = None;
        for stage in ["found", "copied", "compared", "served", "undone", "compared", "served"] {
            last = Some(step(last.as_ref(), stage).unwrap());
        }
        assert!(step(last.as_ref(), "destroyed").unwrap_err().contains("cannot come"));
        assert!(step(None, "sealed").is_err());
        let sealed = step(last.as_ref(), "sealed").unwrap();
        let other = Moved { source: Some("cd".repeat(32)), ..sealed.clone() };
        assert!(other.follows(last.as_ref()).is_err());
        let open = Moved { open: 2, open_until: 200, ..step(Some(&sealed), "destroyed").unwrap() };
        assert!(step(Some(&open), "witnessed").is_err());
        let ways = Ways([("video app.users".to_owned(), open.clone())].into());
        assert_eq!((ways.overdue(200).count(), ways.overdue(201).count()), (0, 1));
        let closed = step(Some(&open), "destroyed").unwrap();
        assert!(open.follows(Some(&closed)).is_err());
        assert!(step(Some(&closed), "witnessed").is_ok());
    }
}
