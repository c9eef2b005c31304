//! The whole check, in a thread of its own: what pages show is its newest result.

use std::{
    path::Path,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use super::{
    Source,
    still::Still,
    tally::Tally,
    words::{EN, plain},
};
use crate::{
    incident::disk,
    note::NOTE_BYTES_MAX,
    report::{Finding, Rule},
    sitecheck::{SiteOptions, SiteReport, verify_site},
    siteleaf::SITE_PREFIX,
};

/// A mirror at work may have taken a file in whose entry is not counted yet: a file too many is believed at a second look.
const SECOND_LOOK: Duration = Duration::from_secs(3);

/// What is known now.
#[derive(Clone, Default)]
pub(super) struct Known {
    pub(super) tally: Option<Arc<Tally>>,
    pub(super) verified: Option<Arc<Verified>>,
    /// Since when a check runs, by this machine's clock.
    pub(super) running: Option<u64>,
    /// When the newest check could not be made, and why; absent when it could.
    pub(super) failure: Option<(u64, String)>,
}

/// The outcome of one whole check.
pub(super) struct Verified {
    /// When it began and ended, by this machine's clock.
    pub(super) began: u64,
    pub(super) ended: u64,
    /// Seconds by a steady clock.
    pub(super) took: u64,
    pub(super) report: SiteReport,
    pub(super) findings: u64,
}

/// Where the thread writes and the pages read.
#[derive(Default)]
pub(super) struct Board {
    known: Mutex<Known>,
    ended: AtomicBool,
    wake: (Mutex<()>, Condvar),
}

impl Board {
    pub(super) fn known(&self) -> Known {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells the thread to end; a check that runs is not waited for.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
        self.wake.1.notify_all();
    }

    /// Checks at once and then every so often, until it is told to end.
    pub(super) fn run(&self, source: &Source, every: Duration) {
        while !self.ended.load(Ordering::SeqCst) {
            self.check(source);
            self.pause(every);
        }
    }

    fn pause(&self, time: Duration) {
        let guard = self.wake.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = |_: &mut ()| !self.ended.load(Ordering::SeqCst);
        drop(self.wake.1.wait_timeout_while(guard, time, waits));
    }

    fn change(&self, change: impl FnOnce(&mut Known)) {
        change(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn check(&self, source: &Source) {
        let began = source.now();
        self.change(|known| known.running = Some(began));
        let failure = match Tally::read(&source.mirror, &source.site, began) {
            Ok(tally) => {
                self.change(|known| known.tally = Some(Arc::new(tally)));
                None
            }
            Err(error) => Some(error.to_string()),
        };
        let result = self.verify(source, began);
        let now = source.now();
        self.change(|known| {
            known.running = None;
            known.failure = failure.map(|text| (now, text));
            match result {
                Ok(verified) => known.verified = Some(Arc::new(verified)),
                Err(text) => known.failure = Some((now, text)),
            }
        });
    }

    fn verify(&self, source: &Source, began: u64) -> Result<Verified, String> {
        let folders = self.folders();
        let clock = Instant::now();
        let before = prints(&source.mirror, &folders);
        let mut report = self.look(source)?;
        let extra = report.logs.iter().any(|log| log.report.findings.iter().any(is_extra));
        if extra && prints(&source.mirror, &folders) != before {
            self.pause(SECOND_LOOK);
            let first = std::mem::replace(&mut report, self.look(source)?);
            let known = |prefix: &str, finding: &Finding| {
                let log = first.logs.iter().find(|log| log.prefix == prefix);
                log.is_some_and(|log| log.report.findings.iter().any(|other| other.place == finding.place))
            };
            for log in &mut report.logs {
                let prefix = &log.prefix;
                log.report.findings.retain(|finding| !is_extra(finding) || known(prefix, finding));
            }
        }
        let of = |log: &crate::sitecheck::LogReport| {
            log.report.findings_unlisted.saturating_add(log.report.findings.len() as u64)
        };
        let findings = report.logs.iter().map(of).sum();
        Ok(Verified { began, ended: source.now(), took: clock.elapsed().as_secs(), report, findings })
    }

    /// One whole check, of a copy that stands still.
    fn look(&self, source: &Source) -> Result<SiteReport, String> {
        let still = Still::take(&source.mirror, &source.site, &source.work, |time| self.pause(time));
        let still = still.map_err(|error| plain(EN.check_copy, &[&error.to_string()]))?;
        verify_site(&options(source, still.path())).map_err(|error| chain(&error))
    }

    fn folders(&self) -> Vec<String> {
        let known = self.known();
        let logs = known.tally.iter().flat_map(|tally| &tally.logs);
        std::iter::once(SITE_PREFIX.to_owned()).chain(logs.map(|log| log.enrolled.prefix.clone())).collect()
    }
}

fn is_extra(finding: &Finding) -> bool {
    finding.rule == Rule::Extra
}

fn options(source: &Source, folder: &Path) -> SiteOptions {
    SiteOptions {
        folder: folder.to_owned(),
        site: source.site.clone(),
        operator: source.operator.clone(),
        auditor: source.auditor.clone(),
        policy: None,
        seen: Vec::new(),
        redecide: source.thorough,
        maps: source.thorough,
        records_max: SiteOptions::RECORDS_MAX,
    }
}

/// The checkpoints as they are, to see whether the mirror goes on.
fn prints(mirror: &Path, folders: &[String]) -> Vec<Option<Vec<u8>>> {
    folders
        .iter()
        .map(|folder| disk::read(&mirror.join(folder).join("checkpoint"), NOTE_BYTES_MAX).ok())
        .collect()
}

/// An error and what caused it, in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
