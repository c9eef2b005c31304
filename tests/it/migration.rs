//! Stages of a migration on the ledger of a real enclave: signed by those who must, in their order, and checked by the auditor.

use ledger::migration::{Amount, Record, Stage};
use ledger::sha256;
use model::{Country, Name, UnixSeconds};
use xtask::world::{clover, clover_raw};

use crate::support::{Stage as World, entries, until};

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
    let mut records = Records { folder: folder.clone(), programme, written: 0 };
    for stage in [Stage::Found, Stage::Copied, Stage::Compared, Stage::Served] {
        records.add(stage, b"");
    }
    records.add(Stage::Sealed, b"the manifest");
    let kept = || layout.migrations().read_dir().map_or(0, Iterator::count);
    let said = clover(&layout, &["migration", "record", &path]).unwrap();
    assert!(
        said.contains("4 stages are laid down") && said.contains("waits for the auditor's mark"),
        "{said}"
    );
    until("four are taken", || kept() == 4).await;
    // The auditor signs nothing whose evidence is not there, or is another.
    for evidence in [None, Some("another manifest")] {
        if let Some(text) = evidence {
            std::fs::write(folder.join("manifest.json"), text).unwrap();
        }
        let refused = clover_raw(&layout, &["migration", "mark", &path]).unwrap();
        assert!(!refused.status.success());
    }
    std::fs::write(folder.join("manifest.json"), "the manifest").unwrap();
    clover(&layout, &["migration", "mark", &path]).unwrap();
    clover(&layout, &["migration", "record", &path]).unwrap();
    until("the seal is taken", || kept() == 5).await;
    // Laid down by hand, a stage out of its place is refused and said; what comes next is taken.
    let order = |name: &str| layout.orders().join(name);
    std::fs::copy(layout.migrations().join("video-00002-copied.note"), order("again.note")).unwrap();
    until("it is refused", || order("again.refused").exists()).await;
    records.add(Stage::Destroyed, b"the certificate");
    std::fs::write(folder.join("video.certificate"), "the certificate").unwrap();
    records.add(Stage::Witnessed, b"the certificate");
    clover(&layout, &["migration", "mark", &path]).unwrap();
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
    std::fs::copy(layout.migrations().join("video-00001-found.note"), order("more.note")).unwrap();
    until("it is refused after a start, too", || order("more.refused").exists()).await;
}
