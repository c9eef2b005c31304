//! What services inside did with records, as entries of kind 13 sum it up. Nothing of it crossed.

use crate::{
    cbor::{CborError, Reader},
    codes::Class,
    entries::TIME_BACK_SECONDS_MAX,
    header::Header,
    report::Rule,
    rulebook::Rulebook,
};

/// Longest time that one entry sums up, in seconds.
const PERIOD_SECONDS_MAX: u64 = 60;

/// The facts of a sum.
#[derive(Debug, PartialEq)]
pub(crate) struct Within<'a> {
    pub(crate) name: &'a str,
    pub(crate) from: u64,
    until: u64,
    /// Requests, read, written, removed, searches, people, and tokens that were opened.
    counts: [u64; 7],
}

impl<'a> Within<'a> {
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self, CborError> {
        const MAP: &str = "the facts of a sum";
        let mut reader = Reader::new(bytes);
        let (mut version, mut name, mut from, mut until, mut counts) = (None, None, None, None, None);
        let mut keys = reader.map()?;
        while let Some(key) = keys.next(&mut reader)? {
            match key {
                0 => version = Some(reader.unsigned()?),
                1 => name = Some(reader.text()?),
                2 => from = Some(reader.unsigned()?),
                3 => until = Some(reader.unsigned()?),
                4 => counts = Some(read_counts(&mut reader)?),
                other => return Err(CborError::UnknownKey(MAP, other)),
            }
        }
        reader.end()?;
        if version != Some(1) {
            return Err(CborError::Value("version of the facts of a sum"));
        }
        let absent = |key| CborError::AbsentKey(MAP, key);
        Ok(Self {
            name: name.ok_or(absent(1))?,
            from: from.ok_or(absent(2))?,
            until: until.ok_or(absent(3))?,
            counts: counts.ok_or(absent(4))?,
        })
    }

    /// What is wrong with it by itself, and by what its rulebook registers.
    pub(crate) fn check(&self, header: &Header, rulebook: Option<&Rulebook>) -> Vec<(Rule, String)> {
        let mut problems = Vec::new();
        let [requests, read, written, removed, searches, people, opened] = self.counts;
        let rows = read.saturating_add(written).saturating_add(removed).min(u64::from(u32::MAX));
        if u64::from(header.rows) != rows {
            problems.push((Rule::Agreement, "header and facts differ in the records".to_owned()));
        }
        if requests == 0 || people > requests || searches > requests {
            problems.push((
                Rule::Agreement,
                "more people or searches than requests, or none of those".to_owned(),
            ));
        }
        let right = self.from <= self.until
            && self.until - self.from < PERIOD_SECONDS_MAX
            && self.until <= header.time.saturating_add(TIME_BACK_SECONDS_MAX);
        if !right {
            problems.push((Rule::Time, "it sums up no minute before it".to_owned()));
        }
        let Some(rulebook) = rulebook else { return problems };
        let name = self.name;
        let mut found = |text: String| problems.push((Rule::Register, text));
        let place = String::from_utf8_lossy(&header.place).into_owned();
        if !rulebook.programme.countries.contains(&place) {
            found(format!("`{name}` worked in `{place}`, which is not in the region"));
        }
        let Some(declared) = rulebook.lanes.inside.get(name) else {
            found(format!("the rulebook registers no use inside named `{name}`"));
            return problems;
        };
        if !declared.active {
            found(format!("`{name}` is not active"));
        }
        if declared.purpose != header.purpose {
            found(format!("`{name}` has another purpose"));
        }
        if declared.lane != header.lane {
            found(format!("the header names another use than `{name}`"));
        }
        let collections = declared.collections.iter().map(String::as_str);
        let classes = rulebook.catalogue.classes(&declared.dataset, collections)
            | if declared.media { Class::Restricted.bit() } else { 0 };
        if header.classes & !classes != 0 {
            found(format!("`{name}` has no collection with a field of a class that the header names"));
        }
        let acts = [
            ("read", read),
            ("write", written.saturating_add(removed)),
            ("find", searches),
            ("detokenise", opened),
        ];
        for (act, done) in acts {
            if done > 0 && !declared.acts.iter().any(|known| known == act) {
                found(format!("`{name}` may not {act}"));
            }
        }
        problems
    }
}

/// Six counts, or seven of which the last is not 0.
fn read_counts(reader: &mut Reader<'_>) -> Result<[u64; 7], CborError> {
    let number = reader.array()?;
    if !(6..=7).contains(&number) {
        return Err(CborError::Value("number of counts"));
    }
    let mut counts = [0; 7];
    for (count, _) in counts.iter_mut().zip(0..number) {
        *count = reader.unsigned()?;
    }
    if number == 7 && counts.last() == Some(&0) {
        return Err(CborError::Value("a count that would be absent"));
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_has_six_counts_or_a_seventh_that_says_something() {
        let facts = |counts: &str| {
            let head = "a50001016f6163636f756e742d7265636f726473021a6b49d200031a6b49d23b04";
            data_encoding::HEXLOWER.decode(format!("{head}{counts}").as_bytes()).unwrap()
        };
        let counts = |hex: &str| Within::decode(&facts(hex)).map(|within| within.counts);
        assert_eq!(counts("8607181800000000").unwrap(), [7, 24, 0, 0, 0, 0, 0]);
        assert_eq!(counts("870718180000000009").unwrap(), [7, 24, 0, 0, 0, 0, 9]);
        for wrong in ["870718180000000000", "85071818000000", "88071818000000000901"] {
            assert!(counts(wrong).is_err(), "{wrong}");
        }
    }
}
