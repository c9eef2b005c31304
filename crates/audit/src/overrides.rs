//! Border overrides: the signed order in the site log (`docs/formats/override.md`).

use std::collections::BTreeSet;

use crate::{checkpoint::decimal, note::open, rulebook::Holder};

/// An override lasts half an hour at most.
const SECONDS_MAX: u64 = 1800;
const FIRST_LINE: &str = "clover border override v1";

/// What an order says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Order {
    /// 32 hexadecimal digits, used once.
    pub(crate) id: String,
    pub(crate) not_before: u64,
    pub(crate) not_after: u64,
    pub(crate) incident: String,
}

impl Order {
    /// Reads an order for the site log `origin`.
    pub(crate) fn parse(note: &str, origin: &str) -> Result<Self, String> {
        let text = open(note.as_bytes(), &[]).map_err(|error| error.to_string())?;
        let lines: Vec<&str> = text.strip_suffix('\n').unwrap_or(text).split('\n').collect();
        let [FIRST_LINE, site, id, times, incident] = lines.as_slice() else {
            return Err("it is not an order of five lines".into());
        };
        if *site != origin {
            return Err("it is for another site".into());
        }
        if id.len() != 32 || !id.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')) {
            return Err("its id is not 32 hexadecimal digits".into());
        }
        let times = times.split_once(' ').and_then(|(from, to)| Some((decimal(from)?, decimal(to)?)));
        let Some((not_before, not_after)) = times else { return Err("its times are malformed".into()) };
        match not_after.checked_sub(not_before) {
            Some(seconds) if seconds <= SECONDS_MAX => {}
            Some(seconds) => return Err(format!("it lasts {seconds} s, {SECONDS_MAX} s are most")),
            None => return Err("it ends before it begins".into()),
        }
        let plain = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '-');
        if incident.is_empty() || !incident.chars().all(plain) {
            return Err("its incident is not a plain name".into());
        }
        Ok(Self { id: (*id).into(), not_before, not_after, incident: (*incident).into() })
    }
}

/// Checks that holders of two employers at least have signed.
pub(crate) fn check_signatures(note: &str, holders: &[Holder]) -> Result<(), String> {
    let signed: Vec<&Holder> =
        holders.iter().filter(|holder| open(note.as_bytes(), &[&holder.key]).is_ok()).collect();
    // One key under two names is one holder.
    let keys = signed.iter().enumerate();
    let distinct = keys
        .filter(|(place, holder)| !signed.iter().take(*place).any(|other| other.key.same_key(&holder.key)));
    let employers: BTreeSet<&str> = distinct.map(|(_, holder)| holder.employer.as_str()).collect();
    if employers.len() >= 2 {
        return Ok(());
    }
    Err(format!("holders of {} employers signed it, 2 are least", employers.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        "clover border override v1\nsite.t/s\n00112233445566778899aabbccddeeff\n100 1900\nfire-1\n";

    fn parse(text: &str) -> Result<Order, String> {
        Order::parse(&format!("{text}\n— a AAAAAAAA\n"), "site.t/s")
    }

    #[test]
    fn an_order_is_read_and_any_other_form_is_refused() {
        let order = parse(GOOD).unwrap();
        assert_eq!((order.not_before, order.not_after, &*order.incident), (100, 1900, "fire-1"));
        for (from, to) in [
            ("v1", "v2"),
            ("site.t/s", "site.t/other"),
            ("eeff", "eef"),
            ("eeff", "eefF"),
            ("100 1900", "100 1901"),
            ("100 1900", "100 99"),
            ("100 1900", "0100 1900"),
            ("100 1900", "100"),
            ("fire-1", "Fire"),
            ("fire-1", ""),
            ("fire-1\n", "fire-1\nmore\n"),
        ] {
            assert!(parse(&GOOD.replace(from, to)).is_err(), "{from} → {to}");
        }
    }
}
