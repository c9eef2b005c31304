//! From a plan to a role, a schema, views and keys, in one transaction.

use aws_lc_rs::digest::{SHA256, digest};
use tokio_postgres::{Client, Transaction};
use zeroize::Zeroizing;

use super::drift::{self, Compiled, Drift, Part};
use super::express::Base;
use super::plan::{KeyOf, Plan, Shows, Table};
use super::quote::{identifier, literal};
use super::{CompileError, asked};

/// All who compile or drop in a database take turns: catalogues do not like two who change one row. The bytes of `clover g`.
pub(super) const TURN: &str = "select pg_catalog.pg_advisory_xact_lock(7164781918302052967)";

/// Ends the sessions of a role, in this database or in all, and waits until each has gone.
pub(super) const END: &str = "select pg_catalog.pg_terminate_backend(pid, $2) from pg_catalog.pg_stat_activity \
     where usename = $1 and (datname = pg_catalog.current_database() or $3)";
/// How long a session that was told to end may take, in milliseconds.
pub(super) const END_MS: i64 = 5_000;

/// Waits and names for a transaction of ours, whatever the login's settings are.
const SETTINGS: &str = "set local search_path = pg_catalog, pg_temp; set local lock_timeout = '10s'; set local statement_timeout = '60s'; \
     set local client_min_messages = warning; set local standard_conforming_strings = on";

/// What of a column the catalogue knows. A domain is the type below it; one over another domain has no text.
const COLUMNS: &str = "\
    select c.oid, a.attname::text, format_type(coalesce(nullif(t.typbasetype, 0), t.oid), null), b.typtype = 'e', b.typcategory = 'S',
      coalesce(not l.collisdeterministic, false), has_column_privilege('clover_views', c.oid, a.attnum, 'select')
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    left join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    left join pg_type t on t.oid = a.atttypid
    left join pg_type b on b.oid = coalesce(nullif(t.typbasetype, 0), t.oid)
    left join pg_collation l on l.oid = a.attcollation
    where n.nspname = $1 and c.relname = $2 and c.relkind in ('r', 'p')";

/// What would make a compiled role able to do more than its views say, each with a name of what is wrong.
const UNSAFE: &str = "\
    select 'a function is executable by PUBLIC' where exists (select from pg_proc p
      where p.proacl is null or exists (select from aclexplode(p.proacl) a where a.grantee = 0))
    union all select 'a function that is volatile, runs as its owner or is of nobody known is executable by a grant' where exists (select from pg_proc p
      where has_function_privilege($1::name, p.oid, 'execute') and (p.provolatile = 'v' or p.prosecdef
        or p.pronamespace not in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace, 'clover'::regnamespace)))
    union all select 'a language is usable by a grant' where exists (select from pg_language l
      where l.lanpltrusted and has_language_privilege($1::name, l.oid, 'usage'))
    union all select 'a grant may make temporary tables or schemas' where has_database_privilege($1::name, current_database(), 'temp, create')
    union all select 'a schema is usable by a grant' where exists (select from pg_namespace n
      where has_schema_privilege($1::name, n.oid, 'usage, create') and n.nspname not in ('pg_catalog', 'information_schema', 'clover', $1::name))
    union all select 'a grant may create in a schema' where exists (select from pg_namespace n where has_schema_privilege($1::name, n.oid, 'create'))
    union all select 'a catalogue of definitions is readable' where exists (select from unnest(array['pg_rewrite', 'pg_views', 'pg_matviews',
      'pg_rules', 'pg_policies', 'pg_policy', 'pg_statistic', 'pg_statistic_ext_data', 'pg_authid', 'clover.keys', 'clover.grants']) t
      where has_any_column_privilege($1::name, t::regclass, 'select'))
    union all select 'a role has a right or a member that it may not have' where exists (select from pg_roles r
      where r.rolname in ($1::name, 'clover_reader', 'clover_views')
        and (r.rolsuper or r.rolcreaterole or r.rolcreatedb or r.rolreplication or r.rolbypassrls
          or not r.rolinherit or r.rolcanlogin <> (r.rolname = $1::name)))
      or exists (select from pg_auth_members m where m.member::regrole::text in ('clover_reader', 'clover_views')
        or m.member::regrole::text = $1::name::text and (m.roleid::regrole::text <> 'clover_reader' or m.admin_option)
        or m.roleid::regrole::text = $1::name
        or m.roleid::regrole::text = 'clover_views' and m.member::regrole::text <> 'clover_gateway')
    union all select 'a role has a right outside its views' where exists (select from pg_shdepend d join pg_roles r on r.oid = d.refobjid
      where d.refclassid = 'pg_authid'::regclass and d.dbid in (0, (select oid from pg_database where datname = current_database()))
        and (r.rolname = 'clover_reader' and d.classid not in ('pg_proc'::regclass, 'pg_database'::regclass)
            and not (d.classid = 'pg_namespace'::regclass and d.objid = 'clover'::regnamespace)
          or r.rolname = $1::name and not (d.classid = 'pg_namespace'::regclass and d.objid = (select n.oid from pg_namespace n where n.nspname = $1::name)
            or d.classid = 'pg_class'::regclass and d.objid in (select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace
              where n.nspname = $1::name))))
    union all select 'a view has no barrier, or another owner' where exists (select from pg_class c
      where c.relnamespace = (select n.oid from pg_namespace n where n.nspname = $1::name)
        and (c.relkind <> 'v' or c.relowner <> 'clover_views'::regrole or not coalesce(c.reloptions @> array['security_barrier=true'], false)))";

/// Makes what a plan says, or finds that it is there. Two who compile one plan take turns, and the second changes nothing but the
/// password, its end and the limits.
///
/// # Errors
/// [`CompileError`]; nothing was changed then.
pub async fn compile(client: &mut Client, plan: &Plan) -> Result<Compiled, CompileError> {
    plan.check()?;
    let drift = Drift::prepare(client).await?;
    let transaction = client.transaction().await.map_err(asked("begin"))?;
    match make(&transaction, &drift, plan).await {
        Ok(compiled) => {
            transaction.commit().await.map_err(asked("commit"))?;
            Ok(compiled)
        }
        Err(e) => {
            // Waited for, since the turn and the locks go with it.
            transaction.rollback().await.map_err(asked("roll back"))?;
            Err(e)
        }
    }
}

async fn make(transaction: &Transaction<'_>, drift: &Drift, plan: &Plan) -> Result<Compiled, CompileError> {
    transaction.batch_execute(SETTINGS).await.map_err(asked("take settings"))?;
    transaction.batch_execute(TURN).await.map_err(asked("give a turn"))?;
    let mut views = Vec::with_capacity(plan.tables.len());
    let mut bases = Vec::with_capacity(plan.tables.len());
    for table in &plan.tables {
        let (oid, columns) = columns_of(transaction, table).await?;
        bases.push(oid);
        views.extend(view(plan, table, &columns)?);
    }
    make_role(transaction, plan).await?;
    put_keys(transaction, plan).await?;
    let digest = digest(&SHA256, views.concat().as_bytes());
    let mut compiled = Compiled::new(plan.role.clone(), bases);
    if !is_made(transaction, drift, &compiled, digest.as_ref()).await? {
        make_views(transaction, plan, &views).await?;
    }
    let role = plan.role.as_str();
    let wrong = transaction.query(UNSAFE, &[&role]).await.map_err(asked("tell what a role may do"))?;
    if !wrong.is_empty() {
        let wrong: Vec<String> = wrong.iter().filter_map(|row| row.try_get(0).ok()).collect();
        return Err(CompileError::Unsafe(wrong.join(", ")));
    }
    drift.read(transaction, &mut compiled).await?;
    let made = compiled.made();
    transaction
        .execute(
            "insert into clover.grants values ($1, $2, $3::text::jsonb)
             on conflict (\"grant\") do update set plan = excluded.plan, parts = excluded.parts",
            &[&role, &digest.as_ref(), &made],
        )
        .await
        .map_err(asked("keep what was compiled"))?;
    Ok(compiled)
}

/// A table's columns, and its number.
async fn columns_of(transaction: &Transaction<'_>, table: &Table) -> Result<(u32, Vec<Base>), CompileError> {
    let rows = transaction.query(COLUMNS, &[&table.schema, &table.relation]).await;
    let rows = rows.map_err(asked("tell a table's columns"))?;
    let (mut columns, mut oid) = (Vec::with_capacity(rows.len()), None);
    let wanted = |name: &str| {
        let shown = table.columns.iter().any(|c| c.name == name && c.shows != Shows::Withheld);
        shown || table.subject.as_ref().is_some_and(|s| s.column == name && s.only.is_some())
    };
    let read = asked("tell a column");
    for row in &rows {
        oid = Some(row.try_get(0).map_err(&read)?);
        let Some(name) = row.try_get::<_, Option<String>>(1).map_err(&read)? else { continue };
        let place = format!("{}.{name}", table.place());
        if wanted(&name) && !row.try_get::<_, bool>(6).map_err(&read)? {
            return Err(CompileError::NotDeclared(place));
        }
        columns.push(Base {
            place,
            name,
            type_name: row.try_get(2).map_err(&read)?,
            is_enum: row.try_get(3).map_err(&read)?,
            is_text: row.try_get(4).map_err(&read)?,
            loose: row.try_get(5).map_err(&read)?,
        });
    }
    Ok((oid.ok_or_else(|| CompileError::NoTable(table.place()))?, columns))
}

/// The statements that make one view; `None` where nothing of the table is shown, since a view without columns is none.
fn view(plan: &Plan, table: &Table, columns: &[Base]) -> Result<Option<String>, CompileError> {
    let base = |name: &str| {
        let found = columns.iter().find(|column| column.name == name);
        found.ok_or_else(|| CompileError::NoColumn(format!("{}.{name}", table.place())))
    };
    let mut shown = Vec::with_capacity(table.columns.len());
    // One that is withheld may be gone for all that is seen of it.
    for column in table.columns.iter().filter(|column| column.shows != Shows::Withheld) {
        let only = table.subject.as_ref().filter(|subject| subject.column == column.name);
        if let Some(expression) = base(&column.name)?.shown(column.shows, plan, only)? {
            shown.push(format!("{expression} as {}", identifier(&column.name)));
        }
    }
    let filter = match &table.subject {
        Some(subject) => base(&subject.column)?.only(subject)?,
        None => None,
    };
    if shown.is_empty() {
        return Ok(None);
    }
    let role = identifier(plan.role.as_str());
    let name = format!("{role}.{}", identifier(&table.view));
    Ok(Some(format!(
        "create view {name} with (security_barrier = true) as select {} from {}.{} b{};\ngrant select on {name} to {role};\n",
        shown.join(", "),
        identifier(&table.schema),
        identifier(&table.relation),
        filter.map(|filter| format!(" where {filter}")).unwrap_or_default(),
    )))
}

/// The role, with its limits and settings, whatever they were.
async fn make_role(transaction: &Transaction<'_>, plan: &Plan) -> Result<(), CompileError> {
    let role = plan.role.as_str();
    let row = transaction
        .query_one(
            "select exists (select from pg_roles where rolname = $1), current_database()::text,
               coalesce(has_parameter_privilege('temp_file_limit', 'set'), false)",
            &[&role],
        )
        .await
        .map_err(asked("tell whether a role is there"))?;
    let read = asked("tell whether a role is there");
    let (there, database, temp): (bool, String, bool) =
        (row.try_get(0).map_err(&read)?, row.try_get(1).map_err(&read)?, row.try_get(2).map_err(&read)?);
    let name = identifier(role);
    let mut text = Zeroizing::new(String::new());
    if !there {
        text.push_str(&format!("create role {name};\n"));
    }
    text.push_str(&format!(
        "alter role {name} login inherit nocreatedb nocreaterole connection limit {} valid until {} password {};\n",
        plan.connections_max,
        literal(&plan.until.rfc3339()),
        literal(&plan.verifier),
    ));
    text.push_str(&format!(
        "alter role {name} reset all;\nalter role {name} in database {} reset all;\ngrant clover_reader to {name};\n",
        identifier(&database)
    ));
    let kilobytes = (plan.temp_bytes_max / 1024).min(i32::MAX as u64);
    let settings = [
        ("default_transaction_read_only", "on".to_owned()),
        ("statement_timeout", plan.statement_timeout_ms.to_string()),
        ("idle_in_transaction_session_timeout", plan.statement_timeout_ms.to_string()),
        ("standard_conforming_strings", "on".to_owned()),
        ("row_security", "on".to_owned()),
    ];
    let temp = temp.then(|| ("temp_file_limit", kilobytes.to_string()));
    for (setting, value) in settings.into_iter().chain(temp) {
        text.push_str(&format!("alter role {name} set {setting} = {};\n", literal(&value)));
    }
    // The catalogue is searched first unless it is named: a view called `text` or `date` is in nobody's way.
    text.push_str(&format!("alter role {name} set search_path = {name};\n"));
    transaction.batch_execute(&text).await.map_err(asked("make a role"))
}

/// The keys of the plan, and no other.
async fn put_keys(transaction: &Transaction<'_>, plan: &Plan) -> Result<(), CompileError> {
    let role = plan.role.as_str();
    let classes: Vec<&str> = plan.keys.iter().map(|key| key.class.word()).collect();
    let epochs: Vec<i64> = plan.keys.iter().map(|key| i64::from(key.epoch)).collect();
    let doing = asked("keep keys");
    transaction
        .execute(
            "delete from clover.keys where \"grant\" = $1
             and (class, epoch) not in (select * from unnest($2::text[], $3::bigint[]))",
            &[&role, &classes, &epochs],
        )
        .await
        .map_err(&doing)?;
    for KeyOf { class, epoch, key } in &plan.keys {
        let (inner, outer) = (pad(key, 0x36), pad(key, 0x5c));
        transaction
            .execute(
                "insert into clover.keys values ($1, $2, $3, $4, $5) on conflict (\"grant\", class, epoch)
                 do update set ipad = excluded.ipad, opad = excluded.opad
                 where (keys.ipad, keys.opad) <> (excluded.ipad, excluded.opad)",
                &[&role, &class.word(), &i64::from(*epoch), &inner.as_slice(), &outer.as_slice()],
            )
            .await
            .map_err(&doing)?;
    }
    Ok(())
}

/// The key of an HMAC as its inner and outer hash begin with it (RFC 2104; a block of SHA-256 is 64 bytes).
fn pad(key: &[u8; 32], with: u8) -> Zeroizing<[u8; 64]> {
    let mut pad = Zeroizing::new([with; 64]);
    pad.iter_mut().zip(key).for_each(|(to, from)| *to ^= from);
    pad
}

/// Whether the very same views were made before and nothing about them changed since.
async fn is_made(
    transaction: &Transaction<'_>,
    drift: &Drift,
    compiled: &Compiled,
    digest: &[u8],
) -> Result<bool, CompileError> {
    let doing = asked("tell what was compiled before");
    let row = transaction
        .query_opt(
            "select plan, parts::text from clover.grants where \"grant\" = $1",
            &[&compiled.role().as_str()],
        )
        .await
        .map_err(&doing)?;
    let Some(row) = row else { return Ok(false) };
    let (plan, parts): (Vec<u8>, String) = (row.try_get(0).map_err(&doing)?, row.try_get(1).map_err(&doing)?);
    let mut now = compiled.clone();
    drift.read(transaction, &mut now).await?;
    Ok(plan == digest && drift::same(&parts, &now, &[Part::Columns, Part::Views]))
}

/// The schema anew, and its views, owned by whom they read as.
async fn make_views(
    transaction: &Transaction<'_>,
    plan: &Plan,
    views: &[String],
) -> Result<(), CompileError> {
    let name = identifier(plan.role.as_str());
    // Sessions that began under other views hold statements and cursors over them, and locks.
    transaction
        .query(END, &[&plan.role.as_str(), &END_MS, &false])
        .await
        .map_err(asked("end the sessions of a grant"))?;
    let mut text = format!(
        "drop schema if exists {name} cascade;\ncreate schema {name} authorization clover_views;\n\
         set local role clover_views;\ngrant usage on schema {name} to {name};\n"
    );
    views.iter().for_each(|view| text.push_str(view));
    text.push_str("set local role none;\n");
    transaction.batch_execute(&text).await.map_err(asked("make views"))
}
