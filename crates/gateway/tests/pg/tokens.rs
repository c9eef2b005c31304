//! Tokens, counts and days in views are those that the rest of Clover makes of the same values.

use gateway::sql::compile::{CompileError, Shows, Subject, Table, compile, setup};
use model::DataClass;
use model::catalogue::Kind;
use testkit::Dice;
use transform::mask;
use transform::pseudonym::{derive_key, normalise};

use super::support::{EPOCH, ROOT, Session, Site, column, declared, plan, plan_of, run, token};

const KINDS: [(Kind, &str); 10] = [
    (Kind::Email, "email"),
    (Kind::Phone, "phone"),
    (Kind::Ip, "ip"),
    (Kind::Handle, "handle"),
    (Kind::Link, "link"),
    (Kind::Text, "text"),
    (Kind::Date, "date"),
    (Kind::Count, "count"),
    (Kind::Word, "word"),
    (Kind::Id, "id"),
];

/// Spellings of every kind; each is tried as every kind.
const VALUES: &[&str] = &[
    "",
    " ",
    "a",
    "Ann@Example.org ",
    "ann@example.ORG",
    "JÖRG@example.org",
    "jo\u{308}rg@example.org",
    "ann\u{ff20}example.org",
    "\u{3a3}\u{39f}\u{3a6}\u{39f}\u{3a3}@example.gr",
    "\u{3c3}\u{3bf}\u{3c6}\u{3bf}\u{3c2}@example.gr",
    "\u{a0}ann@example.org\u{3000}",
    "+49 30 123 45 67",
    "0049-30-1234567",
    "(030) 123.45.67",
    "tel:+49-30-1234567;ext=5",
    "+49 (0)30 1234567",
    "+(0)49",
    "(00)49 (0)30 7",
    "\u{ff0b}\u{ff14}\u{ff19}301234567",
    "\u{660}\u{660}\u{664}\u{669}301234567",
    "TEL: 030",
    "unknown",
    "+",
    "00",
    "0 0 4 9",
    "x;1",
    "::ffff:192.0.2.7",
    "192.0.2.7",
    "192.0.2.07",
    "192.0.2.7:80",
    "192.0.2.7:70000",
    "2001:DB8:0:0::1",
    "2001:db8::1",
    "[::1]",
    "[::1]:443",
    "fe80::1%eth0",
    "2002:c000:207::1",
    "::",
    "::5",
    "::1.2.3.4",
    "1:2:3:4:5:6:7::",
    "1:2:3:4:5:6:7:8",
    "::1/64",
    "1::2::3",
    "10.1",
    "1.2.3.256",
    "@Ann",
    "@@Ann",
    " @ann ",
    "@",
    "ÀÉ_x",
    "https://example.org/@Ann/video/7?a=b",
    "/A",
    "/a",
    "IE",
    "in-progress",
    "two words",
    "averylongwordthatisnoneof24",
    "exactly.twenty-four_char",
    "0",
    "7",
    "14",
    "15",
    "95",
    "149",
    "150",
    "1234",
    "+1530",
    "007",
    "-5",
    "1.5",
    "999999",
    "18446744073709551615",
    "18446744073709551616",
    "15000000000000000000",
    "2026-05-06",
    "2026-05-06T23:59:59+14:00",
    "2026-05-06 07",
    "2026-02-29",
    "2024-02-29",
    "1900-02-29",
    "2000-02-29",
    "2026-13-01",
    "2026-00-01",
    "2026-05-06X",
    "0000-01-01",
    "2026/05/06",
    "x'y\\z",
];

/// What the road makes of a value, as `pseudonymised` says.
fn expected(kind: Kind, label: &str, value: &str) -> Option<String> {
    let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    match kind {
        Kind::Count => value.parse().ok().map(|exact| mask::count(exact).to_string()),
        Kind::Date => mask::day(value).map(str::to_owned),
        Kind::Word if value.len() <= 24 && value.bytes().all(word) => Some(value.to_owned()),
        _ => Some(token_of(label, value)),
    }
}

fn token_of(label: &str, value: &str) -> String {
    let key = derive_key(&ROOT, "lab", "research", DataClass::Allowable.word(), EPOCH);
    let mut token = Vec::new();
    key.token(label, &normalise(label, value.as_bytes()), &mut token);
    String::from_utf8(token).unwrap()
}

/// Values of letters and signs that matter to spellings. Signs and letters beyond ASCII stand before an `@` only.
fn made_up() -> Vec<String> {
    let mut dice = Dice::new(7);
    let signs: Vec<char> = "aZ09+-(). @:;/%[]_ÄßİΣ\u{e9}\u{301}\u{ff11}\u{663}\u{2003}".chars().collect();
    let some =
        |dice: &mut Dice| (0..dice.below(9)).map(|_| signs[dice.below(signs.len())]).collect::<String>();
    (0..300)
        .map(|n| if n % 3 == 0 { format!("{}@Example.org", some(&mut dice)) } else { some(&mut dice) })
        .collect()
}

async fn shown(session: &Session, view: &str) -> Vec<Option<String>> {
    let rows = session.client.query(&format!("select v from {view} order by id"), &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[test]
fn a_view_shows_the_tokens_that_every_other_way_out_shows() {
    let site = Site::start();
    let made_up = made_up();
    let values: Vec<&str> = VALUES.iter().copied().chain(made_up.iter().map(String::as_str)).collect();
    let tables: Vec<Table> = KINDS
        .iter()
        .map(|(kind, label)| Table {
            schema: "raw".into(),
            relation: "spelled".into(),
            view: (*label).into(),
            columns: vec![column("id", Shows::Plain), column("v", token(*kind))],
            subject: None,
        })
        .collect();
    site.server.sql("create table raw.spelled (id serial, v text)").unwrap();
    site.server.sql(&setup(&declared(&tables[..1]))).unwrap();
    run(async {
        let admin = site.session("clover", "clover").await;
        admin
            .client
            .execute("insert into raw.spelled (v) select * from unnest($1::text[])", &[&values])
            .await
            .unwrap();
        compile(&mut site.gateway().await.client, &plan_of(tables.clone())).await.unwrap();
        let session = site.grant().await;
        let mut wrong = Vec::new();
        for (kind, label) in KINDS {
            for (value, shown) in values.iter().zip(shown(&session, label).await) {
                let road = expected(kind, label, value);
                // IDNA is the one thing that SQL does not do: nothing here ends in a domain beyond ASCII but by an `@` of its own.
                let domain = value.trim().rsplit_once('@').is_some_and(|(_, domain)| !domain.is_ascii());
                if shown != road && !(kind == Kind::Email && domain) {
                    wrong.push(format!("{label} {value:?}: {shown:?}, and the road {road:?}"));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    });
}

#[test]
fn a_domain_beyond_ascii_has_a_token_of_its_own_in_sql() {
    let site = Site::start();
    site.server.sql("update raw.customers set email = 'ann@m\u{fc}nchen.example' where id = 3").unwrap();
    run(async {
        compile(&mut site.gateway().await.client, &plan()).await.unwrap();
        let shown = site.grant().await.ask("select email from customers where id = 3").await.0;
        assert!(shown.starts_with("t1.12."));
        assert_ne!(
            shown,
            token_of("email", "ann@m\u{fc}nchen.example"),
            "SQL does IDNA now: say so in docs/sql.md"
        );
    });
}

const TYPED: &str = "create type raw.mood as enum ('glad', 'two words');
             create table raw.typed (id int, big bigint, n numeric, u uuid, i inet, d date, t timestamptz, l timestamp, b bool, m raw.mood, f float8,
               c char(5), s text);
             insert into raw.typed values (77, 1530, 12.50, 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', '::ffff:192.0.2.7', '2026-05-06',
               '2026-05-06 23:30:00+00', '2026-05-06 23:30:00', true, 'two words', 0.1, 'ab', 'p')";

fn typed() -> Table {
    let id = || token(Kind::Id);
    Table {
        schema: "raw".into(),
        relation: "typed".into(),
        view: "typed".into(),
        columns: vec![
            column("id", id()),
            column("big", token(Kind::Count)),
            column("n", id()),
            column("u", id()),
            column("i", token(Kind::Ip)),
            column("d", token(Kind::Date)),
            column("t", token(Kind::Date)),
            column("l", id()),
            column("b", token(Kind::Word)),
            column("m", token(Kind::Word)),
            column("c", id()),
            column("s", Shows::Masked),
        ],
        subject: Some(Subject { column: "c".into(), only: Some("ab".into()) }),
    }
}

#[test]
fn typed_columns_show_the_same_whatever_a_session_sets() {
    let site = Site::start();
    site.server.sql(TYPED).unwrap();
    let id = || token(Kind::Id);
    let mut table = typed();
    site.server.sql(&setup(&declared(std::slice::from_ref(&table)))).unwrap();
    run(async {
        let mut gateway = site.gateway().await;
        compile(&mut gateway.client, &plan_of(vec![table.clone()])).await.unwrap();
        let token = |value: &str| token_of("id", value);
        let expected = [
            token("77"),
            "2000".into(),
            token("12.50"),
            token("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
            token_of("ip", "192.0.2.7"),
            "2026-05-06".into(),
            "2026-05-06".into(),
            token("2026-05-06T23:30:00.000000"),
            "true".into(),
            token_of("word", "two words"),
            token("ab"),
            "***".into(),
        ]
        .join("|");
        let session = site.grant().await;
        for set in [
            "",
            "set timezone = 'Pacific/Kiritimati'",
            "set extra_float_digits = -15",
            "set datestyle = 'ISO, DMY'",
        ] {
            assert_eq!(session.ask(set).await.0, "");
            assert_eq!(session.ask("select * from typed").await.0, expected, "{set}");
        }
        // Whose rows they are is one token, made once, however the grant spells the person.
        let uuid = "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11";
        for (column, only, shown) in [("u", uuid, token(&uuid.to_lowercase())), ("id", "77", token("77"))] {
            table.subject = Some(Subject { column: column.into(), only: Some(only.into()) });
            compile(&mut gateway.client, &plan_of(vec![table.clone()])).await.unwrap();
            let asked = format!("select {column}, count(*) from typed group by {column}");
            assert_eq!(site.grant().await.ask(&asked).await.0, format!("{shown}|1"));
        }
        // A number with a fraction has no one text, and nobody is looked up by a moment.
        table.columns = vec![column("f", id())];
        let refused = |table: Table| plan_of(vec![table]);
        site.server.sql("grant select on raw.typed to clover_views").unwrap();
        let e = compile(&mut gateway.client, &refused(table.clone())).await.unwrap_err();
        assert!(matches!(e, CompileError::Type { wanted: "token", .. }), "{e}");
        table.columns = vec![column("id", Shows::Plain)];
        table.subject = Some(Subject { column: "t".into(), only: Some("x".into()) });
        let e = compile(&mut gateway.client, &refused(table.clone())).await.unwrap_err();
        assert!(matches!(e, CompileError::Type { wanted: "person", .. }), "{e}");
        // The id of a person is no statement, and in no error's text.
        table.subject = Some(Subject { column: "s".into(), only: Some("x' or 'a' = 'a".into()) });
        compile(&mut gateway.client, &refused(table.clone())).await.unwrap();
        assert_eq!(site.grant().await.ask("select count(*) from typed").await.0, "0");
        table.subject = Some(Subject { column: "u".into(), only: Some("somebody".into()) });
        let e = compile(&mut gateway.client, &refused(table)).await.unwrap_err();
        assert!(
            matches!(e, CompileError::Database { .. }) && !format!("{e:?}").contains("somebody"),
            "{e:?}"
        );
    });
}
