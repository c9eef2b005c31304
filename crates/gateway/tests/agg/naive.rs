//! The same questions, computed row by row.

use std::collections::BTreeMap;

use gateway::sql::aggregate::Row;
use proptest::prelude::*;

/// Bounds of what one person contributes, and what stands for a missing value: in hundredths.
pub(crate) const AMOUNT: (i64, i64, i64) = (0, 10_000, 250);
pub(crate) const POINTS: (i64, i64, i64) = (-5, 9, 0);

/// A value of a `numeric`, in ten-thousandths.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Amount {
    Number(i64),
    Nan,
    Infinity,
    MinusInfinity,
}

#[derive(Debug, Clone)]
pub(crate) struct Visit {
    who: Option<u8>,
    country: Option<&'static str>,
    ward: Option<i32>,
    active: Option<bool>,
    day: Option<u8>,
    amount: Option<Amount>,
    points: Option<i64>,
}

pub(crate) fn visit() -> impl Strategy<Value = Visit> {
    let country = prop::sample::select(vec!["IE", "FI", "O'Ré \"x\" \\", "", "\u{1f}"]);
    let amount = prop_oneof![
        6 => (-30_000_i64..2_000_000).prop_map(Amount::Number),
        1 => Just(Amount::Nan),
        1 => Just(Amount::Infinity),
        1 => Just(Amount::MinusInfinity),
    ];
    fn or_none<T: std::fmt::Debug + Clone>(of: impl Strategy<Value = T>) -> impl Strategy<Value = Option<T>> {
        prop::option::weighted(0.85, of)
    }
    (
        or_none(0..8_u8),
        or_none(country),
        or_none(-2..3),
        or_none(any::<bool>()),
        or_none(1..6_u8),
        or_none(amount),
        or_none(-9..12_i64),
    )
        .prop_map(|(who, country, ward, active, day, amount, points)| Visit {
            who,
            country,
            ward,
            active,
            day,
            amount,
            points,
        })
}

impl Visit {
    pub(crate) fn sql(&self) -> String {
        fn text<T: std::fmt::Display>(value: Option<T>) -> String {
            value.map_or("null".to_owned(), |v| format!("'{}'", v.to_string().replace('\'', "''")))
        }
        let amount = self.amount.map(|amount| match amount {
            Amount::Number(n) => {
                format!("{}{}.{:04}", if n < 0 { "-" } else { "" }, n.abs() / 10_000, n.abs() % 10_000)
            }
            Amount::Nan => "NaN".to_owned(),
            Amount::Infinity => "Infinity".to_owned(),
            Amount::MinusInfinity => "-Infinity".to_owned(),
        });
        let values = [
            text(self.who.map(|n| format!("p{n}"))),
            text(self.country),
            text(self.ward),
            text(self.active),
            text(self.day.map(|n| format!("2026-01-0{n}"))),
            text(amount),
            text(self.points),
        ];
        format!("({})", values.join(", "))
    }

    fn key(&self, name: &str, listed: bool) -> Option<String> {
        match name {
            "country" => {
                self.country.filter(|c| !listed || ["IE", "FI", "NO"].contains(c)).map(str::to_owned)
            }
            "active" => self.active.map(|a| a.to_string()),
            "day" => self.day.map(|n| format!("2026-01-0{n}")),
            _ => self.ward.map(|n| n.to_string()),
        }
    }

    /// In hundredths, halves away from zero.
    fn cents(&self) -> i128 {
        match self.amount {
            Some(Amount::Number(n)) => {
                let half = (i128::from(n.abs()) + 50) / 100;
                if n < 0 { -half } else { half }
            }
            _ => i128::from(AMOUNT.2),
        }
    }
}

type Condition = (&'static str, fn(&Visit) -> bool);

/// Conditions and what they mean; PostgreSQL has NaN above all other numbers.
const CONDITIONS: &[Condition] = &[
    ("active = true", |v| v.active == Some(true)),
    ("active is null", |v| v.active.is_none()),
    ("\"Ward \"\"7\"\"\" >= -1", |v| v.ward.is_some_and(|w| w >= -1)),
    ("\"Ward \"\"7\"\"\" in (1, -2)", |v| v.ward.is_some_and(|w| w == 1 || w == -2)),
    ("country <> 'IE'", |v| v.country.is_some_and(|c| c != "IE")),
    ("country in ('FI', 'O''Ré \"x\" \\')", |v| v.country.is_some_and(|c| c == "FI" || c.starts_with("O'"))),
    ("12.5 < amount", |v| match v.amount {
        Some(Amount::Number(n)) => n > 125_000,
        Some(Amount::Nan | Amount::Infinity) => true,
        _ => false,
    }),
    ("day between '2026-01-02' and date '2026-01-04'", |v| v.day.is_some_and(|d| (2..=4).contains(&d))),
    ("points is not null", |v| v.points.is_some()),
    ("points < 3", |v| v.points.is_some_and(|p| p < 3)),
];

/// A question.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) keys: Vec<&'static str>,
    pub(crate) numbers: Vec<&'static str>,
    pub(crate) conditions: Vec<usize>,
    pub(crate) listed: bool,
    pub(crate) rows: u32,
    pub(crate) groups: u32,
    pub(crate) seed: i64,
}

pub(crate) fn asked() -> impl Strategy<Value = Asked> {
    let keys = prop::sample::subsequence(vec!["country", "ward", "active", "day"], 0..3);
    // In the order in which numbers are told.
    let numbers = prop::sample::subsequence(vec!["rows", "amount", "points"], 0..4);
    let conditions = prop::sample::subsequence((0..CONDITIONS.len()).collect::<Vec<_>>(), 0..3);
    (
        keys,
        numbers,
        conditions,
        any::<bool>(),
        1..4_u32,
        prop::sample::select(vec![1, 2, 1_000]),
        any::<i64>(),
    )
        .prop_map(|(keys, numbers, conditions, listed, rows, groups, seed)| Asked {
            keys,
            numbers,
            conditions,
            listed,
            rows,
            groups,
            seed,
        })
}

impl Asked {
    pub(crate) fn text(&self) -> String {
        let named = |key: &&'static str| if *key == "ward" { "\"Ward \"\"7\"\"\"" } else { *key };
        let numbers = self.numbers.iter().map(|number| match *number {
            "rows" => "count(*)".to_owned(),
            sum => format!("sum({sum})"),
        });
        let shown: Vec<String> = numbers.chain(["count(distinct who)".to_owned()]).collect();
        let conditions: Vec<&str> = self.conditions.iter().map(|n| CONDITIONS[*n].0).collect();
        let keys: Vec<&str> = self.keys.iter().map(named).collect();
        let part = |word: &str, parts: &[&str], between: &str| {
            if parts.is_empty() { String::new() } else { format!(" {word} {}", parts.join(between)) }
        };
        format!(
            "select {} from visits{}{}",
            shown.join(", "),
            part("where", &conditions, " and "),
            part("group by", &keys, ", ")
        )
    }

    pub(crate) fn sums_are_not_under_zero(&self) -> bool {
        !self.numbers.contains(&"points")
    }
}

/// What each person contributes to each group besides themselves.
pub(crate) fn people(visits: &[Visit], asked: &Asked) -> BTreeMap<(String, Row), Vec<i128>> {
    let mut people: BTreeMap<(String, Row), [i128; 3]> = BTreeMap::new();
    for visit in visits {
        let Some(who) = visit.who else { continue };
        if !asked.conditions.iter().all(|n| (CONDITIONS[*n].1)(visit)) {
            continue;
        }
        let key: Row = asked.keys.iter().map(|key| visit.key(key, asked.listed)).collect();
        let sums = people.entry((format!("p{who}"), key)).or_default();
        let points = visit.points.unwrap_or(POINTS.2);
        for (sum, value) in sums.iter_mut().zip([1, visit.cents(), i128::from(points)]) {
            *sum += value;
        }
    }
    let bounds = [(0, i64::from(asked.rows)), (AMOUNT.0, AMOUNT.1), (POINTS.0, POINTS.1)];
    let bounded = |sums: [i128; 3]| {
        let all = sums.iter().zip(bounds).zip(["rows", "amount", "points"]);
        // Where nobody has two rows in a group, rows are people, and no number of their own.
        let told = |name: &str| asked.numbers.contains(&name) && (name != "rows" || asked.rows > 1);
        all.filter(|(_, name)| told(name))
            .map(|((n, (low, high)), _)| (*n).clamp(low.into(), high.into()))
            .collect()
    };
    people.into_iter().map(|(of, sums)| (of, bounded(sums))).collect()
}

/// The same by group, people first.
pub(crate) fn groups(people: &BTreeMap<(String, Row), Vec<i128>>) -> BTreeMap<Row, Vec<i128>> {
    let mut groups: BTreeMap<Row, Vec<i128>> = BTreeMap::new();
    for ((_, key), numbers) in people {
        let numbers: Vec<i128> = std::iter::once(1).chain(numbers.iter().copied()).collect();
        let sums = groups.entry(key.clone()).or_insert_with(|| vec![0; numbers.len()]);
        sums.iter_mut().zip(numbers).for_each(|(sum, n)| *sum += n);
    }
    groups
}
