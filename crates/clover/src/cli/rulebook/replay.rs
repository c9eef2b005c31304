//! `clover rulebook replay`: what a candidate would have decided of the ledger's last days.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use model::{Treatment, UnixSeconds};
use policy::compare::{Change, Count, Row};
use serde_json::{Value, json};

use super::Output;
use crate::layout::Layout;
use crate::replay::{self, Candidate, Found, Verdict};

const DAY: u64 = 86_400;
/// Rows that are printed of each kind; `--json` has all.
const LINES_MAX: usize = 40;

#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// The folder of the rulebook that is proposed.
    #[arg(long, value_name = "DIR")]
    candidate: PathBuf,
    /// How many days back.
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=36_500))]
    days: u64,
}

impl Replay {
    pub(super) fn run(&self, layout: &Layout, output: &Output) -> Result<ExitCode> {
        let candidate = Candidate::read(&self.candidate)?;
        let since = UnixSeconds(crate::now().0.saturating_sub(self.days * DAY));
        let bar = bar(output);
        let found = replay::replay(layout, &candidate, since, |done, all| {
            bar.set_length(all);
            bar.set_position(done);
        })?;
        bar.finish_and_clear();
        let active = std::fs::read_to_string(layout.activated()).unwrap_or_default().trim().to_owned();
        let told = Told { days: self.days, candidate: candidate.digest().to_string(), active, found: &found };
        output.data(&told.text(), &told.json());
        Ok(ExitCode::from(code(found.verdict())))
    }
}

fn bar(output: &Output) -> ProgressBar {
    if output.json {
        return ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
    }
    let style = ProgressStyle::with_template("{msg} {bar:40} {pos}/{len} {eta}");
    let bar = ProgressBar::new(0).with_message("deciding again");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn code(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Same => 0,
        Verdict::Opens => 1,
        Verdict::Unknown => 2,
        Verdict::Closes => 3,
    }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Same => "same",
        Verdict::Opens => "opens",
        Verdict::Unknown => "unknown",
        Verdict::Closes => "closes",
    }
}

struct Told<'f> {
    days: u64,
    candidate: String,
    active: String,
    found: &'f Found,
}

impl Told<'_> {
    fn rows(&self, change: Change) -> impl Iterator<Item = (&Row, &Count)> {
        self.found.tally.rows.iter().filter(move |(row, _)| row.change() == change)
    }

    /// Decisions that another rulebook made than the one in force.
    fn others(&self) -> Vec<(String, u64)> {
        let all = self.found.under.iter().map(|(digest, n)| (digest.to_string(), *n));
        all.filter(|(digest, _)| *digest != self.active).collect()
    }

    fn text(&self) -> String {
        let found = self.found;
        let mut out = format!("candidate   {}\nin force    {}\n", self.candidate, self.active);
        for log in &found.logs {
            let _ = writeln!(out, "log         {}: entries {} to {}", log.origin, log.from, log.to);
        }
        let _ = writeln!(
            out,
            "decided     {} of {} entries of {} days again ({} distinct decisions)",
            found.again, found.entries, self.days, found.made
        );
        for (digest, n) in self.others() {
            let _ = writeln!(
                out,
                "  {n} of them were decided under another rulebook than the one in force: {digest}"
            );
        }
        let of = |change| found.tally.groups(change);
        let _ = writeln!(out, "unchanged   {} groups of fields", of(Change::Same));
        for (title, change) in [("would OPEN", Change::Wider), ("would close", Change::Narrower)] {
            let _ = writeln!(out, "{title:<12}{} groups of fields", of(change));
            lines(&mut out, self.rows(change));
        }
        if self.rows(Change::Same).next().is_some() {
            out.push_str("another class, the same treatment:\n");
            lines(&mut out, self.rows(Change::Same));
        }
        if !found.undecided.is_empty() {
            out.push_str("NOT DECIDED AGAIN, and counted nowhere above:\n");
            for (why, count) in &found.undecided {
                let _ = writeln!(out, "  {:>8}  {why}{}", count.groups, examples(count));
            }
        }
        if !found.unasked.is_empty() {
            out.push_str("no decision of policy:\n");
            for (what, n) in &found.unasked {
                let _ = writeln!(out, "  {n:>8}  {what}");
            }
        }
        for what in &found.unseen {
            let _ = writeln!(out, "not seen by a replay, and it differs: {what}");
        }
        out.push_str(match found.verdict() {
            Verdict::Same => "nothing changes",
            Verdict::Opens => "SOMETHING WOULD OPEN: see above",
            Verdict::Unknown => "nothing is seen to open; some decisions could not be made again",
            Verdict::Closes => "nothing would open, something would close",
        });
        out
    }

    fn json(&self) -> Value {
        let found = self.found;
        let changes = |change| {
            let rows: Vec<Value> = self.rows(change).map(|(row, count)| json_row(row, count)).collect();
            json!({ "groups": found.tally.groups(change), "rows": rows })
        };
        let undecided = found
            .undecided
            .iter()
            .map(|(why, count)| json!({ "why": why, "entries": count.groups, "examples": count.examples }));
        let unasked = found.unasked.iter().map(|(what, n)| json!({ "what": what, "entries": n }));
        json!({
            "candidate": self.candidate,
            "in_force": self.active,
            "days": self.days,
            "logs": found.logs.iter().map(|log| json!({ "origin": log.origin, "from": log.from, "to": log.to })).collect::<Vec<_>>(),
            "entries": found.entries,
            "decided_again": found.again,
            "distinct": found.made,
            "other_rulebooks": self.others().iter().map(|(digest, n)| json!({ "rulebook": digest, "entries": n })).collect::<Vec<_>>(),
            "opens": changes(Change::Wider),
            "closes": changes(Change::Narrower),
            "unchanged": changes(Change::Same),
            "undecided": undecided.collect::<Vec<_>>(),
            "no_decision": unasked.collect::<Vec<_>>(),
            "unseen": found.unseen.iter().collect::<Vec<_>>(),
            "outcome": word(found.verdict()),
        })
    }
}

fn treatment(outcome: Option<Treatment>) -> &'static str {
    outcome.map_or("refused", Treatment::word)
}

fn class(row: &Row) -> String {
    match (row.class, row.becomes) {
        (None, _) => "own record".to_owned(),
        (Some(class), None) => class.to_string(),
        (Some(class), Some(new)) => format!("{class} that becomes {new}"),
    }
}

fn lines<'r>(out: &mut String, rows: impl Iterator<Item = (&'r Row, &'r Count)>) {
    let mut rows = rows.peekable();
    for (row, count) in rows.by_ref().take(LINES_MAX) {
        let (from, to) = (treatment(row.from), treatment(row.to));
        let _ = writeln!(
            out,
            "  {:>8}  {} in {}, {}, {}: {from} -> {to}{}",
            count.groups,
            row.actor,
            row.place,
            class(row),
            row.purpose,
            examples(count)
        );
    }
    let left = rows.count();
    if left > 0 {
        let _ = writeln!(out, "            and {left} more lines: --json has them");
    }
}

fn examples(count: &Count) -> String {
    let all: Vec<String> = count.examples.iter().map(ToString::to_string).collect();
    if all.is_empty() { String::new() } else { format!("  (entries {})", all.join(", ")) }
}

fn json_row(row: &Row, count: &Count) -> Value {
    json!({
        "actor": row.actor,
        "place": row.place.as_str(),
        "class": row.class.map(model::DataClass::word),
        "becomes": row.becomes.map(model::DataClass::word),
        "purpose": row.purpose.word(),
        "from": treatment(row.from),
        "to": treatment(row.to),
        "groups": count.groups,
        "examples": count.examples,
    })
}
