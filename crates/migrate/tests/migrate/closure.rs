//! Claims about the end of a migration: stages on record, destruction under the auditor's mark, and copies that somebody forgot.

use ledger::migration::{Record, Stage, Ways};
use ledger::note::{Note, Signer};
use migrate::{Load, MigrateError, Migration, Origin, Plan, Swept, plan::End};

use crate::{World, copy};

/// A migration with a ledger, up to its cut-over, and who signs.
pub(crate) struct Closing {
    pub(crate) world: World,
    pub(crate) migration: Migration,
    pub(crate) operator: Signer,
    pub(crate) auditor: Signer,
}

impl Closing {
    pub(crate) async fn new(more: &str) -> Self {
        let world = World::new();
        world.fill(1, 400);
        Self::with(world, more).await
    }

    pub(crate) async fn with(world: World, more: &str) -> Self {
        let [operator, auditor] = [("t/operator", 1), ("t/auditor", 2)]
            .map(|(name, seed)| Signer::from_seed(name, &[seed; 32]).unwrap());
        for (name, key) in [("operator", &operator), ("auditor", &auditor)] {
            std::fs::write(world.folder.path().join(name), key.verifier().to_vkey()).unwrap();
        }
        let plan = Self::plan(&world, more);
        let migration = Migration::open(Plan::parse(&plan).unwrap()).await.unwrap();
        copy(&migration).await;
        Self { world, migration, operator, auditor }
    }

    pub(crate) fn plan(world: &World, more: &str) -> String {
        let folder = world.folder.path().display();
        let ledger = format!(
            "[ledger]\nprogramme = \"t\"\nrecords = \"{folder}/records\"\noperator = \"{folder}/operator\"\nauditor = \"{folder}/auditor\"\n{}",
            more.replace("FOLDER", &folder.to_string())
        );
        world.plan_text().replacen("[[set]]", &format!("{ledger}\n[[set]]"), 1)
    }

    /// Up to where rows may be sealed.
    pub(crate) async fn finished(more: &str) -> Self {
        let closing = Self::new(more).await;
        closing.migration.cut_over().await.unwrap();
        closing.migration.finish().await.unwrap();
        closing
    }

    pub(crate) async fn records(&self) -> Vec<Record> {
        self.migration.write_records().await.unwrap();
        let mut files: Vec<_> = std::fs::read_dir(self.world.folder.path().join("records"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|e| e == "txt"))
            .collect();
        files.sort();
        files.iter().map(|path| Record::parse(&std::fs::read_to_string(path).unwrap()).unwrap()).collect()
    }

    /// Signs all seals.
    pub(crate) async fn sign(&self, by: &[&Signer]) {
        self.migration.write_records().await.unwrap();
        for entry in std::fs::read_dir(self.world.folder.path().join("records")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "txt") {
                let text = std::fs::read_to_string(&path).unwrap();
                let mut note = Note::new(&text).unwrap();
                by.iter().for_each(|key| note.add(key.sign(&text).unwrap()));
                std::fs::write(path.with_extension("note"), note.to_string()).unwrap();
            }
        }
    }

    pub(crate) async fn destroyed(&self) {
        self.migration.seal(0).await.unwrap();
        self.sign(&[&self.operator, &self.auditor]).await;
        self.migration.destroy(0).await.unwrap();
    }

    pub(crate) fn rows_of_the_region(&self) -> Vec<String> {
        self.world.source.sql("select count(*) from app.users where country in ('DE', 'FR')").unwrap()
    }
}

pub(crate) fn why(error: &MigrateError) -> String {
    error.to_string()
}

pub(crate) fn places(swept: &Swept) -> String {
    swept.in_the_way().map(|left| format!("{}: {}\n", left.place, left.what)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_stage_of_every_set_is_taken_down_once_and_follows_the_one_before() {
    let closing = Closing::new("").await;
    closing.migration.cut_over().await.unwrap();
    closing.migration.cut_over().await.unwrap();
    closing.migration.undo(false).await.unwrap();
    closing.migration.cut_over().await.unwrap();
    let records = closing.records().await;
    let of = |set: &str| -> Vec<&str> {
        records.iter().filter(|r| r.set.as_str() == set).map(|r| r.stage.word()).collect()
    };
    let way = ["found", "copied", "compared", "served", "undone", "compared", "served"];
    assert_eq!((of("app.users"), of("app.videos")), (way.to_vec(), way.to_vec()));
    let mut ways = Ways::default();
    assert!(records.iter().all(|record| ways.take(record.clone()).unwrap()));
    let users = records.iter().find(|r| r.stage == Stage::Served && r.set.as_str() == "app.users").unwrap();
    assert_eq!((users.amount.rows, users.amount.people), (200, 200));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_destroyed_without_a_seal_that_operator_and_auditor_signed() {
    let closing = Closing::new("").await;
    assert!(why(&closing.migration.seal(0).await.unwrap_err()).contains("after `finish` and before"));
    closing.migration.cut_over().await.unwrap();
    closing.migration.finish().await.unwrap();
    assert!(why(&closing.migration.destroy(0).await.unwrap_err()).contains("was not sealed"));
    let sealed = closing.migration.seal(0).await.unwrap();
    assert_eq!((sealed.rows, sealed.proof), (400, false), "the plan names no log");
    let stranger = Signer::from_seed("t/auditor", &[9; 32]).unwrap();
    for (by, who) in [
        (vec![], "the operator did not sign"),
        (vec![&closing.operator], "the auditor did not sign"),
        (vec![&closing.auditor], "the operator did not sign"),
        (vec![&closing.operator, &stranger], "the auditor did not sign"),
    ] {
        closing.sign(&by).await;
        let error = why(&closing.migration.destroy(0).await.unwrap_err());
        assert!(error.contains(who) || error.contains("no signed note"), "{error}");
    }
    closing.sign(&[&closing.operator, &closing.auditor]).await;
    let manifest = std::fs::read_to_string(&sealed.manifest).unwrap();
    std::fs::write(&sealed.manifest, manifest.replace("Example", "Another")).unwrap();
    assert!(why(&closing.migration.destroy(0).await.unwrap_err()).contains("changed after it was sealed"));
    std::fs::write(&sealed.manifest, manifest).unwrap();
    assert_eq!(closing.rows_of_the_region(), ["200"], "all of them are there");
    assert_eq!(closing.migration.destroy(0).await.unwrap(), 400);
    assert_eq!(closing.rows_of_the_region(), ["0"]);
    assert_eq!(closing.world.source.sql("select count(*) from app.users").unwrap(), ["200"], "others stay");
    assert_eq!(closing.world.target.sql("select count(*) from app.users").unwrap(), ["200"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_changed_past_the_refusal_are_neither_sealed_nor_destroyed() {
    let closing = Closing::finished("").await;
    let past = "set session_replication_role = replica;
        update app.users set about = 'other' where id = (select min(id) from app.users where country = 'DE')";
    closing.migration.seal(0).await.unwrap();
    closing.sign(&[&closing.operator, &closing.auditor]).await;
    closing.world.source.sql(past).unwrap();
    assert!(why(&closing.migration.destroy(0).await.unwrap_err()).contains("past the refusal"));
    assert!(why(&closing.migration.seal(0).await.unwrap_err()).contains("past the refusal"));
    assert_eq!(closing.rows_of_the_region(), ["200"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_nobody_planned_and_that_refers_to_rows_stops_the_seal() {
    let closing = Closing::finished("").await;
    closing.world.source.sql("create table app.likes (who bigint references app.users)").unwrap();
    assert!(why(&closing.migration.seal(0).await.unwrap_err()).contains("app.likes"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forgotten_slot_a_dump_and_what_the_log_keeps_hold_the_certificate_up_until_they_are_gone() {
    let closing = Closing::finished("[[copy]]\nwhat = \"backups\"\nfolder = \"FOLDER/backups\"").await;
    closing.world.source.sql("select pg_create_physical_replication_slot('old', true)").unwrap();
    let backups = closing.world.folder.path().join("backups");
    std::fs::create_dir(&backups).unwrap();
    let dump = backups.join("users.sql");
    std::fs::write(&dump, "COPY app.users FROM stdin;\n4\tDE\tu4@example.org\n").unwrap();
    // A value goes into the log of changes after the slot was made.
    closing.world.source.sql("checkpoint; update app.users set about = about where country = 'US'").unwrap();
    closing.destroyed().await;
    let (swept, none) = closing.migration.certify().await.unwrap();
    assert!(none.is_none());
    let left = places(&swept);
    for part in ["singapore slot old", "users.sql", "pg_wal/"] {
        assert!(left.contains(part), "{part}: {left}");
    }
    closing.world.source.sql("select pg_drop_replication_slot('old')").unwrap();
    std::fs::remove_file(dump).unwrap();
    let (swept, certificate) = closing.migration.certify().await.unwrap();
    assert_eq!(places(&swept), "");
    let certificate = certificate.unwrap();
    let text = std::fs::read_to_string(&certificate.file).unwrap();
    assert!(
        text.contains("destroyed app.users rows 200")
            && text.contains("looked for app.users identifiers 200"),
        "{text}"
    );
    let last: Vec<Stage> = closing.records().await.iter().rev().take(4).map(|r| r.stage).collect();
    assert_eq!(last, [Stage::Destroyed, Stage::Destroyed, Stage::Sealed, Stage::Sealed]);
    // Once more, since the auditor may want to see it.
    assert!(closing.migration.certify().await.unwrap().1.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_destroyed_from_here_stands_on_the_certificate_with_its_owner_and_a_clock() {
    let tapes = "[[copy]]\nwhat = \"tapes\"\nfolder = \"FOLDER/tapes\"\n[[open]]\nwhat = \"tapes\"\nowner = \"Vault Co.\"\ndue = \"2030-12-31\"\nplace = \"FOLDER/tapes\"";
    let closing = Closing::finished(tapes).await;
    closing.destroyed().await;
    let (swept, certificate) = closing.migration.certify().await.unwrap();
    assert!(swept.left.iter().any(|left| left.what.contains("no such folder") && left.open.is_some()));
    let certificate = certificate.unwrap();
    assert_eq!(certificate.open, 1);
    let text = std::fs::read_to_string(&certificate.file).unwrap();
    assert!(text.contains("open \"tapes\" owner \"Vault Co.\" due 2030-12-31"), "{text}");
    let records = closing.records().await;
    let last = records.last().unwrap();
    assert_eq!(
        (last.stage, last.open.0, last.open.1.rfc3339()),
        (Stage::Destroyed, 1, "2030-12-31T23:59:59Z".into())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_come_back_after_they_were_destroyed_are_found() {
    let closing = Closing::finished("").await;
    closing.destroyed().await;
    closing
        .world
        .source
        .sql("set session_replication_role = replica; insert into app.users (id, country, email) values (9000, 'DE', 'back@example.org')")
        .unwrap();
    let (swept, certificate) = closing.migration.certify().await.unwrap();
    assert!(certificate.is_none());
    assert!(places(&swept).contains("1 rows of the region's people"), "{}", places(&swept));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_was_loaded_is_on_file_and_holds_the_certificate_up_until_it_is_gone() {
    let closing = Closing::new("").await;
    let file = closing.world.folder.path().join("users.csv");
    std::fs::write(&file, "id,country,email,about,born\n7000,DE,file@example.org,,\n").unwrap();
    let into = End { address: closing.world.source.address(), password_file: None, roots: None };
    let (table, encoding) = ("app.users".to_owned(), "UTF8".to_owned());
    Load { into, table, from: Origin::File(file.clone()), delimiter: ',', encoding }.run().await.unwrap();
    closing.migration.cut_over().await.unwrap();
    closing.migration.finish().await.unwrap();
    let sealed = closing.migration.seal(0).await.unwrap();
    let manifest = std::fs::read_to_string(&sealed.manifest).unwrap();
    assert!(manifest.contains("users.csv") && sealed.rows == 401, "{manifest}");
    closing.sign(&[&closing.operator, &closing.auditor]).await;
    closing.migration.destroy(0).await.unwrap();
    let (swept, none) = closing.migration.certify().await.unwrap();
    assert!(none.is_none() && places(&swept).contains("users.csv: 1 rows of app.users were loaded from it"));
    std::fs::remove_file(file).unwrap();
    assert!(closing.migration.certify().await.unwrap().1.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn destruction_that_is_killed_goes_on_and_touches_nobody_elses_rows() {
    let closing = Closing::finished("").await;
    let others = "select u::text, v::text from app.users u left join app.videos v on v.owner = u.id where country in ('US', 'SG') order by 1, 2";
    let before = closing.world.source.sql(others).unwrap();
    closing.migration.seal(0).await.unwrap();
    closing.sign(&[&closing.operator, &closing.auditor]).await;
    let Closing { mut world, migration, .. } = closing;
    drop(migration);
    let plan = world.folder.path().join("migration.toml");
    std::fs::write(&plan, Closing::plan(&world, "")).unwrap();
    let destroy = || {
        let mut tool = std::process::Command::new(env!("CARGO_BIN_EXE_clover-migrate"));
        tool.arg("--plan")
            .arg(&plan)
            .arg("destroy")
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null());
        tool.spawn().unwrap()
    };
    let mut dice = testkit::dice::Dice::new(5);
    let mut done = false;
    for round in 0..8 {
        let mut running = destroy();
        std::thread::sleep(std::time::Duration::from_millis(dice.roll() % 150 + 20));
        if round % 3 == 2 {
            world.source.crash().unwrap();
        }
        running.kill().unwrap();
        // It may have been through before.
        done |= running.wait().unwrap().success();
    }
    assert!(done || destroy().wait().unwrap().success());
    assert_eq!(world.source.sql(others).unwrap(), before);
    assert_eq!(
        world.source.sql("select count(*) from app.users where country in ('DE', 'FR')").unwrap(),
        ["0"]
    );
    assert_eq!(world.source.sql("select count(*) from app.videos").unwrap(), ["200"]);
    assert_eq!(world.target.sql("select count(*) from app.users").unwrap(), ["200"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn triggers_and_rows_of_others_that_would_keep_or_miss_what_goes_stop_the_seal() {
    let closing = Closing::finished("").await;
    closing
        .world
        .source
        .sql(
            "create function app.note() returns trigger language plpgsql as 'begin return old; end';
              create trigger note after delete on app.users for each row execute function app.note();
              alter table app.users enable always trigger note",
        )
        .unwrap();
    assert!(why(&closing.migration.seal(0).await.unwrap_err()).contains("fires for replicas"));
    closing.world.source.sql("drop trigger note on app.users").unwrap();
    drop(closing);
    let world = World::with(
        "create schema app; create table app.users (id bigint primary key, country text, email text not null, about text, born date, friend bigint references app.users);
         create table app.videos (id bigint primary key, owner bigint not null references app.users, title text, plays integer not null default 0);",
    );
    let plan = Closing::plan(&world, "").replacen(
        "born = {",
        "friend = { class = \"allowable\", kind = \"id\" }\nborn = {",
        1,
    );
    world.source.sql("insert into app.users (id, country, email, friend) values (1, 'DE', 'a@example.org', null), (2, 'US', 'b@example.org', 1)").unwrap();
    let migration = Migration::open(Plan::parse(&plan).unwrap()).await.unwrap();
    copy(&migration).await;
    migration.cut_over().await.unwrap();
    migration.finish().await.unwrap();
    let error = why(&migration.seal(0).await.unwrap_err());
    assert!(error.contains("1 rows of others in app.users refer to rows of app.users"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_destroyed_that_the_region_has_lost() {
    let closing = Closing::finished("").await;
    closing.migration.seal(0).await.unwrap();
    closing.sign(&[&closing.operator, &closing.auditor]).await;
    closing.world.target.sql("delete from app.videos").unwrap();
    let error = why(&closing.migration.destroy(0).await.unwrap_err());
    assert!(error.contains("the region lacks 200 of these rows, 200 more than the manifest says"), "{error}");
    assert!(closing.migration.destroy(199).await.is_err());
    assert_eq!(closing.rows_of_the_region(), ["200"]);
    let error = why(&closing.migration.seal(0).await.unwrap_err());
    assert!(error.contains("nothing is sealed until it is known why"), "{error}");
    assert_eq!(closing.migration.seal(200).await.unwrap().removed, 200);
    closing.sign(&[&closing.operator, &closing.auditor]).await;
    assert_eq!(closing.migration.destroy(0).await.unwrap(), 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_the_region_lacks_are_counted_whatever_their_keys_are() {
    let world = World::with(
        "create schema app; create table app.users (id text primary key, country text, email text not null, about text, born date);
         create table app.videos (id bigint, owner text not null references app.users, title text, plays integer not null default 0, primary key (title, owner));",
    );
    // In no language in the order of their bytes.
    world
        .source
        .sql(
            "insert into app.users select w || n, 'DE', 'u' || n || '@example.org' from unnest(array['a', 'B', 'ä', 'Z z', 'é', '-', '~', e'\\t\\\\', 'ab', 'A']) w, generate_series(1, 40) n;
             insert into app.videos select 1, id, t from app.users, unnest(array['x', 'X', 'ß', '']) t",
        )
        .unwrap();
    let migration = Migration::open(Plan::parse(&Closing::plan(&world, "")).unwrap()).await.unwrap();
    copy(&migration).await;
    migration.cut_over().await.unwrap();
    migration.finish().await.unwrap();
    world
        .target
        .sql(
            "set session_replication_role = replica;
             delete from app.users where id in ('-1', '~40', 'ä7', 'a9');
             update app.users set about = 'written in the region' where id like 'B%';
             insert into app.users (id, country, email) values ('0', 'DE', 'new@example.org'), ('zz', 'DE', 'newer@example.org');
             delete from app.videos where title = 'ß' and owner like 'é%'",
        )
        .unwrap();
    let error = why(&migration.seal(0).await.unwrap_err());
    assert!(error.contains("the region lacks 44 of these rows"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_says_how_many_rows_the_region_removed_may_go_on() {
    let closing = Closing::finished("").await;
    closing.migration.seal(0).await.unwrap();
    closing.sign(&[&closing.operator, &closing.auditor]).await;
    closing.world.target.sql("delete from app.videos").unwrap();
    assert_eq!(closing.migration.destroy(200).await.unwrap(), 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_over_that_was_cut_off_is_on_record_when_it_is_called_again() {
    let closing = Closing::new("").await;
    closing.migration.cut_over().await.unwrap();
    // As it is when it was killed before that.
    closing.world.target.sql("delete from clover_migrate.record where number > 4").unwrap();
    closing
        .world
        .target
        .sql(
            "update app.users set about = 'written in the region' where id = (select min(id) from app.users)",
        )
        .unwrap();
    assert!(why(&closing.migration.finish().await.unwrap_err()).contains("not on record"));
    let served = closing.migration.cut_over().await.unwrap();
    assert_eq!(served.comparison.differences.len(), 1, "the region's own");
    closing.migration.finish().await.unwrap();
    assert_eq!(closing.migration.seal(0).await.unwrap().rows, 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_whose_addresses_lead_elsewhere_is_refused() {
    let closing = Closing::finished("").await;
    let other = World::new();
    let Closing { world, migration, .. } = closing;
    drop(migration);
    let plan = Closing::plan(&world, "").replace(&world.source.address(), &other.source.address());
    let error = why(&Migration::open(Plan::parse(&plan).unwrap()).await.err().unwrap());
    assert!(error.contains("lead to other databases"), "{error}");
    let plan = world.plan_text().replace(&world.source.address(), &world.target.address());
    let error = why(&Migration::open(Plan::parse(&plan).unwrap()).await.err().unwrap());
    assert!(error.contains("the same database"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_of_the_manifest_is_not_forgotten_by_taking_it_out_of_the_plan() {
    let closing = Closing::finished("[[copy]]\nwhat = \"dumps\"\nfolder = \"FOLDER\"").await;
    closing.destroyed().await;
    let Closing { world, migration, .. } = closing;
    drop(migration);
    let migration = Migration::open(Plan::parse(&Closing::plan(&world, "")).unwrap()).await.unwrap();
    let (swept, certificate) = migration.certify().await.unwrap();
    assert!(certificate.is_none() && places(&swept).contains("dumps: it stands in the manifest as a copy"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_by_which_nothing_could_be_looked_for_are_not_sealed() {
    let world = World::with(
        "create schema app; create table app.users (id bigint primary key, country text, email text not null, about text, born date);
         create table app.videos (id bigint primary key, owner bigint not null references app.users, title text, plays integer not null default 0);",
    );
    let plan = Closing::plan(&world, "").replace("kind = \"email\"", "kind = \"count\"");
    world.source.sql("insert into app.users (id, country, email) values (1, 'DE', 'a@example.org')").unwrap();
    let migration = Migration::open(Plan::parse(&plan).unwrap()).await.unwrap();
    copy(&migration).await;
    migration.cut_over().await.unwrap();
    migration.finish().await.unwrap();
    let error = why(&migration.seal(0).await.unwrap_err());
    assert!(error.contains("`sweep = true`"), "{error}");
    drop(migration);
    let plan = plan.replace(
        "class = \"restricted\", kind = \"count\"",
        "class = \"restricted\", kind = \"count\", sweep = true",
    );
    let migration = Migration::open(Plan::parse(&plan).unwrap()).await.unwrap();
    assert_eq!(migration.seal(0).await.unwrap().rows, 1);
}
