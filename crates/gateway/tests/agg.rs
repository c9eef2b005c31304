//! Questions of the closed grammar: their statements on a real server against a computation by hand, and attacks on answers.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use gateway::sql::aggregate::run::{RunError, run};
use gateway::sql::aggregate::{
    Cell, Column, Declared, Key, Kind, Noisy, Plan, Row, Statement, Sum, Told, Unanswered, parse,
};
use model::UnixSeconds;
use model::counts::{Noise, Privacy};
use testkit::postgres::Postgres;
use tokio_postgres::{Client, NoTls};
use transform::aggregate::{Guard, Member};
use transform::budget::{Limits, Query, Refused, Reserved, Rows, reserve, settle};
use transform::dp::Answer;

#[path = "agg/naive.rs"]
mod naive;

use naive::Visit;

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);
const K: u32 = 10;

fn noise(epsilon_micro: u32) -> Privacy {
    Privacy::Noise(Noise { epsilon_micro, recipient_micro: 4_000_000, dataset_micro: 8_000_000 })
}

fn column(name: &str, kind: Kind, key: Key, sum: Option<Sum>) -> Column {
    Column { name: name.to_owned(), kind, key, filter: true, sum }
}

fn listed(values: &[&str]) -> Key {
    Key::Listed(values.iter().map(|v| (*v).to_owned()).collect())
}

/// The table of these tests, with so many rows and groups of a person, and its country listed or not.
fn visits(rows: u32, groups: u32, country: Key) -> Arc<Declared> {
    let amount = Sum { low: naive::AMOUNT.0, high: naive::AMOUNT.1, missing: naive::AMOUNT.2 };
    let points = Sum { low: naive::POINTS.0, high: naive::POINTS.1, missing: naive::POINTS.2 };
    let columns = vec![
        column("country", Kind::Text, country, None),
        column("Ward \"7\"", Kind::Integer, Key::Open, None),
        column("active", Kind::Bool, Key::Open, None),
        column("day", Kind::Date, Key::Open, None),
        column("amount", Kind::Numeric { scale: 2 }, Key::No, Some(amount)),
        column("points", Kind::Integer, Key::No, Some(points)),
    ];
    Arc::new(Declared::new("visits", ("da\"ta", "vis its"), "who", (rows, groups), columns).unwrap())
}

fn plan(text: &str, declared: &Arc<Declared>, privacy: Privacy) -> Plan {
    let question = parse(text, std::slice::from_ref(declared)).unwrap_or_else(|e| panic!("{text}: {e:?}"));
    Plan::new(question, privacy, K).unwrap()
}

fn noisy(text: &str, declared: &Arc<Declared>, privacy: Privacy) -> Noisy {
    let Plan::Noisy(noisy) = plan(text, declared, privacy) else { panic!("no noise") };
    *noisy
}

/// A server with one connection to it.
struct Server {
    postgres: Postgres,
    runtime: tokio::runtime::Runtime,
    client: Client,
}

impl Server {
    fn start() -> Self {
        let postgres = Postgres::start().unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let client = Self::connect(&runtime, &postgres.address());
        let server = Self { postgres, runtime, client };
        server.execute(
            "create schema \"da\"\"ta\"; create table \"da\"\"ta\".\"vis its\" (who text, country text, \"Ward \"\"7\"\"\" int4, active bool, \
             day date, amount numeric, points int8)",
        );
        server
    }

    fn connect(runtime: &tokio::runtime::Runtime, address: &str) -> Client {
        runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(address, NoTls).await.unwrap();
            tokio::spawn(connection);
            client
        })
    }

    fn execute(&self, statements: &str) {
        self.runtime.block_on(self.client.batch_execute(statements)).unwrap();
    }

    /// Replaces what is in the table.
    fn fill(&self, visits: &[Visit]) {
        let values: Vec<String> = visits.iter().map(Visit::sql).collect();
        let insert = if values.is_empty() {
            String::new()
        } else {
            format!("insert into \"da\"\"ta\".\"vis its\" values {}", values.join(", "))
        };
        self.execute(&format!("truncate \"da\"\"ta\".\"vis its\"; {insert}"));
    }

    fn run(&mut self, declared: &Declared, statement: &Statement) -> Result<Vec<Row>, RunError> {
        let mut rows = Vec::new();
        let mut take = |row: Row| {
            rows.push(row);
            Ok(())
        };
        let within = Duration::from_secs(20);
        self.runtime.block_on(run(&mut self.client, declared, statement, within, &mut take))?;
        Ok(rows)
    }
}

mod on_a_server {
    use proptest::prelude::*;
    use proptest::test_runner::{Config, TestRunner};

    use super::*;

    /// One question of random rows: what the statements answer is what is computed by hand.
    fn compare(server: &mut Server, rows: &[Visit], asked: &naive::Asked) -> Result<(), TestCaseError> {
        server.fill(rows);
        let country = if asked.listed { listed(&["IE", "FI", "NO"]) } else { Key::Open };
        let declared = visits(asked.rows, asked.groups, country);
        let text = asked.text();
        let plan = noisy(&text, &declared, noise(1_000_000));
        let naive = naive::people(rows, asked);
        let told = server.run(&declared, &plan.statement(asked.seed)).unwrap();
        let sql: BTreeMap<Row, Vec<i128>> = told
            .iter()
            .map(|row| parted(row, asked.keys.len()))
            .filter(|(_, numbers)| numbers[0] != 0)
            .collect();
        let all = naive::groups(&naive);
        let mut memberships: BTreeMap<&str, u32> = BTreeMap::new();
        naive.keys().for_each(|(who, _)| *memberships.entry(who).or_default() += 1);
        if memberships.values().all(|groups| *groups <= plan_groups(asked)) {
            prop_assert_eq!(&sql, &all, "{}", text);
        } else {
            // Who is in too many groups counts in so many of them, and nobody in one where they are not.
            let people: i128 = sql.values().map(|numbers| numbers[0]).sum();
            let most: u32 = memberships.values().map(|groups| (*groups).min(plan_groups(asked))).sum();
            prop_assert_eq!(people, i128::from(most), "{}", text);
            for (key, numbers) in &sql {
                prop_assert!(numbers[0] <= all[key][0], "{}", text);
            }
        }
        // Whatever the data, what the statement answers is within the bounds that noise is made for.
        prop_assert!(plan.draw(sql.iter().map(joined)).is_ok());
        if asked.conditions.is_empty() && asked.sums_are_not_under_zero() {
            let Plan::Exact(exact) = super::plan(&text, &declared, Privacy::Threshold) else {
                panic!("noise")
            };
            let told = server.run(&declared, &exact.statement()).unwrap();
            let told = told.iter().map(|row| {
                let (key, numbers) = parted(&row[1..], asked.keys.len());
                ((row[0].clone().unwrap(), key), numbers)
            });
            let told: BTreeMap<(String, Row), Vec<i128>> = told.collect();
            prop_assert_eq!(told, naive, "{}", text);
        }
        Ok(())
    }

    /// How many groups of a person count.
    fn plan_groups(asked: &naive::Asked) -> u32 {
        match asked.keys.as_slice() {
            [] => 1,
            ["country"] if asked.listed => asked.groups.min(4),
            _ => asked.groups,
        }
    }

    fn parted(row: &[Option<String>], keys: usize) -> (Row, Vec<i128>) {
        // The sum of nothing is none.
        let number = |text: &Option<String>| text.as_deref().unwrap_or("0").parse().unwrap();
        (row[..keys].to_vec(), row[keys..].iter().map(number).collect())
    }

    fn joined((key, numbers): (&Row, &Vec<i128>)) -> Row {
        key.iter().cloned().chain(numbers.iter().map(|n| Some(n.to_string()))).collect()
    }

    #[test]
    fn a_statement_answers_what_is_computed_by_hand() {
        let server = std::cell::RefCell::new(Server::start());
        let mut runner =
            TestRunner::new(Config { cases: 60, failure_persistence: None, ..Config::default() });
        let cases = (prop::collection::vec(naive::visit(), 0..40), naive::asked());
        runner.run(&cases, |(rows, asked)| compare(&mut server.borrow_mut(), &rows, &asked)).unwrap();
    }
}

/// Values at the ends of what a column can hold make no error, from which somebody could tell that they are there.
#[test]
fn no_value_and_no_state_of_the_server_tells_more_than_an_answer() {
    let mut server = Server::start();
    let declared = visits(5, 3, listed(&["IE", "FI"]));
    let text = "select country, count(*), sum(amount), avg(points) from visits where day >= '0001-01-01' group by country";
    let asked = noisy(text, &declared, noise(1_000_000));
    let huge = format!("1{}", "0".repeat(131_000));
    server.execute(&format!(
        "insert into \"da\"\"ta\".\"vis its\" values ('a', 'IE', 1, true, '2026-01-01', '{huge}', 9223372036854775807), \
         ('a', 'IE', 1, true, '2026-01-01', '{huge}', 9223372036854775807), ('b', 'IE', 1, true, '9999-12-31', 'NaN', -9223372036854775808), \
         ('c', null, 1, true, 'infinity', '-{huge}', null), ('d', repeat('x', 100000), 1, true, '5874897-12-31', 'Infinity', 0), \
         ('e', 'FI', 1, true, '4000-01-01 BC', '-Infinity', 1), (null, 'IE', 1, true, '2026-01-01', 1, 1)"
    ));
    let rows = server.run(&declared, &asked.statement(1)).unwrap();
    let of = |numbers: &[&str], key: Option<&str>| -> Row {
        [key].into_iter().chain(numbers.iter().copied().map(Some)).map(|v| v.map(str::to_owned)).collect()
    };
    let (low, high, missing) = naive::AMOUNT;
    let sum = |n: i64| n.to_string();
    // One person with two rows, one with NaN; the day of the Finn is too early; two are in no declared country.
    let expected = [
        of(
            &["2", "3", &sum(high + missing.clamp(low, high)), &sum(naive::POINTS.1 + naive::POINTS.0)],
            Some("IE"),
        ),
        of(&["2", "2", &sum(low + missing.clamp(low, high)), &sum(naive::POINTS.2)], None),
    ];
    assert_eq!(rows.iter().collect::<BTreeSet<_>>(), expected.iter().collect::<BTreeSet<_>>());
    assert!(asked.draw(rows).is_ok());
    // Each kind of key takes whatever is there.
    for key in ["day", "\"Ward \"\"7\"\"\"", "active"] {
        let asked =
            noisy(&format!("select count(*) from visits group by {key}"), &declared, noise(1_000_000));
        let rows = server.run(&declared, &asked.statement(2)).unwrap();
        assert!(rows.iter().all(|row| row.len() == 3) && asked.draw(rows).is_ok());
    }
    encodings(&server);
    least_rights(&mut server, &declared, &asked);
    failures(&mut server, &declared, &asked);
}

/// A login role that may read the one relation is enough.
fn least_rights(server: &mut Server, declared: &Declared, asked: &Noisy) {
    server.execute(
        "create role counter login; grant usage on schema \"da\"\"ta\" to counter; grant select on \"da\"\"ta\".\"vis its\" to counter",
    );
    let address = server.postgres.address().replace("user=clover", "user=counter");
    let mut client = Server::connect(&server.runtime, &address);
    let mut rows = 0;
    let mut take = |_: Row| {
        rows += 1;
        Ok(())
    };
    let statement = asked.statement(3);
    let done = run(&mut client, declared, &statement, Duration::from_secs(20), &mut take);
    server.runtime.block_on(done).unwrap();
    assert_eq!(rows, 2);
}

/// What fails says its code, and nothing of the data.
fn failures(server: &mut Server, declared: &Declared, asked: &Noisy) {
    let statement = asked.statement(4);
    let mut full = |_: Row| Err(Unanswered::TooMany);
    let done = run(&mut server.client, declared, &statement, Duration::from_secs(20), &mut full);
    assert_eq!(server.runtime.block_on(done), Err(RunError::Unanswered(Unanswered::TooMany)));
    server.execute(
        "alter table \"da\"\"ta\".\"vis its\" rename to kept; create view \"da\"\"ta\".\"vis its\" as \
         select k.* from \"da\"\"ta\".kept k, (select pg_sleep(5)) s",
    );
    let mut none = |_: Row| Ok(());
    let done = run(&mut server.client, declared, &statement, Duration::from_millis(50), &mut none);
    assert_eq!(server.runtime.block_on(done), Err(RunError::Server("57014".to_owned())));
    server.execute("drop view \"da\"\"ta\".\"vis its\"");
    assert_eq!(server.run(declared, &statement), Err(RunError::Drift("country".to_owned())));
    server.execute("alter table \"da\"\"ta\".kept rename to \"vis its\"; alter table \"da\"\"ta\".\"vis its\" alter amount type text");
    assert_eq!(server.run(declared, &statement), Err(RunError::Drift("amount".to_owned())));
}

/// What PostgreSQL makes of our bytes and texts.
fn encodings(server: &Server) {
    #[derive(Debug)]
    struct Sent(Vec<u8>);
    impl tokio_postgres::types::ToSql for Sent {
        fn to_sql(
            &self,
            _: &tokio_postgres::types::Type,
            out: &mut bytes::BytesMut,
        ) -> Result<tokio_postgres::types::IsNull, Box<dyn std::error::Error + Sync + Send>> {
            out.extend_from_slice(&self.0);
            Ok(tokio_postgres::types::IsNull::No)
        }
        fn accepts(_: &tokio_postgres::types::Type) -> bool {
            true
        }
        tokio_postgres::types::to_sql_checked!();
    }
    let cells = [
        ("numeric", Cell::Numeric(-1_234_567, 4)),
        ("numeric", Cell::Numeric(0, 2)),
        ("numeric", Cell::Numeric(i64::MIN, 11)),
        ("numeric", Cell::Numeric(100_000_000, 0)),
        ("numeric", Cell::Numeric(7, 9)),
        ("int8", Cell::Integer(-5)),
        ("bool", Cell::Bool(true)),
        ("date", Cell::Date("2026-11-27".to_owned(), 9_827)),
        ("text", Cell::Text("Ærø".to_owned())),
    ];
    for (name, cell) in cells {
        let text = format!("select case when $1::{name} = $2::text::{name} then $1::{name}::text end");
        let sent = Sent(cell.binary().unwrap());
        let told =
            server.runtime.block_on(server.client.query_one(&text, &[&sent, &cell.text().unwrap()])).unwrap();
        let told: Option<String> = told.get(0);
        let expected = if cell == Cell::Bool(true) { "true".to_owned() } else { cell.text().unwrap() };
        assert_eq!(told, Some(expected), "{cell:?}");
    }
}

// --- Attacks: no server is needed for what happens behind it. ---

/// People as the statement would count them.
fn counted(groups: &[(&str, i64)]) -> Vec<Row> {
    groups.iter().map(|(key, people)| vec![Some((*key).to_owned()), Some(people.to_string())]).collect()
}

fn digest(noisy: &Noisy) -> Query {
    noisy.query(&["employer a", "visits", "2026-11-27"])
}

/// Charges as the session does: before it draws. What was asked before is told again.
fn ask(rows: &mut Rows, noisy: &Noisy, data: Vec<Row>) -> Result<Told, Refused> {
    let (query, limits) = (digest(noisy), noisy.limits());
    rows.released = rows.released.take().filter(|r| r.query() == query);
    if matches!(reserve(rows, query, noisy.cost(), &limits, NOW)?, Reserved::Paid) {
        settle(rows, query, noisy.draw(data).unwrap())?;
    }
    let told = rows.known(query)?.unwrap();
    Ok(noisy.told(told.answer()).unwrap())
}

fn integer(cell: &Cell) -> i64 {
    let Cell::Integer(n) = cell else { panic!("{cell:?}") };
    *n
}

/// All, and all but one: with half an epsilon each whoever asks is right in no more than e/(1+e) = 73.1 % of cases. The spread
/// of 2,000 trials is 1 %: a false alarm has a chance of less than 1e-7.
#[test]
fn all_and_all_but_one_tell_of_one_no_more_often_than_promised() {
    let declared = visits(1, 1, listed(&["IE", "FI"]));
    let [all, others] = ["", " where points <> 7"].map(|condition| {
        noisy(&format!("select count(*) from visits{condition}"), &declared, noise(500_000))
    });
    let right = (0..2_000_i64).filter(|trial| {
        let inside = trial % 2;
        let mut rows = Rows::default();
        let row = |people: i64| vec![vec![Some(people.to_string())]];
        let a = integer(&ask(&mut rows, &all, row(500 + inside)).unwrap().rows[0][0]);
        let b = integer(&ask(&mut rows, &others, row(500)).unwrap().rows[0][0]);
        i64::from(a > b) == inside
    });
    let rate = right.count() as f64 / 2_000.0;
    assert!(rate < 0.731 + 5.5 * 0.01, "{rate}");
}

#[test]
fn asking_again_in_other_words_gives_nothing_to_average_and_other_questions_run_out() {
    let declared = visits(1, 1, listed(&["IE", "FI"]));
    let mut rows = Rows::default();
    let data = || counted(&[("IE", 100), ("FI", 60)]);
    let words = [
        "select country, count(*) from visits where active = true and points > 1 group by country order by country",
        "SELECT v.country, COUNT(*) FROM visits v WHERE v.points > 01 AND v.active = true GROUP BY v.country ORDER BY 1 ASC LIMIT 2",
    ];
    let mut told = (0..50)
        .map(|n| ask(&mut rows, &noisy(words[n % 2], &declared, noise(1_000_000)), data()).unwrap().rows);
    let first = told.next().unwrap();
    assert!(told.all(|again| again == first));
    // A tracker needs more questions than the budget has.
    let outcomes: Vec<_> = (2..9)
        .map(|n| {
            let text = format!("select country, count(*) from visits where points > {n} group by country");
            ask(&mut rows, &noisy(&text, &declared, noise(1_000_000)), data()).err()
        })
        .collect();
    assert_eq!(outcomes[..3], [None; 3]);
    assert!(outcomes[3..].iter().all(|e| *e == Some(Refused::Recipient)));
    assert_eq!(rows.left(&Limits::default(), NOW), 0);
}

/// With declared keys every group is drawn, and what is told of an empty one is noise; with keys of the data a group of one
/// shows with a chance of a quarter of 10^-9, whatever it is called.
#[test]
fn whether_a_group_is_there_is_not_told() {
    let declared = visits(1, 1, listed(&["IE", "FI"]));
    let asked = noisy("select country, count(*) from visits group by country", &declared, noise(1_000_000));
    for data in [counted(&[("IE", 500), ("FI", 1)]), counted(&[("IE", 500)])] {
        let mut rows = Rows::default();
        ask(&mut rows, &asked, data).unwrap();
        let Answer::Table(groups) = rows.known(digest(&asked)).unwrap().unwrap().answer().clone() else {
            panic!("no table")
        };
        let keys: Vec<_> = groups.iter().map(|(key, _)| key[0].as_deref()).collect();
        assert_eq!(keys, [None, Some("FI"), Some("IE")]);
        // A small one would have to draw ten: e^-10.
        let told = asked.told(&Answer::Table(vec![(vec![Some("FI".to_owned())], vec![9])])).unwrap();
        assert_eq!((told.rows, told.withheld), (vec![], Some(1)));
    }
    let open = visits(1, 1, Key::Open);
    let asked = noisy("select country, count(*) from visits group by country", &open, noise(1_000_000));
    for _ in 0..200 {
        let told = ask(&mut Rows::default(), &asked, counted(&[("anna's", 1), ("IE", 500)])).unwrap();
        assert_eq!(
            (told.rows.len(), told.rows[0][0].clone(), told.withheld),
            (1, Cell::Text("IE".to_owned()), None)
        );
    }
    // Groups that are larger than the asker wants, by their noisy number.
    let asked = noisy(
        "select country, count(*) from visits group by country having count(*) >= 400",
        &declared,
        noise(1_000_000),
    );
    let told = ask(&mut Rows::default(), &asked, counted(&[("IE", 500), ("FI", 300)])).unwrap();
    assert_eq!((told.rows.len(), told.withheld), (1, Some(2)));
}

/// A sum of 100.00 at most a person: noise of scale 2 x 10,000 on the sum, of 2 on the count.
#[test]
fn means_and_sums_stay_within_what_they_can_be_and_are_told_in_their_scale() {
    let declared = visits(1, 1, Key::Open);
    let asked = noisy("select avg(amount) a, sum(amount), count(*) from visits", &declared, noise(1_000_000));
    let (low, high, _) = naive::AMOUNT;
    let row = |people: i64, sum: i64| vec![vec![Some(people.to_string()), Some(sum.to_string())]];
    let told = ask(&mut Rows::default(), &asked, row(50_000, 50_000 * 5_000)).unwrap();
    let oids: Vec<_> = told.columns.iter().map(|c| (c.name.as_str(), c.oid, c.bytes)).collect();
    assert_eq!(oids, [("a", 1700, -1), ("sum", 1700, -1), ("count", 20, 8)]);
    let [Cell::Numeric(mean, 4), Cell::Numeric(sum, 2), Cell::Integer(people)] = told.rows[0][..] else {
        panic!("{told:?}")
    };
    assert!(
        (mean - 500_000).abs() < 5_000 && (sum - 250_000_000).abs() < 600_000 && (people - 50_000).abs() < 60
    );
    let line = told.json_lines().next().unwrap();
    let json: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(json["count"], people);
    assert!(line.starts_with(&format!("{{\"a\":{}.{:04},\"sum\":", mean / 10_000, mean % 10_000)), "{line}");
    // Whatever is drawn, a mean is one that people can have.
    for (people, sum) in [(50, i64::MAX), (50, i64::MIN)] {
        let told = asked.told(&Answer::Table(vec![(vec![], vec![people, sum])])).unwrap();
        let Cell::Numeric(mean, 4) = told.rows[0][0] else { panic!("{told:?}") };
        assert!((low * 100..=high * 100).contains(&mean));
    }
    let few = asked.told(&Answer::Table(vec![(vec![], vec![9, 100])])).unwrap();
    assert_eq!(few.rows, [[Cell::Null, Cell::Null, Cell::Null]], "one row, as everywhere in SQL");
    assert_eq!(asked.told(&Answer::Number(3)), Err(Unanswered::Form));
    assert_eq!(asked.told(&Answer::Owed), Err(Unanswered::Form));
}

/// The table of these tests with its points in bands.
fn banded() -> Arc<Declared> {
    banded_of(1, 1)
}

fn banded_of(rows: u32, groups: u32) -> Arc<Declared> {
    let points = Sum { low: naive::POINTS.0, high: naive::POINTS.1, missing: naive::POINTS.2 };
    let columns = vec![
        column("country", Kind::Text, listed(&["FI", "IE"]), None),
        column("points", Kind::Integer, Key::Bands(vec![-10, 0, 10, 100]), Some(points)),
    ];
    Arc::new(Declared::new("visits", ("da\"ta", "vis its"), "who", (rows, groups), columns).unwrap())
}

const HISTOGRAM: &str = "select points, count(*) from visits group by points order by points";
const QUANTILES: &str = "select percentile_disc(0.5) within group (order by points) as middle, \
     percentile_disc(0.9) WITHIN GROUP (ORDER BY visits.points ASC) from visits";

#[test]
fn a_number_counts_in_the_band_whose_least_it_reaches_and_what_is_under_all_in_none() {
    let mut server = Server::start();
    let points = [
        "-11",
        "-10",
        "-1",
        "0",
        "9",
        "10",
        "99",
        "100",
        "9223372036854775807",
        "-9223372036854775808",
        "null",
    ];
    let values: Vec<String> =
        points.iter().enumerate().map(|(n, p)| format!("('p{n}', 'IE', {p})")).collect();
    server.execute(&format!(
        "insert into \"da\"\"ta\".\"vis its\" (who, country, points) values {}",
        values.join(", ")
    ));
    let asked = noisy(HISTOGRAM, &banded(), noise(1_000_000));
    let mut rows = server.run(&banded(), &asked.statement(7)).unwrap();
    rows.sort();
    let row = |band: Option<&str>, people: &str| vec![band.map(str::to_owned), Some(people.to_owned())];
    let bands = [(None, "3"), (Some("-10"), "2"), (Some("0"), "2"), (Some("10"), "2"), (Some("100"), "2")];
    assert_eq!(rows, bands.map(|(band, people)| row(band, people)));
    // Who has several rows counts with three in a band and in two bands, beside another key and with a sum.
    server.execute(
        "truncate \"da\"\"ta\".\"vis its\"; insert into \"da\"\"ta\".\"vis its\" (who, country, points) values \
         ('a', 'IE', 1), ('a', 'IE', 2), ('a', 'IE', 3), ('a', 'IE', 4), ('a', 'IE', 11), ('b', 'FI', 100)",
    );
    let several = banded_of(3, 2);
    let text = "select country, points, count(*), sum(points) from visits group by country, points";
    let mut rows = server.run(&several, &noisy(text, &several, noise(1_000_000)).statement(7)).unwrap();
    rows.sort();
    let row = |cells: [&str; 5]| cells.map(|cell| Some(cell.to_owned())).to_vec();
    let (low, high, _) = naive::POINTS;
    let sum = |sum: i64| sum.clamp(low, high).to_string();
    let wanted = [
        ["FI", "100", "1", "1", &sum(100)],
        ["IE", "0", "1", "3", &sum(10)],
        ["IE", "10", "1", "1", &sum(11)],
    ];
    assert_eq!(rows, wanted.map(row));
    let question = |text: &str| noisy(text, &several, noise(1_000_000));
    assert_eq!(digest(&question(HISTOGRAM)), digest(&question(QUANTILES)), "rows are counted besides people");
}

#[test]
fn quantiles_follow_from_the_noisy_numbers_of_all_bands_and_cost_nothing_besides() {
    let declared = banded();
    let [histogram, quantiles] = [HISTOGRAM, QUANTILES].map(|text| noisy(text, &declared, noise(1_000_000)));
    assert_eq!(digest(&histogram), digest(&quantiles), "one question");
    let bands =
        [(Some("-10"), 500), (Some("0"), 3_000), (Some("10"), 1_000), (Some("100"), 400), (None, 7_000)];
    let row = |(band, people): (Option<&str>, i64)| vec![band.map(str::to_owned), Some(people.to_string())];
    let mut rows = Rows::default();
    let told = ask(&mut rows, &histogram, bands.map(row).to_vec()).unwrap();
    let shown: Vec<Cell> = told.rows.iter().map(|row| row[0].clone()).collect();
    assert_eq!(shown[..4], [-10, 0, 10, 100].map(Cell::Integer));
    assert_eq!((told.rows.len(), &shown[4]), (5, &Cell::Null), "what is in no band is a group of its own");
    assert!(
        told.rows
            .iter()
            .zip([500, 3_000, 1_000, 400, 7_000])
            .all(|(row, n)| (integer(&row[1]) - n).abs() < 60)
    );
    let left = rows.left(&Limits::default(), NOW);
    let told = ask(&mut rows, &quantiles, Vec::new()).unwrap();
    assert_eq!(told.rows, [[Cell::Integer(0), Cell::Integer(10)]], "of the 4,900 who are in a band");
    let names: Vec<_> = told.columns.iter().map(|c| (c.name.as_str(), c.oid)).collect();
    assert_eq!(names, [("middle", 20), ("percentile_disc", 20)]);
    assert_eq!(rows.left(&Limits::default(), NOW), left);
    // What noise makes of nobody counts as nobody, and of few there is no quantile.
    let of = |bands: &[(&str, i64)]| {
        let groups = bands.iter().map(|(band, n)| (vec![Some((*band).to_owned())], vec![*n])).collect();
        quantiles.told(&Answer::Table(groups)).unwrap().rows[0].clone()
    };
    assert_eq!(
        of(&[("-10", -3), ("0", -1), ("10", 4), ("100", 30)]),
        [Cell::Integer(100), Cell::Integer(100)]
    );
    assert_eq!(of(&[("-10", 3), ("0", 6), ("10", -40)]), [Cell::Null, Cell::Null]);
    // Who is in no band does not make ten of nine, and noise that is under zero is not cut off.
    let few = vec![(vec![None], vec![7_000]), (vec![Some("0".to_owned())], vec![9])];
    assert_eq!(quantiles.told(&Answer::Table(few)).unwrap().rows[0], [Cell::Null, Cell::Null]);
    assert_eq!(of(&[("-10", 20), ("0", -20), ("10", 20), ("100", -11)]), [Cell::Null, Cell::Null]);
    assert_eq!(
        of(&[("-10", 30), ("0", -4), ("10", 4), ("100", -2)]),
        [Cell::Integer(-10), Cell::Integer(-10)]
    );
    for privacy in [Privacy::Threshold, Privacy::Guard] {
        let question = parse(QUANTILES, &[banded()]).unwrap();
        assert!(Plan::new(question, privacy, K).unwrap_err().why.contains("would need noise"));
        assert!(Plan::new(parse(HISTOGRAM, &[banded()]).unwrap(), privacy, K).is_ok());
    }
}

#[test]
fn a_quantile_is_of_one_column_in_bands_and_stands_alone() {
    let one = "percentile_disc(0.5) within group (order by points)";
    for (text, why) in [
        ("select percentile_disc(0.5) within group (order by country) from visits", "declared in bands"),
        ("select percentile_disc(1.5) within group (order by points) from visits", "declared in bands"),
        ("select percentile_disc(0.0000001) within group (order by points) from visits", "declared in bands"),
        ("select percentile_disc(0) within group (order by points) from visits", "declared in bands"),
        ("select percentile_disc(0.5) within group (order by points desc) from visits", "declared in bands"),
        ("select percentile_disc(0.5) from visits", "declared in bands"),
        ("select percentile_cont(0.5) within group (order by points) from visits", "functions are"),
        ("select {one}, count(*) from visits", "stand alone"),
        ("select country, {one} from visits group by country", "stand alone"),
        ("select {one} from visits having count(*) >= 20", "stand alone"),
        ("select count(*) within group (order by points) from visits", "functions are"),
    ] {
        let text = text.replace("{one}", one);
        let refusal = parse(&text, &[banded()]).unwrap_err();
        assert!(refusal.why.contains(why), "{text}: {refusal:?}");
        assert!(refusal.possible.contains("in bands are points"), "{}", refusal.possible);
    }
}

/// Rows of the statement of people, without numbers.
fn members(groups: &[(&str, std::ops::Range<u32>)]) -> Vec<Row> {
    let rows = |(key, who): &(&str, std::ops::Range<u32>)| {
        who.clone().map(|who| vec![Some(format!("p{who}")), Some((*key).to_owned())]).collect::<Vec<_>>()
    };
    groups.iter().flat_map(rows).collect()
}

fn exact(text: &str, privacy: Privacy, data: Vec<Row>) -> gateway::sql::aggregate::Measured {
    let declared = visits(1, 5, Key::Open);
    let Plan::Exact(exact) = plan(text, &declared, privacy) else { panic!("noise") };
    let mut measuring = exact.measure();
    data.into_iter().try_for_each(|row| measuring.take(row)).unwrap();
    measuring.done().unwrap()
}

#[test]
fn without_noise_small_groups_and_what_tells_of_them_are_withheld() {
    let text = "select country, count(*) from visits group by country order by 2 desc";
    let measured = exact(
        text,
        Privacy::Threshold,
        members(&[("IE", 0..50), ("FI", 50..53), ("NO", 60..72), ("SE", 80..120)]),
    );
    // Three Finns would follow from the total: the Norwegians, the next smallest, are withheld with them.
    let cell = |name: &str, n| vec![Cell::Text(name.to_owned()), Cell::Integer(n)];
    assert_eq!((measured.told.rows, measured.told.withheld), (vec![cell("IE", 50), cell("SE", 40)], Some(2)));
    // Asking for larger groups takes away from that, and shows nothing that it did not.
    let large = "select country, count(*) from visits group by country having count(*) > 40";
    let measured_large = exact(
        large,
        Privacy::Threshold,
        members(&[("IE", 0..50), ("FI", 50..53), ("NO", 60..72), ("SE", 80..120)]),
    );
    assert_eq!((measured_large.told.rows, measured_large.told.withheld), (vec![cell("IE", 50)], Some(3)));
    assert!(measured.groups.is_empty(), "nobody's name is kept where no guard asks");
    let measured = exact(
        "select count(*) from visits",
        Privacy::Threshold,
        (0..9).map(|n| vec![Some(n.to_string())]).collect(),
    );
    assert_eq!(measured.told.rows, [[Cell::Null]]);
    // A sum of which one has nearly all is not told, however many others are in it.
    let amounts = |most: i64| {
        (0..30).map(|n| vec![Some(n.to_string()), Some(if n == 0 { most } else { 1 }.to_string())]).collect()
    };
    let sum = "select sum(amount), avg(amount) from visits";
    assert_eq!(exact(sum, Privacy::Threshold, amounts(9_000)).told.rows, [[Cell::Null, Cell::Null]]);
    assert_eq!(
        exact(sum, Privacy::Threshold, amounts(1)).told.rows,
        [[Cell::Numeric(30, 2), Cell::Numeric(100, 4)]]
    );
}

/// The tracker of the books: everybody, and everybody who is not the one. A guard refuses the second.
#[test]
fn under_a_guard_all_and_all_but_one_are_not_both_told() {
    let tell = |guard: &mut Guard, condition: &str, who: std::ops::Range<u32>| {
        let text = format!("select country, count(*) from visits where {condition} group by country");
        let measured = exact(&text, Privacy::Guard, members(&[("IE", who)]));
        let group = |people: &Vec<String>| -> BTreeSet<Member> {
            people
                .iter()
                .map(|p| Member::of(&std::array::from_fn(|n| *p.as_bytes().get(n).unwrap_or(&0))))
                .collect()
        };
        let groups: Vec<_> = measured.groups.iter().map(group).collect();
        assert_eq!((groups.len(), measured.told.rows.len()), (1, 1));
        guard.pass(&groups, std::num::NonZeroU64::new(K.into()).unwrap()).is_ok()
    };
    let mut guard = Guard::default();
    assert!(tell(&mut guard, "points > 0", 0..60));
    assert!(!tell(&mut guard, "points <> 7", 1..60));
    assert!(tell(&mut guard, "points > 1", 0..45));
}
