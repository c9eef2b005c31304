//! Stages of a migration on the ledger of a real enclave: signed by those who must, in their order, and checked by the auditor.

use ledger::migration::{Amount, Record, Stage};
use ledger::proof::LogProof;
use ledger::sha256;
use model::{Country, Name, UnixSeconds};
use testkit::postgres::Postgres;
use xtask::world::{clover, clover_raw, programs};

use crate::support::{Stage as World, entries, until};

const MANIFEST: &str = r#"{"programme":"clover-demo","migration":"video","sets":[{"set":"app.users","rows":7,
"digest":"0707070707070707070707070707070707070707070707070707070707070707"}]}"#;
const CERTIFICATE: &str =
    "clover/migration-certificate v1\nprogramme clover-demo\nmigration video\ndestroyed app.users rows 7\n";

/// A folder as `clover-migrate` writes it: texts, and evidence beside them.
struct Records {
    folder: std::path::PathBuf,
    programme: Name,
    written: u32,
}

impl Records {
    fn add(&mut self, stage: Stage, evidence: &[u8]) {
        let name = |text| Name::parse(text).unwrap();
        let digests = match stage {
            Stage::Copied | Stage::Compared | Stage::Served => [Some([7; 32]); 2],
            Stage::Sealed => [Some([7; 32]), None],
            _ => [None; 2],
        };
        let record = Record {
            programme: self.programme.clone(),
            migration: name("video"),
            set: name("app.users"),
            stage,
            source: (name("singapore"), Country::parse("SG").unwrap()),
            target: (name("dublin"), Country::parse("IE").unwrap()),
            amount: Amount { rows: 7, bytes: 700, people: 7 },
            digests,
            evidence: (!evidence.is_empty()).then(|| *sha256(evidence).bytes()),
            open: (0, UnixSeconds(0)),
            time: clover::now(),
        };
        self.written += 1;
        let file = format!("video-{:05}-{}.txt", self.written, stage.word());
        std::fs::write(self.folder.join(file), record.text()).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stages_of_a_migration_are_on_the_ledger_and_none_is_out_of_its_place() {
    let mut world = World::new(8).await;
    let layout = world.world.layout.clone();
    let folder = world.beside("records");
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.display().to_string();
    let programme = clover::assemble::rulebook(&layout).unwrap().rulebook.programme.name;
    assert_eq!(programme.as_str(), "clover-demo", "as the files above say");
    let mut records = Records { folder: folder.clone(), programme, written: 0 };
    for stage in [Stage::Found, Stage::Copied, Stage::Compared, Stage::Served] {
        records.add(stage, b"");
    }
    records.add(Stage::Sealed, MANIFEST.as_bytes());
    let kept = || layout.migrations().read_dir().map_or(0, Iterator::count);
    let said = clover(&layout, &["migration", "record", &path]).unwrap();
    assert!(
        said.contains("4 stages are laid down") && said.contains("waits for the auditor's mark"),
        "{said}"
    );
    until("four are taken", || kept() == 4).await;
    // The auditor signs nothing that rests on another file, or on one that speaks of something else.
    let manifest = folder.join("manifest.json").display().to_string();
    let mark =
        |evidence: &str| clover_raw(&layout, &["migration", "mark", &path, "--evidence", evidence]).unwrap();
    for text in ["another manifest", MANIFEST.replace("\"rows\":7", "\"rows\":6").as_str()] {
        std::fs::write(&manifest, text).unwrap();
        assert!(!mark(&manifest).status.success());
    }
    std::fs::write(&manifest, MANIFEST).unwrap();
    assert!(mark(&manifest).status.success());
    let early = ["migration", "proof", &path, "--wait-seconds", "0"];
    assert!(!clover_raw(&layout, &early).unwrap().status.success(), "it is not on the ledger");
    clover(&layout, &["migration", "record", &path]).unwrap();
    until("the seal is taken", || kept() == 5).await;
    // For whoever has no way to the ledger: a file beside the seal.
    clover(&layout, &["migration", "proof", &path]).unwrap();
    let proof: LogProof =
        std::fs::read_to_string(folder.join("video-00005-sealed.proof")).unwrap().parse().unwrap();
    let log = clover::assemble::verifier(&layout, "log").unwrap();
    proof.verify(proof.extra(), &log, &[]).unwrap();
    let text = std::fs::read_to_string(folder.join("video-00005-sealed.txt")).unwrap();
    let entry = ledger::Entry::decode(proof.extra()).unwrap();
    assert!(entry.draft.facts.starts_with(text.as_bytes()) && entry.sequence == proof.index());
    // Laid down by hand, a stage out of its place is refused and said; the last one once more changes nothing.
    let order = |name: &str| layout.orders().join(name);
    let kept_as = |n: usize| orders(&layout.migrations())[n].clone();
    std::fs::copy(kept_as(1), order("again.note")).unwrap();
    std::fs::copy(kept_as(4), order("last.note")).unwrap();
    until("it is refused", || order("again.refused").exists() && !order("last.note").exists()).await;
    let certificate = folder.join("video.certificate").display().to_string();
    std::fs::write(&certificate, CERTIFICATE).unwrap();
    records.add(Stage::Destroyed, CERTIFICATE.as_bytes());
    assert!(!mark(&manifest).status.success() || kept() == 5, "a seal is marked once");
    assert!(mark(&certificate).status.success());
    let said = clover(&layout, &["migration", "record", &path]).unwrap();
    assert!(said.contains("2 stages are laid down"), "{said}");
    until("both are taken", || kept() == 7).await;
    world.world.published().unwrap();
    let all = entries(&world.world.ledger());
    let stages: Vec<(u32, u64)> =
        all.iter().filter(|e| e.kind == ledger::EntryKind::Migration).map(|e| (e.rows, e.bytes)).collect();
    assert_eq!(stages, [(0, 0), (7, 700), (0, 0), (0, 0), (0, 0), (0, 0), (0, 0)]);
    world.must_audit_clean();
    // What is kept is where the next start knows it from.
    world.world.stop().unwrap();
    world.world.start().unwrap();
    std::fs::copy(kept_as(0), order("more.note")).unwrap();
    until("it is refused after a start, too", || order("more.refused").exists()).await;
    // With one of them gone nothing of migrations is taken, and everybody is served all the same.
    world.world.stop().unwrap();
    std::fs::remove_file(kept_as(2)).unwrap();
    world.world.start().unwrap();
    std::fs::copy(kept_as(0), order("other.note")).unwrap();
    until("it is refused for want of the others", || order("other.refused").exists()).await;
}

fn orders(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut all: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all
}

/// Two tables whose columns are the catalogue's keys.
pub(crate) const TABLES: &str = "create schema app; create table app.users (id bigint primary key, \"userName\" text not null, \"accountRegion\" text not null, \"emailAddress\" text);
     create table app.posts (id bigint primary key, owner bigint not null references app.users, \"Title\" text, \"Likes\" numeric)";

/// A plan for them.
pub(crate) fn plan(source: &Postgres, target: &Postgres, folder: &std::path::Path) -> String {
    let profile = "/Profile And Settings/Profile Info/ProfileMap";
    format!(
        r#"name = "vault"
        [source]
        site = "singapore"
        country = "SG"
        owner = "Example Pte. Ltd."
        [source.database]
        address = "{}"
        [target]
        site = "dublin"
        country = "IE"
        [target.database]
        address = "{}"
        [region]
        homes = ["DE", "FR"]
        others = ["US"]
        [cutover]
        pointer = "{}"
        [[set]]
        table = "app.users"
        subject = "id"
        home = "accountRegion"
        pointer = "{profile}"
        [set.columns]
        id = {{ class = "allowable", kind = "id" }}
        userName = {{ class = "public", kind = "handle" }}
        accountRegion = {{ class = "allowable", kind = "word" }}
        emailAddress = {{ class = "restricted", kind = "email" }}
        [[set]]
        table = "app.posts"
        subject = "owner"
        of = "app.users"
        pointer = "/Post/Posts/VideoList"
        [set.columns]
        id = {{ class = "allowable", kind = "id" }}
        owner = {{ class = "allowable", kind = "id" }}
        Title = {{ class = "restricted", kind = "text" }}
        Likes = {{ class = "allowable", kind = "count" }}
        "#,
        source.address(),
        target.address(),
        folder.join("where.json").display()
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_of_tables_that_were_moved_come_into_the_vault_whole() {
    let mut world = World::new(8).await;
    let (source, target) =
        (Postgres::start_with(&["wal_level = logical"]).unwrap(), Postgres::start().unwrap());
    for server in [&source, &target] {
        server.sql(TABLES).unwrap();
    }
    source
        .sql("insert into app.users select n, 'moved_' || n, (array['DE', 'FR', 'US'])[1 + n % 3], 'moved' || n || '@example.org' from generate_series(1, 90) n;
              insert into app.posts select n, 1 + n % 90, 'of \"' || n || '\"', n + 0.50 from generate_series(1, 300) n")
        .unwrap();
    let folder = world.beside("moving");
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("migration.toml");
    std::fs::write(&file, plan(&source, &target, &folder)).unwrap();
    let migrate = |arguments: &[&str]| {
        let mut tool = std::process::Command::new(programs().unwrap().join("clover-migrate"));
        tool.arg("--plan").arg(&file).args(arguments).output().unwrap()
    };
    let people = folder.join("people").display().to_string();
    assert_eq!(migrate(&["people", "--to", &people]).status.code(), Some(70), "nothing is served yet");
    for command in ["copy", "cutover"] {
        assert!(migrate(&[command]).status.success());
    }
    let out = migrate(&["--json", "people", "--to", &people]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let told: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    let posts = target.sql("select count(*) from app.posts").unwrap().concat().parse::<u64>().unwrap();
    assert_eq!((&told["people"], &told["rows"]["app.posts"]), (&60.into(), &posts.into()));
    let first = std::fs::read_to_string(folder.join("people/000000000001.ndjson")).unwrap();
    assert!(first.contains(r#""Likes":"#) && first.contains(".50"), "numbers keep their digits: {first}");
    world.world.stop().unwrap();
    let layout = world.world.layout.clone();
    let said = clover(&layout, &["--json", "import", &people]).unwrap();
    let imported: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (&imported["people"], &imported["records"], &imported["undeclared"]),
        (&60.into(), &(60 + posts).into(), &0.into())
    );
    let known = |name: &str| {
        let handle = clover(&layout, &["subject", "id", "--user-name", name]).unwrap();
        clover_raw(&layout, &["subject", "show", "--subject", handle.trim()]).unwrap().status.success()
    };
    assert_eq!((known("moved_1"), known("moved_2")), (true, false), "who stays is not there");
    world.world.start().unwrap();
    world.world.published().unwrap();
    world.must_audit_clean();
}
