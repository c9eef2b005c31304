//! Claims about the end of a migration: stages on record, destruction under the auditor's mark, and copies that somebody forgot.

use ledger::migration::{Record, Stage, Ways};
use ledger::note::{Note, Signer};
use migrate::{MigrateError, Migration, Plan, Swept};

use crate::{World, copy};

/// A migration with a ledger, up to its cut-over, and who signs.
struct Closing {
    world: World,
    migration: Migration,
    operator: Signer,
    auditor: Signer,
}

impl Closing {
    async fn new(more: &str) -> Self {
        let world = World::new();
        world.fill(1, 400);
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

    fn plan(world: &World, more: &str) -> String {
        let folder = world.folder.path().display();
        let ledger = format!(
            "[ledger]\nprogramme = \"t\"\nrecords = \"{folder}/records\"\noperator = \"{folder}/operator\"\nauditor = \"{folder}/auditor\"\n{}",
            more.replace("FOLDER", &folder.to_string())
        );
        world.plan_text().replacen("[[set]]", &format!("{ledger}\n[[set]]"), 1)
    }

    /// Up to where rows may be sealed.
    async fn finished(more: &str) -> Self {
        let closing = Self::new(more).await;
        closing.migration.cut_over().await.unwrap();
        closing.migration.finish().await.unwrap();
        closing
    }

    async fn records(&self) -> Vec<Record> {
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
    async fn sign(&self, by: &[&Signer]) {
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

    async fn destroyed(&self) {
        self.migration.seal().await.unwrap();
        self.sign(&[&self.operator, &self.auditor]).await;
        self.migration.destroy().await.unwrap();
    }

    fn rows_of_the_region(&self) -> Vec<String> {
        self.world.source.sql("select count(*) from app.users where country in ('DE', 'FR')").unwrap()
    }
}

fn why(error: &MigrateError) -> String {
    error.to_string()
}

fn places(swept: &Swept) -> String {
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
    records.iter().for_each(|record| ways.take(record.clone()).unwrap());
    let users = records.iter().find(|r| r.stage == Stage::Served && r.set.as_str() == "app.users").unwrap();
    assert_eq!((users.amount.rows, users.amount.people), (200, 200));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_destroyed_without_a_seal_that_operator_and_auditor_signed() {
    let closing = Closing::new("").await;
    assert!(why(&closing.migration.seal().await.unwrap_err()).contains("finish first"));
    closing.migration.cut_over().await.unwrap();
    closing.migration.finish().await.unwrap();
    assert!(why(&closing.migration.destroy().await.unwrap_err()).contains("was not sealed"));
    let sealed = closing.migration.seal().await.unwrap();
    assert_eq!(sealed.rows, 400);
    let stranger = Signer::from_seed("t/auditor", &[9; 32]).unwrap();
    for (by, who) in [
        (vec![], "the operator did not sign"),
        (vec![&closing.operator], "the auditor did not sign"),
        (vec![&closing.auditor], "the operator did not sign"),
        (vec![&closing.operator, &stranger], "the auditor did not sign"),
    ] {
        closing.sign(&by).await;
        let error = why(&closing.migration.destroy().await.unwrap_err());
        assert!(error.contains(who) || error.contains("no signed note"), "{error}");
    }
    closing.sign(&[&closing.operator, &closing.auditor]).await;
    let manifest = std::fs::read_to_string(&sealed.manifest).unwrap();
    std::fs::write(&sealed.manifest, manifest.replace("Example", "Another")).unwrap();
    assert!(why(&closing.migration.destroy().await.unwrap_err()).contains("changed after it was sealed"));
    std::fs::write(&sealed.manifest, manifest).unwrap();
    assert_eq!(closing.rows_of_the_region(), ["200"], "all of them are there");
    assert_eq!(closing.migration.destroy().await.unwrap(), 400);
    assert_eq!(closing.rows_of_the_region(), ["0"]);
    assert_eq!(closing.world.source.sql("select count(*) from app.users").unwrap(), ["200"], "others stay");
    assert_eq!(closing.world.target.sql("select count(*) from app.users").unwrap(), ["200"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_changed_past_the_refusal_are_neither_sealed_nor_destroyed() {
    let closing = Closing::finished("").await;
    let past = "set session_replication_role = replica;
        update app.users set about = 'other' where id = (select min(id) from app.users where country = 'DE')";
    closing.migration.seal().await.unwrap();
    closing.sign(&[&closing.operator, &closing.auditor]).await;
    closing.world.source.sql(past).unwrap();
    assert!(why(&closing.migration.destroy().await.unwrap_err()).contains("past the refusal"));
    assert!(why(&closing.migration.seal().await.unwrap_err()).contains("past the refusal"));
    assert_eq!(closing.rows_of_the_region(), ["200"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_nobody_planned_and_that_refers_to_rows_stops_the_seal() {
    let closing = Closing::finished("").await;
    closing.world.source.sql("create table app.likes (who bigint references app.users)").unwrap();
    assert!(why(&closing.migration.seal().await.unwrap_err()).contains("app.likes"));
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
        text.contains("destroyed app.users rows 200") && text.contains("looked for 200 identifiers"),
        "{text}"
    );
    let last: Vec<Stage> = closing.records().await.iter().rev().take(4).map(|r| r.stage).collect();
    assert_eq!(last, [Stage::Witnessed, Stage::Destroyed, Stage::Witnessed, Stage::Destroyed]);
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
