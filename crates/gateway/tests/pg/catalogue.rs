//! What must work under the list of functions: queries, and what clients ask of catalogues.

use std::process::{Command, Stdio};

use gateway::sql::compile::{compile, people, views};

use super::support::{Site, column, plan, run, token};

/// Statements and what they give.
const WORK: &[(&str, &str)] = &[
    (
        "select country, count(*), avg(salary)::int, max(salary) from customers where email like 't1.%' and salary between 30003 and 30009
         group by 1",
        "IE|3|30006|30009",
    ),
    ("select date_trunc('day', timestamp '2026-05-06 07:08:09')", "2026-05-06 00:00:00"),
    ("select length(to_char(now(), 'YYYY'))", "4"),
    ("select 1.5::int", "2"),
    ("select '12'::int + 1", "13"),
    ("select array[1, 2] @> array[1]", "t"),
    (r#"select '{"a":1}'::jsonb->>'a'"#, "1"),
    ("select (now() - interval '1 day') < now()", "t"),
    ("select ('2026-01-0' || 2)::date + 1", "2026-01-03"),
    ("select length(now()::text) > 10", "t"),
    ("select length(convert_to('ab', 'UTF8'))", "2"),
    ("select string_agg(id::text, ',' order by id) from customers where id < 10", "3,6,9"),
    ("select percentile_cont(0.5) within group (order by salary) from customers", "30501"),
    ("select row_number() over (order by id) from customers order by id limit 1", "1"),
    ("select count(*) from generate_series('2026-01-01'::timestamptz, '2026-01-03', '1 day')", "3"),
    ("select coalesce(null, 'x') || upper('y') || regexp_replace('abc', 'b', '')", "xYac"),
    ("select 'a' ~ '^a', 'b' ilike 'B', 'x' similar to 'x'", "t|t|t"),
    ("select md5('a')", "0cc175b9c0f1b6a831c399e269772661"),
    ("select timestamptz '2026-01-01 00:00+00' at time zone 'Europe/Dublin'", "2026-01-01 00:00:00"),
    ("select jsonb_build_object('a', 1), to_json(1), jsonb_path_query('{\"a\":[1]}', '$.a[*]')", "{\"a\": 1}|1|1"),
    ("select format('%s-%I', 1, 'b'), concat_ws('-', 1, 2), quote_ident('A b')", "1-b|1-2|\"A b\""),
    ("select stddev(salary) > 0, mode() within group (order by country) from customers", "t|IE"),
    ("show transaction_read_only", "on"),
    ("show search_path", "clover_g_a1a1a1a1a1a1a1a1a1a1a1a1"),
    ("show temp_file_limit", "64MB"),
    ("show statement_timeout", "20s"),
    // What psycopg asks at its first connection to adapt a type, and JDBC of types, tables and columns.
    ("select t.oid from pg_type t join pg_namespace n on n.oid = t.typnamespace where t.typname = 'hstore' and pg_type_is_visible(t.oid)", ""),
    (
        "SELECT typinput='pg_catalog.array_in'::regproc, typtype, typname FROM pg_catalog.pg_type LEFT JOIN (select ns.oid as nspoid, ns.nspname, r.r
         from pg_namespace as ns join (select s.r, (current_schemas(false))[s.r] as nspname from generate_series(1, array_upper(current_schemas(false), 1))
         as s(r)) as r using (nspname)) as sp ON sp.nspoid = typnamespace WHERE typname = 'int4' ORDER BY sp.r, pg_type.oid DESC",
        "f|b|int4",
    ),
    (
        "SELECT c.relname, CASE c.relkind WHEN 'v' THEN 'VIEW' END, d.description FROM pg_catalog.pg_namespace n, pg_catalog.pg_class c LEFT JOIN
         pg_catalog.pg_description d ON (c.oid = d.objoid AND d.objsubid = 0 and d.classoid = 'pg_class'::regclass) WHERE c.relnamespace = n.oid AND
         n.nspname = current_schema()",
        "customers|VIEW|NULL",
    ),
    (
        "SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), pg_catalog.pg_get_expr(def.adbin, def.adrelid) FROM pg_catalog.pg_class c
         JOIN pg_catalog.pg_attribute a ON (a.attrelid = c.oid) LEFT JOIN pg_catalog.pg_attrdef def ON (a.attrelid = def.adrelid AND a.attnum = def.adnum)
         WHERE c.oid = 'customers'::regclass and a.attnum > 0 order by a.attnum",
        "id|integer|NULL;email|text|NULL;country|text|NULL;salary|integer|NULL",
    ),
    ("select table_name, table_type from information_schema.tables where table_schema = current_schema()", "customers|VIEW"),
    ("select column_name, data_type from information_schema.columns where table_name = 'customers' order by ordinal_position limit 1", "id|integer"),
];

#[test]
fn what_people_and_their_tools_ask_works_under_the_list() {
    let (site, compiled) = Site::compiled();
    run(async {
        let session = site.grant().await;
        for (statement, expected) in WORK {
            assert_eq!(session.ask(statement).await.0, *expected, "{statement}");
        }
        // Another session than the one that is asked reads a result by parts: portals, and COPY.
        let mut one = site.grant().await;
        let transaction = one.client.transaction().await.unwrap();
        let portal = transaction.bind("select id from customers order by id", &[]).await.unwrap();
        let first = transaction.query_portal(&portal, 2).await.unwrap();
        let then = transaction.query_portal(&portal, 2).await.unwrap();
        let ids: Vec<i32> = first.iter().chain(&then).map(|row| row.get(0)).collect();
        assert_eq!(ids, [3, 6, 9, 12]);
        transaction.commit().await.unwrap();
        assert!(one.client.copy_out("copy (select id from customers) to stdout").await.is_ok());
        // B2: what a row says of its columns is the view, and nothing for what is made: a label, never what is enforced.
        let statement = session
            .client
            .prepare("select email, upper(email), U&\"em\\0061il\" from customers")
            .await
            .unwrap();
        let view = session.ask("select 'customers'::regclass::oid").await.0.parse().unwrap();
        let told: Vec<_> = statement.columns().iter().map(|c| (c.table_oid(), c.column_id())).collect();
        assert_eq!(told, [(Some(view), Some(2)), (None, None), (Some(view), Some(2))]);
    });
    let psql = |command: &str| {
        let told = Command::new(site.server.programs().join("psql"))
            .args(["-X", "-d", &site.address(compiled.role().as_str(), "clover"), "-c", command])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(told.status.success(), "{command}: {}", String::from_utf8_lossy(&told.stderr));
        String::from_utf8_lossy(&told.stdout).into_owned()
    };
    assert!(psql("\\d customers").contains("salary"));
    for command in ["\\d", "\\dv", "\\dt", "\\dn", "\\l", "\\df abs", "\\du", "\\dT"] {
        psql(command);
    }
    assert!(psql("\\d").contains("customers"));
}

#[test]
fn a_compiled_role_may_call_nothing_volatile_and_services_keep_what_they_had() {
    let (site, compiled) = Site::compiled();
    let role = compiled.role().as_str();
    // C4: the list is long, and nothing volatile is on it.
    let counted = site.server.sql(&format!(
        "select count(*) filter (where may) > 2000, count(*) filter (where may and provolatile = 'v'), count(*) filter (where may and prosecdef)
         from (select *, has_function_privilege('{role}', oid, 'execute') as may from pg_proc) p"
    ));
    assert_eq!(counted.unwrap(), ["t|0|0"]);
    // `data_owner` was there before the set-up: what PUBLIC lost, it still has. A role that comes later is given it.
    let volatile = "set role data_owner; select random() < 1, count(*) from generate_series(1, 3)";
    assert_eq!(site.server.sql(volatile).unwrap(), ["t|3"]);
    site.server.sql("create role later nologin").unwrap();
    let refused = site.server.sql("set role later; select random() < 1").unwrap_err().to_string();
    assert!(refused.contains("permission denied for function"), "{refused}");
    site.server.sql("grant clover_services to later; set role later; select random() < 1").unwrap();
}

#[test]
fn a_session_learns_the_numbers_of_its_columns_and_who_is_in_a_table() {
    let site = Site::start();
    let mut plan = plan();
    // The column of the person may be shown, too: as a token.
    plan.tables[0].columns.push(column("sub", token(model::catalogue::Kind::Id)));
    run(async {
        let mut gateway = site.gateway().await;
        let compiled = compile(&mut gateway.client, &plan).await.unwrap();
        let session = site.grant().await;
        let view: u32 = session.ask("select 'customers'::regclass::oid").await.0.parse().unwrap();
        let shown = views(&gateway.client, compiled.role()).await.unwrap();
        let columns: Vec<_> =
            shown.iter().map(|s| (s.view, s.name.as_str(), s.number, s.column.as_str())).collect();
        let expected = ["id", "email", "country", "salary", "sub"];
        let expected: Vec<_> =
            (1_i16..).zip(expected).map(|(n, column)| (view, "customers", n, column)).collect();
        assert_eq!(columns, expected);
        assert_eq!(
            session.ask("select count(distinct sub), min(left(sub, 6)) from customers").await.0,
            "1|t1.12."
        );
        let table = ("raw", "customers", "sub");
        let mut found = people(&gateway.client, table, 10).await.unwrap();
        found.sort();
        assert_eq!(found, ["p0", "p1", "p2"]);
        assert_eq!(people(&gateway.client, table, 2).await.unwrap().len(), 2);
        assert!(people(&gateway.client, ("raw", "customers", "note"), 2).await.is_err());
    });
}
