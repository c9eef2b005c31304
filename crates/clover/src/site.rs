//! What a site does besides serving: its own log, which each second records the checkpoints of all logs, the
//! quorum of witnesses that signs it, the border that opens and closes by that, and the maps of the days.
//!
//! Formats: `docs/formats/site-log.md`, `witness.md`, `day-map.md`, `override.md`. Start reading at [`Site::open`].

pub mod border;
pub mod days;
pub mod dryrun;
pub mod history;
pub mod mirror;
pub mod orders;
pub mod orphans;
mod reconcile;
mod retention;
pub mod rules;
mod running;
pub mod samples;
mod spool;
pub mod witness;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use data_encoding::HEXLOWER;
use gateway::Enclave;
use gateway::enclave;
use ledger::merkle::{self, TreeHead};
use ledger::policy::Policy;
use ledger::site::{self, Enrolled, LogState, Role, SiteEntry};
use ledger::{Entry, Receipt, Submission};
use model::{Digest, Name, Tag, UnixSeconds};
use vault::Log;
use vault::disk::replace_file;

use crate::assemble;
use crate::config::Config;
use crate::error::CommandError;
use crate::layout::Layout;
pub use reconcile::reconcile;
pub use running::Running;

use border::Keeper;
use days::Days;

/// How often a round is due.
const ROUND: Duration = Duration::from_secs(1);
/// How far times in a log may go back, in seconds.
const BACK: u64 = 300;
/// URL prefix of the site's own log.
pub const PREFIX: &str = "site";

/// One of the site's logs.
pub struct Member {
    /// As it is enrolled.
    pub enrolled: Enrolled,
    /// The log itself.
    pub log: Arc<Log>,
}

/// The logs of a site but its own, ascending by origin.
fn list(layout: &Layout, config: &Config, programme: &Name) -> Result<Vec<Enrolled>> {
    let vkey = |name| assemble::verifier(layout, name).map(|v| v.to_vkey());
    let gateway = Enrolled {
        origin: assemble::origin(programme, config),
        vkey: vkey("log")?,
        role: Role::Gateway,
        prefix: config.gateway.to_string(),
    };
    let keys = Enrolled {
        origin: keys_origin(programme, config),
        vkey: vkey("keys")?,
        role: Role::KeyService,
        prefix: "keys".to_owned(),
    };
    let mut all = vec![gateway, keys];
    all.sort();
    Ok(all)
}

/// Makes an entry of a site's own log durable. Blocks.
fn append(log: &Log, entry: &SiteEntry) -> Result<Receipt> {
    Ok(log.submit_and_wait(Submission::leaf(entry.encode(enclave::now().0)?))?)
}

/// Says which logs there are and which rulebook is in force from here on: at each activation and each start.
fn enrol(log: &Log, logs: Vec<Enrolled>, rulebook: Digest) -> Result<()> {
    let _ = append(log, &SiteEntry::Enrolment { logs })?;
    let _ = append(log, &SiteEntry::Activation { rulebook })?;
    Ok(())
}

/// Records at a site that does not run that a rulebook is in force from here on.
///
/// # Errors
/// When the site log cannot be written.
pub fn activate(
    layout: &Layout,
    config: &Config,
    programme: &Name,
    rulebook: Digest,
    log: &Log,
) -> Result<()> {
    enrol(log, list(layout, config, programme)?, rulebook)
}

/// A site's own log and what goes with it.
pub struct Site {
    /// Its origin.
    pub origin: String,
    /// The log.
    pub log: Arc<Log>,
    /// All others, ascending by origin.
    pub members: Vec<Member>,
    /// Who must have signed.
    pub policy: Policy,
    /// The border.
    pub keeper: Arc<Keeper>,
    /// Whom to trust when a witness is asked over TLS.
    witness_ca: PathBuf,
    days: Mutex<Days>,
    cosigned: Mutex<Option<String>>,
    layout: Layout,
}

/// The origin of a site's own log.
#[must_use]
pub fn origin(programme: &Name, config: &Config) -> String {
    format!("site.{programme}/{}", config.site)
}

/// The origin of the log of a site's key service.
#[must_use]
pub fn keys_origin(programme: &Name, config: &Config) -> String {
    format!("keys.{programme}/{}", config.site)
}

/// Reads the policy of witnesses. One that asks for nobody is refused: there is no fail-open switch.
///
/// # Errors
/// When it cannot be read, or demands no cosignature.
pub fn policy(layout: &Layout) -> Result<Policy> {
    let path = layout.policy();
    let text = std::fs::read_to_string(&path).map_err(CommandError::file(&path))?;
    let policy =
        Policy::parse(&text).map_err(|e| CommandError::Policy { path: path.clone(), why: e.to_string() })?;
    if policy.is_unwitnessed() {
        return Err(CommandError::Policy { path, why: "it demands no cosignature".to_owned() }.into());
    }
    for w in policy.witnesses() {
        if let Some(Err(e)) = w.url().map(witness::allowed) {
            let why = format!("the witness `{}` cannot be asked: {e}", w.name());
            return Err(CommandError::Policy { path, why }.into());
        }
    }
    Ok(policy)
}

impl Site {
    /// Puts the site's log and the enclave's together.
    ///
    /// # Errors
    /// Anything in doubt.
    pub fn open(
        layout: &Layout,
        config: &Config,
        enclave: &Enclave,
        keeper: Arc<Keeper>,
        log: Arc<Log>,
    ) -> Result<Arc<Self>> {
        let live = enclave.live();
        let programme = &live.road.rulebook().programme.name;
        let members: Vec<Member> = list(layout, config, programme)?
            .into_iter()
            .map(|enrolled| {
                let log = match enrolled.role {
                    Role::Gateway => enclave.log_handle(),
                    Role::KeyService => enclave.key_log_handle(),
                };
                Member { enrolled, log }
            })
            .collect();
        let days = Days::open(&layout.days(), &log)?;
        let site = Self {
            origin: origin(programme, config),
            log,
            members,
            policy: policy(layout)?,
            keeper,
            witness_ca: config
                .witness_ca
                .as_ref()
                .map_or_else(|| layout.tls().join("ca.pem"), |f| layout.file(f)),
            days: Mutex::new(days),
            cosigned: Mutex::default(),
            layout: layout.clone(),
        };
        Ok(Arc::new(site))
    }

    /// Makes an entry durable. Blocks.
    ///
    /// # Errors
    /// When the log cannot be written.
    pub fn record(&self, entry: &SiteEntry) -> Result<Receipt> {
        append(&self.log, entry)
    }

    /// Says which logs there are and which rulebook is in force, at each start.
    ///
    /// # Errors
    /// When the log cannot be written.
    pub fn enrol(&self, rulebook: Digest) -> Result<()> {
        enrol(&self.log, self.members.iter().map(|m| m.enrolled.clone()).collect(), rulebook)
    }

    /// Records the published checkpoints of all logs.
    ///
    /// # Errors
    /// When a log cannot be read or this one not written.
    pub fn round(&self) -> Result<()> {
        let mut logs = Vec::new();
        for m in &self.members {
            let head = m.log.head()?.head;
            logs.push(LogState { origin: m.enrolled.origin.clone(), size: head.size, root: head.root });
        }
        let receipt = self.record(&SiteEntry::Round { logs })?;
        self.keeper.committed(receipt.index() + 1);
        Ok(())
    }

    /// The newest checkpoint that the quorum signed since the start.
    #[must_use]
    pub fn cosigned(&self) -> Option<String> {
        self.cosigned.lock().ok()?.clone()
    }

    fn keep(&self, note: String) {
        // A person's history begins with it; nothing is decided from it.
        if replace_file(&self.layout.site().join("cosigned"), note.as_bytes()).is_err() {
            tracing::warn!("the cosigned checkpoint was not written beside the site log");
        }
        if let Ok(mut cosigned) = self.cosigned.lock() {
            *cosigned = Some(note);
        }
    }

    /// What the status shows.
    #[must_use]
    pub fn shown(&self) -> console::api::Witnessing {
        let names = self.policy.witnesses().iter().map(|w| w.name());
        console::api::Witnessing {
            state: match self.keeper.now() {
                crossing::Border::Green => "green",
                crossing::Border::Amber => "amber",
                crossing::Border::Lifted => "lifted",
                crossing::Border::Red => "red",
            },
            age: self.keeper.age(),
            independent: names.clone().any(|name| name != mirror::NAME),
            witnesses: names.map(str::to_owned).collect(),
        }
    }

    /// The maps of the days.
    fn days(&self) -> Result<MutexGuard<'_, Days>> {
        self.days.lock().map_err(|_| anyhow::anyhow!("the lock of the day maps is poisoned"))
    }

    /// Rounds until told to stop.
    pub async fn rounds(self: Arc<Self>, stop: tokio::sync::watch::Receiver<bool>) {
        let round = |site: &Self| site.round().and_then(|()| border::take_order(site));
        self.each_second(stop, "the site log has no round for this second", round).await;
    }

    /// Day maps as they become due, until told to stop. Apart from the rounds, which do not wait for a large map.
    pub async fn maps(self: Arc<Self>, stop: tokio::sync::watch::Receiver<bool>) {
        self.each_second(stop, "a day map that is due was not recorded", days::when_due).await;
    }

    /// Runs something each second, where it may wait for the disk.
    async fn each_second(
        self: Arc<Self>,
        mut stop: tokio::sync::watch::Receiver<bool>,
        otherwise: &'static str,
        run: impl Fn(&Self) -> Result<()> + Copy + Send + 'static,
    ) {
        let mut tick = tokio::time::interval(ROUND);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                _ = stop.changed() => return,
            }
            let site = Arc::clone(&self);
            match tokio::task::spawn_blocking(move || run(&site)).await {
                Ok(Ok(())) => {}
                Ok(Err(e)) => tracing::error!(error = %e, "{otherwise}"),
                Err(_) => tracing::error!("a thread of the site log panicked"),
            }
        }
    }
}

/// The newest round among the first `size` entries of a site log; empty if there is none.
fn newest_round(log: &Log, size: u64) -> Result<Vec<LogState>> {
    // A round is due each second, and little else is recorded: it is among the last.
    let mut last = Vec::new();
    for leaf in log.entries(size.saturating_sub(256)..size)? {
        if let SiteEntry::Round { logs } = site::decode(&leaf?)?.entry {
            last = logs;
        }
    }
    Ok(last)
}

fn time_of(log: &Log, index: u64) -> Result<UnixSeconds> {
    Ok(Entry::decode(&log.entry(index)?)?.draft.time)
}

/// An index among the first `size` entries before which none is of this time or later. Times go back a little, so it
/// looks that much earlier.
fn first_at(log: &Log, time: u64, size: u64) -> Result<u64> {
    let wanted = time.saturating_sub(BACK);
    let (mut low, mut high) = (0, size);
    while low < high {
        let middle = low + (high - low) / 2;
        if time_of(log, middle)?.0 < wanted {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

/// The tags that an entry carries: its own, or those of its list.
fn tags_of(log: &Log, entry: &Entry) -> Result<Vec<Tag>> {
    let Some(root) = entry.tag_root else { return Ok(entry.draft.subjects.tags().to_vec()) };
    let path = format!("tags/{}", HEXLOWER.encode(root.as_bytes()));
    let list = log.public(&path)?.with_context(|| format!("`{path}` is missing"))?;
    Ok(list.as_chunks::<16>().0.iter().map(|t| Tag::new(*t)).collect())
}

/// Holds the newest round of a site log against logs that it may name: one that is shorter, or another, is an older
/// copy. INVARIANT: nothing is appended to a log before this, or its size would prove nothing.
///
/// # Errors
/// [`CommandError::OlderLog`], [`CommandError::ForkedLog`].
pub fn not_older(site_log: &Log, logs: &[(String, &Log)]) -> Result<()> {
    for named in newest_round(site_log, site_log.head()?.head.size)? {
        let Some((_, log)) = logs.iter().find(|(origin, _)| *origin == named.origin) else { continue };
        let (found, known, who) = (log.head()?.head, named.size, "the site log".to_owned());
        if found.size < known {
            bail!(CommandError::OlderLog { log: named.origin, found: found.size, known, who });
        }
        if known > 0 {
            let proof = log.prove_consistency(known, found.size)?;
            let then = TreeHead { size: known, root: named.root };
            merkle::verify_consistency(&proof, &then, &found)
                .map_err(|_| CommandError::ForkedLog { log: named.origin.clone(), who })?;
        }
    }
    Ok(())
}
