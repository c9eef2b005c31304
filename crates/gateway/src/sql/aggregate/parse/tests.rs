use model::counts::{Noise, Privacy};
use proptest::prelude::*;

use super::{Arc, Declared, Key, Question, Refusal, TEXT_MAX, parse};
use crate::sql::aggregate::{Column, Kind, Plan, Sum};

fn tables() -> Vec<Arc<Declared>> {
    let column =
        |name: &str, kind, key, filter, sum| Column { name: name.to_owned(), kind, key, filter, sum };
    let listed = Key::Listed(["IE", "FI"].map(str::to_owned).to_vec());
    let columns = vec![
        column("country", Kind::Text, listed, true, None),
        column("ward", Kind::Integer, Key::Open, true, None),
        column("active", Kind::Bool, Key::Open, true, None),
        column("day", Kind::Date, Key::Open, true, None),
        column(
            "amount",
            Kind::Numeric { scale: 2 },
            Key::No,
            true,
            Some(Sum { low: 0, high: 10_000, missing: 0 }),
        ),
        column("Points", Kind::Integer, Key::No, false, Some(Sum { low: -5, high: 5, missing: 0 })),
        column("note", Kind::Text, Key::No, false, None),
    ];
    let visits = Declared::new("visits", ("data", "visits_v"), "who", (10, 3), columns).unwrap();
    let one =
        Column { name: "ward".to_owned(), kind: Kind::Integer, key: Key::Open, filter: true, sum: None };
    let people = Declared::new("people", ("data", "people"), "who", (1, 1), vec![one]).unwrap();
    vec![Arc::new(visits), Arc::new(people)]
}

fn read(text: &str) -> Result<Question, Refusal> {
    parse(text, &tables())
}

/// What the same question has in common, and what is left of how it is shown.
fn same(text: &str, other: &str) -> bool {
    let [a, b] = [text, other].map(|text| read(text).unwrap_or_else(|e| panic!("{text}: {e:?}")));
    a.query(&["x"]) == b.query(&["x"])
}

#[test]
fn questions_of_the_grammar_are_taken() {
    for (text, normal) in [
        (
            "select count(*) from people",
            r#"{"groups":1,"keys":[],"numbers":["people"],"table":["people","data","people","who"],"where":[]}"#,
        ),
        (
            "SELECT v.country, Count(*) AS n, avg(v.amount) FROM visits AS v WHERE v.ward >= -7 AND (active = true) GROUP BY v.country",
            r#"{"groups":3,"keys":[["country",["FI","IE"]]],"numbers":["people",["rows",10],["sum","amount",0,10000,0]],
            "table":["visits","data","visits_v","who"],"where":[["ward",[">=","-7"]],["active",["=","true"]]]}"#,
        ),
        (
            "select sum(\"Points\") from visits where day between date '2026-01-01' and '2026-02-28' and 1.50 < amount \
             and country in ('IE', 'it''s') and ward is not null -- the end\n;",
            r#"{"groups":1,"keys":[],"numbers":["people",["sum","Points",-5,5,0]],"table":["visits","data","visits_v","who"],
            "where":[["country",["in",["IE","it's"]]],["ward",["null",false]],["day",["<=","2026-02-28"]],["day",[">=","2026-01-01"]],
            ["amount",[">","1.5"]]]}"#,
        ),
    ] {
        let question = read(text).unwrap_or_else(|e| panic!("{text}: {e:?}"));
        assert_eq!(question.normal(), serde_json::from_str::<serde_json::Value>(normal).unwrap(), "{text}");
    }
    let question = read(
        "select ward w, active, count(distinct who) from visits group by active, ward having count(distinct who) > 20 \
         order by count(distinct who) desc, 2 nulls first, w limit 5",
    )
    .unwrap();
    assert_eq!((question.limit, question.least, question.keys.as_slice()), (Some(5), Some(21), &[1, 2][..]));
    let order: Vec<_> = question.order.iter().map(|o| (o.by, o.down, o.nulls_first)).collect();
    assert_eq!(order, [(2, true, true), (1, false, true), (0, false, false)]);
    assert_eq!(question.columns().into_iter().collect::<Vec<_>>(), ["active", "ward"]);
}

#[test]
fn how_it_is_written_and_shown_makes_no_other_question() {
    let base = "select country, count(*) from visits where ward = 1 and amount > 2 group by country";
    for other in [
        "SELECT count(*) AS n, country c FROM visits WHERE 2.00 < amount AND ward = 01 AND ward = 1 GROUP BY country ORDER BY n LIMIT 1",
        "select country, count(*), count(distinct who) from visits where amount > 2 and ward = 1 group by country",
        "select count(*) from visits where ward = 1 and amount > 2 group by country having count(distinct who) >= 50",
    ] {
        assert!(same(base, other), "{other}");
    }
    for other in [
        "select country, count(*) from visits where ward = 1 and amount >= 2 group by country",
        "select country, count(*) from visits where ward = 1 group by country",
        "select country, count(distinct who) from visits where ward = 1 and amount > 2 group by country",
        "select ward, count(*) from visits where ward = 1 and amount > 2 group by ward",
        "select country, count(*), sum(amount) from visits where ward = 1 and amount > 2 group by country",
    ] {
        assert!(!same(base, other), "{other}");
    }
    assert_ne!(read(base).unwrap().query(&["a", "b"]), read(base).unwrap().query(&["ab", ""]));
}

/// A text, PostgreSQL's code, at which character where that is known, and a part of why.
const REFUSED: &[(&str, &str, Option<u32>, &str)] = &[
    ("", "0A000", Some(1), "only SELECT"),
    ("explain select count(*) from people", "0A000", Some(1), "only SELECT"),
    ("with x as (select 1) select count(*) from people", "0A000", Some(1), "only SELECT"),
    ("(select count(*) from people)", "0A000", Some(1), "only SELECT"),
    ("table people", "0A000", Some(1), "only SELECT"),
    ("select * from people", "0A000", None, "rows are not seen"),
    ("select who from people", "42803", Some(8), "GROUP BY"),
    ("select ward from people group by ward", "0A000", None, "at least one"),
    ("select ward, count(*) from people", "42803", Some(8), "GROUP BY"),
    ("select 1, count(*) from people", "0A000", Some(8), "nothing computed"),
    ("select count(*)+1 from people", "0A000", Some(16), "not in the grammar"),
    ("select count(*) - 1 from people", "0A000", Some(19), "nothing computed"),
    ("select count(ward) from people", "0A000", Some(8), "DISTINCT"),
    ("select count(distinct ward) from people", "0A000", Some(8), "DISTINCT"),
    ("select sum(distinct amount) from visits", "0A000", Some(8), "functions are"),
    ("select sum(ward) from visits", "0A000", Some(8), "may not be summed"),
    ("select sum(amount + 1) from visits", "0A000", Some(19), "not in the grammar"),
    ("select sum(amount * 2) from visits", "0A000", Some(8), "functions are"),
    ("select max(amount) from visits", "0A000", Some(8), "functions are"),
    ("select pg_catalog.count(*) from visits", "0A000", Some(8), "functions are"),
    ("select count(*) filter (where ward = 1) from visits", "0A000", Some(8), "functions are"),
    ("select count(*) over () from visits", "0A000", Some(8), "functions are"),
    ("select string_agg(note, ',') from visits", "0A000", Some(8), "functions are"),
    ("select distinct count(*) from people", "0A000", None, "DISTINCT"),
    ("select count(*) into t from people", "0A000", None, "INTO"),
    ("select count(*) from nobody", "42P01", Some(22), "no such table"),
    ("select count(*) from data.people", "42P01", None, "by its name alone"),
    ("select count(*) from people, visits", "0A000", None, "one table"),
    ("select count(*) from people join visits on true", "0A000", None, "one table"),
    ("select count(*) from (select 1) x", "0A000", Some(23), "begins with this word"),
    ("select count(*) from people tablesample system (10)", "0A000", None, "one table"),
    ("select count(*) from generate_series(1, 2)", "0A000", None, "one table"),
    ("select count(*) from people where note = 'x'", "42703", Some(35), "may not name"),
    ("select count(*) from people where who = 'anna'", "42703", Some(35), "may not name"),
    ("select count(*) from visits where ward = 1 or ward = 2", "0A000", None, "joined by AND"),
    ("select count(*) from visits where not ward = 1", "0A000", None, "joined by AND"),
    ("select count(*) from visits where ward = day", "0A000", Some(42), "joined by AND"),
    ("select count(*) from visits where ward in (select 1)", "0A000", Some(44), "begins with this word"),
    ("select count(*) from visits where ward not in (1)", "0A000", None, "joined by AND"),
    ("select count(*) from visits where country like 'I%'", "0A000", None, "joined by AND"),
    ("select count(*) from visits where country < 'I'", "0A000", Some(45), "only equal or not"),
    ("select count(*) from visits where lower(country) = 'ie'", "0A000", None, "one column as it is"),
    ("select count(*) from visits where ward = '1'", "22P02", Some(42), "a whole number"),
    ("select count(*) from visits where ward = 1.5", "22P02", Some(42), "a whole number"),
    ("select count(*) from visits where ward = 9223372036854775808", "22P02", Some(42), "a whole number"),
    ("select count(*) from visits where amount = 1e5", "22P02", Some(44), "a number"),
    ("select count(*) from visits where day = '2026-02-29'", "22P02", Some(41), "a date"),
    ("select count(*) from visits where active = 't'", "22P02", Some(44), "true or false"),
    ("select count(*) from visits where country = E'\\x49'", "0A000", Some(45), "not in the grammar"),
    ("select count(*) from visits where country = $$IE$$", "0A000", Some(45), "not in the grammar"),
    ("select count(*) from visits where country = $1", "0A000", Some(45), "not in the grammar"),
    ("select count(*) from visits where ward::text = '1'", "0A000", Some(39), "not in the grammar"),
    ("select count(*) from visits where 1/(ward-1) > 0", "0A000", Some(36), "not in the grammar"),
    ("select count(*) from visits where (select true)", "0A000", Some(36), "begins with this word"),
    ("select U&\"\\0063ountry\", count(*) from visits group by country", "0A000", None, "not in the grammar"),
    ("select count(*) from visits group by note", "42703", Some(38), "no key"),
    ("select count(*) from visits group by 1", "0A000", Some(38), "names of declared keys"),
    ("select count(*) from visits group by ward, day, active", "0A000", None, "at most 2 keys"),
    ("select count(*) from visits group by rollup (ward)", "0A000", None, ""),
    ("select count(*) from visits having count(*) >= 20", "0A000", None, "count(DISTINCT person)"),
    ("select count(*) from visits having sum(amount) > 20", "0A000", None, "count(DISTINCT person)"),
    ("select count(*) from visits having count(distinct who) < 20", "0A000", None, "count(DISTINCT person)"),
    ("select count(*) from visits order by ward", "0A000", Some(38), "columns of the answer"),
    ("select count(*) from visits order by 2", "0A000", Some(38), "columns of the answer"),
    ("select count(*) from visits limit 1 offset 1", "0A000", None, "OFFSET"),
    ("select count(*) from visits limit ward", "0A000", Some(35), "takes a number"),
    (
        "select count(*) from visits union select count(*) from people",
        "0A000",
        Some(29),
        "begins with this word",
    ),
    ("select count(*) from visits for update", "0A000", None, "locked"),
    ("select count(*) from visits fetch first 1 row only", "0A000", None, "FETCH"),
    ("select count(*) from visits; select count(*) from visits", "42601", Some(30), "one statement"),
    ("select count(*) from visits;\nselect count(", "42601", Some(30), "one statement"),
    ("select count(*)\nfrom visits\nwhere ward = = 1", "42601", Some(42), "cannot be read"),
    ("select 'x", "42601", Some(8), "not SQL"),
];

#[test]
fn everything_else_is_refused_with_what_is_possible() {
    for (text, sqlstate, position, why) in REFUSED.iter().copied() {
        let Err(refusal) = read(text) else { panic!("taken: {text}") };
        let fits = refusal.sqlstate == sqlstate && refusal.why.contains(why);
        assert!(fits, "{text}: {refusal:?}");
        if position.is_some() {
            assert_eq!(refusal.position, position, "{text}: {refusal:?}");
        }
        assert!(refusal.possible.contains("SELECT [key, …] count(*)"));
    }
    let refusal = read("select count(*) from visits where note = 'x'").unwrap_err();
    assert!(refusal.possible.ends_with(
        "; of `visits`: person is who, keys are country, ward, active, day, in bands are none, WHERE may name country, ward, active, day, amount, \
         sums are of amount, Points"
    ));
    assert!(read("select count(*) from nobody").unwrap_err().possible.ends_with("tables are visits, people"));
}

#[test]
fn neither_a_refusal_nor_a_question_prints_a_value_of_the_text() {
    let question = read("select count(*) from visits where country = 'anna'").unwrap();
    assert!(!format!("{question:?}").contains("anna") && question.normal().to_string().contains("anna"));
    for text in [
        "select count(*) from visits where ward = 'anna'",
        "select 'anna",
        "select count(*) from visits where note = anna = 'anna'",
    ] {
        assert!(!format!("{:?}", read(text).unwrap_err()).contains("anna"));
    }
}

/// What is deep to one side only is cut off by the number of words, and what is deep in brackets by their depth.
#[test]
fn what_is_too_long_or_too_deep_is_refused_before_it_is_read() {
    let whole = format!("select count(*) from people where ward = 1{}", " ".repeat(TEXT_MAX));
    assert_eq!(read(&whole).unwrap_err().sqlstate, "54000");
    assert!(read(whole.get(..TEXT_MAX).unwrap()).is_ok());
    let deep = [
        format!("select count(*) from people where {}ward = 1{}", "(".repeat(5), ")".repeat(5)),
        format!("select count(*) from people where ward = 1{}", " and ward = 1".repeat(300)),
        format!("select count(*) from people where ward = {}1", "- ".repeat(990)),
        format!("select count(*) from people where {} ward = 1", "not ".repeat(990)),
        format!("select count(*) from people where ward = {} 1", "not ward = ".repeat(300)),
        format!("select count(*) from people where ward {}", "is null ".repeat(490)),
        format!("select count(*) from people where ward = 1{}", " - 1".repeat(490)),
        format!("select count(*) from people where {} ward = 1", "exists ".repeat(990)),
        format!("select count(*) from people where {} ward = 1", "interval ".repeat(990)),
        format!("select {} 1", "select ".repeat(990)),
        format!("select case {} 1", "case ".repeat(990)),
        format!("select {} count(*)", "cast (".repeat(990)),
    ];
    for text in deep {
        let refusal = read(&text).unwrap_err();
        assert_ne!(refusal.sqlstate, "53000", "{text:.80}");
    }
    assert!(read("select count(*) from people where ((((ward = 1))))").is_ok());
    let wide = |n: usize| format!("select count(*) from people where ward in ({}1)", "2, ".repeat(n));
    assert!(read(&wide(199)).is_ok() && read(&wide(200)).is_err());
}

fn plan(text: &str, privacy: Privacy) -> Result<Plan, Refusal> {
    Plan::new(read(text).unwrap(), privacy, 10)
}

#[test]
fn without_noise_there_is_no_where_and_under_a_guard_only_people() {
    let noise = Privacy::Noise(Noise {
        epsilon_micro: 500_000,
        recipient_micro: 4_000_000,
        dataset_micro: 8_000_000,
    });
    for (text, [threshold, guard, noisy]) in [
        ("select count(distinct who) from visits group by country", [true, true, true]),
        ("select count(*) from people", [true, true, true]),
        ("select count(*) from people where ward = 1", [false, true, true]),
        ("select count(*) from visits", [true, false, true]),
        ("select sum(amount) from visits group by ward", [true, false, true]),
        ("select avg(amount) from visits where ward = 1", [false, false, true]),
        ("select sum(\"Points\") from visits", [false, false, true]),
        ("select count(*) from people having count(distinct who) >= 10", [true, true, true]),
        ("select count(*) from people having count(*) > 8", [false, false, false]),
    ] {
        for (privacy, takes) in [(Privacy::Threshold, threshold), (Privacy::Guard, guard), (noise, noisy)] {
            assert_eq!(plan(text, privacy).is_ok(), takes, "{text} {privacy:?}");
        }
    }
    let poor = Privacy::Noise(Noise { epsilon_micro: 2, recipient_micro: 2, dataset_micro: 2 });
    assert!(
        plan("select count(*), sum(amount) from visits", poor).is_err(),
        "two millionths for three numbers"
    );
}

#[test]
fn a_question_with_more_noise_or_another_is_another_question() {
    let noise = |epsilon_micro| {
        Privacy::Noise(Noise { epsilon_micro, recipient_micro: 4_000_000, dataset_micro: 8_000_000 })
    };
    let query = |text: &str, privacy| match plan(text, privacy).unwrap() {
        Plan::Noisy(noisy) => (noisy.query(&[]), noisy.cost()),
        Plan::Exact(_) => panic!("no noise"),
    };
    let text = "select country, count(*) from visits group by country";
    assert_eq!(query(text, noise(500_000)), query(text, noise(500_000)));
    assert_ne!(query(text, noise(500_000)).0, query(text, noise(400_000)).0);
    assert_eq!(query(text, noise(500_000)).1.total_delta_atto(), 0, "declared keys risk nothing");
    let open = query("select ward, count(*) from visits group by ward", noise(500_000)).1;
    assert_eq!((open.total_epsilon_micro(), open.total_delta_atto()), (500_000, 125_000_000));
    // Three groups a person and eight numbers are more than twenty-one: Gaussian noise.
    let all =
        "select ward, count(*), count(distinct who), sum(amount), avg(\"Points\") from visits group by ward";
    assert_eq!(query(all, noise(500_000)).1.rho_nano(), 0, "four numbers of three groups");
}

proptest! {
    /// Whatever comes: a question or a refusal, and a question only of what is declared.
    #[test]
    fn no_text_is_too_much(
        words in prop::collection::vec(prop::sample::select(vec![
            "select", "count(*)", "count", "sum", "avg", "(", ")", ",", "from", "visits", "where", "group by", "country", "ward",
            "amount", "and", "or", "not", "=", "<", "-", "1", "'a'", "is null", "in", "between", "having", "order by", "limit", "distinct",
            "who", ".", "*", ";", "case", "when", "cast", "as", "exists", "interval", "array", "date", "e'\\'", "$1", "::", "[", "/*", "--", "\"",
        ]), 0..40),
    ) {
        for text in [words.join(" "), format!("select count(*) from visits where {}", words.join(" "))] {
            if let Ok(question) = read(&text) {
                prop_assert!(!question.columns().contains("note"));
            }
        }
    }
}
