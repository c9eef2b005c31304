//! Into the vault: people of the target's tables whose rows came, changed or went are written into a folder, from which `clover import`
//! takes them. Triggers in the target note who they are, whoever changes them; a note ends only when what it stands for is on disk. A line
//! has all of a person as they are, so that a line that is taken twice changes nothing.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::Migration;
use crate::database::{literal, quoted};
use crate::error::MigrateError;
use crate::people::{Files, Tree, Written, steps};
use crate::plan::Vault;
use crate::table::Table;

/// Files that may wait in the folder; beyond them nothing is written until some are taken.
const WAITING_MAX: u64 = 1_000;
/// How often the folder is looked into while it is waited for.
const LOOK: Duration = Duration::from_millis(10);
/// What notes whose rows change, in the target's tables.
const NOTES: &str = "clover_migrate_notes";

impl Migration {
    /// Writes what the vault has not yet into its folder: everybody the first time, and from then on whoever changed. Nothing
    /// without a `[vault]` in the plan, or while the folder is full or somebody else writes into it.
    ///
    /// # Errors
    /// When not all is copied yet, two people have one name, the folder cannot be written, or the target breaks off. What was
    /// written is written again.
    pub async fn spool(&self) -> Result<Written, MigrateError> {
        Ok(self.spool_into().await?.map(|(written, _)| written).unwrap_or_default())
    }

    /// What was written, and the last file's number; nothing if that has to wait.
    async fn spool_into(&self) -> Result<Option<(Written, u64)>, MigrateError> {
        let Some(vault) = &self.plan.vault else { return Ok(None) };
        self.must_be_copied().await?;
        let lock = vault.spool.join("lock");
        let lock = File::create(&lock).map_err(|e| MigrateError::file(&lock, e))?;
        // Another migration's files have numbers, too.
        if lock.try_lock().is_err() {
            return Ok(None);
        }
        let Waiting { count, last, .. } = waiting(&vault.spool)?;
        if count >= WAITING_MAX {
            return Ok(None);
        }
        let (number, whole) = self.noting().await?;
        // What a kill left there before it was on record comes first.
        let number = number.max(last);
        let written = if whole {
            self.spool_changed(vault, number).await?
        } else {
            self.tell_names_apart().await?;
            self.spool_all(vault, number).await?
        };
        Ok(Some(written))
    }

    /// That no two people have one name, as the vault reads names: one would be taken for the other.
    pub(crate) async fn tell_names_apart(&self) -> Result<(), MigrateError> {
        let people = self.pointed(|table| table.home.is_some() && self.plan.vault.is_some());
        for (people, _) in people {
            let Some(name) = self.named_by(people) else { continue };
            let sql = format!(
                "select count(*)::text from (select 1 from {} group by {} having count(*) > 1) twice",
                people.name,
                read_as(&quoted(name))
            );
            let twice = self.target.text(&sql).await?;
            if twice != "0" {
                let text = format!(
                    "{}: {twice} names of `{name}` are those of several people, but for capitals and spaces around them: the vault cannot tell them apart",
                    people.plain
                );
                return Err(MigrateError::State(text));
            }
        }
        Ok(())
    }

    /// Where the files stand, and whether everybody was written. Notes begin with the first call.
    async fn noting(&self) -> Result<(u64, bool), MigrateError> {
        let known = format!(
            "select concat_ws(' ', file, whole) from clover_migrate.spool where migration = {}",
            literal(&self.plan.name)
        );
        if let Some(known) = self.target.texts(&known).await?.first() {
            let (number, whole) = known.split_once(' ').unwrap_or_default();
            return Ok((number.parse().unwrap_or(0), whole == "t"));
        }
        let mut statements = String::from("begin;");
        for (place, (table, _)) in self.pointed(|_| true).into_iter().enumerate() {
            statements += &self.notes(place, table)?;
        }
        statements += &format!(
            "insert into clover_migrate.spool (migration, file, whole) values ({}, 0, false); commit",
            literal(&self.plan.name)
        );
        if let Err(e) = self.target.run(&statements).await {
            drop(self.target.run("rollback").await);
            return Err(e);
        }
        Ok((0, false))
    }

    /// What notes whose rows of a table change. It runs with our rights, for services have none in our schema.
    fn notes(&self, place: usize, table: &Table) -> Result<String, MigrateError> {
        let people = self.plan.people(&self.tables, table).unwrap_or(table);
        let subject = quoted(&table.column(table.subject)?.name);
        let note = |row: &str, was: &str| {
            format!(
                "insert into clover_migrate.note (migration, people, person, was) values ({}, {}, {row}.{subject}::text, {was});",
                literal(&self.plan.name),
                literal(&people.plain)
            )
        };
        // Who went, or is found by another name, is found in the vault by what they were.
        let (was, renamed) = match self.named_by(table) {
            None => ("null", "false".to_owned()),
            Some(name) => ("row_to_json(old)", format!("old.{0} is distinct from new.{0}", quoted(name))),
        };
        let function = self.noting_function(place);
        let each = format!("for each row execute function {function}()");
        Ok(format!(
            "create or replace function {function}() returns trigger language plpgsql security definer set search_path = pg_catalog as $clover$
             begin
               if tg_op = 'TRUNCATE' then raise exception 'rows are removed by DELETE while the vault follows them'; end if;
               if tg_op = 'DELETE' then {} return null; end if;
               if tg_op = 'UPDATE' then
                 if {renamed} then {} end if;
                 if old.{subject} is distinct from new.{subject} then {} end if;
               end if;
               {} return null;
             end $clover$;
             drop trigger if exists {NOTES} on {table}; drop trigger if exists {NOTES}_all on {table};
             create trigger {NOTES} after insert or update or delete on {table} {each};
             create trigger {NOTES}_all before truncate on {table} for each statement execute function {function}();
             alter table {table} enable always trigger {NOTES}; alter table {table} enable always trigger {NOTES}_all;",
            note("old", was),
            note("old", was),
            note("old", "null"),
            note("new", "null"),
            table = table.name,
        ))
    }

    /// What the trigger of a table runs.
    fn noting_function(&self, place: usize) -> String {
        format!("clover_migrate.{}", quoted(&format!("{}_{place}", self.plan.name)))
    }

    /// The column by which a table's people are named in the vault; none for any other table.
    fn named_by(&self, table: &Table) -> Option<&str> {
        self.plan.sets.iter().find(|set| set.table == table.plain)?.names().next()
    }

    /// True if somebody `p` has the name that somebody had in the note `n`.
    fn same_name(&self, people: &Table) -> String {
        let same = |name| {
            let was = format!("(n.was ->> {})", literal(name));
            format!("{} = {}", read_as(&format!("p.{}", quoted(name))), read_as(&was))
        };
        self.named_by(people).map_or_else(|| "false".to_owned(), same)
    }

    async fn spool_all(&self, vault: &Vault, number: u64) -> Result<(Written, u64), MigrateError> {
        let mut files = Files::new(&vault.spool, number, "ndjson");
        let written = self.write_all(&mut files).await?;
        let done = format!(
            "update clover_migrate.spool set file = {}, whole = true where migration = {}",
            files.number,
            literal(&self.plan.name)
        );
        self.target.run(&done).await?;
        Ok((written, files.number))
    }

    async fn spool_changed(&self, vault: &Vault, number: u64) -> Result<(Written, u64), MigrateError> {
        let name = literal(&self.plan.name);
        // Set aside first: a note that comes later is of something later.
        let aside = format!(
            "with taken as (delete from clover_migrate.note where migration = {name} returning people, person, was)
             insert into clover_migrate.noted (migration, people, person, was) select distinct {name}, people, person, was::jsonb from taken"
        );
        self.target.run(&aside).await?;
        let any = format!("select true from clover_migrate.noted where migration = {name} limit 1");
        if self.target.texts(&any).await?.is_empty() {
            return Ok((Written::default(), number));
        }
        let mut written = Written::default();
        let number = self.spool_gone(vault, number, &mut written).await?;
        let mut files = Files::new(&vault.spool, number, "ndjson");
        self.target.run("begin isolation level repeatable read").await?;
        let done = async {
            let snapshot = self.target.text("select pg_export_snapshot()").await?;
            for (people, pointer) in self.pointed(|table| table.home.is_some()) {
                let id = people.column(people.subject)?;
                let named = format!("n.migration = {name} and n.people = {}", literal(&people.plain));
                // Rows of people who are not there are nobody's, here. Whoever has the name of somebody who went is written behind that.
                let only = format!(
                    "select n.person from clover_migrate.noted n join {0} p on p.{1} = n.person::{2} where {named}
                     union select p.{1}::text from clover_migrate.noted n join {0} p on {3} where {named} and n.was is not null",
                    people.name,
                    quoted(&id.name),
                    id.kind,
                    self.same_name(people)
                );
                self.people_of(people, &pointer, (&snapshot, Some(&only)), &mut files, &mut written).await?;
            }
            files.close()?;
            let done = format!(
                "delete from clover_migrate.noted where migration = {name};
                 update clover_migrate.spool set file = {} where migration = {name}; commit",
                files.number
            );
            self.target.run(&done).await
        };
        let done = done.await;
        if done.is_err() {
            drop(self.target.run("rollback").await);
        }
        done.map(|()| (written, files.number))
    }

    /// Writes what people were who went, or are named otherwise by now. Returns the last file's number.
    async fn spool_gone(
        &self,
        vault: &Vault,
        number: u64,
        written: &mut Written,
    ) -> Result<u64, MigrateError> {
        let mut files = Files::new(&vault.spool, number, "gone.ndjson");
        for (people, pointer) in self.pointed(|table| table.home.is_some()) {
            let id = people.column(people.subject)?;
            // Who was brought anew went and came again, and is the same.
            let sql = format!(
                "select n.was::text from clover_migrate.noted n where n.migration = {} and n.people = {} and n.was is not null
                   and not exists (select 1 from {} p where p.{} = n.person::{} and {})",
                literal(&self.plan.name),
                literal(&people.plain),
                people.name,
                quoted(&id.name),
                id.kind,
                self.same_name(people)
            );
            for was in self.target.texts(&sql).await? {
                let (mut tree, mut text) = (Tree::default(), String::new());
                tree.put(&steps(&pointer), was);
                tree.write(&mut text);
                files.put(&text)?;
                written.gone += 1;
            }
        }
        files.close()?;
        Ok(files.number)
    }

    /// Writes what the vault has not yet, and waits until it has taken that.
    ///
    /// # Errors
    /// When none of it was taken for as long as writers may wait; as [`Migration::spool`].
    pub(crate) async fn fill_vault(&self) -> Result<(), MigrateError> {
        let Some(vault) = &self.plan.vault else { return Ok(()) };
        let patience = Duration::from_millis(self.plan.limits.pause_ms);
        let (mut last, mut seen, mut since) = (None, u64::MAX, Instant::now());
        loop {
            if last.is_none() {
                last = self.spool_into().await?.map(|(_, last)| last);
            }
            let Waiting { count, first, .. } = waiting(&vault.spool)?;
            if last.is_some_and(|last| count == 0 || first > last) {
                return Ok(());
            }
            if count < seen {
                (seen, since) = (count, Instant::now());
            }
            if since.elapsed() > patience {
                let text = format!(
                    "{count} files of people wait in {}: the vault has not taken them. Does the enclave run, or `clover import --follow`? What is wrong with them stands in `why`, there",
                    vault.spool.display()
                );
                return Err(MigrateError::State(text));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Ends the notes.
    pub(crate) async fn stop_noting(&self) -> Result<(), MigrateError> {
        if self.plan.vault.is_none() {
            return Ok(());
        }
        for (place, (table, _)) in self.pointed(|_| true).into_iter().enumerate() {
            let function = self.noting_function(place);
            let sql = format!(
                "drop trigger if exists {NOTES} on {0}; drop trigger if exists {NOTES}_all on {0}; drop function if exists {function}()",
                table.name
            );
            self.target.run(&sql).await?;
        }
        Ok(())
    }
}

/// A name as the vault reads it: without spaces around it, and whatever its capitals.
fn read_as(name: &str) -> String {
    format!("lower(btrim({name}, E' \\t\\r\\n'))")
}

/// Files that wait to be taken: how many, and the numbers of the first and the last.
struct Waiting {
    count: u64,
    first: u64,
    last: u64,
}

fn waiting(folder: &Path) -> Result<Waiting, MigrateError> {
    let entries = std::fs::read_dir(folder).map_err(|e| MigrateError::file(folder, e))?;
    let mut waiting = Waiting { count: 0, first: u64::MAX, last: 0 };
    for entry in entries {
        let name = entry.map_err(|e| MigrateError::file(folder, e))?.file_name();
        let name = name.to_string_lossy();
        if let Some(number) = name.strip_suffix(".ndjson") {
            let number = number.trim_end_matches(".gone").parse().unwrap_or(0);
            waiting.count += 1;
            waiting.first = waiting.first.min(number);
            waiting.last = waiting.last.max(number);
        }
    }
    Ok(waiting)
}
