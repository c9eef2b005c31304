//! The end of the demo of migration: what lay in Singapore is destroyed under the auditor's mark, and a copy that somebody forgot is found.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use xtask::world::{World, clover};

use super::Moving;

/// A slot that a replica left behind years ago, and the backup from which it was made.
pub(super) const FORGOTTEN: &str = "forgotten_replica";
pub(super) const DUMP: &str = "store-2025.dump";

/// Stages of each set that are on the ledger in the end.
const STAGES: usize = 7;
const SETS: usize = 3;

impl Moving<'_> {
    /// What somebody forgot: a slot, and a dump in the folder of backups.
    pub(super) fn forget(&self, folder: &Path) -> Result<()> {
        self.source.sql(&format!("select pg_create_physical_replication_slot('{FORGOTTEN}', true)"))?;
        let backups = folder.join("backups");
        std::fs::create_dir_all(&backups)?;
        let address = self.source.address();
        let (host, port) = (super::word(&address, "host=")?, super::word(&address, "port=")?);
        let mut dump = std::process::Command::new(self.source.programs().join("pg_dump"));
        dump.args(["-Fc", "-h", host, "-p", port, "-U", "clover", "-f"])
            .arg(backups.join(DUMP))
            .arg("clover");
        ensure!(dump.status().context("cannot run pg_dump")?.success(), "pg_dump failed");
        Ok(())
    }

    pub(super) fn close(&mut self, world: &World, folder: &Path) -> Result<()> {
        let records = folder.join("records").display().to_string();
        self.show.chapter("Destroyed, under the auditor's mark");
        let out = self.run(&["finish"])?;
        self.check("finished", "nothing is undone from here on", &out, 0, "finished");
        let out = self.run(&["destroy"])?;
        self.check("destroyed without a seal", "refused", &out, 70, "it was not sealed");
        let out = self.run(&["--json", "seal"])?;
        let manifest = field(&out, "/manifest")?;
        self.check(
            "sealed: rows, digests, who may read them, what keeps copies",
            "on file, with the slot that somebody forgot",
            &out,
            0,
            FORGOTTEN,
        );
        let said = clover(&world.layout, &["migration", "record", &records])?;
        self.said(
            "the operator puts it on the ledger",
            "the seal waits for the auditor",
            &said,
            "waits for the auditor's mark",
        );
        let out = self.run(&["destroy"])?;
        self.check("destroyed without the mark", "refused", &out, 70, "Nothing is destroyed without a seal");
        let said = clover(&world.layout, &["migration", "mark", &records, "--evidence", &manifest])?;
        self.said("the auditor looks and marks", "three sets", &said, "3 stages are marked");
        let said = clover(&world.layout, &["migration", "record", &records])?;
        self.said("the operator again", "three seals", &said, "3 stages are laid down");
        let out = self.run(&["destroy"])?;
        self.check("destroyed without a proof", "refused", &out, 70, "proved to be on the ledger");
        let said = clover(&world.layout, &["migration", "proof", &records])?;
        self.said("a proof from the ledger", "of three seals, to check offline", &said, "3 seals are proved");
        let out = self.run(&["destroy"])?;
        self.check("destroyed", "gone from the tables in Singapore", &out, 0, "rows were destroyed");
        self.show.chapter("Looked for: a copy that somebody forgot");
        let out = self.run(&["certify"])?;
        self.check("certified", "not while the slot keeps the log of changes", &out, 1, FORGOTTEN);
        self.check("and the same look", "has found the dump of a year ago", &out, 1, DUMP);
        self.source.sql(&format!("select pg_drop_replication_slot('{FORGOTTEN}')"))?;
        std::fs::remove_file(folder.join("backups").join(DUMP))?;
        self.show.step("the slot is dropped, the dump deleted");
        let out = self.run(&["--json", "certify"])?;
        let certificate = field(&out, "/certificate/file")?;
        self.check("certified", "nothing is left", &out, 0, "\"open\":0");
        clover(&world.layout, &["migration", "mark", &records, "--evidence", &certificate])?;
        let said = clover(&world.layout, &["migration", "record", &records])?;
        self.said("the auditor witnesses it", "destroyed and witnessed, each set", &said, "witnessed");
        self.on_record(world)
    }

    fn on_record(&mut self, world: &World) -> Result<()> {
        let kept = world.layout.migrations();
        for _ in 0..200 {
            if std::fs::read_dir(&kept).map_or(0, Iterator::count) == STAGES * SETS {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        world.published()?;
        let stages = std::fs::read_dir(&kept).map_or(0, Iterator::count);
        let (code, said) = world.audit(&world.ledger())?;
        let finding = said.lines().find(|line| line.starts_with("finding")).unwrap_or("no finding");
        self.add(
            "the auditor's program over the ledger",
            "21 stages, each signed and in its place",
            format!("{stages} stages; {finding}"),
            code == Some(0) && stages == STAGES * SETS,
        );
        Ok(())
    }

    fn said(&mut self, what: &'static str, expected: &'static str, said: &str, words: &str) {
        let right = said.contains(words);
        self.add(what, expected, said.trim_end().replace('\n', "\n           "), right);
    }
}

/// A text in what a command told as JSON.
fn field(out: &std::process::Output, pointer: &str) -> Result<String> {
    let told: serde_json::Value = serde_json::from_slice(&out.stdout)?;
    Ok(told
        .pointer(pointer)
        .and_then(|text| text.as_str())
        .context("a command told something else")?
        .to_owned())
}
