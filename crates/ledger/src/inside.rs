//! What a service inside did with records in at most a minute, as the facts of one entry (`docs/formats/entry.md`).

use ciborium::Value;
use model::{Name, UnixSeconds};

use crate::facts::FactsError;

/// Longest time that one entry sums up, in seconds.
pub const PERIOD_MAX: u64 = 60;

/// How often something was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that were served.
    pub requests: u64,
    /// Records that were read.
    pub read: u64,
    /// Records that were written.
    pub written: u64,
    /// Records that were removed.
    pub removed: u64,
    /// Searches for a person.
    pub searches: u64,
    /// Distinct people, as far as they were told apart: at least so many.
    pub people: u64,
    /// Tokens that were opened.
    pub opened: u64,
}

/// One registered use, summed up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Its name in the rulebook.
    pub name: Name,
    /// Its first request.
    pub from: UnixSeconds,
    /// Its last.
    pub until: UnixSeconds,
    /// What was done.
    pub counts: Counts,
}

impl Summary {
    /// The facts block: deterministic CBOR (RFC 8949 §4.2.1).
    ///
    /// # Errors
    /// [`FactsError::Shape`] when it cannot be written, which no memory gives.
    pub fn encode(&self) -> Result<Vec<u8>, FactsError> {
        let c = &self.counts;
        // Of a use that opened none, the bytes are those from before there was the count.
        let opened = (c.opened > 0).then_some(c.opened);
        let counts =
            [c.requests, c.read, c.written, c.removed, c.searches, c.people].into_iter().chain(opened);
        let pairs = [
            (0u8, Value::from(1u8)),
            (1, Value::Text(self.name.to_string())),
            (2, Value::from(self.from.0)),
            (3, Value::from(self.until.0)),
            (4, Value::Array(counts.map(Value::from).collect())),
        ];
        let value = Value::Map(pairs.into_iter().map(|(k, v)| (Value::from(k), v)).collect());
        let mut out = Vec::new();
        ciborium::into_writer(&value, &mut out).map_err(|_| FactsError::Shape("value"))?;
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_has_the_bytes_of_its_page() {
        let counts =
            Counts { requests: 7, read: 24, written: 300, removed: 0, searches: 1, people: 5, opened: 0 };
        let name = Name::parse("account-records").unwrap();
        let summary =
            Summary { name, from: UnixSeconds(1_800_000_000), until: UnixSeconds(1_800_000_059), counts };
        let expected = "a5000101\
            6f6163636f756e742d7265636f726473\
            021a6b49d200031a6b49d23b0486071818\
            19012c000105";
        let bytes = summary.encode().unwrap();
        assert_eq!(data_encoding::HEXLOWER.encode(&bytes), expected);
        let opened = Summary { counts: Counts { opened: 9, ..summary.counts }, ..summary };
        let expected = expected.replace("0486071818", "0487071818") + "09";
        assert_eq!(data_encoding::HEXLOWER.encode(&opened.encode().unwrap()), expected);
    }
}
