//! Stages of a migration on the ledger of a real enclave: signed by those who must, in their order, and checked by the auditor.

use ledger::migration::{Amount, Record, Stage};
use ledger::sha256;
use model::{Country, Name, UnixSeconds};
use xtask::world::{clover, clover_raw};

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
    clover(&layout, &["migration", "record", &path]).unwrap();
    until("the seal is taken", || kept() == 5).await;
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
