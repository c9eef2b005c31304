//! New entries, in the order in which the site's rounds count them.
//!
//! The mirror has checked that what it stores leads to signed roots. Here only the signature of the site's
//! checkpoint is checked again; `clover-audit verify` checks everything.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::{
    bundle::{ENTRY_BYTES_MAX, split_leaves},
    nodes::read_tile,
    note::VerifierKey,
    siteleaf::{Role, SITE_LEAF_BYTES_MAX, SITE_PREFIX},
    sitelog::{FolderError, MirroredLog},
    tile::{Level, TILE_WIDTH, Tile},
    tree::Tree,
};

/// Where following stands.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Position {
    /// The next entry of the site log.
    pub(super) site: u64,
    /// The newest time of the site log so far.
    pub(super) time: u64,
    /// The enrolled logs.
    pub(super) logs: BTreeMap<String, Member>,
}

/// An enrolled log.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Member {
    pub(super) prefix: String,
    pub(super) gateway: bool,
    /// The next entry.
    pub(super) next: u64,
    /// Whether it is in the newest enrolment.
    pub(super) enrolled: bool,
}

impl Member {
    pub(super) fn new(prefix: String, role: Role) -> Self {
        Self { prefix, gateway: role == Role::Gateway, next: 0, enrolled: true }
    }
}

/// A mirror's folder.
pub(super) struct Source {
    pub(super) mirror: PathBuf,
    pub(super) site: VerifierKey,
}

/// The site log as it lies there now.
pub(super) struct SiteLog {
    tree: Tree,
    pub(super) size: u64,
    pub(super) origin: String,
    bundle: Option<(u64, Vec<Vec<u8>>)>,
}

impl Source {
    pub(super) fn site_log(&self) -> Result<SiteLog, FolderError> {
        let log = MirroredLog::open(&self.mirror.join(SITE_PREFIX), &self.site)?;
        let (size, origin) = (log.checkpoint.size, log.checkpoint.origin);
        Ok(SiteLog { tree: log.tree, size, origin, bundle: None })
    }

    pub(super) fn tree(&self, prefix: &str) -> Tree {
        Tree::new(&self.mirror.join(prefix))
    }
}

impl SiteLog {
    pub(super) fn leaf(&mut self, index: u64) -> Result<Vec<u8>, FolderError> {
        let (bundle, place) = (index / TILE_WIDTH, usize::try_from(index % TILE_WIDTH).unwrap_or(usize::MAX));
        if self.bundle.as_ref().is_none_or(|(held, _)| *held != bundle) {
            let width = (self.size - bundle * TILE_WIDTH).min(TILE_WIDTH);
            let leaves = bundle_of(&self.tree, bundle, width, SITE_LEAF_BYTES_MAX)?;
            self.bundle = Some((bundle, leaves));
        }
        let leaf = self.bundle.as_ref().and_then(|(_, leaves)| leaves.get(place));
        leaf.cloned().ok_or_else(|| FolderError::Tile(format!("entry {index} of the site log")))
    }
}

/// Shows the entries `from` ≤ index < `to` of a log that holds them.
pub(super) fn entries(
    tree: &Tree,
    from: u64,
    to: u64,
    mut visit: impl FnMut(u64, &[u8]),
) -> Result<(), FolderError> {
    let mut next = from;
    while next < to {
        let bundle = next / TILE_WIDTH;
        let first = bundle * TILE_WIDTH;
        let leaves = bundle_of(tree, bundle, (to - first).min(TILE_WIDTH), ENTRY_BYTES_MAX)?;
        for (index, leaf) in (first..to).zip(&leaves).filter(|(index, _)| *index >= next) {
            visit(index, leaf);
        }
        next = first + TILE_WIDTH;
    }
    Ok(())
}

/// At least the first `width` leaves of a bundle.
fn bundle_of(tree: &Tree, index: u64, width: u64, longest: usize) -> Result<Vec<Vec<u8>>, FolderError> {
    let tile = Tile { level: Level::Entries, index, width };
    let mut bytes = Vec::new();
    let read = read_tile(tree, &tile, TILE_WIDTH * (2 + longest as u64), &mut bytes)?;
    let leaves =
        split_leaves(&bytes, read, longest).map_err(|why| FolderError::Tile(format!("`{tile}`: {why}")))?;
    Ok(leaves.into_iter().map(<[u8]>::to_vec).collect())
}
