//! Following one log: what its checkpoint counts is fetched, checked, and made durable.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, VecDeque},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use tokio::{
    sync::{Mutex as AsyncMutex, OwnedMutexGuard},
    task::{JoinError, JoinSet, spawn_blocking},
};

use super::{
    evidence::Evidence,
    extras::{self, ExtraError, Signers},
    store::{Growth, Head, Store, StoreError},
    structure::{Kind, Needs, Structure},
};
use crate::{
    bundle::{cut, split_leaves},
    checkpoint::{Checkpoint, CheckpointError},
    fetch::{FetchError, Fetcher},
    nodes::{NodeError, Nodes},
    note::{NOTE_BYTES_MAX, VerifierKey},
    siteleaf::RoundLine,
    tile::{Level, TILE_WIDTH, Tile},
    tree::Tree,
};

/// Bundles that are checked in one go.
const BATCH: usize = 16;
/// Tag lists that are fetched at the same time.
const LISTS_AT_ONCE: usize = 16;

/// A log that the mirror follows.
pub(crate) struct Followed {
    pub(crate) origin: String,
    pub(crate) prefix: String,
    pub(crate) kind: Kind,
    pub(crate) folder: PathBuf,
    temporary: PathBuf,
    fetcher: Arc<Fetcher>,
    signers: Arc<Signers>,
    evidence: Arc<Evidence>,
    store: Arc<AsyncMutex<Store>>,
    view: Mutex<View>,
}

/// What is known of a log without waiting for it.
struct View {
    key: VerifierKey,
    head: Head,
    /// When the newest checkpoint was fetched and all that it counts was held.
    fetched: Option<Instant>,
    /// Why the last try failed, and whether it can be anything but a lie.
    failure: Option<Failure>,
    /// The newest round of a site log, and when it came.
    round: Option<(Vec<RoundLine>, Instant)>,
}

/// Why a log could not be followed.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) text: String,
    /// What was served cannot be true, and waiting does not mend it.
    pub(crate) is_lie: bool,
}

/// What the logs of one site have in common.
pub(crate) struct Surroundings {
    /// Where the trees of the site lie.
    pub(crate) folder: PathBuf,
    pub(crate) temporary: PathBuf,
    pub(crate) fetcher: Arc<Fetcher>,
    pub(crate) signers: Arc<Signers>,
    pub(crate) evidence: Arc<Evidence>,
}

/// How far to follow.
pub(crate) enum Target {
    /// To the checkpoint that the log publishes now.
    Newest,
    /// To this one, which the log has signed.
    This(Checkpoint, Vec<u8>),
}

/// Why a log could not be followed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FollowError {
    #[error("cannot fetch `{path}`: {error}")]
    Fetch { path: String, error: FetchError },
    #[error("the checkpoint is refused: {0}")]
    Checkpoint(#[from] CheckpointError),
    #[error("the checkpoint is of another log")]
    Origin,
    #[error("an old checkpoint of {offered} entries is offered, and {held} are held")]
    Old { offered: u64, held: u64 },
    #[error("the log has signed two trees of {0} entries")]
    Fork(u64),
    #[error(transparent)]
    Extra(#[from] ExtraError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Node(#[from] NodeError),
    #[error("a part of the mirror stopped")]
    Stopped,
}

impl From<JoinError> for FollowError {
    fn from(_: JoinError) -> Self {
        Self::Stopped
    }
}

impl FollowError {
    /// Whether what was served contradicts what was signed.
    fn is_lie(&self) -> bool {
        use StoreError::{Bundle, Changed, Root};
        match self {
            Self::Checkpoint(_) | Self::Origin | Self::Fork(_) => true,
            Self::Store(error) => matches!(error, Bundle { .. } | Changed(_) | Root(_)),
            Self::Extra(error) => !matches!(error, ExtraError::Io(_)),
            Self::Fetch { .. } | Self::Old { .. } | Self::Node(_) | Self::Stopped => false,
        }
    }
}

type Result<T> = std::result::Result<T, FollowError>;

impl Followed {
    /// Opens the tree of a log. It reads and writes the disk.
    pub(crate) fn open(
        around: &Surroundings,
        origin: &str,
        prefix: &str,
        kind: Kind,
        key: VerifierKey,
    ) -> Result<Self> {
        let folder = around.folder.join(prefix);
        let store = Store::open(&folder, &around.temporary)?;
        let head = store.head();
        Ok(Self {
            origin: origin.to_owned(),
            prefix: prefix.to_owned(),
            kind,
            folder,
            temporary: around.temporary.clone(),
            fetcher: Arc::clone(&around.fetcher),
            signers: Arc::clone(&around.signers),
            evidence: Arc::clone(&around.evidence),
            store: Arc::new(AsyncMutex::new(store)),
            view: Mutex::new(View { key, head, fetched: None, failure: None, round: None }),
        })
    }

    pub(crate) fn head(&self) -> Head {
        self.view(|view| view.head)
    }

    pub(crate) fn key(&self) -> VerifierKey {
        self.view(|view| view.key.clone())
    }

    pub(crate) fn set_key(&self, key: VerifierKey) {
        self.view(|view| view.key = key);
    }

    /// The newest round, if this is a site log, and when it came.
    pub(crate) fn round(&self) -> Option<(Vec<RoundLine>, Instant)> {
        self.view(|view| view.round.clone())
    }

    /// When it was last followed to its newest checkpoint, and why it cannot be now.
    pub(crate) fn contact(&self) -> (Option<Instant>, Option<Failure>) {
        self.view(|view| (view.fetched, view.failure.clone()))
    }

    /// What is wrong with it for good.
    pub(crate) fn problems(&self) -> Vec<String> {
        self.evidence.of(&self.origin)
    }

    /// Keeps a problem for good.
    pub(crate) fn problem(&self, text: &str) -> Result<()> {
        Ok(self.evidence.problem(&self.origin, text).map_err(StoreError::Io)?)
    }

    fn view<T>(&self, read: impl FnOnce(&mut View) -> T) -> T {
        read(&mut self.view.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The root of the held tree at an earlier size. It reads the disk.
    pub(crate) fn root_at(&self, size: u64) -> Result<crate::hash::Hash> {
        let head = self.head();
        if size == head.size {
            return Ok(head.root);
        }
        Ok(Nodes::new(&Tree::new(&self.folder)).root_at(size)?)
    }

    /// Follows the log to a target, and notes whether that was possible.
    pub(crate) async fn pull(&self, target: Target) -> Result<()> {
        let newest = matches!(target, Target::Newest);
        let result = self.try_pull(target).await;
        self.view(|view| match &result {
            Ok(()) => {
                if newest {
                    view.fetched = Some(Instant::now());
                }
                view.failure = None;
            }
            Err(error) => view.failure = Some(Failure { text: error.to_string(), is_lie: error.is_lie() }),
        });
        result
    }

    async fn try_pull(&self, target: Target) -> Result<()> {
        // Waiting for the lock is waiting for another pull, which may bring what this one would.
        let mut store = Arc::clone(&self.store).lock_owned().await;
        let newest = matches!(target, Target::Newest);
        let (checkpoint, note) = match target {
            Target::This(checkpoint, note) => (checkpoint, note),
            Target::Newest => self.newest().await?,
        };
        let head = store.head();
        match checkpoint.size.cmp(&head.size) {
            Ordering::Greater => self.grow(store, checkpoint, note).await,
            Ordering::Equal if checkpoint.root == head.root => {
                if newest && note != store.checkpoint() {
                    return spawn_blocking(move || Ok(store.renote(&note)?)).await?;
                }
                Ok(())
            }
            Ordering::Equal => self.fork(&store, checkpoint.size, &note),
            Ordering::Less => {
                let folder = self.folder.clone();
                let size = checkpoint.size;
                let root = spawn_blocking(move || Nodes::new(&Tree::new(&folder)).root_at(size)).await??;
                if root != checkpoint.root {
                    return self.fork(&store, size, &note);
                }
                if newest { Err(FollowError::Old { offered: size, held: head.size }) } else { Ok(()) }
            }
        }
    }

    async fn newest(&self) -> Result<(Checkpoint, Vec<u8>)> {
        let note = self.fetch("checkpoint", NOTE_BYTES_MAX as usize).await?;
        let checkpoint = Checkpoint::open(&note, &self.key())?;
        if checkpoint.origin != self.origin {
            return Err(FollowError::Origin);
        }
        Ok((checkpoint, note))
    }

    /// Keeps both notes: they prove to everybody that the log's key has signed two histories.
    fn fork(&self, store: &Store, size: u64, note: &[u8]) -> Result<()> {
        self.evidence.keep("fork", note).map_err(StoreError::Io)?;
        self.evidence.keep("held", store.checkpoint()).map_err(StoreError::Io)?;
        self.problem(&format!("it has signed another tree of {size} entries than the one that is held"))?;
        Err(FollowError::Fork(size))
    }

    async fn fetch(&self, path: &str, limit: usize) -> Result<Vec<u8>> {
        let path = format!("{}/{path}", self.prefix);
        let result = self.fetcher.get(&path, limit).await;
        result.map_err(|error| FollowError::Fetch { path, error })
    }

    async fn grow(&self, store: OwnedMutexGuard<Store>, target: Checkpoint, note: Vec<u8>) -> Result<()> {
        let (kind, origin, size) = (self.kind, self.origin.clone(), target.size);
        let first = store.head().size;
        let (mut store, mut intake) = spawn_blocking(move || {
            let last = store.last_leaf()?;
            let structure = Structure::new(kind, &origin, last.as_deref());
            let intake = Intake { growth: store.begin(), structure, kind, next: first };
            Ok::<_, FollowError>((store, intake))
        })
        .await??;
        let mut bundles = Bundles::new(self, first, size);
        loop {
            let batch = bundles.batch().await?;
            if batch.is_empty() {
                break;
            }
            intake = spawn_blocking(move || intake.take(batch)).await??;
            let needs = std::mem::take(&mut intake.structure.needs);
            self.fetch_extras(needs, &mut intake.growth).await?;
        }
        let Intake { growth, structure, .. } = intake;
        let head = Head { size: target.size, root: target.root };
        growth.leads_to(&target)?;
        // Before the entries count: after a crash between the two they are read again, and after one behind
        // both they are not.
        for problem in &structure.problems {
            self.problem(problem)?;
        }
        spawn_blocking(move || store.commit(growth, &target, &note)).await??;
        self.view(|view| {
            view.head = head;
            if let Some(round) = structure.round {
                view.round = Some((round, Instant::now()));
            }
        });
        Ok(())
    }

    /// Fetches the tag lists and rulebooks that entries name and that are not held. Without them the entries
    /// do not count as held.
    async fn fetch_extras(&self, needs: Needs, growth: &mut Growth) -> Result<()> {
        let mut tasks = JoinSet::new();
        for (root, count) in needs.lists {
            let place = extras::list_path(&self.folder, &root);
            if extras::list_is_held(&place, count)? {
                continue;
            }
            if tasks.len() >= LISTS_AT_ONCE
                && let Some(done) = tasks.join_next().await
            {
                growth.wrote(done??);
            }
            let (fetcher, temporary) = (Arc::clone(&self.fetcher), self.temporary.clone());
            let path = format!("{}/{}", self.prefix, extras::list_name(&root));
            let limit = extras::list_bytes(count)?;
            tasks.spawn(async move {
                let bytes = fetcher.get(&path, limit).await;
                let bytes = bytes.map_err(|error| FollowError::Fetch { path, error })?;
                extras::keep_list(&temporary, &place, &root, count, &bytes)?;
                Ok::<_, FollowError>(place)
            });
        }
        while let Some(done) = tasks.join_next().await {
            growth.wrote(done??);
        }
        for digest in needs.rulebooks {
            let fetch = |name: String, limit: usize| async move { self.fetch(&name, limit).await };
            if !extras::rulebook_is_held(&self.folder, &digest) {
                extras::fetch_rulebook(&self.folder, &self.temporary, &digest, &self.signers, fetch).await?;
            }
        }
        Ok(())
    }
}

/// What is on its way into the tree.
struct Intake {
    growth: Growth,
    structure: Structure,
    kind: Kind,
    /// Index of the next entry that is new.
    next: u64,
}

impl Intake {
    fn take(mut self, batch: Vec<(Tile, Vec<u8>)>) -> Result<Self> {
        for (tile, bytes) in batch {
            let leaves = split_leaves(&bytes, tile.width, self.kind.leaf_bytes_max())
                .map_err(|why| StoreError::Bundle { index: tile.index, why })?;
            self.growth.bundle(tile.index, &bytes, &leaves)?;
            let first = tile.index * TILE_WIDTH;
            for (index, leaf) in (first..).zip(&leaves).filter(|(index, _)| *index >= self.next) {
                self.structure.entry(index, leaf);
            }
            self.next = first + tile.width;
        }
        Ok(self)
    }
}

/// Bundles in their order, fetched ahead.
struct Bundles<'f> {
    followed: &'f Followed,
    size: u64,
    next: u64,
    end: u64,
    tasks: JoinSet<Result<(Tile, Vec<u8>)>>,
    asked: VecDeque<u64>,
    arrived: BTreeMap<u64, (Tile, Vec<u8>)>,
}

impl<'f> Bundles<'f> {
    fn new(followed: &'f Followed, held: u64, size: u64) -> Self {
        Self {
            followed,
            size,
            next: held / TILE_WIDTH,
            end: size.div_ceil(TILE_WIDTH),
            tasks: JoinSet::new(),
            asked: VecDeque::new(),
            arrived: BTreeMap::new(),
        }
    }

    /// The next bundles; none at the end.
    async fn batch(&mut self) -> Result<Vec<(Tile, Vec<u8>)>> {
        let mut batch = Vec::new();
        loop {
            self.ask();
            while batch.len() < BATCH
                && let Some(bundle) = self.asked.front().and_then(|index| self.arrived.remove(index))
            {
                self.asked.pop_front();
                batch.push(bundle);
            }
            if batch.len() >= BATCH || self.asked.is_empty() {
                // What is checked next is fetched meanwhile.
                self.ask();
                return Ok(batch);
            }
            let Some(done) = self.tasks.join_next().await else { return Err(FollowError::Stopped) };
            let (tile, bytes) = done??;
            self.arrived.insert(tile.index, (tile, bytes));
        }
    }

    fn ask(&mut self) {
        while self.asked.len() < self.followed.kind.window() && self.next < self.end {
            let index = self.next;
            let width = (self.size - index * TILE_WIDTH).min(TILE_WIDTH);
            let tile = Tile { level: Level::Entries, index, width };
            let fetcher = Arc::clone(&self.followed.fetcher);
            let (prefix, leaf) = (self.followed.prefix.clone(), self.followed.kind.leaf_bytes_max());
            self.tasks.spawn(async move { bundle(&fetcher, &prefix, tile, leaf).await });
            self.asked.push_back(index);
            self.next += 1;
        }
    }
}

/// Fetches one bundle. A log that grew meanwhile may have only the full one.
async fn bundle(fetcher: &Fetcher, prefix: &str, tile: Tile, leaf: usize) -> Result<(Tile, Vec<u8>)> {
    let get = async |tile: &Tile| {
        let path = format!("{prefix}/{tile}");
        let limit = usize::try_from(tile.width).unwrap_or(usize::MAX).saturating_mul(2 + leaf);
        fetcher.get(&path, limit).await.map_err(|error| FollowError::Fetch { path, error })
    };
    match get(&tile).await {
        Err(FollowError::Fetch { error: FetchError::Missing, .. }) if tile.width < TILE_WIDTH => {
            let mut bytes = get(&Tile { width: TILE_WIDTH, ..tile }).await?;
            cut(&tile, &mut bytes)
                .map_err(|_| StoreError::Bundle { index: tile.index, why: "it is too short".into() })?;
            Ok((tile, bytes))
        }
        result => Ok((tile, result?)),
    }
}
