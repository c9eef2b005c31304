//! What passes and what does not, statement by statement.

use proptest::prelude::*;

use super::*;

const CEILINGS: Ceilings = Ceilings { statement_timeout_ms: Some(30_000) };

fn judged(text: &str) -> Result<Verdict, Refusal> {
    judge(text, &CEILINGS)
}

/// The attack list's statements that the gate passes. Those that must be refused all the same are refused by privileges.
#[test]
fn reading_passes_in_every_form() {
    for text in [
        r#"select U&"em\0061il" from customers"#,
        "select 1 /* a /* nested */ , email from customers -- */",
        "select $x$ ' $x$, email from customers",
        r"select E'\' , (select email from customers) --'",
        "select c from customers c",
        "select (c).email from customers c",
        "select to_jsonb(c) from customers c",
        "table customers",
        "select * from only (customers)",
        "select operator(pg_catalog.-) 1",
        "select 1 operator(pg_catalog.+) 2",
        "select * from customers tablesample system (10)",
        "select * from xmltable('/a' passing '<a/>' columns b text path 'b')",
        r#"select email collate "C" from customers"#,
        "select 'a'",
        r#"select "customers".* from customers"#,
        "select json_object('a': 1)",
        "select * from customers c cross join lateral (select c.email) x",
        "select current_setting('is_superuser')",
        "select email from customers where email ~ '^a' window w as ()",
        // By privileges: the function, the list of files, SQL in a string.
        "select set_config('role','none',false)",
        "select * from rows from (generate_series(1,2), pg_ls_dir('.'))",
        "select xmlparse(document query_to_xml('select 1',true,true,'')::text)",
        ";;select 1;",
        "/**/(((select 1)))",
        "values (1)",
        "with x as (select 1) select * from x;  -- end",
    ] {
        assert_eq!(judged(text), Ok(Verdict::Read), "{text}");
    }
}

#[test]
fn what_is_refused_is_told_why() {
    for (text, refusal) in [
        ("select * from customers for update", LOCKS),
        ("copy customers to program 'curl x'", COPY),
        ("copy customers to '/tmp/x'", COPY),
        ("copy customers from stdin", COPY),
        ("copy (delete from c returning *) to stdout", WRITES),
        ("copy (values (1)) to program 'id'", COPY),
        ("copy binary customers to stdout", COPY),
        ("declare c cursor with hold for select email from customers", HOLD),
        ("declare c cursor for delete from customers", WRITES),
        ("select * into tmp1 from customers", INTO),
        ("with x as (delete from customers returning email) select * from x", WRITES),
        ("with x as (select 1) update t set a = 1", WRITES),
        ("select 1; select email from customers", SEVERAL),
        ("begin; set local row_security=off; commit", SEVERAL),
        ("merge into customers c using t on c.id=t.id when matched then delete", WRITES),
        ("insert into t values (1)", WRITES),
        ("lock table customers in access exclusive mode", LOCKS),
        ("begin read write", READ_WRITE),
        ("set transaction isolation level read committed, read write", READ_WRITE),
        ("set transaction isolation level serializable, read only", SNAPSHOT),
        ("begin isolation level repeatable read, read only", SNAPSHOT),
        ("commit prepared 'x'", TRANSACTION),
        ("security label on table customers is 'x'", UNKNOWN),
        ("comment on table customers is 'x'", UNKNOWN),
        ("import foreign schema public from server s into public", UNKNOWN),
        ("create subscription s connection 'host=evil' publication p", UNKNOWN),
        ("load 'x.so'", UNKNOWN),
        ("vacuum", UNKNOWN),
        ("'select'", UNKNOWN),
        ("\"select\" 1", UNKNOWN),
        ("(begin)", UNKNOWN),
        ("(", UNKNOWN),
    ] {
        assert_eq!(judged(text), Err(refusal), "{text}");
    }
    for text in [
        "do $$ begin perform 1; end $$",
        "explain (analyze, verbose) select * from customers",
        "explain select 1",
        "prepare p as select email from customers",
        "execute p",
        "set role none",
        "reset role",
        "discard all",
        "set session authorization postgres",
        "set search_path = raw",
        "set row_security = off",
        "set session_replication_role = replica",
        "set client_encoding = 'SJIS'",
        "set names 'SJIS'",
        "set standard_conforming_strings = off",
        "set \"role\" = x",
        "set statement_timeout = 0",
        "set statement_timeout = '31s'",
        "set statement_timeout = '1 week'",
        "set application_name = e'x'",
        "listen x",
        "notify x",
        "call p(1)",
        "show clover.secret",
        "declare U&\"c\" cursor for select 1",
        "select 'x",
        "select /* 1",
    ] {
        let refused = judged(text).unwrap_err();
        assert!(matches!(refused.code, "42501" | "42601" | "22023") && !refused.text.is_empty(), "{text}");
    }
}

#[test]
fn other_kinds_pass_with_their_tags() {
    for (text, verdict, tag) in [
        ("show timezone", Verdict::Show, "SHOW"),
        ("SHOW transaction ISOLATION level", Verdict::Show, "SHOW"),
        ("Show Clover.Grant;", Verdict::Own(Shown::Grant), "SELECT 1"),
        ("show clover.last_receipt", Verdict::Own(Shown::LastReceipt), "SELECT 1"),
        ("begin isolation level read committed, read only", Verdict::Transaction(&["BEGIN"]), "BEGIN"),
        ("start transaction", Verdict::Transaction(&["START TRANSACTION"]), "START TRANSACTION"),
        ("commit and no chain", Verdict::Transaction(&["COMMIT", "ROLLBACK"]), "ROLLBACK"),
        ("rollback work to savepoint s", Verdict::Transaction(&["ROLLBACK"]), "ROLLBACK"),
        ("abort", Verdict::Transaction(&["ROLLBACK"]), "ROLLBACK"),
        ("savepoint s", Verdict::Transaction(&["SAVEPOINT"]), "SAVEPOINT"),
        ("release savepoint \"S\"", Verdict::Transaction(&["RELEASE"]), "RELEASE"),
        ("declare C no scroll cursor for (select 1)", Verdict::Declare("c".into()), "DECLARE CURSOR"),
        (
            "declare \"C\"\"\" cursor without hold for select 1",
            Verdict::Declare("C\"".into()),
            "DECLARE CURSOR",
        ),
        ("fetch all from c", Verdict::Fetch("c".into()), "FETCH 12"),
        ("FETCH FORWARD 100 FROM _psql_cursor", Verdict::Fetch("_psql_cursor".into()), "FETCH 0"),
        ("move -1 in c", Verdict::Move("c".into()), "MOVE 1"),
        ("close all", Verdict::Close, "CLOSE CURSOR ALL"),
        ("deallocate prepare p", Verdict::Deallocate(Some("p".into())), "DEALLOCATE"),
        ("deallocate prepare", Verdict::Deallocate(Some("prepare".into())), "DEALLOCATE"),
        ("deallocate all", Verdict::Deallocate(None), "DEALLOCATE ALL"),
        ("set datestyle to ISO, DMY", Verdict::Set, "SET"),
        ("set time zone 'Europe/Dublin'", Verdict::Set, "SET"),
        ("set local statement_timeout = '5s'", Verdict::Set, "SET"),
        ("set extra_float_digits = 3", Verdict::Set, "SET"),
        ("set client_encoding to 'UTF-8'", Verdict::Set, "SET"),
        ("set session characteristics as transaction read only", Verdict::Set, "SET"),
        ("copy (select email from customers) to stdout", Verdict::CopyOut, "COPY 3"),
        ("copy ((select 1) union (select 2)) to stdout with (format csv)", Verdict::CopyOut, "COPY 2"),
        ("copy g.customers (id, email) to stdout csv header", Verdict::CopyOut, "COPY 0"),
    ] {
        assert_eq!(judged(text).as_ref(), Ok(&verdict), "{text}");
        assert!(verdict.fits(tag), "{text}");
        for other in ["", "SELECT", "SELECT x", "INSERT 0 1", "DELETE 1", "EXPLAIN", "COPY"] {
            assert!(!verdict.fits(other), "{text}: {other}");
        }
    }
    assert_eq!(judged(" -- nothing\n ;"), Ok(Verdict::Empty));
}

const ROW_WISE: &[&str] = &[
    "select id, email from customers",
    "select * from g.customers as c where c.id in (1, 2) and (email like 'a%' or salary > $1) order by id desc limit 10 offset 1;",
    "select c.* from customers c where id = any($1)",
    "select \"id\"::text || 'x', date '2020-01-01' from \"customers\"",
    "select case when id > 1 then (salary) else -(1) end from customers where not (id = 2)",
    "declare c cursor for select id from customers",
    "copy customers to stdout",
    "copy (select id from customers) to stdout csv",
];

const NOT_ROW_WISE: &[&str] = &[
    "select count(*) from customers",
    "select c.count from customers c",
    "select 1 from customers c order by c.\"count\"",
    "select (c).count from customers c",
    "select c.json_agg from customers c",
    r#"select c.U&"co\0075nt" from customers c"#,
    "select id from customers, orders",
    "select id from customers c join orders o on true",
    "select id from customers natural join orders",
    "select id from customers group by id",
    "select distinct id from customers",
    "select id from customers union all table orders",
    "select id from customers where id in (select id from orders)",
    "select id from customers where id in (table orders)",
    "select upper(email) from customers",
    "select \"count\"(*) from customers",
    "select count /* */ (*) from customers",
    "select id from f(1)",
    "select id from (customers)",
    "select id from only customers",
    "select id from customers c(a)",
    "select id from customers tablesample system (1)",
    "select 1",
    "select 1 from current_user",
    "select id, array(table x) from customers",
    "select 1 operator(pg_catalog.+) 2 from customers",
    "with x as (select 1) select * from x",
    "values (1)",
    "show all",
    "fetch all from c",
    "copy (select count(*) from customers) to stdout",
    "select id from customers where 'x",
    "select id from customers; select 1",
];

#[test]
fn a_statement_is_row_wise_only_if_each_row_surely_tells_of_one() {
    for text in ROW_WISE {
        assert!(row_wise(text), "{text}");
    }
    for text in NOT_ROW_WISE {
        assert!(!row_wise(text), "{text}");
    }
}

/// A text with other blanks and comments between its tokens, and its words in other letters.
fn dressed(text: &str, turns: &[u8]) -> String {
    const BLANKS: [&str; 5] = [" ", "\n", "/* ; select ' */", " -- (join,\n", "\t/*/**/*/ "];
    let mut out = String::new();
    for (place, token) in Tokens::of(text).flatten().enumerate() {
        let turn = usize::from(turns[place % turns.len()]);
        out.push_str(BLANKS[turn % BLANKS.len()]);
        if token.kind == Kind::Word && turn % 2 == 0 {
            out.push_str(&token.text.to_ascii_uppercase());
        } else {
            out.push_str(token.text);
        }
    }
    out
}

proptest! {
    #[test]
    fn blanks_comments_and_letters_change_no_verdict(which in 0..20_usize, turns in prop::collection::vec(any::<u8>(), 1..20)) {
        for texts in [ROW_WISE, NOT_ROW_WISE] {
            let text = texts[which % texts.len()];
            let other = dressed(text, &turns);
            prop_assert_eq!(judged(&other), judged(text), "{}", &other);
            prop_assert_eq!(row_wise(&other), row_wise(text), "{}", &other);
        }
    }

    #[test]
    fn one_piece_that_combines_rows_makes_no_statement_row_wise(which in 0..5_usize, place in 0..40_usize, piece in 0..12_usize) {
        const PIECES: [&str; 12] = [
            "count(*)", ", orders", "join orders on true", "group by 1", "having true", "(select 1)", "union select 1",
            "distinct", "c.count", "over (w)", "(c).id", "max (id)",
        ];
        // Into the list, behind the relation, or at the end: wherever it stands it is seen.
        let text = ROW_WISE[which];
        let tokens: Vec<&str> = Tokens::of(text).flatten().map(|t| t.text).filter(|t| *t != ";").collect();
        let place = 1 + place % tokens.len();
        // Behind a point every word is a column's name, and behind FROM it is the relation's.
        prop_assume!(tokens[place - 1] != "." && !(tokens[place - 1] == "from" && PIECES[piece] == "c.count"));
        let mixed = [&tokens[..place], &[PIECES[piece]], &tokens[place..]].concat().join(" ");
        // Between values and in a list a comma and a name are only more of the same; a server's error is no row.
        let second = ["customers , orders", "customers c , orders", "as c , orders"].iter().any(|from| mixed.contains(from));
        let harmless = PIECES[piece] == ", orders" && !second;
        prop_assert!(harmless || !row_wise(&mixed), "{}", mixed);
    }

    #[test]
    fn no_text_is_too_strange(text in r#"(select|from|;|\(|\)|'|"|\$|/\*|\*/|--|\n| |copy|declare|fetch|set|,|=|a|for|to|stdout|show|\.|with|into|begin){0,40}"#) {
        let _ = (judged(&text), row_wise(&text));
    }
}
