//! What was tried on PostgreSQL, asked as a compiled role with no gate before it: each ends as is written here.

use super::support::{Site, run};

/// Whether privileges alone hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    /// They do.
    Server,
    /// The server does it, or tells something: the gate refuses this kind of statement.
    Gate,
    /// The server tells it, and the rulebook does not count it as secret: names and sizes.
    Told,
}

use Held::{Gate, Server, Told};

/// Name, who holds, statements, and how they end: `!` and a code, or rows parted by `;` of values parted by `|`.
type Case = (&'static str, Held, &'static str, &'static str);

/// Without this, what would write is refused as such before anybody looks at privileges.
const WRITE: &str = "begin read write; ";

/// The note's list A1 to A22.
const LIST: &[Case] = &[
    ("A1", Server, "select * from raw.customers limit 1", "!42501"),
    ("A2 pg_stats", Server, "select count(*) from pg_stats where tablename = 'customers'", "!42501"),
    ("A2 pg_statistic", Server, "select count(*) from pg_statistic", "!42501"),
    ("A3", Server, "create function pg_temp.leak(int, text) returns bool language plpgsql as 'begin return true; end'", "!25006"),
    ("A3 writing", Server, "W create function pg_temp.leak(int, text) returns bool language plpgsql as 'begin return true; end'", "!42501"),
    ("A3 own schema", Server, "W create function S.leak(text) returns bool language sql as 'select true'", "!42501"),
    ("A4b", Server, "select id from customers where 1 / (id - 3) >= 0 and id < 3", ""),
    ("A4b hidden row", Server, "select id from customers where id = 1 and cast(email as int) = 1", ""),
    ("A4b own row", Server, "select cast(email as int) from customers", "!22P02"),
    ("A5", Server, "do $$ begin perform 1; end $$", "!42501"),
    ("A5 internal", Server, "do language sql $$ select 1 $$", "!42501"),
    ("A6", Gate, "reset role; select current_user = session_user", "t"),
    ("A6 set_config", Server, "select set_config('role', 'none', false)", "!42501"),
    ("A7 program", Server, "copy (select 1) to program 'id'", "!42501"),
    ("A7 file", Server, "copy (select 1) to '/var/lib/x'", "!42501"),
    ("A7 in", Server, "W copy customers from stdin", "!42501"),
    ("A8b", Server, "select pg_get_viewdef('S.customers'::regclass)", "!42501"),
    ("A8b tree", Server, "select ev_action from pg_rewrite", "!42501"),
    ("A9", Told, "select string_agg(attname, ' ' order by attnum) from pg_attribute a join pg_class c on c.oid = attrelid
        where relname = 'customers' and relnamespace = 'raw'::regnamespace and attnum > 0", "id sub email country salary note"),
    ("A10 rows", Told, "select reltuples from pg_class where relname = 'customers' and relkind = 'r'", "1000"),
    ("A10 size", Server, "select pg_relation_size(oid) from pg_class where relname = 'customers' and relkind = 'r'", "!42501"),
    ("A11", Server, "select query_to_xml('select * from raw.customers limit 1', true, true, '')", "!42501"),
    ("A11 table", Server, "select table_to_xml('raw.customers', true, true, '')", "!42501"),
    ("A11 file", Server, "select pg_read_file('/etc/passwd')", "!42501"),
    ("A11 import", Server, "select lo_import('/etc/passwd')", "!42501"),
    ("A11 activity", Server, "select * from pg_stat_activity where query like '%secret%'", "!42501"),
    ("A12", Server, "select query_to_xml('select count(*) from S.customers', true, true, '')", "!42501"),
    ("A13", Server, "select pg_sleep(0.01)", "!42501"),
    ("A13 lock", Server, "select pg_advisory_lock(1)", "!42501"),
    ("A14", Server, "prepare p as select * from raw.customers", "!42501"),
    ("A14 execute", Server, "execute p", "!26000"),
    ("A15", Server, "select ctid from customers limit 1", "!42703"),
    ("A15 table", Server, "select tableoid from customers limit 1", "!42703"),
    ("A16", Server, "select lo_from_bytea(0, 'abc')", "!42501"),
    ("A16 notify", Gate, "listen x; notify x, 'covert'", ""),
    ("A17 path", Gate, "set search_path = raw; select current_schema()", "NULL"),
    ("A17 path and name", Server, "set search_path = raw; select count(*) from customers", "!42P01"),
    ("A17 replica", Server, "set session_replication_role = replica", "!42501"),
    ("A17 log", Server, "set log_statement = 'none'", "!42501"),
    ("A17 lo", Server, "set lo_compat_privileges = on", "!42501"),
    ("A17 rows", Gate, "set row_security = off", ""),
    ("A17 time", Gate, "set statement_timeout = 0", ""),
    ("A17 reads", Gate, "set default_transaction_read_only = off", ""),
    ("A18", Server, "select to_jsonb(c) - 'email' from customers c where id = 3", r#"{"id": 3, "salary": 30003, "country": "IE"}"#),
    ("A18 text", Server, "select c::text like '(3,t1.12.%,IE,30003)' from customers c where id = 3", "t"),
    ("A19", Server, "insert into customers (id) values (1)", "!42501"),
    ("A19 writing", Server, "W insert into customers (id) values (1)", "!42501"),
    ("A20", Server, "select current_setting('data_directory')", "!42501"),
    ("A20 extension", Server, "W create extension dblink", "!42501"),
    ("A21", Gate, "explain (costs off) select * from customers where id = 3", "*"),
    ("A22", Server, "W with x as (delete from customers returning email) select * from x", "!42501"),
    ("A22 into", Server, "W select * into tmp1 from customers", "!42501"),
    ("A22 temporary", Server, "W create temp table t as select * from customers", "!42501"),
    ("A22 column", Server, "select c.note from customers c", "!42703"),
    ("B1", Server, "select id from customers where id = 1 and cast(email as int) > 0", ""),
    ("B1 division", Server, "select id from customers where id = 1 and 1 / (salary - 30001) > 0", ""),
    ("B1c", Gate, "explain (analyze, timing off, summary off, costs off) select * from customers", "*"),
    ("B1d", Gate, "explain select * from customers where salary < 30100", "*"),
    ("B4", Gate, "explain (verbose, costs off) select * from customers", "*"),
    ("C1", Told, "select (select sum(salary) from customers) - (select sum(salary) from customers where id <> 3)", "30003"),
    ("C2", Told, "select string_agg(id::text || ':' || salary, ',') from (select * from customers order by id limit 3) x", "3:30003,6:30006,9:30009"),
    ("C5 views", Server, "select * from pg_views", "!42501"),
    ("C5 schema", Server, "select view_definition from information_schema.views", "!42501"),
    ("C5 rules", Server, "select * from pg_rules", "!42501"),
    ("C5 policies", Server, "select * from pg_policies", "!42501"),
    ("C5 policy", Server, "select * from pg_policy", "!42501"),
];

/// 1.8 (1): shapes in which a column or a row could come along. What is visible is `id, email, country, salary` of `p0`.
const SHAPES: &[Case] = &[
    ("whole row", Server, "select (c).salary from customers c where id = 3", "30003"),
    ("star of a row", Server, "select count(*) from (select (c).* from customers c) x", "333"),
    ("star of raw", Server, "select (c).* from raw.customers c", "!42501"),
    ("row of raw", Server, "select c from raw.customers c", "!42501"),
    ("json of raw", Server, "select to_jsonb(c) from raw.customers c", "!42501"),
    ("count of raw", Server, "select count(*) from raw.customers", "!42501"),
    ("no column of raw", Server, "select 1 from raw.customers", "!42501"),
    ("table", Server, "table raw.customers", "!42501"),
    ("join using", Server, "select count(*) from customers join raw.customers r using (id)", "!42501"),
    ("natural join", Server, "select count(*) from customers natural join raw.customers r", "!42501"),
    ("own join", Server, "select count(*) from customers a join customers b using (email)", "333"),
    (
        "lateral",
        Server,
        "select x.note from customers c, lateral (select note from raw.customers r where r.id = c.id) x",
        "!42501",
    ),
    (
        "lateral of own",
        Server,
        "select count(*) from customers c cross join lateral (select c.email) x",
        "333",
    ),
    ("with", Server, "with x as (select * from raw.customers) select 1", "!42501"),
    (
        "with recursive",
        Server,
        "with recursive x as (select 1 as i union all select i + 1 from x, raw.customers where i < 2) select * from x",
        "!42501",
    ),
    ("except", Server, "select 1 except select id from raw.customers", "!42501"),
    ("intersect", Server, "select 1 intersect select id from customers", ""),
    ("where", Server, "select 1 where exists (select from raw.customers)", "!42501"),
    (
        "order",
        Server,
        "select id from customers order by (select max(note) from raw.customers) limit 1",
        "!42501",
    ),
    (
        "having",
        Server,
        "select country from customers group by 1 having count(*) > (select count(*) from raw.customers)",
        "!42501",
    ),
    (
        "group",
        Server,
        "select count(*) from customers group by (select max(id) from raw.customers)",
        "!42501",
    ),
    ("limit", Server, "select id from customers limit (select count(*) from raw.customers)", "!42501"),
    ("window", Server, "select count(*) filter (where note is null) over () from raw.customers", "!42501"),
    (
        "own window",
        Server,
        "select count(*) filter (where salary < 30004) over () from customers order by id limit 1",
        "1",
    ),
    ("sample", Server, "select count(*) from raw.customers tablesample system (100)", "!42501"),
    ("sample of own", Server, "select count(*) from customers tablesample system (100)", "!0A000"),
    ("unicode name", Server, r#"select U&"not\0065" from customers"#, "!42703"),
    ("unicode table", Server, r#"select * from raw.U&"custom\0065rs""#, "!42501"),
    ("for update", Server, "W select * from customers for update", "!42501"),
    ("rows from", Server, "select * from rows from (generate_series(1, 2), pg_ls_dir('.'))", "!42501"),
    ("xml", Server, "select xmlparse(document query_to_xml('select 1', true, true, '')::text)", "!42501"),
    ("the key", Server, "select * from clover.keys", "!42501"),
    ("the key's count", Server, "select count(*) from clover.keys", "!42501"),
    ("other grants", Server, "select * from clover.grants", "!42501"),
];

/// 1.8 (2): what could raise an error over a row or a value. Of hidden rows there is none, in visible ones what is shown.
const ERRORS: &[Case] = &[
    ("cast", Server, "select id from customers where id = 1 and email::int > 0", ""),
    ("cast of a token", Server, "select id from customers where id = 3 and email::int > 0", "!22P02"),
    ("division", Server, "select id from customers where 1 / (salary - 30001) >= 0 and id < 3", ""),
    ("division of own", Server, "select id from customers where 1 / (salary - 30003) >= 0", "!22012"),
    ("overflow", Server, "select id from customers where id = 1 and salary * 2000000 > 0", ""),
    (
        "substring",
        Server,
        "select id from customers where id = 1 and substring(email from 1 for -id) = ''",
        "",
    ),
    ("expression", Server, "select id from customers where id = 1 and 'a' ~ ('[' || email)", ""),
    ("to_date", Server, "select id from customers where id = 1 and to_date(email, 'YYYY') is null", ""),
    ("array", Server, "select id from customers where id = 1 and ('{' || email)::int[] is null", ""),
    ("json", Server, "select id from customers where id = 1 and email::jsonb is null", ""),
    (
        "path",
        Server,
        "select id from customers where id = 1 and jsonb_path_query_first('{}', ('strict $.' || country)::jsonpath) is null",
        "",
    ),
    ("scale", Server, "select id from customers where id = 1 and salary::numeric(2, 0) > 0", ""),
    ("many", Server, "select (select email::int from customers where id = 1)", "NULL"),
    (
        "join",
        Server,
        "select a.id from customers a, customers b where a.id = 1 and 1 / (b.salary - 30001) > 0",
        "",
    ),
    ("aggregate", Server, "select sum(1 / (salary - 30001)) from customers", "0"),
    (
        "case",
        Server,
        "select count(*) from customers where case when id = 1 then 1 / (id - id) else 1 end = 0",
        "0",
    ),
    (
        "raise",
        Server,
        "do $$ begin raise exception '%', (select note from raw.customers limit 1); end $$",
        "!42501",
    ),
];

/// 1.8 (5) to (8): being somebody else, plans, other ways out, catalogues.
const WAYS: &[Case] = &[
    ("5 set role none", Gate, "set role none; select current_user = session_user", "t"),
    ("5 set role owner", Server, "set role clover_views", "!42501"),
    ("5 set role gateway", Server, "set role clover_gateway", "!42501"),
    ("5 set role superuser", Server, "set role clover", "!42501"),
    ("5 set role reader", Gate, "set role clover_reader; select count(*) from S.customers", "!42501"),
    ("5 authorization", Server, "set session authorization clover", "!42501"),
    ("5 discard", Gate, "discard all", ""),
    (
        "5 shadow",
        Server,
        "W create operator S.= (leftarg = text, rightarg = text, function = texteq)",
        "!42501",
    ),
    ("5 shadowed type", Server, "W create type S.text as (x int)", "!42501"),
    ("5 own settings", Gate, "W alter role R set statement_timeout = 0; rollback", ""),
    ("5 own name", Server, "W alter role R createrole", "!42501"),
    ("5 other grant", Server, "W alter role clover_gateway password 'x'", "!42501"),
    (
        "6 prepared plan",
        Gate,
        "prepare p as select * from customers where id = 1; explain (costs off) execute p",
        "*",
    ),
    ("6 load", Server, "load 'auto_explain'", "!42501"),
    ("6 plan in messages", Gate, "set client_min_messages = log; set debug_print_plan = on", ""),
    ("7 copy a table out", Server, "copy raw.customers to stdout", "!42501"),
    ("7 copy a view out", Server, "copy customers to stdout", "!42809"),
    ("7 large object", Server, "select lo_create(1)", "!42501"),
    ("7 large objects", Server, "select * from pg_largeobject", "!42501"),
    ("7 call", Server, "call p(1)", "!42883"),
    ("7 shared lock", Server, "select pg_try_advisory_xact_lock_shared(1)", "!42501"),
    ("7 lock", Server, "begin; lock table raw.customers in access share mode", "!42501"),
    ("7 lock a view", Server, "begin; lock table customers in access share mode", "!42501"),
    ("7 lock a view hard", Server, "W lock table customers in access exclusive mode", "!42501"),
    (
        "7 cursor with hold",
        Gate,
        "begin; declare c cursor with hold for select id from customers order by id; commit; fetch 1 from c",
        "3",
    ),
    ("7 cursor of raw", Server, "begin; declare c cursor for select email from raw.customers", "!42501"),
    ("7 sequence", Server, "select nextval('x')", "!42P01"),
    ("7 random", Server, "select random()", "!42501"),
    ("7 pid", Server, "select pg_backend_pid()", "!42501"),
    ("7 transaction", Server, "select txid_current()", "!42501"),
    ("7 cancel", Server, "select pg_cancel_backend(1)", "!42501"),
    ("7 reload", Server, "select pg_reload_conf()", "!42501"),
    ("7 clock", Server, "select clock_timestamp()", "!42501"),
    ("7 subscription", Server, "create subscription s connection 'host=evil' publication p", "!25006"),
    ("7 server", Server, "W create server s foreign data wrapper w", "!42704"),
    ("7 comment", Server, "W comment on view customers is 'x'", "!42501"),
    ("7 label", Server, "W security label on table customers is 'x'", "!22023"),
    ("7 schema", Server, "W create schema x", "!42501"),
    ("7 table", Server, "W create table S.t (x int)", "!42501"),
    ("7 public", Server, "W create table public.t (x int)", "!42501"),
    ("7 view anew", Server, "W create or replace view customers as select 1", "!42501"),
    ("7 barrier off", Server, "W alter view customers set (security_barrier = false)", "!42501"),
    ("7 grant on", Server, "W grant select on customers to clover_reader", ""),
    ("7 vacuum", Server, "vacuum raw.customers", "!42501"),
    ("7 analyze", Server, "analyze raw.customers", "!42501"),
    ("8 extended statistics", Server, "select * from pg_statistic_ext_data", "!42501"),
    ("8 pg_stats_ext", Server, "select * from pg_stats_ext", "!42501"),
    ("8 statements", Server, "select * from pg_stat_statements", "!42P01"),
    ("8 tables", Server, "select * from pg_stat_user_tables", "!42501"),
    ("8 settings", Server, "select * from pg_settings", "!42501"),
    ("8 locks", Server, "select * from pg_locks", "!42501"),
    ("8 hba", Server, "select * from pg_hba_file_rules", "!42501"),
    ("8 passwords", Server, "select * from pg_authid", "!42501"),
    ("8 shadow", Server, "select * from pg_shadow", "!42501"),
    ("8 mappings", Server, "select * from pg_user_mapping", "!42501"),
    (
        "8 columns of others",
        Server,
        "select count(*) from information_schema.columns where table_schema = 'raw'",
        "0",
    ),
    (
        "8 tables of others",
        Server,
        "select count(*) from information_schema.tables where table_schema = 'raw'",
        "0",
    ),
    ("8 file", Server, "select pg_ls_dir('.')", "!42501"),
    (
        "8 rights of a number",
        Server,
        "select has_table_privilege(oid, 'select') from pg_class where relname = 'customers' and relkind = 'r'",
        "f",
    ),
    ("8 rights", Server, "select has_table_privilege('raw.customers', 'select')", "!42501"),
];

/// Runs cases, each in a session of its own.
async fn check(site: &Site, schema: &str, cases: &[Case]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, held, statements, expected) in cases {
        let writes = statements.strip_prefix("W ").map(|rest| format!("{WRITE}{rest}"));
        let statements = writes.unwrap_or_else(|| (*statements).to_owned());
        let statements =
            statements.replace("S.", &format!("{schema}.")).replace(" R ", &format!(" {schema} "));
        let (ended, said) = site.grant().await.ask(&statements).await;
        let leaks = said.contains("@corp.example") || said.contains("secret note") || said.contains("\\x36");
        // A star is anything that the server tells: that it does is why the gate refuses it.
        let right =
            if *expected == "*" { !ended.starts_with('!') && !ended.is_empty() } else { ended == *expected };
        if !right || leaks || (*expected == "*" && *held != Gate) {
            wrong.push(format!("{name} ({held:?}): {ended:?} ({said}), expected {expected:?}"));
        }
    }
    wrong
}

/// What shows that cases above could fail: a view without a barrier whose filter is dearer than what is asked (B1), and a grant to
/// write (C6). Nothing that is compiled is like them.
const CONTROL: &str = "
    create schema control; grant usage on schema control to public;
    create view control.leaky as select id, email, salary from raw.customers where lower(upper(country)) = 'ie';
    create view control.barrier with (security_barrier) as select id, email, salary from raw.customers where lower(upper(country)) = 'ie';
    grant select on control.leaky, control.barrier to public;
    create table control.written (id int primary key, v int check (v > 0), secret text default 'hidden default');
    grant insert (id, v) on control.written to public;
    insert into control.written values (7, 7)";

#[test]
fn without_a_barrier_the_same_attacks_show_what_a_view_hides() {
    let (site, _) = Site::compiled();
    site.server.sql(CONTROL).unwrap();
    run(async {
        let session = site.grant().await;
        let (ended, said) =
            session.ask("select id from control.leaky where id = 1 and cast(email as int) > 0").await;
        assert!(
            ended == "!22P02" && said.contains("user1@corp.example"),
            "the control leaks nothing: {said}"
        );
        let guess = "select id from control.leaky where id = 1 and 1 / (salary - 30001) > 0";
        assert_eq!(session.ask(guess).await.0, "!22012");
        for attack in ["cast(email as int) > 0", "1 / (salary - 30001) > 0"] {
            let barrier = format!("select id from control.barrier where id = 1 and {attack}");
            assert_eq!(session.ask(&barrier).await.0, "", "{attack}");
        }
        // What a session outside the region gets of an error is a code: here is why.
        let (ended, said) =
            session.ask("begin read write; insert into control.written (id, v) values (1, -1)").await;
        assert!(ended == "!23514" && said.contains("(1, -1"), "{said}");
        session.ask("rollback").await;
        let (ended, said) =
            session.ask("begin read write; insert into control.written (id, v) values (7, 1)").await;
        assert!(ended == "!23505" && said.contains("written_pkey"), "{said}");
    });
}

#[test]
fn every_attack_of_the_list_ends_as_it_says() {
    let (site, compiled) = Site::compiled();
    run(async {
        let mut wrong = Vec::new();
        for cases in [LIST, SHAPES, ERRORS, WAYS] {
            wrong.extend(check(&site, compiled.role().as_str(), cases).await);
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    });
}
