//! The bytes of a history: deterministic CBOR (RFC 8949 §4.2.1).

use ciborium::Value;

use super::{DAYS_MAX, Entries, HistoryError, Leaves, Maps, Period, Proved, date};
use crate::checkpoint::Checkpoint;
use crate::daymap::{Absence, Answer, Calendar, LEAF_LEN, Leaf, Pair};
use crate::detail::SecretKey;
use crate::merkle::Hash;

const FORMAT: &str = "clover subject history v1";

/// A person's history, as the file holds it. `Debug` shows nobody's tags or key.
#[derive(Clone)]
pub struct History {
    log_set: String,
    tag_key: SecretKey,
    from: u32,
    to: u32,
    checkpoint: String,
    maps: Maps,
    /// One for each day; none for a day outside.
    days: Vec<Option<Answer>>,
    /// The origin of each log, and its entries.
    logs: Vec<(String, Leaves)>,
}

impl std::fmt::Debug for History {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "History({} to {}, {} entries)", date(self.from), date(self.to), self.entries())
    }
}

impl History {
    /// Puts together what was checked.
    pub(super) fn of(parts: Entries, proved: Vec<Leaves>) -> Self {
        let Entries { asked, answers, wanted } = parts;
        let Period { log_set, tag_key, from, to } = asked.period;
        let mut answered = asked.questions.iter().map(|q| q.day).zip(answers).peekable();
        let day = |day| answered.next_if(|(d, _)| *d == day).map(|(_, answer)| answer);
        let days = (from..=to).map(day).collect();
        let logs = wanted.into_iter().map(|wanted| wanted.origin).zip(proved).collect();
        Self { log_set, tag_key, from, to, checkpoint: asked.checkpoint, maps: asked.maps, days, logs }
    }

    /// The bytes of the file.
    ///
    /// # Errors
    /// [`HistoryError::Form`] when memory or the encoder gives up.
    pub fn to_bytes(&self) -> Result<Vec<u8>, HistoryError> {
        let anchored = self.maps.anchor.as_ref();
        let members = [
            Some(Value::from(FORMAT)),
            Some(Value::from(self.log_set.as_str())),
            Some(bytes(self.tag_key.bytes())),
            Some(Value::from(self.from)),
            Some(Value::from(self.to)),
            Some(Value::from(self.checkpoint.as_str())),
            anchored.map(place),
            anchored.map(|_| bytes(&self.maps.calendar.to_bytes())),
            self.maps.interim.as_ref().map(place),
            Some(Value::Array(self.days.iter().map(Option::as_ref).map(day).collect())),
            Some(Value::Array(self.logs.iter().map(log).collect())),
        ];
        let present = (0u8..).zip(members).filter_map(|(key, value)| Some((Value::from(key), value?)));
        let mut out = Vec::new();
        ciborium::into_writer(&Value::Map(present.collect()), &mut out)
            .map_err(|_| HistoryError::Form("cbor"))?;
        Ok(out)
    }

    /// Reads the bytes of a file. They prove nothing before [`History::check`].
    ///
    /// # Errors
    /// [`HistoryError::Form`] when they are not of this form, or not in the one way to write it.
    ///
    /// ```
    /// assert!(ledger::history::History::from_bytes(b"{}").is_err());
    /// ```
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, HistoryError> {
        let value = ciborium::from_reader(bytes).map_err(|_| HistoryError::Form("cbor"))?;
        let Value::Map(pairs) = value else { return Err(HistoryError::Form("cbor")) };
        let mut members = Members(pairs.into_iter().peekable());
        let format = text(members.must(0, "format")?, "format")?;
        if format != FORMAT {
            return Err(HistoryError::Form("format"));
        }
        let history = members.history()?;
        // What was read in another way than it is written is refused here, unknown members too.
        if history.to_bytes()? == bytes { Ok(history) } else { Err(HistoryError::Form("cbor")) }
    }

    /// The cosigned checkpoint that it holds, for [`crate::checkpoint::open`].
    #[must_use]
    pub fn checkpoint(&self) -> &str {
        &self.checkpoint
    }

    /// How many crossings it shows.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.logs.iter().map(|(_, log)| log.leaves.len()).sum()
    }

    /// Checks all of it against the site log's checkpoint, which the caller has opened with the keys that it
    /// trusts.
    ///
    /// # Errors
    /// [`HistoryError`] when it does not show every crossing of its period.
    pub fn check(&self, site: &Checkpoint) -> Result<(), HistoryError> {
        let (from, to, tag_key) = (self.from, self.to, self.tag_key.clone());
        let period = Period { log_set: self.log_set.clone(), tag_key, from, to };
        let questions = period.begin(&self.checkpoint, site, self.maps.clone())?;
        if (from..=to).count() != self.days.len() {
            return Err(HistoryError::Form("days"));
        }
        let answered = (from..=to).zip(&self.days).filter_map(|(day, answer)| Some((day, answer.clone()?)));
        let (days, answers): (Vec<u32>, Vec<Answer>) = answered.unzip();
        if !questions.list().iter().map(|q| q.day).eq(days) {
            return Err(HistoryError::Form("days"));
        }
        let entries = questions.answered(answers)?;
        if !entries.wanted().iter().map(|w| &w.origin).eq(self.logs.iter().map(|(origin, _)| origin)) {
            return Err(HistoryError::Form("entries"));
        }
        entries.proved(self.logs.iter().map(|(_, leaves)| leaves.clone()).collect())?;
        Ok(())
    }
}

fn bytes(bytes: &[u8]) -> Value {
    Value::Bytes(bytes.to_vec())
}

fn hashes(proof: &[Hash]) -> Value {
    Value::Bytes(proof.iter().flat_map(|hash| *hash.as_bytes()).collect())
}

fn place(proved: &Proved) -> Value {
    Value::Array(vec![Value::from(proved.index), bytes(&proved.leaf), hashes(&proved.proof)])
}

fn day(answer: Option<&Answer>) -> Value {
    Value::Array(match answer {
        None => Vec::new(),
        Some(Answer::Present { index, list, proof }) => {
            let list = list.iter().flat_map(|pair| pair.to_bytes()).collect();
            vec![Value::from(*index), Value::Bytes(list), hashes(proof)]
        }
        Some(Answer::Absent(Absence { index, low, high, proof })) => {
            vec![Value::from(*index), bytes(&low.to_bytes()), bytes(&high.to_bytes()), hashes(proof)]
        }
    })
}

fn log((origin, log): &(String, Leaves)) -> Value {
    let leaves = log.leaves.iter().map(|leaf| bytes(leaf)).collect();
    Value::Array(vec![Value::from(origin.as_str()), Value::Array(leaves), hashes(&log.proof)])
}

/// The members that are still to be read.
struct Members(std::iter::Peekable<std::vec::IntoIter<(Value, Value)>>);

type Read<T> = Result<T, HistoryError>;

impl Members {
    fn may(&mut self, key: u8) -> Option<Value> {
        self.0.next_if(|(found, _)| *found == Value::from(key)).map(|(_, value)| value)
    }

    fn must(&mut self, key: u8, name: &'static str) -> Read<Value> {
        self.may(key).ok_or(HistoryError::Form(name))
    }

    fn history(mut self) -> Read<History> {
        let log_set = text(self.must(1, "log set")?, "log set")?;
        let tag_key = string(self.must(2, "tag key")?, "tag key")?;
        let tag_key = tag_key.try_into().map_err(|_| HistoryError::Form("tag key"))?;
        let (from, to) = (number(&self.must(3, "from")?, "from")?, number(&self.must(4, "to")?, "to")?);
        let checkpoint = text(self.must(5, "checkpoint")?, "checkpoint")?;
        let anchor = self.may(6).map(read_place).transpose()?;
        let records = self.may(7).map(|value| string(value, "calendar")).transpose()?;
        if anchor.is_some() != records.is_some() {
            return Err(HistoryError::Form("calendar"));
        }
        let calendar = Calendar::from_bytes(&records.unwrap_or_default())?;
        let interim = self.may(8).map(read_place).transpose()?;
        let days = list(self.must(9, "days")?, "days")?;
        if days.len() > DAYS_MAX as usize {
            return Err(HistoryError::Form("days"));
        }
        let days = days.into_iter().map(read_day).collect::<Read<_>>()?;
        let logs = list(self.must(10, "entries")?, "entries")?;
        let logs = logs.into_iter().map(read_log).collect::<Read<_>>()?;
        let maps = Maps { anchor, calendar, interim };
        Ok(History { log_set, tag_key: SecretKey::new(tag_key), from, to, checkpoint, maps, days, logs })
    }
}

fn text(value: Value, name: &'static str) -> Read<String> {
    value.into_text().map_err(|_| HistoryError::Form(name))
}

fn string(value: Value, name: &'static str) -> Read<Vec<u8>> {
    value.into_bytes().map_err(|_| HistoryError::Form(name))
}

fn list(value: Value, name: &'static str) -> Read<Vec<Value>> {
    value.into_array().map_err(|_| HistoryError::Form(name))
}

fn number<T: TryFrom<u64>>(value: &Value, name: &'static str) -> Read<T> {
    let number = value.as_integer().and_then(|n| u64::try_from(n).ok());
    number.and_then(|n| T::try_from(n).ok()).ok_or(HistoryError::Form(name))
}

fn read_hashes(value: Value) -> Read<Vec<Hash>> {
    let bytes = string(value, "proof")?;
    match bytes.as_chunks::<{ Hash::LEN }>() {
        (hashes, []) => Ok(hashes.iter().map(|hash| Hash::from_bytes(*hash)).collect()),
        _ => Err(HistoryError::Form("proof")),
    }
}

fn read_place(value: Value) -> Read<Proved> {
    let Ok([index, leaf, proof]) = <[Value; 3]>::try_from(list(value, "day map")?) else {
        return Err(HistoryError::Form("day map"));
    };
    let index = number(&index, "index")?;
    Ok(Proved { index, leaf: string(leaf, "leaf")?, proof: read_hashes(proof)? })
}

fn read_day(value: Value) -> Read<Option<Answer>> {
    let wrong = HistoryError::Form("days");
    let mut parts = list(value, "days")?.into_iter();
    match (parts.next(), parts.next(), parts.next(), parts.next(), parts.next()) {
        (None, ..) => Ok(None),
        (Some(index), Some(list), Some(proof), None, _) => {
            let (index, list) = (number(&index, "index")?, Pair::list(&string(list, "list")?).ok_or(wrong)?);
            Ok(Some(Answer::Present { index, list, proof: read_hashes(proof)? }))
        }
        (Some(index), Some(low), Some(high), Some(proof), None) => {
            let index = number(&index, "index")?;
            let (low, high) = (read_leaf(low)?, read_leaf(high)?);
            Ok(Some(Answer::Absent(Absence { index, low, high, proof: read_hashes(proof)? })))
        }
        _ => Err(wrong),
    }
}

fn read_leaf(value: Value) -> Read<Leaf> {
    let bytes = string(value, "leaf")?;
    let bytes = <&[u8; LEAF_LEN]>::try_from(bytes.as_slice()).ok();
    bytes.and_then(Leaf::from_bytes).ok_or(HistoryError::Form("leaf"))
}

fn read_log(value: Value) -> Read<(String, Leaves)> {
    let Ok([origin, leaves, proof]) = <[Value; 3]>::try_from(list(value, "entries")?) else {
        return Err(HistoryError::Form("entries"));
    };
    let leaves = list(leaves, "leaves")?.into_iter().map(|leaf| string(leaf, "leaf")).collect::<Read<_>>()?;
    Ok((text(origin, "origin")?, Leaves { leaves, proof: read_hashes(proof)? }))
}
