//! Whether what a grant stands on is still what was compiled.

use std::collections::BTreeMap;

use tokio_postgres::{Client, GenericClient, Statement};

use super::plan::Role;
use super::{CompileError, asked};

/// What can change under a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// Columns of the tables below the views: new, gone, renamed, of another type.
    Columns,
    /// The grant's schema and what is in it.
    Views,
    /// The role: what it is, may, has set and belongs to.
    Role,
    /// Keys of its tokens.
    Keys,
    /// Functions and languages, of anybody.
    Functions,
    /// What PUBLIC and the roles that all grants share have, and who has the tables of ours.
    Shared,
}

impl Part {
    const ALL: [(Self, &'static str); 6] = [
        (Self::Columns, "columns"),
        (Self::Views, "views"),
        (Self::Role, "role"),
        (Self::Keys, "keys"),
        (Self::Functions, "functions"),
        (Self::Shared, "shared"),
    ];

    fn word(self) -> &'static str {
        Self::ALL.iter().find(|(part, _)| *part == self).map_or("", |(_, word)| word)
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, of)| *of == word).map(|(part, _)| *part)
    }
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

/// A grant that was compiled, and what it stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compiled {
    role: Role,
    /// Numbers of the tables below the views.
    bases: Vec<u32>,
    parts: BTreeMap<Part, String>,
}

impl Compiled {
    pub(super) fn new(role: Role, bases: Vec<u32>) -> Self {
        Self { role, bases, parts: BTreeMap::new() }
    }

    /// The role to be logged in as, and the schema of its views.
    #[must_use]
    pub fn role(&self) -> &Role {
        &self.role
    }

    /// What concerns this grant's views alone, as text of JSON.
    pub(super) fn made(&self) -> String {
        let part =
            |part: Part| format!("\"{part}\": \"{}\"", self.parts.get(&part).map_or("", String::as_str));
        format!("{{{}, {}}}", part(Part::Columns), part(Part::Views))
    }
}

/// Whether some parts are the ones of a text of JSON that [`Compiled::made`] gave.
pub(super) fn same(made: &str, now: &Compiled, parts: &[Part]) -> bool {
    let Ok(made) = serde_json::from_str::<BTreeMap<String, String>>(made) else { return false };
    parts.iter().all(|part| made.get(part.word()).is_some_and(|then| now.parts.get(part) == Some(then)))
}

/// A grant that no longer stands on what was compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Whose grant.
    pub role: Role,
    /// What is another.
    pub part: Part,
}

/// Of each grant, a digest of its parts. A row of a catalogue that somebody wrote is a new one by its `xmin`.
const GRANTS: &str = "\
    with line (name, part, text) as (
      select b.name, 'columns', concat_ws(' ', b.base, n.nspname, c.relname, c.relkind, c.relrowsecurity, c.relhassubclass, (
        select string_agg(concat_ws(':', a.attnum, a.attname, a.atttypid, a.atttypmod, a.attcollation, a.attisdropped), ',' order by a.attnum)
        from pg_catalog.pg_attribute a where a.attrelid = c.oid and a.attnum > 0))
      from unnest($2::text[], $3::oid[]) b (name, base)
      left join pg_catalog.pg_class c on c.oid = b.base left join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      union all select n.nspname, 'views', concat_ws(' ', n.oid, n.nspowner, n.nspacl)
      from pg_catalog.pg_namespace n where n.nspname = any ($1)
      union all select n.nspname, 'views', concat_ws(' ', c.oid, c.relname, c.relkind, c.relowner, c.reloptions, c.relacl, w.oid, w.xmin, (
        select string_agg(concat_ws(':', a.attname, a.attacl), ',' order by a.attnum)
        from pg_catalog.pg_attribute a where a.attrelid = c.oid and a.attnum > 0))
      from pg_catalog.pg_namespace n join pg_catalog.pg_class c on c.relnamespace = n.oid
      left join pg_catalog.pg_rewrite w on w.ev_class = c.oid where n.nspname = any ($1)
      union all select r.rolname, 'role', concat_ws(' ', r.oid, r.rolsuper, r.rolinherit, r.rolcreaterole, r.rolcreatedb, r.rolcanlogin,
        r.rolreplication, r.rolbypassrls, r.rolconnlimit, r.rolvaliduntil)
      from pg_catalog.pg_roles r where r.rolname = any ($1)
      union all select r.rolname, 'role', concat_ws(' ', 'set', s.setdatabase, s.setconfig)
      from pg_catalog.pg_roles r join pg_catalog.pg_db_role_setting s on s.setrole = r.oid where r.rolname = any ($1)
      union all select r.rolname, 'role', concat_ws(' ', 'member', m.roleid, m.member, m.admin_option)
      from pg_catalog.pg_roles r join pg_catalog.pg_auth_members m on r.oid in (m.member, m.roleid) where r.rolname = any ($1)
      union all select r.rolname, 'role', concat_ws(' ', 'may', d.dbid, d.classid, d.objid, d.objsubid, d.deptype)
      from pg_catalog.pg_roles r join pg_catalog.pg_shdepend d on d.refclassid = 'pg_catalog.pg_authid'::regclass and d.refobjid = r.oid
      where r.rolname = any ($1)
      union all select k.\"grant\", 'keys', concat_ws(' ', k.class, k.epoch, k.xmin) from clover.keys k where k.\"grant\" = any ($1)
    )
    select name::text, part, encode(sha256(convert_to(string_agg(text, E'\\n' order by text), 'UTF8')), 'hex') from line group by name, part";

/// Of the database, the same of what all grants share.
const SHARED: &str = "\
    with shared (oid) as (select r.oid from pg_catalog.pg_roles r where r.rolname in ('clover_reader', 'clover_views')
        union all select 0::oid),
    line (part, text) as (
      select 'functions', concat_ws(' ', count(*), sum(hashint8((p.oid::bigint << 32) | p.xmin::text::bigint))) from pg_catalog.pg_proc p
      union all select 'functions', concat_ws(' ', l.oid, l.lanname, l.lanpltrusted, l.lanacl) from pg_catalog.pg_language l
      union all select 'shared', concat_ws(' ', r.oid, r.rolsuper, r.rolinherit, r.rolcreaterole, r.rolcreatedb, r.rolcanlogin, r.rolreplication,
        r.rolbypassrls) from pg_catalog.pg_roles r where r.rolname in ('clover_reader', 'clover_views')
      union all select 'shared', concat_ws(' ', 'member', m.roleid, m.member, m.admin_option) from pg_catalog.pg_auth_members m, shared s
      where m.member = s.oid or m.roleid = s.oid and m.roleid = 'clover_views'::regrole
      union all select 'shared', concat_ws(' ', 'set', s.setdatabase, s.setrole, s.setconfig)
      from pg_catalog.pg_db_role_setting s where s.setrole in (select oid from shared)
      union all select 'shared', concat_ws(' ', 'relation', c.oid, a.grantee, a.privilege_type, a.is_grantable)
      from pg_catalog.pg_class c, aclexplode(c.relacl) a where c.relacl is not null and a.grantee in (0, 'clover_reader'::regrole)
      union all select 'shared', concat_ws(' ', 'column', c.attrelid, c.attnum, a.grantee, a.privilege_type, a.is_grantable)
      from pg_catalog.pg_attribute c, aclexplode(c.attacl) a where c.attacl is not null and a.grantee in (0, 'clover_reader'::regrole)
      union all select 'shared', concat_ws(' ', 'schema', n.nspname, a.grantee, a.privilege_type)
      from pg_catalog.pg_namespace n, aclexplode(n.nspacl) a where a.grantee in (0, 'clover_reader'::regrole)
      union all select 'shared', concat_ws(' ', 'database', d.datdba, d.datacl) from pg_catalog.pg_database d where d.datname = current_database()
      union all select 'shared', concat_ws(' ', 'ours', c.oid, c.relname, c.relowner, c.relacl)
      from pg_catalog.pg_class c where c.relnamespace = 'clover'::regnamespace
    )
    select ''::text, part, encode(sha256(convert_to(string_agg(text, E'\\n' order by text), 'UTF8')), 'hex') from line group by part";

/// The prepared questions of one connection.
pub struct Drift {
    grants: Statement,
    shared: Statement,
}

impl Drift {
    /// Prepares them on a connection of `clover_gateway`, where they are then asked.
    ///
    /// # Errors
    /// [`CompileError::Database`], also where the database was not set up.
    pub async fn prepare(client: &Client) -> Result<Self, CompileError> {
        let doing = asked("prepare a look at what grants stand on");
        Ok(Self {
            grants: client.prepare(GRANTS).await.map_err(&doing)?,
            shared: client.prepare(SHARED).await.map_err(&doing)?,
        })
    }

    /// Which grants no longer stand on what was compiled, all of them at once. They are to be closed.
    ///
    /// # Errors
    /// [`CompileError::Database`]; then nothing is known of any, and all are to be closed.
    pub async fn look(&self, client: &Client, compiled: &[Compiled]) -> Result<Vec<Changed>, CompileError> {
        let mut now: Vec<Compiled> =
            compiled.iter().map(|c| Compiled::new(c.role.clone(), c.bases.clone())).collect();
        self.ask(client, &mut now).await?;
        let pairs = compiled.iter().zip(&now);
        Ok(pairs
            .flat_map(|(then, now)| {
                let parts =
                    Part::ALL.into_iter().filter(|(part, _)| then.parts.get(part) != now.parts.get(part));
                parts.map(|(part, _)| Changed { role: then.role.clone(), part })
            })
            .collect())
    }

    pub(super) async fn read<C: GenericClient>(
        &self,
        client: &C,
        of: &mut Compiled,
    ) -> Result<(), CompileError> {
        self.ask(client, std::slice::from_mut(of)).await
    }

    async fn ask<C: GenericClient>(&self, client: &C, of: &mut [Compiled]) -> Result<(), CompileError> {
        let names: Vec<&str> = of.iter().map(|c| c.role.as_str()).collect();
        let pairs = of.iter().flat_map(|c| c.bases.iter().map(|base| (c.role.as_str(), *base)));
        let (whose, bases): (Vec<&str>, Vec<u32>) = pairs.unzip();
        let doing = asked("tell what grants stand on");
        let shared = client.query(&self.shared, &[]).await.map_err(&doing)?;
        let rows = client.query(&self.grants, &[&names, &whose, &bases]).await.map_err(&doing)?;
        let mut found: BTreeMap<String, BTreeMap<Part, String>> = BTreeMap::new();
        for row in rows.iter().chain(&shared) {
            let (name, part, digest): (String, String, String) = (
                row.try_get(0).map_err(&doing)?,
                row.try_get(1).map_err(&doing)?,
                row.try_get(2).map_err(&doing)?,
            );
            if let Some(part) = Part::parse(&part) {
                found.entry(name).or_default().insert(part, digest);
            }
        }
        let shared = found.remove("").unwrap_or_default();
        for compiled in of {
            compiled.parts = found.remove(compiled.role.as_str()).unwrap_or_default();
            compiled.parts.extend(shared.clone());
        }
        Ok(())
    }
}
