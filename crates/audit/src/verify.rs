//! The check of a whole tree, from the checkpoint down.

use std::{
    io,
    path::{Path, PathBuf},
};

use data_encoding::BASE64;

use crate::{
    bundle::{BUNDLE_BYTES_MAX, prefix_length, split},
    checkpoint::Checkpoint,
    decide::Decider,
    entries::Entries,
    hash::leaf_hash,
    levels::{Levels, report_unread},
    note::{NOTE_BYTES_MAX, VerifierKey},
    report::{Report, Rule},
    rulebook::Rulebooks,
    tags::TagLists,
    tile::{Level, TILE_WIDTH, Tile},
    tree::{Inventory, ReadError, Tree},
};

/// What to check, and whom to believe.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder of the published tree.
    pub ledger: PathBuf,
    /// The key of the log.
    pub log: VerifierKey,
    /// The operator's key for rulebooks.
    pub operator: VerifierKey,
    /// The auditor's key for rulebooks.
    pub auditor: VerifierKey,
    /// Whether to decide again, which takes most of the time. If not, policies are checked to be the signed
    /// ones, and are not read.
    pub redecide: bool,
}

/// Why nothing could be checked. What is wrong with a tree is no error but a [`Report`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// The tree is not there or cannot be listed.
    #[error("cannot read `{path}`")]
    Unreadable {
        /// What was to be read.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Two signatures of one key are one signature.
    #[error("the operator's key and the auditor's key are the same")]
    SameKey,
}

/// Checks a published tree, and reports what it did and what it found.
///
/// Memory: one tile per level, one bundle, and 16 bytes and some for each entry's flow id.
///
/// # Errors
/// If the tree cannot be read at all, or operator and auditor are one.
///
/// ```no_run
/// let key = |name: &str| -> Result<_, Box<dyn std::error::Error>> {
///     Ok(audit::VerifierKey::parse(&std::fs::read_to_string(format!("trust/{name}.vkey"))?)?)
/// };
/// let report = audit::verify(&audit::Options {
///     ledger: "public".into(),
///     log: key("log")?,
///     operator: key("operator")?,
///     auditor: key("auditor")?,
///     redecide: true,
/// })?;
/// assert!(report.is_clean());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn verify(options: &Options) -> Result<Report, AuditError> {
    if options.operator.same_key(&options.auditor) {
        return Err(AuditError::SameKey);
    }
    let tree = Tree::new(&options.ledger);
    let mut report = Report { redecided: options.redecide, ..Report::default() };
    let note = read_checkpoint(&tree)?;
    let checkpoint = match Checkpoint::open(&note, &options.log) {
        Ok(checkpoint) => checkpoint,
        Err(error) => {
            report.file(Rule::Checkpoint, "checkpoint", error.to_string());
            return Ok(report);
        }
    };
    report.origin.clone_from(&checkpoint.origin);
    report.size = checkpoint.size;
    report.root = BASE64.encode(&checkpoint.root);
    let inventory = tree.inventory(checkpoint.size).map_err(|source| unreadable(&tree.path(""), source))?;
    for path in &inventory.strangers {
        report.file(Rule::Extra, path, "it has no place in a tree of this size");
    }
    let signers = [&options.operator, &options.auditor];
    let rulebooks = Rulebooks::new(&tree, signers, options.redecide);
    let entries = Entries::new(&checkpoint.origin, rulebooks, TagLists::new(&tree), options.redecide);
    let walk = Walk {
        tree: &tree,
        inventory: &inventory,
        levels: Levels::new(&tree, &inventory),
        entries,
        decider: Decider::new(),
        bundle: Vec::new(),
        older: Vec::new(),
        scratch: Vec::new(),
    };
    walk.run(&checkpoint, &mut report);
    Ok(report)
}

fn read_checkpoint(tree: &Tree) -> Result<Vec<u8>, AuditError> {
    let mut note = Vec::new();
    let source = match tree.read("checkpoint", NOTE_BYTES_MAX, &mut note) {
        Ok(()) => return Ok(note),
        Err(ReadError::Missing) => io::ErrorKind::NotFound.into(),
        Err(ReadError::TooLong) => io::ErrorKind::FileTooLarge.into(),
        Err(ReadError::Unreadable(source)) => source,
    };
    Err(unreadable(&tree.path("checkpoint"), source))
}

fn unreadable(path: &Path, source: io::Error) -> AuditError {
    AuditError::Unreadable { path: path.to_owned(), source }
}

/// The walk over all bundles.
struct Walk<'t> {
    tree: &'t Tree,
    inventory: &'t Inventory,
    levels: Levels<'t>,
    entries: Entries<'t>,
    decider: Decider,
    bundle: Vec<u8>,
    older: Vec<u8>,
    scratch: Vec<u8>,
}

impl Walk<'_> {
    fn run(mut self, checkpoint: &Checkpoint, report: &mut Report) {
        let needed = checkpoint.size.div_ceil(TILE_WIDTH);
        let mut bundle = std::mem::take(&mut self.bundle);
        for index in 0..needed.min(self.inventory.bundles) {
            let width = (checkpoint.size - index * TILE_WIDTH).min(TILE_WIDTH);
            self.step(&Tile { level: Level::Entries, index, width }, &mut bundle, report);
        }
        // A signed size can be any number: what nobody published is one finding, not 2^56.
        if self.inventory.bundles < needed {
            let first = Tile { level: Level::Entries, index: self.inventory.bundles, width: TILE_WIDTH };
            let text = format!("it and all after it are missing, {} in all", needed - self.inventory.bundles);
            report.file(Rule::Missing, first.to_string(), text);
            self.levels.lost();
        }
        match self.levels.finish(report) {
            Some(root) if root == checkpoint.root => {}
            Some(root) => {
                let text = format!("the root of the entries is {}", BASE64.encode(&root));
                report.file(Rule::Root, "checkpoint", text);
            }
            None => report.file(Rule::Root, "checkpoint", "the root cannot be computed: entries are missing"),
        }
        self.entries.finish(self.inventory, report);
    }

    /// Checks one bundle and all that is in it.
    fn step(&mut self, tile: &Tile, bundle: &mut Vec<u8>, report: &mut Report) {
        let path = tile.to_string();
        if let Err(error) = self.tree.read(&path, BUNDLE_BYTES_MAX, bundle) {
            report_unread(&path, &error, report);
            return self.levels.claimed(tile, report);
        }
        let entries = match split(bundle, tile.width) {
            Ok(entries) => entries,
            Err(text) => {
                report.file(Rule::Shape, path, text);
                return self.levels.claimed(tile, report);
            }
        };
        let hashes: Vec<_> = entries.iter().map(|entry| leaf_hash(entry, &mut self.scratch)).collect();
        self.levels.leaves(tile.index, &hashes, report);
        self.compare_older(tile, bundle, &entries, report);
        let first = tile.index * TILE_WIDTH;
        let jobs: Vec<_> = (first..)
            .zip(&entries)
            .filter_map(|(index, entry)| self.entries.check(index, entry, report))
            .collect();
        self.decider.decide(&jobs, report);
    }

    /// Partial bundles of earlier sizes must be beginnings of this one.
    fn compare_older(&mut self, tile: &Tile, bundle: &[u8], entries: &[&[u8]], report: &mut Report) {
        for width in self.inventory.older(tile.level, tile.index) {
            let path = Tile { width: *width, ..*tile }.to_string();
            if let Err(error) = self.tree.read(&path, BUNDLE_BYTES_MAX, &mut self.older) {
                report_unread(&path, &error, report);
                continue;
            }
            if bundle.get(..prefix_length(entries, *width)) != Some(self.older.as_slice()) {
                report.file(Rule::Shape, path, "it is not the beginning of the newer bundle");
            }
        }
    }
}
