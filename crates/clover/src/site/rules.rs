//! The rulebook of a running enclave: taken from what `clover rulebook activate` lays down, put in force, and followed.
//!
//! Which rulebook is in force stands in the control store, for every process that shares it. A process that learns of
//! another one than it has loads it, records that in its own log, and decides by it from the next entry on. What it
//! cannot load it does not replace by what it had: then nothing crosses.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use crossing::{ActiveRulebook, Road};
use gateway::{Enclave, Live};
use model::Digest;
use vault::control::{ChangeError, StoreError};
use vault::disk::replace_file;

use super::{Site, orders};
use crate::assemble::{self, Bundle};
use crate::config::Config;
use crate::layout::Layout;
use crate::{logs, now, shadow};

/// How a rulebook that is laid down is named.
const ENDING: &str = "rulebook";
/// Most of them taken at a time.
const TAKEN_MAX: usize = 8;

/// Follows which rulebook is in force.
pub struct Rules {
    layout: Layout,
    config: Config,
    enclave: Arc<Enclave>,
    site: Arc<Site>,
    /// Which one the site log has in force.
    enrolled: Mutex<Option<Digest>>,
    /// What went wrong last in taking and in following, so that it is told once.
    told: [Mutex<String>; 2],
}

impl Rules {
    /// Of a running enclave.
    #[must_use]
    pub fn new(layout: &Layout, config: &Config, enclave: &Arc<Enclave>, site: &Arc<Site>) -> Self {
        Self {
            layout: layout.clone(),
            config: config.clone(),
            enclave: Arc::clone(enclave),
            site: Arc::clone(site),
            enrolled: Mutex::default(),
            told: Default::default(),
        }
    }

    /// Takes what is laid down, and follows the control store. Blocks. To be called several times a second.
    pub fn look(&self) {
        let text = match self.take() {
            Ok(()) => String::new(),
            Err(e) => format!("a rulebook that was laid down waits; it will be tried again: {e:#}"),
        };
        self.tell(0, text);
        self.follow();
    }

    fn tell(&self, of: usize, text: String) {
        let Some(told) = self.told.get(of) else { return };
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        if *told != text {
            if !text.is_empty() {
                tracing::error!("{text}");
            }
            *told = text;
        }
    }

    fn take(&self) -> Result<()> {
        let mut last = Ok(());
        // One that cannot be taken or moved away keeps none of the others waiting.
        for path in orders::ending(&self.layout.orders(), ENDING)?.into_iter().take(TAKEN_MAX) {
            last = self.one(&path).and_then(|taken| set_aside(&path, taken)).and(last);
        }
        last
    }

    /// Puts one in force for every process, or says why it does not count.
    fn one(&self, path: &Path) -> Result<Result<(), String>> {
        let bundle = Bundle::read(path).and_then(|b| Ok((self.fitting(b.open(&self.layout)?)?, b)));
        let (active, bundle) = match bundle {
            Ok(both) => both,
            Err(e) => return Ok(Err(format!("{e:#}"))),
        };
        let digest = active.rulebook.digest;
        // What was checked, and not what lies there by now.
        bundle.publish(&self.layout.published_rulebook(&digest.to_string()))?;
        let mut record = || self.enrol(digest).map_err(|e| ChangeError::Record(e.into()));
        match self.enclave.control().activate(&digest, now(), &mut record) {
            Ok(_) => {}
            Err(StoreError::Change(ChangeError::Over(_))) => return Ok(Err(REPLACED.to_owned())),
            Err(e) => return Err(e.into()),
        }
        self.follow();
        Ok(Ok(()))
    }

    /// Says on the site log that a rulebook is in force from here on; once.
    fn enrol(&self, digest: Digest) -> Result<()> {
        let mut enrolled = self.enrolled.lock().unwrap_or_else(PoisonError::into_inner);
        if *enrolled != Some(digest) {
            self.site.enrol(digest)?;
            *enrolled = Some(digest);
        }
        Ok(())
    }

    /// The rulebook, if this process can serve by it without a restart.
    fn fitting(&self, active: ActiveRulebook) -> Result<ActiveRulebook> {
        let live = self.enclave.live();
        let (now, next) = (&live.road.rulebook().programme, &active.rulebook.programme);
        if now.name != next.name || now.border != next.border {
            bail!(
                "it changes the programme's name or `[border]`, which needs a restart: stop the enclave and activate it then"
            );
        }
        assemble::fits(&self.config, &active.rulebook)?;
        Ok(active)
    }

    fn follow(&self) {
        let (in_force, live) = (self.enclave.in_force(), self.enclave.live());
        let mine = live.road.rulebook().digest;
        // Where nobody ever put one in force, what this process began with is.
        match self.enclave.control().rulebook().map(|wanted| wanted.unwrap_or(mine)) {
            Ok(wanted) if wanted == mine => {
                if in_force.rulebook() != Some(mine) {
                    in_force.known(mine);
                    self.enclave.look_again();
                }
                self.tell(1, String::new());
            }
            Ok(wanted) => {
                if let Err(e) = self.load(&wanted, &live) {
                    self.doubt(format!("the rulebook in force cannot be used, so nothing crosses: {e:#}"));
                }
            }
            Err(e) => self.doubt(format!("nobody knows which rulebook is in force, so nothing crosses: {e}")),
        }
    }

    fn doubt(&self, text: String) {
        if self.enclave.in_force().rulebook().is_some() {
            self.enclave.in_force().unknown();
            self.enclave.look_again();
        }
        self.tell(1, text);
    }

    /// Decides by another rulebook from the next entry on.
    fn load(&self, digest: &Digest, before: &Arc<Live>) -> Result<()> {
        let folder = self.layout.published_rulebook(&digest.to_string());
        let active = self.fitting(Bundle::read(&folder)?.open(&self.layout)?)?;
        if active.rulebook.digest != *digest {
            bail!("the folder of the rulebook holds another one");
        }
        self.enrol(*digest)?;
        let pseudonyms = self.enclave.keys().pseudonyms();
        let road = Road::new(active, pseudonyms, Arc::clone(before.road.in_force()));
        let live = Arc::new(Live::new(shadow::beside(&self.layout, &self.config, road))?);
        let entry = crossing::inward::activation(logs::flow_id()?, now(), *digest);
        let recorded = self.enclave.replace(live, entry)?.blocking_recv().context("the ledger stopped");
        if let Err(e) = recorded.and_then(|r| Ok(r?)) {
            self.enclave.put_back(Arc::clone(before));
            return Err(e.context("it could not be recorded"));
        }
        self.tell(1, String::new());
        tracing::warn!(rulebook = %digest, "another rulebook is in force");
        Ok(replace_file(&self.layout.activated(), format!("{digest}\n").as_bytes())?)
    }
}

/// Why a rulebook that was replaced does not come back.
pub const REPLACED: &str = "it was in force before and was replaced: its signatures do not undo what both signed since. \
                            Change a word of it, a comment will do, and have both sign it again";

/// Lays a signed rulebook down for the running enclave.
///
/// # Errors
/// When a file cannot be written.
pub fn lay_down(layout: &Layout, digest: &Digest) -> Result<PathBuf> {
    let short: String = digest.to_string().chars().take(16).collect();
    let unique = logs::flow_id()?;
    let path = layout.orders().join(format!("{:012}-{short}-{unique}.{ENDING}", now().0));
    Bundle::read(&layout.rulebook())?.publish(&path)?;
    Ok(path)
}

/// Moves away what was taken, or was refused, with the reason beside it.
fn set_aside(path: &Path, taken: Result<(), String>) -> Result<()> {
    if let Err(why) = taken {
        tracing::error!(%why, "a rulebook is not activated");
        std::fs::write(path.with_extension("why"), &why)?;
        return Ok(std::fs::rename(path, path.with_extension("refused"))?);
    }
    Ok(std::fs::remove_dir_all(path)?)
}
