//! Whatever a grant stands on: when somebody changes it, the grant is told as changed, and what is unsafe is not compiled anew.

use std::collections::BTreeSet;
use std::time::Instant;

use gateway::sql::compile::{CompileError, Compiled, Drift, Part, compile, setup};

use super::support::{Session, Site, declared, plan, role, run};

use Part::{Columns, Functions, Keys, Role, Shared, Views};

/// Whether the plan can be compiled after the change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Anew {
    /// Yes: the views are what they were.
    Safe,
    /// No: somebody must take the change back, or run the set-up.
    Unsafe,
}

/// What somebody does, what is told as changed, whether it compiles then, and how it is taken back. `R` is the role.
const CHANGES: &[(&str, &[Part], Anew, &str)] = &[
    (
        "alter table raw.customers add column phone text",
        &[Columns],
        Anew::Safe,
        "alter table raw.customers drop column phone",
    ),
    (
        "alter table raw.customers rename column note to remark",
        &[Columns],
        Anew::Safe,
        "alter table raw.customers rename column remark to note",
    ),
    (
        "alter table raw.customers rename to clients; create table raw.customers (id int, sub text, email text, country text, salary int, note text)",
        &[Columns],
        Anew::Unsafe,
        "drop table raw.customers; alter table raw.clients rename to customers",
    ),
    ("alter table raw.customers alter column note type varchar", &[Columns], Anew::Safe, ""),
    ("alter view R.customers set (security_barrier = false)", &[Views], Anew::Safe, ""),
    ("alter view R.customers reset (security_barrier)", &[Views], Anew::Safe, ""),
    (
        "drop view R.customers; create view R.customers as select id, email, country, salary from raw.customers; grant select on R.customers to R",
        &[Views, Role],
        Anew::Safe,
        "",
    ),
    (
        "create or replace view R.customers with (security_barrier = true) as select id, email, country, salary from raw.customers",
        &[Views],
        Anew::Safe,
        "",
    ),
    (
        "create view R.more as select note from raw.customers; grant select on R.more to R",
        &[Views, Role],
        Anew::Safe,
        "",
    ),
    ("alter view R.customers owner to clover", &[Views], Anew::Safe, ""),
    ("grant select on R.customers to public", &[Views, Shared], Anew::Safe, ""),
    ("grant select on raw.customers to R", &[Role], Anew::Unsafe, "revoke select on raw.customers from R"),
    (
        "grant select (note) on raw.customers to R",
        &[Role],
        Anew::Unsafe,
        "revoke select (note) on raw.customers from R",
    ),
    ("grant usage on schema raw to R", &[Role], Anew::Unsafe, "revoke usage on schema raw from R"),
    (
        "grant select on raw.customers to clover_reader",
        &[Shared],
        Anew::Unsafe,
        "revoke select on raw.customers from clover_reader",
    ),
    (
        "grant select on raw.customers to public",
        &[Shared],
        Anew::Safe,
        "revoke select on raw.customers from public",
    ),
    (
        "grant select (note) on raw.customers to public",
        &[Shared],
        Anew::Safe,
        "revoke select (note) on raw.customers from public",
    ),
    (
        "grant usage on schema raw to public",
        &[Shared],
        Anew::Unsafe,
        "revoke usage on schema raw from public",
    ),
    (
        "grant temp on database clover to public",
        &[Shared],
        Anew::Unsafe,
        "revoke temp on database clover from public",
    ),
    (
        "grant select on pg_rewrite to public",
        &[Shared],
        Anew::Unsafe,
        "revoke select on pg_rewrite from public",
    ),
    (
        "grant select on clover.keys to R",
        &[Role, Shared],
        Anew::Unsafe,
        "revoke select on clover.keys from R",
    ),
    ("alter role R bypassrls", &[Role], Anew::Unsafe, "alter role R nobypassrls"),
    ("alter role R superuser", &[Role], Anew::Unsafe, "alter role R nosuperuser"),
    ("alter role R set search_path = raw", &[Role], Anew::Safe, ""),
    ("alter role R connection limit -1", &[Role], Anew::Safe, ""),
    ("alter role R in database clover set default_transaction_read_only = off", &[Role], Anew::Safe, ""),
    ("grant pg_read_all_data to R", &[Role], Anew::Unsafe, "revoke pg_read_all_data from R"),
    (
        "grant pg_read_all_data to clover_reader",
        &[Shared],
        Anew::Unsafe,
        "revoke pg_read_all_data from clover_reader",
    ),
    ("grant clover_services to R", &[Role], Anew::Unsafe, "revoke clover_services from R"),
    ("grant clover_views to R", &[Role, Shared], Anew::Unsafe, "revoke clover_views from R"),
    ("update clover.keys set ipad = opad", &[Keys], Anew::Safe, ""),
    ("delete from clover.keys", &[Keys], Anew::Safe, ""),
    (
        "grant usage on language plpgsql to public",
        &[Functions],
        Anew::Unsafe,
        "revoke usage on language plpgsql from public",
    ),
    (
        "grant execute on function pg_sleep(double precision) to public",
        &[Functions],
        Anew::Unsafe,
        "revoke execute on function pg_sleep(double precision) from public",
    ),
    (
        "grant execute on function pg_sleep(double precision) to R",
        &[Role, Functions],
        Anew::Unsafe,
        "revoke execute on function pg_sleep(double precision) from R",
    ),
    (
        "create function raw.f() returns text language sql security definer as 'select note from raw.customers limit 1'",
        &[Functions],
        Anew::Unsafe,
        "drop function raw.f()",
    ),
    ("create extension fuzzystrmatch schema raw", &[Functions], Anew::Unsafe, "drop extension fuzzystrmatch"),
];

async fn told(drift: &Drift, gateway: &Session, compiled: &Compiled) -> BTreeSet<Part> {
    let changed = drift.look(&gateway.client, std::slice::from_ref(compiled)).await.unwrap();
    changed.into_iter().map(|changed| changed.part).collect()
}

#[test]
fn whoever_changes_what_a_grant_stands_on_closes_it() {
    let site = Site::start();
    run(async {
        let mut gateway = site.gateway().await;
        let drift = Drift::prepare(&gateway.client).await.unwrap();
        let mut compiled = compile(&mut gateway.client, &plan()).await.unwrap();
        let mut wrong = Vec::new();
        for (change, parts, anew, back) in CHANGES {
            assert_eq!(told(&drift, &gateway, &compiled).await, BTreeSet::new(), "before {change}");
            let named = |text: &str| text.replace('R', role().as_str());
            site.server.sql(&named(change)).unwrap();
            let found = told(&drift, &gateway, &compiled).await;
            if !parts.iter().all(|part| found.contains(part))
                || found.iter().any(|part| !parts.contains(part))
            {
                wrong.push(format!("{change}: {found:?}, expected {parts:?}"));
            }
            match (compile(&mut gateway.client, &plan()).await, anew) {
                (Ok(_), Anew::Safe)
                | (Err(CompileError::Unsafe(_) | CompileError::NotDeclared(_)), Anew::Unsafe) => {}
                // Not even its limits are the gateway's to set then.
                (Err(CompileError::Database { doing: "make a role", .. }), Anew::Unsafe)
                    if change.ends_with(" superuser") => {}
                (done, _) => wrong.push(format!("{change}: compiled anew: {done:?}, expected {anew:?}")),
            }
            if !back.is_empty() {
                site.server.sql(&named(back)).unwrap();
            }
            compiled = compile(&mut gateway.client, &plan()).await.unwrap();
            let rows = site.grant().await.ask("select count(*) from customers").await.0;
            assert_eq!(rows, "333", "after {change}");
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        site.server.sql("drop table raw.customers cascade").unwrap();
        assert_eq!(told(&drift, &gateway, &compiled).await, BTreeSet::from([Columns, Views, Role]));
        let gone = compile(&mut gateway.client, &plan()).await.unwrap_err();
        assert!(matches!(gone, CompileError::NoTable(_)), "{gone}");
    });
}

#[test]
fn an_extension_is_let_in_by_the_set_up_and_its_functions_are_not_for_grants() {
    let site = Site::start();
    site.server.sql("create extension fuzzystrmatch schema raw").unwrap();
    run(async {
        let mut gateway = site.gateway().await;
        let refused = compile(&mut gateway.client, &plan()).await.unwrap_err();
        assert!(refused.to_string().contains("executable by PUBLIC"), "{refused}");
        site.server.sql(&setup(&declared(&plan().tables))).unwrap();
        compile(&mut gateway.client, &plan()).await.unwrap();
        assert_eq!(site.grant().await.ask("select raw.levenshtein('a', 'b')").await.0, "!42501");
    });
}

#[test]
fn what_others_do_in_the_database_changes_no_grant() {
    let (site, compiled) = Site::compiled();
    run(async {
        let mut gateway = site.gateway().await;
        let drift = Drift::prepare(&gateway.client).await.unwrap();
        let mut other = plan();
        other.role = gateway::sql::compile::Role::of(&[0xb2; 12]);
        compile(&mut gateway.client, &other).await.unwrap();
        for harmless in [
            "create table raw.more (x int)",
            "insert into raw.customers (id, sub) values (2000, 'p0')",
            "create index on raw.customers (country)",
            "analyze",
            "vacuum full raw.customers",
            "create role somebody login",
        ] {
            site.server.sql(harmless).unwrap();
            assert_eq!(told(&drift, &gateway, &compiled).await, BTreeSet::new(), "{harmless}");
        }
        let many = vec![compiled; 100];
        let begun = Instant::now();
        for _ in 0..20 {
            drift.look(&gateway.client, &many[..1]).await.unwrap();
        }
        println!("one look at one grant: {:?}", begun.elapsed() / 20);
    });
}
