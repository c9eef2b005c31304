//! A mirror's folder: its site log, and the logs that it enrols.

use std::path::{Path, PathBuf};

use crate::{
    bundle::split_leaves,
    checkpoint::Checkpoint,
    hash::{Frontier, leaf_hash, sha256},
    nodes::{NodeError, read_tile},
    note::{NOTE_BYTES_MAX, VerifierKey},
    siteleaf::{Enrolled, Role, RoundLine, SITE_LEAF_BYTES_MAX, SITE_PREFIX, SiteBody, SiteLeaf},
    tile::{Level, TILE_WIDTH, Tile},
    tree::Tree,
};

/// The longest bundle of a site log.
const BUNDLE_BYTES_MAX: u64 = TILE_WIDTH * (2 + SITE_LEAF_BYTES_MAX as u64);

/// Why a mirror's folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// A file is not there or cannot be read.
    #[error("cannot read `{}`", .0.display())]
    Unreadable(PathBuf),
    /// A checkpoint is not what the key signed.
    #[error("the checkpoint of `{}` is refused: {why}", .origin.escape_debug())]
    Checkpoint {
        /// The log.
        origin: String,
        /// What is wrong.
        why: String,
    },
    /// The entries are not those of the checkpoint.
    #[error("the entries of `{}` do not lead to the signed root", .0.escape_debug())]
    Root(String),
    /// A leaf of the site log is refused.
    #[error("entry `{index}` of the site log is refused: {why}")]
    Leaf {
        /// Its place.
        index: u64,
        /// What is wrong.
        why: String,
    },
    /// The site log enrols no such log.
    #[error("the site log enrols no gateway `{}`", .0.escape_debug())]
    NotEnrolled(String),
    /// No round of the site log counts the entry.
    #[error("no round of the site log counts entry `{index}` of `{}`", .origin.escape_debug())]
    NotCounted {
        /// The log.
        origin: String,
        /// The entry.
        index: u64,
    },
    /// A tile of the tree is not there or no good.
    #[error("a file of the tree is missing or no good: {0}")]
    Tile(String),
    /// A day map could not be built for want of something that is not the site's fault.
    #[error("a day map cannot be built: {0}")]
    Build(String),
}

impl From<NodeError> for FolderError {
    fn from(error: NodeError) -> Self {
        Self::Tile(error.to_string())
    }
}

/// A log of a mirror's folder under its checkpoint.
pub(crate) struct MirroredLog {
    pub(crate) tree: Tree,
    pub(crate) checkpoint: Checkpoint,
    /// The whole note, with all signatures.
    pub(crate) note: Vec<u8>,
}

impl MirroredLog {
    /// Opens the log of this origin, which is the name of its key.
    pub(crate) fn open(folder: &Path, key: &VerifierKey) -> Result<Self, FolderError> {
        let tree = Tree::new(folder);
        let mut note = Vec::new();
        let path = || tree.path("checkpoint");
        tree.read("checkpoint", NOTE_BYTES_MAX, &mut note).map_err(|_| FolderError::Unreadable(path()))?;
        let refused = |why: String| FolderError::Checkpoint { origin: key.name().to_owned(), why };
        let checkpoint = Checkpoint::open(&note, key).map_err(|error| refused(error.to_string()))?;
        if checkpoint.origin != key.name() {
            return Err(refused("its origin is not the name of the key".into()));
        }
        Ok(Self { tree, checkpoint, note })
    }

    /// Shows every leaf, ascending, and checks at the end that they are those of the checkpoint; so nothing
    /// that `visit` saw is to be used before this has returned.
    pub(crate) fn each<E: From<FolderError>>(
        &self,
        bundle_bytes_max: u64,
        leaf_bytes_max: usize,
        mut visit: impl FnMut(u64, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let (size, origin) = (self.checkpoint.size, &self.checkpoint.origin);
        let (mut frontier, mut buffer, mut scratch) = (Frontier::default(), Vec::new(), Vec::new());
        for bundle in 0..size.div_ceil(TILE_WIDTH) {
            let first = bundle * TILE_WIDTH;
            let tile = Tile { level: Level::Entries, index: bundle, width: (size - first).min(TILE_WIDTH) };
            let width =
                read_tile(&self.tree, &tile, bundle_bytes_max, &mut buffer).map_err(FolderError::from)?;
            let leaves = split_leaves(&buffer, width, leaf_bytes_max);
            let leaves = leaves.map_err(|why| FolderError::Tile(format!("`{tile}`: {why}")))?;
            for (index, leaf) in (first..size).zip(leaves) {
                visit(index, leaf)?;
                frontier.push(0, leaf_hash(leaf, &mut scratch));
            }
        }
        if frontier.root() == self.checkpoint.root {
            return Ok(());
        }
        Err(FolderError::Root(origin.clone()).into())
    }

    /// The bytes of one leaf.
    pub(crate) fn leaf(&self, index: u64, longest: usize) -> Result<Vec<u8>, FolderError> {
        let limit = TILE_WIDTH * (2 + longest as u64);
        let (bundle, place) = (index / TILE_WIDTH, index % TILE_WIDTH);
        let tile = Tile { level: Level::Entries, index: bundle, width: place + 1 };
        let mut buffer = Vec::new();
        let width = read_tile(&self.tree, &tile, limit, &mut buffer)?;
        let leaves = split_leaves(&buffer, width, longest).map_err(FolderError::Tile)?;
        let leaf = usize::try_from(place).ok().and_then(|place| leaves.get(place));
        leaf.map(|leaf| leaf.to_vec()).ok_or_else(|| FolderError::Tile(tile.to_string()))
    }
}

/// A site as a mirror holds it.
pub(crate) struct Site {
    folder: PathBuf,
    pub(crate) log: MirroredLog,
}

impl Site {
    pub(crate) fn open(folder: &Path, key: &VerifierKey) -> Result<Self, FolderError> {
        let log = MirroredLog::open(&folder.join(SITE_PREFIX), key)?;
        Ok(Self { folder: folder.to_owned(), log })
    }

    /// Shows every entry of the site log, and checks that they are those of the checkpoint.
    pub(crate) fn each(
        &self,
        mut visit: impl FnMut(SiteLeaf) -> Result<(), FolderError>,
    ) -> Result<(), FolderError> {
        let id = sha256(self.log.checkpoint.origin.as_bytes());
        self.log.each(BUNDLE_BYTES_MAX, SITE_LEAF_BYTES_MAX, |index, leaf| {
            let refused = |why: String| FolderError::Leaf { index, why };
            let leaf = SiteLeaf::parse(leaf).map_err(|error| refused(error.to_string()))?;
            if leaf.sequence != index || id.first_chunk() != Some(&leaf.log) {
                return Err(refused("it is of another log or place".into()));
            }
            visit(leaf)
        })
    }

    /// The tree of an enrolled log, under the key of its enrolment.
    pub(crate) fn open_log(&self, enrolled: &Enrolled) -> Result<MirroredLog, FolderError> {
        let refused =
            |why: &str| FolderError::Checkpoint { origin: enrolled.origin.clone(), why: why.to_owned() };
        let key = VerifierKey::parse(&enrolled.vkey).map_err(|_| refused("its key is not usable"))?;
        if key.name() != enrolled.origin {
            return Err(refused("its key is of another name"));
        }
        MirroredLog::open(&self.folder_of(enrolled), &key)
    }

    pub(crate) fn folder_of(&self, enrolled: &Enrolled) -> PathBuf {
        self.folder.join(&enrolled.prefix)
    }

    /// What the whole log says now.
    pub(crate) fn state(&self) -> Result<State, FolderError> {
        let mut state = State::default();
        self.each(|leaf| {
            state.take(leaf);
            Ok(())
        })?;
        Ok(state)
    }
}

/// What stands at the end of a site log.
#[derive(Default)]
pub(crate) struct State {
    /// The logs of the newest enrolment that are not retired, ascending by origin.
    pub(crate) enrolled: Vec<Enrolled>,
    /// The logs that were retired.
    pub(crate) retired: Vec<Enrolled>,
    /// The index of the newest round, and its lines.
    pub(crate) round: Option<(u64, Vec<RoundLine>)>,
    /// Where the newest enrolment stands.
    pub(crate) enrolment: u64,
}

impl State {
    pub(crate) fn take(&mut self, leaf: SiteLeaf) {
        match leaf.body {
            SiteBody::Enrolment(logs) => {
                self.enrolled = logs;
                self.enrolment = leaf.sequence;
            }
            SiteBody::Retirement(line) => {
                let gone = |log: &mut Enrolled| log.origin == line.origin;
                self.retired.extend(self.enrolled.extract_if(.., gone));
            }
            SiteBody::Round(lines) => self.round = Some((leaf.sequence, lines)),
            _ => {}
        }
    }

    pub(crate) fn gateway(&self, origin: &str) -> Result<&Enrolled, FolderError> {
        let mut gateways = self.enrolled.iter().filter(|log| log.role == Role::Gateway);
        gateways.find(|log| log.origin == origin).ok_or_else(|| FolderError::NotEnrolled(origin.to_owned()))
    }

    /// The line of a log in the newest round.
    pub(crate) fn line(&self, origin: &str) -> Option<(u64, &RoundLine)> {
        let (index, lines) = self.round.as_ref()?;
        lines.iter().find(|line| line.origin == origin).map(|line| (*index, line))
    }
}
