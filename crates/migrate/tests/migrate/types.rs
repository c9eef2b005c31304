//! Values keep their meaning.

use super::*;

/// A column of each type, with values that are easily lost.
const TYPES: &[(&str, &[&str])] = &[
    (
        "numeric",
        &["'NaN'", "0.10000000000000000000", "-123456789012345678901234567890.5", "'Infinity'", "null"],
    ),
    ("numeric(12,4)", &["1.5", "-0.0001"]),
    ("double precision", &["0.1", "'-Infinity'", "1e-300", "'NaN'", "-0.0"]),
    ("real", &["0.1", "3.4e38"]),
    ("bigint", &["-9223372036854775808", "9223372036854775807"]),
    ("timestamptz", &["'2026-10-25 02:30:00.123456+02'", "'infinity'", "'0044-03-15 12:00:00+00 BC'"]),
    ("timestamp", &["'2026-10-25 02:30:00.000001'"]),
    ("date", &["'infinity'", "'4713-01-01 BC'"]),
    ("time with time zone", &["'23:59:60+13'"]),
    ("interval", &["'1 year 2 mons -3 days 04:05:06.789'", "'-1 day'"]),
    ("bytea", &["''", "'\\x00ff5c0a'"]),
    ("text", &["''", "null", "'\\N'", "E'tab\\there\\nnew\\\\slash'", "'Ünïcödé 𝄞 عربى'"]),
    ("char(5)", &["'ab'", "''"]),
    ("boolean", &["true", "false", "null"]),
    ("uuid", &["'00000000-0000-0000-0000-000000000000'"]),
    ("jsonb", &["'{\"a\": [1.10, null, \"\\u00e9\"]}'", "'null'"]),
    ("json", &["'{\"b\":1,  \"a\":2, \"a\":3}'"]),
    ("xml", &["'<a>b</a>'"]),
    ("inet", &["'2001:db8::1/64'", "'192.0.2.1'"]),
    ("macaddr", &["'08:00:2b:01:02:03'"]),
    ("int[]", &["'{}'", "'{{1,2},{3,null}}'", "'[0:1]={7,8}'"]),
    ("text[]", &["'{\"a,b\",\"\",NULL,\"null\",\"\\\"q\\\\\"}'"]),
    ("int4range", &["'empty'", "'[1,)'"]),
    ("point", &["'(1.5,-2)'"]),
    ("tsvector", &["'fat:2 cat:1A'"]),
    ("bit varying", &["B'1010'", "B''"]),
    ("app.mood", &["'so so'"]),
    ("app.mood[]", &["'{happy,\"so so\",NULL}'"]),
    ("app.pair", &["'(1,\"so so\")'"]),
    ("app.short", &["'abc'"]),
];

fn schema(types: &[(&str, &[&str])]) -> String {
    let columns: Vec<String> =
        types.iter().enumerate().map(|(n, (kind, _))| format!("c{n} {kind}")).collect();
    format!(
        "create schema app; create type app.mood as enum ('happy', 'so so'); create type app.pair as (n int, m app.mood);
         create domain app.short as text check (length(value) < 5);
         create table app.users (id uuid, part smallint, country text, {}, twice int generated always as (part * 2) stored, primary key (part, id))",
        columns.join(", ")
    )
}

/// A plan for the one table.
fn plan(world: &World, types: &[(&str, &[&str])]) -> String {
    let text = world.plan_text();
    let (head, _) = text.split_once("id = {").unwrap();
    let mut text = head.to_owned();
    for name in ["id", "part", "country"]
        .map(str::to_owned)
        .into_iter()
        .chain((0..types.len()).map(|n| format!("c{n}")))
    {
        text += &format!("{name} = {{ class = \"restricted\", kind = \"text\" }}\n");
    }
    text
}

fn rows(types: &[(&str, &[&str])], from: usize) -> String {
    let most = types.iter().map(|(_, values)| values.len()).max().unwrap();
    let row = |n: usize| {
        let values: Vec<&str> = types.iter().map(|(_, values)| values[n % values.len()]).collect();
        format!("('00000000-0000-0000-0000-{:012x}', {}, 'DE', {})", n + from, n % 3, values.join(", "))
    };
    format!("insert into app.users values {}", (0..most).map(row).collect::<Vec<_>>().join(", "))
}

async fn every_type_moves(types: &[(&str, &[&str])]) {
    let world = World::with(&schema(types));
    // Types get other numbers at the target.
    world.source.sql(&rows(types, 0)).unwrap();
    let migration = Migration::open(Plan::parse(&plan(&world, types)).unwrap()).await.unwrap();
    migration.copy(Arc::new(AtomicU64::new(0))).await.unwrap();
    // The same as changes: new rows, and changed ones.
    world.source.sql(&rows(types, 100)).unwrap();
    let set: Vec<String> = types
        .iter()
        .enumerate()
        .map(|(n, _)| format!("c{n} = (select c{n} from app.users limit 1 offset 2)"))
        .collect();
    world.source.sql(&format!("update app.users set {} where part = 1", set.join(", "))).unwrap();
    migration.catch_up().await.unwrap();
    assert_eq!(migration.compare().await.unwrap().differences, []);
    let all = "select u::text from app.users u order by 1";
    assert_eq!(world.source.sql(all).unwrap(), world.target.sql(all).unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_of_every_type_keep_their_meaning_copied_and_as_changes() {
    every_type_moves(TYPES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_of_types_that_nobody_made_move_in_binary_form() {
    let own: Vec<_> =
        TYPES.iter().filter(|(kind, _)| !kind.starts_with("app.") && *kind != "int4range").copied().collect();
    every_type_moves(&own).await;
}
