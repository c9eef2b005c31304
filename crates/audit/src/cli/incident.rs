//! `clover-audit incident`.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use anyhow::anyhow;
use audit::{
    ActionKind, Clock, Incident, IncidentError, Incidents, KeyKind, Opening, Reference, Severity, SigningKey,
    newest_site_time,
};
use clap::{Args, Subcommand};

use super::{CONFIG, FINDINGS, Failure, NO_INPUT, NO_OUTPUT, USAGE, key, parties, watch::wall};

#[derive(Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Open an incident; its clock runs from then on.
    Open(Open),
    /// Escalate an incident by hand.
    Escalate(Act),
    /// Close an incident. The party that caused it cannot.
    Close(Act),
    /// Open a closed incident again. Its clock counts from its first opening.
    Reopen(Act),
    /// List all incidents: exit code 1 if one is not closed.
    List(List),
    /// Show one incident with its history.
    Show(Show),
}

/// Where incidents are, and what time it is.
#[derive(Args)]
struct Place {
    /// The folder of the watch.
    #[arg(long, value_name = "DIR")]
    folder: PathBuf,
    /// Who may act.
    #[arg(long, value_name = "FILE")]
    parties: PathBuf,
    /// Folder of a mirror, whose newest time counts too.
    #[arg(long, value_name = "DIR", requires = "site_vkey")]
    mirror: Option<PathBuf>,
    /// Verifier key of its site log.
    #[arg(long, value_name = "FILE")]
    site_vkey: Option<PathBuf>,
}

/// Who acts.
#[derive(Args)]
struct Signer {
    /// Seed of the party's key, as `keygen --kind auditor` wrote it.
    #[arg(long, value_name = "FILE")]
    seed: PathBuf,
    /// Name of that key.
    #[arg(long)]
    name: String,
}

#[derive(Args)]
struct Open {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    signer: Signer,
    /// Name of the new incident: a-z, 0-9 and `-`.
    #[arg(long)]
    id: String,
    /// The party that caused it: `operator`, `gateway:<origin>`, `auditor`, …
    #[arg(long)]
    cause: String,
    /// `notice`, `serious` or `grave`.
    #[arg(long, default_value = "grave")]
    severity: String,
    /// What found it.
    #[arg(long, default_value = "person")]
    rule: String,
    /// What it is about.
    #[arg(long, default_value = "")]
    about: String,
    /// An entry that shows it, as `<origin>:<index>`; may be given again.
    #[arg(long = "ref", value_name = "ORIGIN:INDEX")]
    references: Vec<String>,
    /// Hours after which it escalates by itself.
    #[arg(long, default_value_t = 72)]
    hours: u64,
    /// What happened, in one line.
    #[arg(long)]
    text: String,
}

#[derive(Args)]
struct Act {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    signer: Signer,
    /// Which incident.
    #[arg(long)]
    id: String,
    /// Why, in one line.
    #[arg(long)]
    text: String,
}

#[derive(Args)]
struct List {
    #[command(flatten)]
    place: Place,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Show {
    #[command(flatten)]
    place: Place,
    /// Which incident.
    #[arg(long)]
    id: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, Failure> {
    match &arguments.command {
        Command::Open(open) => run_open(open),
        Command::Escalate(act) => run_act(act, ActionKind::Escalate),
        Command::Close(act) => run_act(act, ActionKind::Close),
        Command::Reopen(act) => run_act(act, ActionKind::Reopen),
        Command::List(list) => run_list(list),
        Command::Show(show) => run_show(show),
    }
}

fn run_open(open: &Open) -> Result<u8, Failure> {
    let usage = |text: &str| Failure(USAGE, anyhow!("{text}"));
    let severity = Severity::parse(&open.severity);
    let opening = Opening {
        rule: open.rule.clone(),
        severity: severity.ok_or_else(|| usage("`--severity` is `notice`, `serious` or `grave`"))?,
        cause: open.cause.clone(),
        about: open.about.clone(),
        clock_seconds: open.hours.saturating_mul(3600),
        references: open
            .references
            .iter()
            .map(|text| reference(text))
            .collect::<Option<_>>()
            .ok_or_else(|| usage("`--ref` is `<origin>:<index>`"))?,
        text: open.text.clone(),
    };
    let (incidents, now) = open.place.open()?;
    let found = incidents.open(&open.id, &opening, &open.signer.read()?, now).map_err(failure)?;
    print(&line(&found, now))
}

fn run_act(act: &Act, kind: ActionKind) -> Result<u8, Failure> {
    let (incidents, now) = act.place.open()?;
    let found = incidents.act(&act.id, kind, &act.text, &act.signer.read()?, now).map_err(failure)?;
    print(&line(&found, now))
}

fn run_list(list: &List) -> Result<u8, Failure> {
    let (incidents, now) = list.place.open()?;
    let found = incidents.list().map_err(failure)?;
    if list.json {
        print(&json(&found)?)?;
    } else {
        print(&found.iter().map(|incident| line(incident, now)).collect::<String>())?;
    }
    let closed = |incident: &Incident| incident.state == audit::State::Closed && incident.damaged.is_none();
    Ok(if found.iter().all(closed) { 0 } else { FINDINGS })
}

fn run_show(show: &Show) -> Result<u8, Failure> {
    let (incidents, now) = show.place.open()?;
    let found = incidents.find(&show.id).map_err(failure)?;
    if show.json {
        return print(&json(&found)?);
    }
    let mut text = line(&found, now);
    for action in &found.actions {
        let by = if action.by_clock { " (by the clock)" } else { "" };
        text.push_str(&format!(
            "  {} {} by {} of {}{by}: {}\n",
            action.clock.wall,
            action.action,
            action.party.escape_debug(),
            action.company.escape_debug(),
            action.text.escape_debug()
        ));
    }
    for entry in &found.opening.references {
        text.push_str(&format!("  entry {} of {}\n", entry.index, entry.origin.escape_debug()));
    }
    print(&text)
}

impl Place {
    fn open(&self) -> Result<(Incidents, Clock), Failure> {
        let incidents = Incidents::at(&self.folder, parties(&self.parties)?).map_err(failure)?;
        let ledger = match (&self.mirror, &self.site_vkey) {
            (Some(mirror), Some(vkey)) => Some(site_time(mirror, vkey)?),
            _ => None,
        };
        let now = incidents.clock(wall(), ledger, 0).map_err(failure)?;
        Ok((incidents, now))
    }
}

impl Signer {
    fn read(&self) -> Result<SigningKey, Failure> {
        SigningKey::read(&self.name, KeyKind::Auditor, &self.seed)
            .map_err(|error| Failure(CONFIG, error.into()))
    }
}

fn site_time(mirror: &Path, vkey: &Path) -> Result<u64, Failure> {
    newest_site_time(mirror, &key(vkey)?).map_err(|error| Failure(NO_INPUT, error.into()))
}

fn reference(text: &str) -> Option<Reference> {
    let (origin, index) = text.rsplit_once(':')?;
    Some(Reference { origin: origin.to_owned(), index: index.parse().ok()? })
}

fn line(incident: &Incident, now: Clock) -> String {
    let time = match (&incident.damaged, incident.state, incident.left(now)) {
        (Some(why), ..) => format!("damaged: {}", why.escape_debug()),
        (None, audit::State::Closed, _) => "closed".to_owned(),
        (None, audit::State::Escalated, _) => "escalated".to_owned(),
        (None, audit::State::Open, Some(left)) => format!("open, {left} s left"),
        (None, audit::State::Open, None) => "open, its time is over".to_owned(),
    };
    let opening = &incident.opening;
    let (id, rule) = (&incident.id, opening.rule.escape_debug());
    format!(
        "{id}  {}  {rule}  {}  {time}: {}\n",
        opening.severity,
        opening.cause.escape_debug(),
        opening.text.escape_debug()
    )
}

fn json<T: serde::Serialize>(value: &T) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(value);
    text.map(|text| text + "\n").map_err(|error| Failure(NO_OUTPUT, error.into()))
}

fn print(text: &str) -> Result<u8, Failure> {
    io::stdout().write_all(text.as_bytes()).map_err(|error| Failure(NO_OUTPUT, error.into()))?;
    Ok(0)
}

fn failure(error: IncidentError) -> Failure {
    let code = match error {
        IncidentError::Unknown(_) => NO_INPUT,
        IncidentError::Form(_) | IncidentError::Exists(_) | IncidentError::Cause(_) => USAGE,
        IncidentError::Refused(_) | IncidentError::Damaged { .. } => FINDINGS,
        IncidentError::Stranger(_) => CONFIG,
        _ => NO_OUTPUT,
    };
    Failure(code, error.into())
}
