//! The operator's public numbers beside the mirror's own.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use serde::Deserialize;

use super::{
    View,
    check::chain,
    layout::{Menu, ago, head, none, notice, page, prose, section, table},
    reply::Page,
    tally::Day,
    words::{EN, fill, number, plain},
};
use crate::{
    codes::Treatment,
    daymap::DAY_SECONDS,
    fetch::{FetchError, Fetcher},
    history::day_of_date,
    html::escape,
    summary::Volume,
};

/// Where the numbers are below the operator's base URL.
const PATH: &str = "public/numbers.json";
const BYTES_MAX: usize = 1 << 20;
/// How long an answer is shown again.
const KEPT: Duration = Duration::from_secs(10);
/// Words of one kind; there are fewer countries.
const WORDS_MAX: usize = 300;
const WORD_BYTES_MAX: usize = 100;
/// The word of rulebooks for *differentially private*, which the operator's numbers may have too.
const NOISE_SHORT: &str = "dp";

/// What the operator says of itself. Members that are not known are of no interest.
#[derive(Debug, Deserialize)]
pub(super) struct Numbers {
    from: String,
    to: String,
    entries: Option<u64>,
    crossings: Option<u64>,
    refusals: Option<u64>,
    by_country: Option<BTreeMap<String, u64>>,
    by_purpose: Option<BTreeMap<String, u64>>,
    by_class: Option<BTreeMap<String, u64>>,
    by_treatment: Option<BTreeMap<String, u64>>,
}

/// What came of asking.
#[derive(Clone)]
pub(super) enum Answer {
    NotAsked,
    /// There was no answer.
    Silent(String),
    /// There was one that is no use.
    Unclear(String),
    Given(Arc<Numbers>),
}

/// The operator's web server.
pub(super) struct Operator {
    pub(super) base: String,
    fetcher: Fetcher,
    kept: tokio::sync::Mutex<Option<(Instant, Answer)>>,
}

impl Operator {
    pub(super) fn new(base: &str, certificates: Option<&std::path::Path>) -> Result<Self, FetchError> {
        let fetcher = Fetcher::new(base, certificates, false)?;
        Ok(Self { base: base.to_owned(), fetcher, kept: tokio::sync::Mutex::default() })
    }

    /// The numbers, of at most ten seconds ago. One asks at a time.
    pub(super) async fn ask(&self) -> Answer {
        let mut kept = self.kept.lock().await;
        if let Some((then, answer)) = &*kept
            && then.elapsed() < KEPT
        {
            return answer.clone();
        }
        let answer = match self.fetcher.get(PATH, BYTES_MAX).await {
            Ok(bytes) => read(&bytes).map_or_else(Answer::Unclear, |n| Answer::Given(Arc::new(n))),
            Err(error @ (FetchError::Connect(_) | FetchError::Late | FetchError::Broken(_))) => {
                Answer::Silent(chain(&error))
            }
            Err(error) => Answer::Unclear(chain(&error)),
        };
        *kept = Some((Instant::now(), answer.clone()));
        answer
    }
}

fn read(bytes: &[u8]) -> Result<Numbers, String> {
    let mut numbers: Numbers = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if let Some(treatments) = &mut numbers.by_treatment
        && let Some(count) = treatments.remove(NOISE_SHORT)
    {
        let sum = treatments.entry(Treatment::DifferentiallyPrivate.word().to_owned()).or_default();
        *sum = sum.saturating_add(count);
    }
    let maps = [&numbers.by_country, &numbers.by_purpose, &numbers.by_class, &numbers.by_treatment];
    let long = |map: &&BTreeMap<String, u64>| {
        map.len() > WORDS_MAX || map.keys().any(|word| word.len() > WORD_BYTES_MAX)
    };
    if maps.into_iter().flatten().any(|map| long(&map)) {
        return Err(EN.compare_long.to_owned());
    }
    match numbers.days() {
        Some((from, to)) if from <= to => Ok(numbers),
        _ => Err(EN.compare_days.to_owned()),
    }
}

impl Numbers {
    fn days(&self) -> Option<(u64, u64)> {
        Some((day_of_date(&self.from)?, day_of_date(&self.to)?))
    }
}

pub(super) fn compare(view: &View<'_>, base: Option<&str>, answer: &Answer) -> Page {
    let mut main = head(EN.compare, EN.compare_about);
    let at = base.map(|base| prose(&plain(EN.compare_at, &[base, PATH]))).unwrap_or_default();
    match (answer, &view.known.tally) {
        (Answer::NotAsked, _) => {
            main.push_str(&notice("unknown", EN.compare_not_asked, &none(EN.compare_how)));
        }
        (Answer::Silent(why), _) => {
            let body = format!("<p>{at}</p>\n<p>{}</p>\n", prose(why));
            main.push_str(&notice("bad", EN.compare_silent, &body));
        }
        (Answer::Unclear(why), _) => {
            let body = format!("<p>{at}</p>\n<p>{}</p>\n", prose(why));
            main.push_str(&notice("bad", EN.compare_unclear, &body));
        }
        (Answer::Given(_), None) => {
            main.push_str(&notice("unknown", EN.cover_unknown, &none(EN.being_read)));
        }
        (Answer::Given(numbers), Some(tally)) => {
            let (from, to) = numbers.days().unwrap_or_default();
            let groups = groups(numbers, &tally.sum(from, to));
            let rows = || groups.iter().flat_map(|(_, _, rows)| rows);
            let (all, differ) = (rows().count() as u64, rows().filter(|row| row.differs()).count() as u64);
            let days = fill(EN.compare_period, &[&numbers.from, &numbers.to]);
            let mut body =
                format!("<p>{days} {at}</p>\n<p>{} {}.</p>\n", EN.compare_read, ago(tally.at, view.live.now));
            let is_open = to >= tally.newest / DAY_SECONDS;
            if is_open {
                body.push_str(&format!("<p>{}</p>\n", EN.compare_today));
            }
            for failure in &tally.failures {
                body.push_str(&format!("<p>{}</p>\n", prose(failure)));
            }
            let (class, said) = if differ == 0 {
                ("good", fill(EN.compare_same, &[&number(all)]))
            } else if is_open && rows().all(|row| row.theirs.is_some_and(|theirs| theirs >= row.ours)) {
                ("unknown", fill(EN.compare_since, &[&number(differ), &number(all)]))
            } else {
                ("bad", fill(EN.compare_differ, &[&number(differ), &number(all)]))
            };
            main.push_str(&notice(class, &said, &body));
            for (id, title, rows) in &groups {
                main.push_str(&section(id, title, "", &shown(title, rows)));
            }
        }
    }
    Page::html(page(view.site(), Menu::Compare, EN.compare, &main))
}

/// One number, as both have it.
struct Row {
    name: String,
    /// `None` if the operator does not say it.
    theirs: Option<u64>,
    ours: u64,
}

impl Row {
    fn differs(&self) -> bool {
        self.theirs != Some(self.ours)
    }

    fn verdict(&self) -> String {
        let (class, text) = match self.theirs {
            None => ("bad", EN.row_unsaid.to_owned()),
            Some(theirs) if theirs == self.ours => ("good", EN.row_same.to_owned()),
            Some(theirs) if theirs > self.ours => ("bad", plain(EN.row_more, &[&number(theirs - self.ours)])),
            Some(theirs) => ("bad", plain(EN.row_fewer, &[&number(self.ours - theirs)])),
        };
        format!("<span class=\"tag {class}\">{}</span>", escape(&text))
    }
}

type Group = (&'static str, &'static str, Vec<Row>);

fn groups(theirs: &Numbers, ours: &Day) -> Vec<Group> {
    let row = |name: &str, theirs: Option<u64>, ours: u64| Row { name: name.to_owned(), theirs, ours };
    let sums = vec![
        row(EN.crossings, theirs.crossings, ours.crossings.total.crossings),
        row(EN.refusals, theirs.refusals, ours.refused()),
        row(EN.entries_of_gateways, theirs.entries, ours.entries),
    ];
    let of = &ours.crossings;
    vec![
        ("sums", EN.in_all, sums),
        ("country", EN.by_country, both(theirs.by_country.as_ref(), &of.by_country)),
        ("purpose", EN.by_purpose, both(theirs.by_purpose.as_ref(), &of.by_purpose)),
        ("class", EN.by_class, both(theirs.by_class.as_ref(), &of.by_class)),
        ("treatment", EN.by_treatment, both(theirs.by_treatment.as_ref(), &of.by_treatment)),
    ]
}

/// A row for each word that either has. A word that the operator leaves out of a list that it gives means none.
fn both(theirs: Option<&BTreeMap<String, u64>>, ours: &BTreeMap<String, Volume>) -> Vec<Row> {
    let words: BTreeSet<&String> = theirs.into_iter().flat_map(BTreeMap::keys).chain(ours.keys()).collect();
    let row = |word: &&String| Row {
        name: (*word).clone(),
        theirs: theirs.map(|map| map.get(*word).copied().unwrap_or(0)),
        ours: ours.get(*word).map_or(0, |volume| volume.crossings),
    };
    // Where neither has any there is nothing to compare.
    words.iter().map(row).filter(|row| row.ours > 0 || row.theirs.is_none_or(|count| count > 0)).collect()
}

fn shown(title: &str, rows: &[Row]) -> String {
    if rows.is_empty() {
        return none(EN.neither);
    }
    let cells = |row: &Row| {
        let name = if row.name.is_empty() { EN.nameless } else { &row.name };
        vec![escape(name), row.theirs.map_or_else(|| "–".to_owned(), number), number(row.ours), row.verdict()]
    };
    let columns = [(EN.number, true), (EN.theirs, false), (EN.ours, false), (EN.verdict, true)];
    let table = table(title, &columns, &rows.iter().map(cells).collect::<Vec<_>>());
    format!("<div class=\"beside\">\n{table}</div>\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_operator_says_is_read_within_limits_and_unknown_members_are_ignored() {
        let good =
            r#"{"from":"2030-03-17","to":"2030-03-18","crossings":3,"more":[1],"by_country":{"IE":3}}"#;
        assert_eq!(read(good.as_bytes()).unwrap().crossings, Some(3));
        let short =
            r#"{"from":"2030-03-17","to":"2030-03-17","by_treatment":{"dp":2,"differentially private":1}}"#;
        let treatments = read(short.as_bytes()).unwrap().by_treatment.unwrap();
        assert_eq!(treatments, BTreeMap::from([("differentially private".to_owned(), 3)]));
        for bad in [
            "",
            "[]",
            "{}",
            r#"{"from":"2030-03-18","to":"2030-03-17"}"#,
            r#"{"from":"today","to":"2030-03-17"}"#,
            r#"{"from":"2030-03-17","to":"2030-03-17","crossings":-1}"#,
        ] {
            assert!(read(bad.as_bytes()).is_err(), "{bad}");
        }
        let many: BTreeMap<String, u64> = (0..400).map(|n| (n.to_string(), n)).collect();
        let many = serde_json::json!({"from": "2030-03-17", "to": "2030-03-17", "by_country": many});
        assert!(read(many.to_string().as_bytes()).is_err());
    }

    #[test]
    fn a_number_that_is_left_out_is_no_agreement() {
        let ours = BTreeMap::from([("IE".to_owned(), Volume { crossings: 2, rows: 0, bytes: 0 })]);
        let differ = |theirs: Option<&BTreeMap<String, u64>>| {
            both(theirs, &ours).iter().filter(|row| row.differs()).count()
        };
        assert_eq!(differ(None), 1);
        assert_eq!(differ(Some(&BTreeMap::new())), 1);
        assert_eq!(differ(Some(&BTreeMap::from([("IE".to_owned(), 2), ("US".to_owned(), 0)]))), 0);
        assert_eq!(differ(Some(&BTreeMap::from([("IE".to_owned(), 2), ("US".to_owned(), 1)]))), 1);
    }
}
