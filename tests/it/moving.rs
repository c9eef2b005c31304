//! People who go on into the vault while they are moved: what changes at the old site is there, whatever is killed when.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use clover::layout::Layout;
use testkit::postgres::Postgres;
use xtask::world::{clover, clover_raw, programs};

use crate::migration::{TABLES, plan};
use crate::support::{Stage as World, entries, until};

/// Two tables at an old site, the same in the region, and an enclave that is not running.
struct Moving {
    world: World,
    source: Postgres,
    target: Postgres,
    folder: PathBuf,
}

impl Moving {
    async fn new() -> Self {
        let mut world = World::new(8).await;
        world.world.stop().unwrap();
        let source = Postgres::start_with(&["wal_level = logical"]).unwrap();
        let target = Postgres::start().unwrap();
        for server in [&source, &target] {
            server.sql(TABLES).unwrap();
        }
        source
            .sql("insert into app.users select n, 'moved_' || n, (array['DE', 'FR', 'US'])[1 + n % 3], 'moved' || n || '@example.org' from generate_series(1, 300) n;
                  insert into app.posts select n, 1 + n % 300, 'of \"' || n || '\"', n + 0.50 from generate_series(1, 900) n")
            .unwrap();
        let folder = world.beside("moving");
        std::fs::create_dir_all(folder.join("spool")).unwrap();
        let spool = format!("[vault]\nspool = \"{}\"\n", folder.join("spool").display());
        let text = plan(&source, &target, &folder).replacen("[[set]]", &format!("{spool}[[set]]"), 1);
        std::fs::write(folder.join("migration.toml"), text).unwrap();
        Self { world, source, target, folder }
    }

    /// Has writers wait no longer than this.
    fn patience(&self, limits: &str) {
        let file = self.folder.join("migration.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        let at = text.find("[limits]").or_else(|| text.find("[vault]")).unwrap();
        let rest = &text[text.find("[vault]").unwrap()..];
        std::fs::write(&file, format!("{}[limits]\n{limits}\n{rest}", &text[..at])).unwrap();
    }

    fn layout(&self) -> &Layout {
        &self.world.world.layout
    }

    fn spool(&self) -> String {
        self.folder.join("spool").display().to_string()
    }

    fn migrate(&self, arguments: &[&str]) -> Output {
        let mut tool = Command::new(programs().unwrap().join("clover-migrate"));
        tool.arg("--plan").arg(self.folder.join("migration.toml")).args(arguments).output().unwrap()
    }

    fn must_migrate(&self, arguments: &[&str]) -> serde_json::Value {
        let out = self.migrate(&[&["--json"], arguments].concat());
        assert!(out.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
        serde_json::from_slice(&out.stdout).unwrap()
    }

    /// Takes what comes until it is killed or told to end.
    fn importer(&self) -> Child {
        let mut command = Command::new(programs().unwrap().join("clover"));
        command.arg("--dir").arg(self.layout().root()).args(["--json", "import", "--follow", &self.spool()]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap()
    }

    fn knows(&self, name: &str) -> bool {
        let handle = clover(self.layout(), &["subject", "id", "--user-name", name]).unwrap();
        clover_raw(self.layout(), &["subject", "show", "--subject", handle.trim()]).unwrap().status.success()
    }

    /// Holds the vault against the region's tables, whole.
    fn must_be_the_same(&self, name: &str) -> u64 {
        let folder = self.folder.join(name).display().to_string();
        let people = self.must_migrate(&["people", "--to", &folder])["people"].as_u64().unwrap();
        let said = clover(self.layout(), &["--json", "import", "--compare", &folder]).unwrap();
        let told: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!(
            (&told["same"], &told["renewed"], &told["missing"]),
            (&people.into(), &0.into(), &0.into())
        );
        people
    }
}

/// An export of somebody who lives somewhere, as a line.
fn person(name: &str, region: &str) -> String {
    format!(
        "{{\"Profile And Settings\":{{\"Profile Info\":{{\"ProfileMap\":{{\"userName\":\"{name}\",\"accountRegion\":\"{region}\"}}}}}}}}\n"
    )
}

fn left(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

/// Files that are not taken yet.
fn waiting(folder: &Path) -> usize {
    clover::import::files(folder).unwrap().len()
}

fn end(mut importer: Child) -> serde_json::Value {
    let pid = importer.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let mut said = String::new();
    std::io::Read::read_to_string(importer.stdout.as_mut().unwrap(), &mut said).unwrap();
    assert!(importer.wait().unwrap().success(), "{said}");
    serde_json::from_str(&said).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_go_on_into_the_vault_while_the_old_site_is_written_to_and_are_all_there_at_the_cut_over() {
    let mut moving = Moving::new().await;
    let spool = moving.folder.join("spool");
    assert_eq!(moving.must_migrate(&["copy"])["people"], 200);
    moving.patience("pause_ms = 500");
    let refused = moving.migrate(&["cutover"]);
    assert_eq!(refused.status.code(), Some(70), "nobody takes what waits");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("clover import --follow"));
    moving.patience("pause_ms = 30000");
    let mut importer = moving.importer();
    until("some are taken", || waiting(&spool) < 2).await;
    importer.kill().unwrap();
    importer.wait().unwrap();
    moving
        .source
        .sql("update app.users set \"emailAddress\" = 'new@example.org' where id = 1;
              update app.users set \"userName\" = 'renamed' where id = 4;
              update app.users set \"accountRegion\" = 'US' where id = 6; update app.users set \"accountRegion\" = 'DE' where id = 2;
              delete from app.posts where owner = 7; delete from app.users where id = 7;
              delete from app.posts where owner = 9 and id < 300; update app.posts set \"Likes\" = 1 where owner = 10;
              delete from app.posts where owner = 12; delete from app.users where id = 12; insert into app.users values (1001, 'moved_12', 'DE', null);
              insert into app.users values (1000, 'fresh', 'FR', null); insert into app.posts values (1000, 1000, null, null)")
        .unwrap();
    // Written once more by whoever was killed before it was on record, which changes nothing.
    assert_eq!(moving.must_migrate(&["copy"])["people"], 7);
    let importer = moving.importer();
    until("all is taken", || waiting(&spool) == 0).await;
    moving.source.sql("update app.users set \"emailAddress\" = 'last@example.org' where id = 3").unwrap();
    moving.source.sql("insert into app.users values (1002, ' Moved_1', 'DE', null)").unwrap();
    let refused = moving.migrate(&["cutover"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("cannot tell them apart"), "{refused:?}");
    moving.source.sql("delete from app.users where id = 1002").unwrap();
    let served = moving.must_migrate(&["cutover"]);
    assert_eq!((served["served"].as_str(), waiting(&spool)), (Some("dublin"), 0));
    let pointer = std::fs::read_to_string(moving.folder.join("where.json")).unwrap();
    assert!(pointer.contains(r#""vault":true"#), "{pointer}");
    let told = end(importer);
    assert_eq!(told["erased"], 5, "renamed, moved away, removed, two whose names others have: {told}");
    let known = ["moved_1", "moved_2", "moved_12", "renamed", "fresh"].map(|name| moving.knows(name));
    let gone = ["moved_4", "moved_6", "moved_7", "moved_5"].map(|name| moving.knows(name));
    assert_eq!((known, gone), ([true; 5], [false; 4]));
    assert_eq!(moving.must_be_the_same("after"), 200);
    assert_eq!(
        moving.migrate(&["undo"]).status.code(),
        Some(70),
        "what services wrote into the vault is not seen"
    );
    // What services change in the tables until it is finished goes there, too.
    moving.target.sql("update app.posts set \"Title\" = 'later' where owner = 10").unwrap();
    let importer = moving.importer();
    moving.must_migrate(&["finish"]);
    assert_eq!(end(importer)["renewed"], 1);
    assert_eq!(moving.must_be_the_same("finished"), 200);
    moving
        .target
        .sql("update app.posts set \"Title\" = 'unseen' where owner = 10; truncate app.posts")
        .unwrap();
    moving.world.world.start().unwrap();
    moving.world.world.published().unwrap();
    moving.world.must_audit_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_that_is_refused_stops_the_taking_and_stays_with_its_file() {
    let mut world = World::new(8).await;
    world.world.stop().unwrap();
    let folder = world.beside("spool");
    std::fs::create_dir_all(&folder).unwrap();
    let layout = world.world.layout.clone();
    let put = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    let path = folder.display().to_string();
    let take = |option: &str| {
        let out = clover_raw(&layout, &["--json", "import", option, &path]).unwrap();
        let told = serde_json::from_slice::<serde_json::Value>(&out.stdout);
        (out.status.code(), told.unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&out.stderr))))
    };
    put("000000000001.ndjson", &[person("one", "DE"), person("two", "FR")].concat());
    put("000000000002.ndjson", &[person("three", "DE"), person("four", "US"), "{\"x\":".into()].concat());
    put("000000000003.gone.ndjson", &person("one", "DE"));
    put("000000000004.part", "not whole");
    let (code, told) = take("--take");
    assert_eq!((code, &told["people"], &told["erased"]), (Some(1), &3.into(), &0.into()), "{told}");
    let why = told["refused"].to_string();
    assert!(why.contains("line 2: account region `US`") && why.contains("line 3: "), "{why}");
    assert_eq!(left(&folder), 3);
    // Mended, it goes on; who is there already is not there twice.
    put("000000000002.ndjson", &person("three", "FR"));
    let (code, told) = take("--take");
    assert_eq!(
        (code, &told["people"], &told["renewed"], &told["erased"]),
        (Some(0), &0.into(), &1.into(), &1.into())
    );
    assert_eq!(left(&folder), 1);
    put("000000000005.ndjson", &[person("two", "FR"), person("three", "DE"), person("five", "DE")].concat());
    let (code, told) = take("--compare");
    assert_eq!(
        (code, &told["same"], &told["renewed"], &told["missing"]),
        (Some(1), &1.into(), &1.into(), &1.into()),
        "{told}"
    );
    put("000000000006.gone.ndjson", &person("two", "FR"));
    let said = clover_raw(&layout, &["import", &path]).unwrap();
    assert!(String::from_utf8_lossy(&said.stdout).contains("erased with --renew") && !said.status.success());
    world.world.start().unwrap();
    world.world.published().unwrap();
    world.must_audit_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_enclave_takes_people_who_are_laid_down_and_says_why_it_does_not() {
    let mut world = World::new(8).await;
    let folder = world.world.layout.spool().join("export");
    std::fs::create_dir_all(&folder).unwrap();
    let put = |name: &str, text: &str| {
        std::fs::write(folder.join("part"), text).unwrap();
        std::fs::rename(folder.join("part"), folder.join(name)).unwrap();
    };
    let waits = |name: &str| folder.join(name).exists();
    let taken = world.world.ledger();
    let before = entries(&taken).len();
    put("000000000001.ndjson", &[person("one", "DE"), person("two", "FR")].concat());
    until("both are taken", || !waits("000000000001.ndjson")).await;
    put("000000000002.ndjson", &[person("three", "DE"), person("four", "US")].concat());
    put("000000000003.gone.ndjson", &person("one", "DE"));
    until("it is said why", || waits("why")).await;
    let why = std::fs::read_to_string(folder.join("why")).unwrap();
    assert_eq!(why, "000000000002.ndjson: line 2: account region `US` is not in this region\n");
    assert!(waits("000000000002.ndjson") && waits("000000000003.gone.ndjson"), "order is kept");
    put("000000000002.ndjson", &person("three", "FR"));
    until("all is taken", || left(&folder) == 0).await;
    world.world.published().unwrap();
    let kinds: Vec<_> = entries(&taken).iter().skip(before).map(|entry| entry.kind).collect();
    let count = |kind| kinds.iter().filter(|k| **k == kind).count();
    assert_eq!((count(ledger::EntryKind::Import), count(ledger::EntryKind::Erasure)), (3, 1), "{kinds:?}");
    world.must_audit_clean();
}
