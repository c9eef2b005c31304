//! Two databases that differ only in what a grant hides answer alike, to the last byte, whatever is asked.
//!
//! Tables, what is shown of them, whose rows are seen, and statements are made up from a seed. This finds a missing barrier, a key in a plan and
//! an error over a hidden row without knowing of them.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use gateway::sql::compile::{Column, Plan, Shows, Subject, Table, compile, setup};
use model::catalogue::Kind;
use testkit::Dice;

use super::support::{Site, column, declared, plan_of, role, run, token};

/// Worlds of each run, and statements in each.
const WORLDS: u64 = 5;
const STATEMENTS: usize = 24;
/// Rows of each person.
const ROWS: usize = 24;

/// What a column holds and shows.
#[derive(Debug, Clone, Copy)]
struct Made {
    type_name: &'static str,
    shows: Shows,
}

fn any(dice: &mut Dice) -> Made {
    let made = |type_name, shows| Made { type_name, shows };
    match dice.below(9) {
        0 => made("int", Shows::Plain),
        1 => made("text", Shows::Plain),
        2 => made("numeric", Shows::Plain),
        3 => made("text", token(Kind::Email)),
        4 => made("int", token(Kind::Id)),
        5 => made("int", Shows::Generalised { kind: Kind::Count }),
        6 => made("text", Shows::Masked),
        7 => made("text", Shows::Generalised { kind: Kind::Text }),
        _ => made(["int", "text"][dice.below(2)], Shows::Withheld),
    }
}

/// A value that the grant shows in some way, spelled as a literal. What is not told of it may be one or the other.
fn value(made: Made, row: usize, dice: &mut Dice, other: &mut Dice) -> String {
    let (seen, hidden) = (dice.roll() % 50, other.roll() % 1_000_000);
    match (made.shows, made.type_name) {
        (Shows::Withheld, "int") => hidden.to_string(),
        (Shows::Masked | Shows::Withheld | Shows::Generalised { kind: Kind::Text }, _) => {
            format!("'hidden{hidden:06}'")
        }
        // One digit is told.
        (Shows::Generalised { .. }, _) => ((seen % 9 + 1) * 1_000 + hidden % 400).to_string(),
        (_, "text") if row.is_multiple_of(5) => format!("'{seen}'"),
        (_, "text") => format!("'a{seen}'"),
        _ => seen.to_string(),
    }
}

/// The rows of the one who is seen, and those of others among them, of whom there may be more or fewer.
fn rows(columns: &[Made], seed: u64, hidden_seed: u64) -> String {
    let (mut dice, mut other) = (Dice::new(seed), Dice::new(hidden_seed));
    let mut text = String::from("insert into raw.t values ");
    let mut id = 0;
    for row in 0..ROWS {
        for _ in 0..other.below(3) {
            id += 1;
            let cells: Vec<String> = columns
                .iter()
                .map(|made| {
                    if made.type_name == "text" {
                        format!("'x{}'", other.roll() % 50)
                    } else {
                        (other.roll() % 50).to_string()
                    }
                })
                .collect();
            let _ = write!(text, "('other', {}),", cells.join(", "));
        }
        let cells: Vec<String> =
            columns.iter().map(|made| value(*made, row, &mut dice, &mut other)).collect();
        let _ = write!(text, "('me', {}),", cells.join(", "));
    }
    assert!(id < 3 * ROWS);
    text.trim_end_matches(',').to_owned()
}

/// Something about a value, which may be an error.
fn term(columns: &[String], dice: &mut Dice) -> String {
    let column = &columns[dice.below(columns.len())];
    let n = dice.below(50);
    match dice.below(14) {
        0 => format!("{column}::text"),
        1 => format!("length({column}::text)"),
        2 => format!("{column}::text::int"),
        3 => format!("100 / ({column}::text::numeric - {n})"),
        4 => format!("{column}::text like 'a{n}%'"),
        5 => format!("substring({column}::text from 1 for {n} - 25)"),
        6 => format!("md5({column}::text)"),
        7 => format!("('{{' || {column}::text || '}}')::int[]"),
        8 => format!("{column}::text::jsonb"),
        9 => format!("to_date({column}::text, 'YYYY-MM-DD')"),
        10 => format!("coalesce({column}::text, '{n}') || 'x'"),
        11 => format!("case when {column}::text ~ '{n}' then 1 / (length({column}::text) - 2) end"),
        12 => format!("{column}::text::numeric(3, 1)"),
        _ => column.clone(),
    }
}

fn condition(columns: &[String], dice: &mut Dice) -> String {
    let (one, other) = (term(columns, dice), term(columns, dice));
    match dice.below(5) {
        0 => format!("({one}) is not null and ({other}) is not null"),
        1 => format!("({one})::text > ({other})::text"),
        2 => format!("({one})::text = '{}'", dice.below(50)),
        3 => format!("not (({one})::text in ('a1', 'x2', '7')) or ({other}) is null"),
        _ => format!("1 / (length(({one})::text) - {}) >= 0", dice.below(8)),
    }
}

fn statement(view: &str, columns: &[String], dice: &mut Dice) -> String {
    let (one, other) = (term(columns, dice), term(columns, dice));
    let filter = condition(columns, dice);
    match dice.below(14) {
        0 => format!("select * from {view} where {filter}"),
        1 => format!("select {one}, {other} from {view} where {filter}"),
        2 => format!("select ({one})::text, count(*) from {view} group by 1 order by 1"),
        3 => format!("select count(*), min(({one})::text), max(({other})::text) from {view} where {filter}"),
        4 => format!("select a.*, ({one}) from (select * from {view} where {filter}) a order by 1 limit 5"),
        5 => format!(
            "select count(*) from {view} a join {view} b using ({})",
            columns[dice.below(columns.len())]
        ),
        6 => format!("select to_jsonb(c) from {view} c where {filter}"),
        7 => format!(
            "with recursive r as (select 1 as i union all select i + 1 from r where i < 3) select i, ({one}) from r, {view} where {filter}"
        ),
        8 => format!("select string_agg(({one})::text, ',') over (order by ({other})::text) from {view}"),
        9 => format!(
            "select exists (select from {view} where {filter}), (select count(*) from {view} where {filter})"
        ),
        10 => {
            format!("select ({one})::text from {view} except select ({other})::text from {view} order by 1")
        }
        11 => format!(
            "select * from {view} t, lateral (select {one} as l from {view} where {filter} limit 1) l where l.l is not null"
        ),
        12 => format!("select array_agg(t) from {view} t where {filter}"),
        _ => "select count(*) from raw.t".to_owned(),
    }
}

/// One world: a plan, and the names of what its view shows.
fn world(seed: u64) -> (Plan, Vec<Made>, Vec<String>) {
    let mut dice = Dice::new(seed);
    let mut made: Vec<Made> = (0..3 + dice.below(4)).map(|_| any(&mut dice)).collect();
    made.insert(0, Made { type_name: "text", shows: Shows::Plain });
    made.push(Made { type_name: "text", shows: Shows::Withheld });
    let columns: Vec<Column> =
        made.iter().enumerate().map(|(n, made)| column(&format!("c{n}"), made.shows)).collect();
    let shown = columns.iter().filter(|c| c.shows != Shows::Withheld).map(|c| c.name.clone()).collect();
    let subject = Some(Subject { column: "sub".into(), only: Some("me".into()) });
    let table = Table { schema: "raw".into(), relation: "t".into(), view: "t".into(), columns, subject };
    (plan_of(vec![table]), made, shown)
}

/// Makes both databases of a world, of which the second is a copy of the first before there are rows: so tables have the same numbers,
/// which a description of rows tells. Gives a session of the grant in each.
async fn build(site: &Site, seed: u64) -> (Vec<Raw>, Vec<String>) {
    let (plan, made, shown) = world(seed);
    let columns: Vec<String> =
        made.iter().enumerate().map(|(n, made)| format!("c{n} {}", made.type_name)).collect();
    let [first, second] = [1, 2].map(|hidden| format!("w{seed}_{hidden}"));
    let sql = |text: &str| site.server.sql_in(&first, text).unwrap();
    site.server.sql(&format!("create database {first}")).unwrap();
    sql(&format!("create schema raw; create table raw.t (sub text, {})", columns.join(", ")));
    sql(&setup(&declared(&plan.tables)));
    // The control: what is shown, by a view whose filter is dear, without a barrier.
    let leaky: Vec<&str> = shown.iter().map(String::as_str).collect();
    sql(&format!(
        "create schema leaky; create view leaky.t as select {} from raw.t where lower(upper(lower(upper(sub)))) = 'me'; grant select on leaky.t to public",
        leaky.join(", ")
    ));
    compile(&mut site.session("clover_gateway", &first).await.client, &plan).await.unwrap();
    sql(&format!("grant usage on schema leaky to {}", role()));
    // The session that compiled is ended by its driver, which needs a turn.
    let copy = format!("create database {second} template {first}");
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        tokio::time::sleep(Duration::from_millis(20)).await;
        match site.server.sql(&copy) {
            Ok(_) => break,
            Err(e) => assert!(Instant::now() < deadline, "{e:?}"),
        }
    }
    for (hidden, database) in (1..).zip([&first, &second]) {
        site.server.sql_in(database, &rows(&made, seed, seed * 1_000 + hidden)).unwrap();
        // The grants and comments of a database itself are not copied with it.
        site.server.sql_in(database, &setup(&declared(&plan.tables))).unwrap();
    }
    ([&first, &second].map(|database| Raw::connect(site, database)).into(), shown)
}

/// A session of the grant, byte by byte, as PostgreSQL has it: no gate between.
struct Raw(UnixStream);

impl Raw {
    fn connect(site: &Site, database: &str) -> Self {
        let stream = UnixStream::connect(site.server.socket()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut raw = Self(stream);
        let settings = format!("user\0{}\0database\0{database}\0\0", role().as_str());
        raw.send(&[&196_608_u32.to_be_bytes()[..], settings.as_bytes()].concat());
        raw.until_ready();
        raw
    }

    fn send(&mut self, body: &[u8]) {
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        self.0.write_all(&[&length[..], body].concat()).unwrap();
    }

    /// Every frame up to the one that says that the server waits.
    fn until_ready(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let mut head = [0; 5];
            self.0.read_exact(&mut head).unwrap();
            let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
            let mut body = vec![0; usize::try_from(length).unwrap() - 4];
            self.0.read_exact(&mut body).unwrap();
            all.extend_from_slice(&head);
            all.extend_from_slice(&body);
            if head[0] == b'Z' {
                return all;
            }
        }
    }

    /// Everything that comes back for a statement, as it comes.
    fn answer(&mut self, statement: &str) -> Vec<u8> {
        self.0.write_all(b"Q").unwrap();
        self.send(format!("{statement}\0").as_bytes());
        self.until_ready()
    }
}

/// Whether an error is among these frames.
fn is_error(mut frames: &[u8]) -> bool {
    while let [kind, a, b, c, d, ..] = frames {
        if *kind == b'E' {
            return true;
        }
        let length = u32::from_be_bytes([*a, *b, *c, *d]);
        frames = &frames[1 + usize::try_from(length).unwrap()..];
    }
    false
}

#[test]
fn nothing_that_a_grant_hides_changes_a_byte_of_any_answer() {
    let site = Site::start();
    let (mut asked, mut errors, mut caught) = (0, 0, 0);
    run(async {
        for seed in 1..=WORLDS {
            let (sessions, shown) = build(&site, seed).await;
            let [mut one, mut other] = <[Raw; 2]>::try_from(sessions).ok().unwrap();
            let mut dice = Dice::new(seed + 77);
            for _ in 0..STATEMENTS {
                let statement = statement("t", &shown, &mut dice);
                let frames = one.answer(&statement);
                assert!(frames == other.answer(&statement), "seed {seed}: {statement}");
                asked += 1;
                errors += u32::from(is_error(&frames));
                let leaky = statement_of_first(&shown, &mut dice);
                caught += u32::from(one.answer(&leaky) != other.answer(&leaky));
            }
        }
    });
    println!("{asked} asked, {errors} errors, {caught} of the control differ");
    assert!(
        errors > 10 && errors < asked - 10,
        "the statements are all of one kind: {errors} of {asked} are errors"
    );
    assert!(caught > 0, "a view without a barrier was not caught");
}

/// The same over the view without a barrier: of the plain column alone, since others show more there.
fn statement_of_first(shown: &[String], dice: &mut Dice) -> String {
    let first = &shown[..1];
    format!("select {} from leaky.t where {}", first[0], condition(first, dice))
}
