//! Looks at all nodes, over and over. What takes long is looked at beside what must be seen at once.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::declared::{Declared, Node};
use super::postgres::Looking;
use super::replicas::Replica;
use super::{Fact, Finding, Seen, Why, around};
use crate::connect::{Server, Web};
use crate::error::ResidencyError;

/// Rounds that wait to be taken.
const WAITING: usize = 16;

/// What is wrong at a node now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Round {
    /// The node.
    pub node: String,
    /// Whether its databases and surroundings were looked at by now: before that, nothing of theirs is missed.
    pub is_whole: bool,
    /// All that is wrong.
    pub findings: BTreeSet<Finding>,
}

type Slow = Arc<Mutex<Option<Seen>>>;

/// Watches until `told` says that it is enough. A node's rounds come at least as often as its server answers or its
/// patience ends.
///
/// # Errors
/// When a node cannot even be begun with: a file of its is not there, or its address is none.
pub async fn watch(
    path: &Path,
    declared: &Declared,
    mut told: impl FnMut(Round) -> ControlFlow<()>,
) -> Result<(), ResidencyError> {
    let (sender, mut receiver) = mpsc::channel(WAITING);
    // They end with this value.
    let mut tasks = JoinSet::new();
    for node in &declared.nodes {
        let (server, web) = reached(path, declared, node)?;
        let slow = Slow::default();
        let poll = Duration::from_millis(declared.poll_ms);
        let every = poll.saturating_mul(declared.databases_every);
        tasks.spawn(slowly(node.clone(), server.clone(), web, Arc::clone(&slow), every));
        tasks.spawn(quickly(node.clone(), server, slow, poll, sender.clone()));
    }
    drop(sender);
    while let Some(round) = receiver.recv().await {
        if told(round).is_break() {
            break;
        }
    }
    Ok(())
}

fn reached(path: &Path, declared: &Declared, node: &Node) -> Result<(Server, Web), ResidencyError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    node.server(folder, declared.patience())
        .map_err(|why| ResidencyError::Declared { path: path.to_owned(), why })
}

async fn quickly(node: Node, server: Server, slow: Slow, poll: Duration, rounds: mpsc::Sender<Round>) {
    let mut looking = Looking::new(server);
    let mut ticks = tokio::time::interval(poll);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let mut seen = looking.server().await;
        let known = slow.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let is_whole = known.is_some();
        seen.merge(known.unwrap_or_default());
        let mut findings = seen.findings(&node);
        findings.retain(|f| is_whole || f.why != Why::Missing);
        if rounds.send(Round { node: node.name.clone(), is_whole, findings }).await.is_err() {
            return;
        }
    }
}

async fn slowly(node: Node, server: Server, web: Web, slow: Slow, every: Duration) {
    let looking = Looking::new(server);
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let seen = beside(&node, &looking, &web).await;
        *slow.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
    }
}

async fn beside(node: &Node, looking: &Looking, web: &Web) -> Seen {
    let mut seen = looking.databases().await;
    let folder = looking.data_directory().await;
    seen.merge(around::look(node, web, folder.as_deref()).await);
    seen
}

/// Looks once at each node of a file, and declares everything that is there: a beginning, to be reviewed line by line.
/// What could not be seen is returned besides.
///
/// # Errors
/// When a node cannot even be begun with.
pub async fn declare(path: &Path, declared: &Declared) -> Result<(Declared, Vec<Finding>), ResidencyError> {
    let (mut found, mut blind) = (declared.clone(), Vec::new());
    for node in &mut found.nodes {
        let (server, web) = reached(path, declared, node)?;
        let mut looking = Looking::new(server);
        let mut seen = looking.server().await;
        seen.merge(beside(node, &looking, &web).await);
        let finding = |fact: Fact| Finding { node: node.name.clone(), fact, why: Why::Blind };
        blind.extend(seen.blind.iter().cloned().map(finding));
        node.facts = BTreeMap::new();
        for fact in seen.facts {
            node.facts.entry(fact.kind).or_default().push(fact.text);
        }
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        node.replicas = seen
            .walsenders
            .into_iter()
            .map(|w| Replica {
                certificate: some(&w.certificate),
                slot: some(&w.slot),
                name: w.name,
                role: w.role,
                address: w.address,
                purpose: w.purpose,
                reason: "to be reviewed".to_owned(),
            })
            .collect();
    }
    Ok((found, blind))
}

impl Looking {
    async fn data_directory(&self) -> Option<PathBuf> {
        let rows = self.ask("show data_directory").await?;
        rows.into_iter().next()?.into_iter().next().map(PathBuf::from)
    }
}
