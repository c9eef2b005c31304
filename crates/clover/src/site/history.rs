//! A person's history: a file that proves every crossing of a period, and a period without any
//! (`docs/formats/day-map.md`).

use std::path::Path;

use anyhow::{Context, Result, bail};
use ledger::SecretKey;
use ledger::checkpoint::Opened;
use ledger::history::{History, Leaves, Maps, Period, Proved, Wanted, day_of};
use model::SubjectId;

use super::{Site, days};
use crate::assemble;
use crate::layout::Layout;

/// The newest checkpoint that the quorum signed, kept beside the site log.
fn cosigned(site: &Site) -> Result<(String, Opened)> {
    let path = site.layout.site().join("cosigned");
    let note = std::fs::read_to_string(&path).context("no quorum of witnesses has signed yet")?;
    let opened = site.policy.open(&note)?;
    site.policy
        .cosigned_at(&opened)
        .context("the kept checkpoint is not signed by the quorum of trust/policy")?;
    Ok((note, opened))
}

fn proved(site: &Site, index: u64, size: u64) -> Result<Proved> {
    Ok(Proved { index, leaf: site.log.entry(index)?, proof: site.log.prove_several(&[index], size)? })
}

/// The maps that the cosigned checkpoint counts.
fn maps(site: &Site, size: u64) -> Result<Maps> {
    let days = site.days()?;
    let (anchor, interim) = (days.anchor(), days.interim().map(|(index, _)| index));
    let calendar = days.calendar().clone();
    drop(days);
    if anchor.is_some_and(|index| index >= size) {
        bail!("the newest map is not cosigned yet; ask again in a few seconds");
    }
    Ok(Maps {
        anchor: anchor.map(|index| proved(site, index, size)).transpose()?,
        calendar,
        interim: interim.filter(|i| *i < size).map(|index| proved(site, index, size)).transpose()?,
    })
}

/// The entries of one log, each read from the published tree, with one proof for all.
fn entries(site: &Site, wanted: &Wanted) -> Result<Leaves> {
    let member =
        site.members.iter().find(|m| m.enrolled.origin == wanted.origin).context("a log is not here")?;
    let leaves = wanted.indices.iter().map(|index| member.log.entry(*index)).collect::<Result<_, _>>()?;
    Ok(Leaves { leaves, proof: member.log.prove_several(&wanted.indices, wanted.log.size)? })
}

/// Makes the history of a person from their tag key. `from` and `to` are days since 1970-01-01 UTC; without them it
/// covers everything that the maps do.
///
/// # Errors
/// When no quorum has signed, a day is in no map yet, or a log is damaged.
pub fn history(
    site: &Site,
    log_set: &str,
    tag_key: SecretKey,
    from: Option<u32>,
    to: Option<u32>,
) -> Result<History> {
    let (note, opened) = cosigned(site)?;
    let maps = maps(site, opened.checkpoint().head().size)?;
    let today = {
        let days = site.days()?;
        days.interim().filter(|_| maps.interim.is_some()).map(|(_, entry)| entry.day)
    };
    let first = maps.calendar.records().first().map(|r| r.day).or(today);
    let last = today.or(maps.calendar.records().last().map(|r| r.day));
    let (first, last) =
        first.zip(last).context("no day has a map yet; they are made hourly and when the enclave stops")?;
    let period =
        Period { log_set: log_set.to_owned(), tag_key, from: from.unwrap_or(first), to: to.unwrap_or(last) };
    let questions = period.begin(&note, opened.checkpoint(), maps)?;
    let answers: Result<Vec<_>> = questions.list().iter().map(|q| days::prove(site, q.day, &q.tag)).collect();
    let named = questions.answered(answers?)?;
    let proved: Result<Vec<_>> = named.wanted().iter().map(|wanted| entries(site, wanted)).collect();
    Ok(named.proved(proved?)?)
}

/// Makes the history of a person of an enclave that is not running, and writes it for their eyes only. Returns how
/// many entries it holds.
///
/// # Errors
/// As [`history`]; also when the file is there already.
pub fn write(
    layout: &Layout,
    subject: &SubjectId,
    from: Option<u32>,
    to: Option<u32>,
    out: &Path,
) -> Result<usize> {
    let assembled = assemble::open(layout)?;
    let site =
        Site::open(layout, &assembled.config, &assembled.enclave, assembled.keeper, assembled.site_log)?;
    let enclave = &assembled.enclave;
    let keys = enclave.person(subject, gateway::enclave::now().0).map_err(|e| anyhow::anyhow!(e))?;
    let log_set = enclave.live().road.rulebook().programme.name.to_string();
    let made = history(&site, &log_set, keys.tags.secret().clone(), from, to)?;
    vault::keys::write_secret(out, made.to_bytes()?)?;
    Ok(made.entries())
}

/// Reads `YYYY-MM-DD` as days since 1970-01-01 UTC.
///
/// # Errors
/// When the text is no such date.
pub fn day(text: &str) -> Result<u32, &'static str> {
    day_of(text).ok_or("use YYYY-MM-DD")
}
