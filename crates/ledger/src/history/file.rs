//! The JSON of a history.

use data_encoding::{BASE64, HEXLOWER};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{Entries, HistoryError, Maps, Period, Proved, date, day_of};
use crate::checkpoint::Checkpoint;
use crate::daymap::{Answer, Calendar, LEAF_LEN, Leaf, Pair, Placed};
use crate::detail::SecretKey;
use crate::merkle::Hash;

const FORMAT: &str = "clover subject history v1";

/// A person's history, as the file holds it. `Debug` shows nobody's tags or key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct History {
    format: String,
    log_set: String,
    tag_key: String,
    from: String,
    to: String,
    checkpoint: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    anchor: Option<Place>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    calendar: Option<Bytes>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    interim: Option<Place>,
    days: Vec<Day>,
    entries: Vec<Item>,
}

impl std::fmt::Debug for History {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "History({} to {}, {} entries)", self.from, self.to, self.entries.len())
    }
}

/// Bytes in base64.
#[derive(Clone, PartialEq, Eq)]
struct Bytes(Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&BASE64.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        BASE64.decode(text.as_bytes()).map(Self).map_err(|_| de::Error::custom("not base64"))
    }
}

/// An inclusion proof.
#[derive(Clone, PartialEq, Eq)]
struct Path(Vec<Hash>);

impl Serialize for Path {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.0.iter().map(|h| Bytes(h.as_bytes().to_vec())))
    }
}

impl<'de> Deserialize<'de> for Path {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let hashes = Vec::<Bytes>::deserialize(from)?;
        let hash = |b: Bytes| Hash::try_from(b.0.as_slice()).map_err(de::Error::custom);
        hashes.into_iter().map(hash).collect::<Result<_, _>>().map(Self)
    }
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    index: u64,
    leaf: Bytes,
    proof: Path,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Presence {
    index: u64,
    list: Bytes,
    proof: Path,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Absence {
    low: Place,
    high: Place,
}

/// One of the three stands in it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Day {
    day: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    present: Option<Presence>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    absent: Option<Absence>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outside: Option<bool>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    origin: String,
    index: u64,
    leaf: Bytes,
    proof: Path,
}

impl Place {
    fn of(proved: Proved) -> Self {
        Self { index: proved.index, leaf: Bytes(proved.leaf), proof: Path(proved.proof) }
    }

    fn placed(placed: Placed) -> Self {
        let leaf = Bytes(placed.leaf.to_bytes().to_vec());
        Self { index: placed.index, leaf, proof: Path(placed.proof) }
    }

    fn proved(&self) -> Proved {
        Proved { index: self.index, leaf: self.leaf.0.clone(), proof: self.proof.0.clone() }
    }

    fn leaf_of_map(&self) -> Option<Placed> {
        let leaf = Leaf::from_bytes(<&[u8; LEAF_LEN]>::try_from(self.leaf.0.as_slice()).ok()?)?;
        Some(Placed { index: self.index, leaf, proof: self.proof.0.clone() })
    }
}

impl Day {
    fn of(day: u32, answer: Option<Answer>) -> Self {
        let none = Self { day: date(day), present: None, absent: None, outside: None };
        match answer {
            None => Self { outside: Some(true), ..none },
            Some(Answer::Present { index, list, proof }) => {
                let list = Bytes(list.iter().flat_map(|p| p.to_bytes()).collect());
                Self { present: Some(Presence { index, list, proof: Path(proof) }), ..none }
            }
            Some(Answer::Absent { low, high }) => {
                let absent = Absence { low: Place::placed(low), high: Place::placed(high) };
                Self { absent: Some(absent), ..none }
            }
        }
    }

    /// What it says, `None` for a day outside.
    fn answer(&self) -> Result<Option<Answer>, HistoryError> {
        let wrong = HistoryError::Form("days");
        match (&self.present, &self.absent, self.outside) {
            (None, None, Some(true)) => Ok(None),
            (Some(p), None, None) => {
                let list = Pair::list(&p.list.0).ok_or(wrong)?;
                Ok(Some(Answer::Present { index: p.index, list, proof: p.proof.0.clone() }))
            }
            (None, Some(a), None) => match (a.low.leaf_of_map(), a.high.leaf_of_map()) {
                (Some(low), Some(high)) => Ok(Some(Answer::Absent { low, high })),
                _ => Err(wrong),
            },
            _ => Err(wrong),
        }
    }
}

impl History {
    /// Puts together what was checked.
    pub(super) fn of(parts: Entries, proved: Vec<Proved>) -> Self {
        let Entries { asked, answers, wanted } = parts;
        let (period, maps) = (asked.period, asked.maps);
        let mut answered = asked.questions.iter().map(|q| q.day).zip(answers).peekable();
        let day = |day| Day::of(day, answered.next_if(|(d, _)| *d == day).map(|(_, answer)| answer));
        let days = (period.from..=period.to).map(day).collect();
        let items = wanted.into_iter().zip(proved).map(|(wanted, proved)| {
            let Proved { index, leaf, proof } = proved;
            Item { origin: wanted.origin, index, leaf: Bytes(leaf), proof: Path(proof) }
        });
        Self {
            format: FORMAT.to_owned(),
            log_set: period.log_set,
            tag_key: HEXLOWER.encode(period.tag_key.bytes()),
            from: date(period.from),
            to: date(period.to),
            checkpoint: asked.checkpoint,
            calendar: maps.anchor.is_some().then(|| Bytes(maps.calendar.to_bytes())),
            anchor: maps.anchor.map(Place::of),
            interim: maps.interim.map(Place::of),
            days,
            entries: items.collect(),
        }
    }

    /// The JSON.
    ///
    /// # Errors
    /// [`HistoryError::Form`] when memory or the serialiser gives up.
    pub fn to_json(&self) -> Result<String, HistoryError> {
        serde_json::to_string(self).map_err(|_| HistoryError::Form("json"))
    }

    /// Reads the JSON. It proves nothing before [`History::check`].
    ///
    /// # Errors
    /// [`HistoryError::Form`] when it is not of this form.
    ///
    /// ```
    /// assert!(ledger::history::History::from_json("{}").is_err());
    /// ```
    pub fn from_json(text: &str) -> Result<Self, HistoryError> {
        let history: Self = serde_json::from_str(text).map_err(|_| HistoryError::Form("json"))?;
        if history.format == FORMAT { Ok(history) } else { Err(HistoryError::Form("format")) }
    }

    /// The cosigned checkpoint that it holds, for [`crate::checkpoint::open`].
    #[must_use]
    pub fn checkpoint(&self) -> &str {
        &self.checkpoint
    }

    /// How many crossings it shows.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.entries.len()
    }

    /// Checks all of it against the site log's checkpoint, which the caller has opened with the keys that it
    /// trusts.
    ///
    /// # Errors
    /// [`HistoryError`] when it does not show every crossing of its period.
    pub fn check(&self, site: &Checkpoint) -> Result<(), HistoryError> {
        let day = |text: &str| day_of(text).ok_or(HistoryError::Form("day"));
        let key = HEXLOWER.decode(self.tag_key.as_bytes()).ok().and_then(|k| k.try_into().ok());
        let tag_key = SecretKey::new(key.ok_or(HistoryError::Form("tag_key"))?);
        let period =
            Period { log_set: self.log_set.clone(), tag_key, from: day(&self.from)?, to: day(&self.to)? };
        if self.anchor.is_some() != self.calendar.is_some() {
            return Err(HistoryError::Form("calendar"));
        }
        let calendar = self.calendar.as_ref().map(|c| Calendar::from_bytes(&c.0)).transpose()?;
        let place = |p: &Option<Place>| p.as_ref().map(Place::proved);
        let calendar = calendar.unwrap_or_default();
        let maps = Maps { anchor: place(&self.anchor), calendar, interim: place(&self.interim) };
        let (from, to) = (period.from, period.to);
        let questions = period.begin(&self.checkpoint, site, maps)?;
        if !self.days.iter().map(|d| d.day.clone()).eq((from..=to).map(date)) {
            return Err(HistoryError::Form("days"));
        }
        let days = (from..=to).zip(&self.days).map(|(day, said)| Ok((day, said.answer()?)));
        let days = days.collect::<Result<Vec<_>, HistoryError>>()?;
        let asked = questions.list().iter().map(|q| q.day);
        if !days.iter().filter(|(_, answer)| answer.is_some()).map(|(day, _)| *day).eq(asked) {
            return Err(HistoryError::Form("days"));
        }
        let entries = questions.answered(days.into_iter().filter_map(|(_, answer)| answer).collect())?;
        let same = entries.wanted().iter().map(|w| &w.origin).eq(self.entries.iter().map(|e| &e.origin));
        if !same {
            return Err(HistoryError::Form("entries"));
        }
        let proved = self.entries.iter().map(|e| Proved {
            index: e.index,
            leaf: e.leaf.0.clone(),
            proof: e.proof.0.clone(),
        });
        entries.proved(proved.collect())?;
        Ok(())
    }
}
