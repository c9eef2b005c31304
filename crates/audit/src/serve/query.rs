//! What stands behind the `?` of an address: a few plain words and numbers, and nothing else.

use super::{reply::Refused, words::EN};
use crate::history::day_of_date;

const BYTES_MAX: usize = 512;
const VALUE_BYTES_MAX: usize = 64;

/// Names and values, each name once.
#[derive(Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(text: Option<&str>) -> Result<Self, Refused> {
        let text = text.unwrap_or_default();
        if text.len() > BYTES_MAX {
            return Err(Refused::Long);
        }
        let mut found: Vec<(String, String)> = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let plain =
                |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
            if !plain(name) || !plain(value) || value.len() > VALUE_BYTES_MAX {
                return Err(Refused::Input(EN.bad_query));
            }
            if found.iter().any(|(other, _)| other == name) {
                return Err(Refused::Input(EN.bad_twice));
            }
            found.push((name.to_owned(), value.to_owned()));
        }
        Ok(Self(found))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The page of a list, 1 if none is named.
    pub(super) fn page(&self) -> Result<usize, Refused> {
        match self.get("page") {
            None => Ok(1),
            Some(text) => text.parse().ok().filter(|page| *page > 0).ok_or(Refused::Input(EN.bad_page)),
        }
    }

    /// The code of a rule, like `AUD-05`.
    pub(super) fn code(&self, name: &str) -> Result<Option<&str>, Refused> {
        let good = |code: &&str| {
            code.strip_prefix("AUD-").is_some_and(|n| n.len() == 2 && n.bytes().all(|b| b.is_ascii_digit()))
        };
        match self.get(name) {
            None | Some("") => Ok(None),
            Some(code) => Some(code).filter(good).ok_or(Refused::Input(EN.bad_code)).map(Some),
        }
    }

    /// First and last day, if both are named. What is wrong with them is said.
    pub(super) fn period(&self) -> Result<Option<(u64, u64)>, &'static str> {
        let (Some(from), Some(to)) = (self.get("from"), self.get("to")) else {
            let some = self.get("from").is_some() || self.get("to").is_some();
            return if some { Err(EN.bad_half) } else { Ok(None) };
        };
        let from = day_of_date(from).ok_or(EN.bad_from)?;
        let to = day_of_date(to).ok_or(EN.bad_to)?;
        if from > to { Err(EN.bad_order) } else { Ok(Some((from, to))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Query {
        Query::parse(Some(text)).unwrap()
    }

    #[test]
    fn only_plain_words_are_taken_and_each_once() {
        assert_eq!(query("page=3&x=").page().unwrap(), 3);
        assert!(Query::parse(Some(&"a".repeat(600))).is_err());
        for bad in ["page=%31", "page=1+1", "a=<b>", "page=1&page=2", "a=b=c"] {
            assert!(Query::parse(Some(bad)).is_err(), "{bad}");
        }
        for bad in ["page=0", "page=", "page=-1", "page=x", "page=99999999999999999999999"] {
            assert!(query(bad).page().is_err(), "{bad}");
        }
        assert!(query("code=AUD-5").code("code").is_err() && query("code=AUD-05").code("code").is_ok());
    }

    #[test]
    fn a_period_has_two_days_in_order_or_none() {
        assert_eq!(query("").period(), Ok(None));
        assert_eq!(query("from=1970-01-02&to=1970-01-03").period(), Ok(Some((1, 2))));
        for bad in [
            "from=1970-01-02",
            "to=1970-01-02",
            "from=1970-01-03&to=1970-01-02",
            "from=x&to=1970-01-02",
            "from=&to=",
        ] {
            assert!(query(bad).period().is_err(), "{bad}");
        }
    }
}
