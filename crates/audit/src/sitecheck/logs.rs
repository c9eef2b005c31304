//! The logs that a site enrols, each checked, and then compared with what the site log says of them.

use std::{collections::BTreeSet, io, path::Path};

use super::{
    LogReport, SiteOptions,
    follow::{MapEntry, OverrideEntry, RetiredLog, SiteFollower},
};
use crate::{
    checkpoint::Checkpoint,
    claims::ClaimReader,
    daymap::{DayMaps, Held, PAIRS_HELD},
    decide::Memo,
    entries::{Activated, TIME_BACK_SECONDS_MAX},
    flows::Flows,
    grants::{Grants, Totals},
    hash::Hash,
    levels::{Levels, Wrong},
    nodes::Nodes,
    note::{VerifierKey, open},
    overrides::{self, Order},
    releases::{ReleaseFollower, ReleaseLooker},
    report::{Place, Report, Rule},
    rulebook::Rulebooks,
    siteleaf::{Enrolled, Role, SITE_PREFIX},
    tree::Tree,
    verify::{AuditError, GatewayLog, Told, open_log, read_checkpoint},
    walk::Walk,
};

/// All logs of a site with their reports.
pub(super) struct Logs {
    site: Report,
    tree: Tree,
    origin: String,
    newest: u64,
    logs: Vec<Log>,
    activations: Vec<(u64, u64, Hash)>,
    maps: Vec<MapEntry>,
    overrides: Vec<OverrideEntry>,
    retired: Vec<RetiredLog>,
}

struct Log {
    enrolled: Enrolled,
    key: Option<VerifierKey>,
    tree: Tree,
    report: Report,
    activations: Vec<Activated>,
}

impl Logs {
    /// Checks every log that was ever enrolled.
    pub(super) fn check_all(
        options: &SiteOptions,
        follower: SiteFollower,
        origin: &str,
        flows: &mut Flows,
        site: Report,
    ) -> Result<Self, AuditError> {
        let memo = Memo::new();
        let SiteFollower { newest, known, activations, maps, overrides, grants, retired, .. } = follower;
        let mut totals = Totals::default();
        let origin = origin.to_owned();
        let tree = Tree::new(&options.folder.join(SITE_PREFIX));
        let logs = Vec::new();
        let mut all = Self { site, tree, origin, newest, logs, activations, maps, overrides, retired };
        for (number, known) in (1_u16..=u16::MAX).zip(known.into_values()) {
            let tree = Tree::new(&options.folder.join(&known.enrolled.prefix));
            let report = Report { redecided: options.redecide, ..Report::default() };
            let mut log =
                Log { enrolled: known.enrolled, key: known.key, tree, report, activations: Vec::new() };
            let rounds = known.claims.finish()?;
            let told =
                log.check(options, &memo, (number, all.newest), rounds, flows, (&grants, &mut totals))?;
            file_wrong(&told.wrong, &log.enrolled.origin, &mut all.site);
            log.activations = told.activations;
            all.logs.push(log);
        }
        totals.noise.finish(&mut all.reports());
        let (distinct, nanos) = memo.fresh();
        if let Some(first) = all.logs.first_mut() {
            // One memory for all gateways: what was really decided stands with the first.
            (first.report.decisions_distinct, first.report.decisions_nanos) = (distinct, nanos);
        }
        Ok(all)
    }

    /// The site's report, then those of the logs by their numbers.
    fn reports(&mut self) -> Vec<&mut Report> {
        std::iter::once(&mut self.site).chain(self.logs.iter_mut().map(|log| &mut log.report)).collect()
    }

    pub(super) fn has_keys(&self) -> bool {
        self.logs.iter().any(|log| log.enrolled.role == Role::KeyService)
    }

    /// Compares the logs with each other and with the site log.
    pub(super) fn finish(&mut self, options: &SiteOptions, flows: Flows) -> io::Result<()> {
        let releases = self.has_keys();
        let newest = self.newest;
        flows.finish(&mut self.reports(), releases, newest)?;
        self.check_retired();
        self.check_activations();
        self.check_overrides([&options.operator, &options.auditor]);
        if options.maps {
            self.check_maps(&options.folder, options.records_max.min(PAIRS_HELD));
        }
        Ok(())
    }

    /// A log that was retired has grown no more. That it is no shorter, its last claim shows.
    fn check_retired(&mut self) {
        for RetiredLog { index, origin, size } in &self.retired {
            let log = self.logs.iter().find(|log| log.enrolled.origin == *origin);
            if let Some(found) = log.map(|log| log.report.size).filter(|found| found > size) {
                let origin = origin.escape_debug();
                let text = format!("`{origin}` was retired with {size} entries, and has {found}");
                self.site.entry(Rule::Enrolment, *index, text);
            }
        }
    }

    /// What a gateway activates is in force at its site within five minutes.
    fn check_activations(&mut self) {
        for log in &mut self.logs {
            for (index, time, digest) in &log.activations {
                let (from, to) =
                    (time.saturating_sub(TIME_BACK_SECONDS_MAX), time.saturating_add(TIME_BACK_SECONDS_MAX));
                if !is_in_force(&self.activations, digest, from, to) {
                    let text = "its rulebook is not in force at the site at that time";
                    log.report.entry(Rule::SiteRulebook, *index, text);
                }
            }
        }
    }

    fn check_overrides(&mut self, signers: [&VerifierKey; 2]) {
        let mut used = BTreeSet::new();
        for entry in &self.overrides {
            let problem = match Order::parse(&entry.note, &self.origin) {
                Err(text) => Some(text),
                Ok(order) => {
                    let (from, to) = (order.not_before, order.not_after);
                    let text = format!("the border was lifted from {from} to {to} for `{}`", order.incident);
                    self.site.notice(Rule::Override, Place::Entry(entry.index), text);
                    if used.insert(order.id) {
                        check_holders(entry, &self.logs, signers).err()
                    } else {
                        Some("its id was used before".into())
                    }
                }
            };
            if let Some(text) = problem {
                self.site.entry(Rule::Override, entry.index, text);
            }
        }
    }

    fn check_maps(&mut self, folder: &Path, pairs_held: usize) {
        let mut days = DayMaps::default();
        for map in &self.maps {
            let gateways = map.gateways.iter();
            let folders: Vec<_> =
                gateways.map(|log| (log.origin.as_str(), folder.join(&log.prefix))).collect();
            let size = |origin: &str| {
                self.logs.iter().find(|log| log.enrolled.origin == origin).map_or(0, |log| log.report.size)
            };
            let held: Vec<_> =
                folders.iter().map(|(origin, folder)| Held { origin, folder, size: size(origin) }).collect();
            if let Err(problem) = days.check(&map.entry, map.time, &held, pairs_held) {
                let rule = problem.rule().unwrap_or(Rule::DayMap);
                self.site.entry(rule, map.index, problem.to_string());
                // One bad map is one finding; the next is compared as if this one held.
                days.accept(&map.entry);
            }
        }
    }

    /// Compares checkpoints that were seen elsewhere with the logs as they are here.
    pub(super) fn check_seen(&mut self, notes: &[(String, io::Result<Vec<u8>>)], site: &VerifierKey) {
        for (path, note) in notes {
            let Ok(note) = note else {
                self.site.file(Rule::Missing, path, "it cannot be read");
                continue;
            };
            // Not yet verified: it only says which log's key to try.
            let origin = open(note, &[]).ok().and_then(|text| text.split('\n').next());
            let log = self.logs.iter().find(|log| Some(log.enrolled.origin.as_str()) == origin);
            let found = match log.and_then(|log| Some((log.key.as_ref()?, &log.tree, log.report.size))) {
                Some((key, tree, size)) => compare_seen(note, key, tree, size),
                None if origin == Some(self.origin.as_str()) => {
                    compare_seen(note, site, &self.tree, self.site.size)
                }
                None => Err((Rule::Checkpoint, "it is of no log of this site".into())),
            };
            if let Err((rule, text)) = found {
                self.site.file(rule, path, text);
            }
        }
    }

    pub(super) fn into_reports(self) -> Vec<LogReport> {
        let site = LogReport { prefix: SITE_PREFIX.into(), report: self.site };
        let logs = self.logs.into_iter();
        let logs = logs.map(|log| LogReport { prefix: log.enrolled.prefix, report: log.report });
        std::iter::once(site).chain(logs).collect()
    }
}

impl Log {
    fn check(
        &mut self,
        options: &SiteOptions,
        memo: &Memo,
        (number, newest): (u16, u64),
        rounds: [ClaimReader; 2],
        flows: &mut Flows,
        (grants, totals): (&Grants, &mut Totals),
    ) -> Result<Told, AuditError> {
        let Some(key) = &self.key else { return Ok(Told::default()) };
        let Ok(note) = read_checkpoint(&self.tree) else {
            self.report.file(Rule::Missing, "checkpoint", "it is missing, though the log is enrolled");
            return Ok(Told::default());
        };
        let (origin, records_max) = (self.enrolled.origin.as_str(), options.records_max);
        if self.enrolled.role == Role::Gateway {
            let log = GatewayLog {
                tree: &self.tree,
                key,
                signers: [&options.operator, &options.auditor],
                memo,
                redecide: options.redecide,
                records_max,
                origin: Some(origin),
                number,
                newest,
                grants: Some(grants),
            };
            return log.check(&note, Some(rounds), flows, totals, &mut self.report);
        }
        let opened = open_log(&self.tree, &note, key, Some(origin), records_max, &mut self.report)?;
        let Some((checkpoint, inventory)) = opened else { return Ok(Told::default()) };
        let [claims, _] = rounds;
        let levels = Levels::new(&self.tree, &inventory.packs, Some(claims));
        let walk = Walk { tree: &self.tree, inventory: &inventory, levels, look: &ReleaseLooker, only: None };
        let mut follower = ReleaseFollower::new(origin, number, flows);
        let wrong = walk.run(&checkpoint, &mut follower, &mut self.report)?;
        Ok(Told { wrong, activations: Vec::new() })
    }
}

/// Reports rounds that do not hold for a log.
fn file_wrong(wrong: &[Wrong], origin: &str, site: &mut Report) {
    let origin = origin.escape_debug();
    for Wrong { place, size, beyond } in wrong {
        let (rule, text) = if *beyond {
            (Rule::Rollback, format!("it counts {size} entries of `{origin}`, and the log has fewer"))
        } else {
            (Rule::History, format!("the root of `{origin}` at size {size} is another"))
        };
        site.entry(rule, *place, text);
    }
}

/// Whether the site had this rulebook in force at any time between `from` and `to`.
fn is_in_force(activations: &[(u64, u64, Hash)], digest: &Hash, from: u64, to: u64) -> bool {
    let ends = activations.iter().skip(1).map(|(_, time, _)| *time).chain([u64::MAX]);
    activations
        .iter()
        .zip(ends)
        .any(|((_, begin, active), end)| active == digest && *begin <= to && end >= from)
}

/// Checks an order's signatures against the rulebook that was in force, from whichever gateway has it.
fn check_holders(entry: &OverrideEntry, logs: &[Log], signers: [&VerifierKey; 2]) -> Result<(), String> {
    let Some(digest) = &entry.rulebook else { return Err("no rulebook was in force at the site".into()) };
    let gateways = logs.iter().filter(|log| log.enrolled.role == Role::Gateway);
    let found = gateways.map(|log| Rulebooks::new(&log.tree, signers, false).find(digest));
    let Some(rulebook) = found.flatten().next() else {
        return Err("the rulebook in force at the site is not there or not valid".into());
    };
    overrides::check_signatures(&entry.note, &rulebook.programme.holders)
}

/// Whether a checkpoint is one of this history.
fn compare_seen(note: &[u8], key: &VerifierKey, tree: &Tree, size: u64) -> Result<(), (Rule, String)> {
    let seen = Checkpoint::open(note, key).map_err(|error| (Rule::Checkpoint, error.to_string()))?;
    if seen.size > size {
        let text = format!("it counts {} entries, and the log has {size}", seen.size);
        return Err((Rule::Rollback, text));
    }
    match Nodes::new(tree).root_at(seen.size) {
        Ok(root) if root == seen.root => Ok(()),
        Ok(_) => Err((Rule::History, format!("the log has another root at size {}", seen.size))),
        Err(error) => Err((Rule::History, format!("the root at size {} is not known: {error}", seen.size))),
    }
}
