//! Sweeps and the watch: what they find opens incidents.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use gateway::enclave;
use residency::ResidencyError;
use residency::canary::Canaries;
use residency::connect::{Server, trusting};
use residency::incident::{DUE_HOURS, Found, Incident, Incidents};
use residency::scan::Scanner;
use residency::sweep::{self, Options, Progress, Report};
use residency::unpack::Bounds;
use residency::watch::{self, Declared, Finding, Round, Why};
use serde_json::json;
use vault::keys::SecretFile;
use vault::media::{self, Bucket, S3};

use super::{BLIND, FOUND, key_file};
use crate::authority;
use crate::cli::output::Output;
use crate::error::{CommandError, chain};
use crate::layout::Layout;

/// Seconds after which incidents are looked at for what is due, though nothing changed.
const ESCALATE_SECONDS: u64 = 30;
/// Lines of a report that are printed.
const PRINTED: usize = 50;

#[derive(Debug, Args)]
pub(in crate::cli) struct Sweep {
    /// A file or folder, a server as `postgres://user@host/database`, or a bucket as `s3://name`.
    target: String,
    /// Canaries belong here: say where they are, and open no incident.
    #[arg(long)]
    inside: bool,
    /// Files that are read at a time.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64))]
    threads: u8,
    /// Containers within one another that are opened.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u8).range(0..=32))]
    depth: u8,
    /// GiB that the containers of one file may expand to.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4096))]
    expand_gib: u16,
    /// For a server: a file with the password.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// For a bucket: who has it, as `https://host:port`.
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// For a bucket: its region, as the store calls it.
    #[arg(long, default_value = "us-east-1")]
    region: String,
    /// For a bucket: a file with the name of the key that signs.
    #[arg(long, value_name = "FILE")]
    access_key_file: Option<PathBuf>,
    /// For a bucket: a file with that key.
    #[arg(long, value_name = "FILE")]
    secret_key_file: Option<PathBuf>,
    /// For a server or bucket: whom to trust over TLS; without it, a server must be on this machine.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// For a server: seconds that an answer is waited for.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u16).range(1..=3600))]
    patience_seconds: u16,
}

impl Sweep {
    pub(super) fn run(&self, layout: &Layout, output: &Output) -> Result<ExitCode> {
        let scanner =
            Scanner::new(Canaries::open(&key_file(layout))?).context("there are no canaries to look for")?;
        let (source, report) = self.sweep(&scanner)?;
        let opened = if self.inside {
            vec![]
        } else {
            let found = found(&source, &report);
            Incidents::open(&layout.residency())?.observe(&source, &found, DUE_HOURS, enclave::now().0.0)?
        };
        let json = json!({ "report": report, "is_whole": report.is_whole(), "opened": opened });
        output.data(&text(&report, &opened), &json);
        Ok(match (report.finds.is_empty() || self.inside, report.is_whole()) {
            (false, _) => ExitCode::from(FOUND),
            (true, false) => ExitCode::from(BLIND),
            (true, true) => ExitCode::SUCCESS,
        })
    }

    fn sweep(&self, scanner: &Scanner) -> Result<(String, Report)> {
        let refused = |why: &str| ResidencyError::Target { target: shown(&self.target), why: why.to_owned() };
        let bounds = Bounds { depth: self.depth.into(), expansion: u64::from(self.expand_gib) << 30 };
        let options = Options { bounds, threads: self.threads.into() };
        if let Some(bucket) = self.target.strip_prefix("s3://") {
            let (bucket, called) = self.bucket(bucket.trim_end_matches('/')).map_err(|why| refused(&why))?;
            let report = sweep::objects(scanner, &bucket.calls(), &called, options, &Progress::default());
            return Ok((format!("sweep {called}"), report));
        }
        if !self.target.starts_with("postgres://") && !self.target.starts_with("postgresql://") {
            // What is found again is known by its whole path.
            let root = Path::new(&self.target).canonicalize().map_err(|e| refused(&e.to_string()))?;
            let report = sweep::path(scanner, &root, options, &Progress::default());
            return Ok((format!("sweep {}", root.display()), report));
        }
        let read = |file: &PathBuf| std::fs::read_to_string(file).map_err(CommandError::file(file));
        let password = self.password_file.as_ref().map(read).transpose()?;
        let tls = self
            .ca_file
            .as_ref()
            .map(|file| trusting(file, None).map_err(CommandError::file(file)))
            .transpose()?;
        let patience = Duration::from_secs(self.patience_seconds.into());
        let server = Server::new(&self.target, password.as_deref().map(str::trim_end), tls, patience)
            .map_err(|e| refused(&e.to_string()))?;
        let report = runtime()?.block_on(sweep::database::sweep(scanner, &server, &Progress::default()));
        Ok((format!("sweep {}", server.name()), report))
    }

    /// The bucket, and what it is called in a report.
    fn bucket(&self, name: &str) -> Result<(Bucket, String), String> {
        let (Some(endpoint), Some(access), Some(secret), Some(ca)) =
            (&self.endpoint, &self.access_key_file, &self.secret_key_file, &self.ca_file)
        else {
            return Err(
                "a bucket needs --endpoint, --access-key-file, --secret-key-file and --ca-file".to_owned()
            );
        };
        let s3 = S3 {
            endpoint: endpoint.clone(),
            bucket: name.to_owned(),
            region: self.region.clone(),
            access_key: SecretFile { what: "access key", path: access.clone() },
            secret_key: SecretFile { what: "secret key", path: secret.clone() },
            tls: authority::client_config(ca, None).map_err(|e| format!("{e:#}"))?,
        };
        Ok((Bucket::open(&s3).map_err(|e| chain(&e))?, media::called(endpoint, name)))
    }
}

/// An address without what stands before its host.
fn shown(target: &str) -> String {
    match (target.split_once("://"), target.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        _ => target.to_owned(),
    }
}

/// One incident for each place with canaries, and one for all that was not seen.
fn found(source: &str, report: &Report) -> Vec<Found> {
    let mut places: BTreeMap<&str, (u64, BTreeSet<u32>)> = BTreeMap::new();
    for find in &report.finds {
        let (times, canaries) = places.entry(&find.place).or_default();
        *times += find.times;
        canaries.insert(find.canary);
    }
    let file = |place: &str| Some(PathBuf::from(place)).filter(|p| p.is_file());
    let mut found: Vec<Found> = places
        .into_iter()
        .map(|(place, (times, canaries))| Found {
            source: source.to_owned(),
            key: place.to_owned(),
            text: format!("`{place}` holds {times} values of {} canaries", canaries.len()),
            file: file(place),
        })
        .collect();
    if let Some(first) = report.blind.first() {
        let (n, beyond) = (report.blind.len(), report.beyond);
        let text = format!(
            "{n} places were not seen whole, {beyond} more lines are left out; first `{}`: {}",
            first.place, first.why
        );
        found.push(Found { source: source.to_owned(), key: "not seen".to_owned(), text, file: None });
    }
    found
}

fn text(report: &Report, opened: &[Incident]) -> String {
    let mut text = format!("{} files or tables, {} bytes searched", report.places, report.bytes);
    for (kind, n) in &report.passed {
        text.push_str(&format!("; {n} {kind} passed by"));
    }
    for find in report.finds.iter().take(PRINTED) {
        let inside = if find.inside.is_empty() { String::new() } else { format!("!{}", find.inside) };
        let (canary, kind, times) = (find.canary, find.kind.word(), find.times);
        let form = format!("{:?}", find.form).to_lowercase();
        text.push_str(&format!(
            "\nfound: {}{inside} at {}: canary {canary}, {kind}, {form}, {times} times",
            find.place, find.offset
        ));
    }
    for blind in report.blind.iter().take(PRINTED) {
        text.push_str(&format!("\nnot seen: {}: {}", blind.place, blind.why));
    }
    let left = report.finds.len().saturating_sub(PRINTED) + report.blind.len().saturating_sub(PRINTED);
    if left > 0 || report.beyond > 0 {
        text.push_str(&format!(
            "\n{} more lines; --json has up to 10000 of each",
            left as u64 + report.beyond
        ));
    }
    for incident in opened {
        text.push_str(&format!("\nincident {}: {}", incident.id, incident.found.text));
    }
    text
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Watch {
    /// The file of what is declared.
    #[arg(long, value_name = "FILE")]
    declared: PathBuf,
    /// Look once at every node, and end.
    #[arg(long)]
    once: bool,
}

impl Watch {
    pub(super) fn run(&self, layout: &Layout, output: &Output) -> Result<ExitCode> {
        let declared = Declared::load(&self.declared)?;
        let mut noting =
            Noting { layout, output, hours: declared.due_hours, last: BTreeMap::new(), escalated: 0 };
        let (mut failed, once, nodes) = (None, self.once, declared.nodes.len());
        let told = |round: Round| {
            let noted = if round.is_whole { noting.note(round) } else { Ok(()) };
            match noted {
                Err(e) => failed = Some(e),
                Ok(()) if once && noting.last.len() == nodes => {}
                Ok(()) => return ControlFlow::Continue(()),
            }
            ControlFlow::Break(())
        };
        runtime()?.block_on(async {
            tokio::select! {
                done = watch::watch(&self.declared, &declared, told) => done,
                _ = tokio::signal::ctrl_c() => Ok(()),
            }
        })?;
        if let Some(e) = failed {
            return Err(e);
        }
        let is_clean = noting.last.values().all(BTreeSet::is_empty);
        Ok(if is_clean { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
    }
}

/// Brings what is found into the log of incidents, when something changes or may be due.
struct Noting<'a> {
    layout: &'a Layout,
    output: &'a Output,
    hours: u64,
    last: BTreeMap<String, BTreeSet<Finding>>,
    escalated: u64,
}

impl Noting<'_> {
    fn note(&mut self, round: Round) -> Result<()> {
        let now = enclave::now().0.0;
        let is_same = self.last.get(&round.node) == Some(&round.findings);
        if is_same && now < self.escalated.saturating_add(ESCALATE_SECONDS) {
            return Ok(());
        }
        let source = format!("watch {}", round.node);
        let found: Vec<Found> = round.findings.iter().map(|f| of(&source, f)).collect();
        let opened = Incidents::open(&self.layout.residency())?.observe(&source, &found, self.hours, now)?;
        for incident in &opened {
            let text = format!("incident {}: {}", incident.id, incident.found.text);
            self.output.data(&text, &serde_json::to_value(incident)?);
        }
        self.escalated = now;
        self.last.insert(round.node, round.findings);
        Ok(())
    }
}

fn of(source: &str, finding: &Finding) -> Found {
    let (kind, text) = (&finding.fact.kind, &finding.fact.text);
    // Why something cannot be seen may be said in other words each time.
    let key = if finding.why == Why::Blind {
        format!("blind {kind}")
    } else {
        format!("{:?} {kind} {text}", finding.why)
    };
    let text = format!("{kind} at {} {}: {text}", finding.node, finding.why.words());
    Found { source: source.to_owned(), key, text, file: None }
}

/// Writes what is there as declared.
pub(super) fn declare(nodes: &Path, out: &Path, output: &Output) -> Result<ExitCode> {
    let declared = Declared::load(nodes)?;
    let (found, blind) = runtime()?.block_on(watch::declare(nodes, &declared))?;
    let text = toml::to_string(&found).context("what is there cannot be written")?;
    let mut options = std::fs::OpenOptions::new();
    let written = options
        .write(true)
        .create_new(true)
        .open(out)
        .and_then(|mut f| std::io::Write::write_all(&mut f, text.as_bytes()));
    written.map_err(CommandError::file(out))?;
    let facts: usize = found.nodes.iter().flat_map(|n| n.facts.values()).map(Vec::len).sum();
    let mut text =
        format!("{facts} facts of {} nodes are in `{}`: review each", found.nodes.len(), out.display());
    for finding in &blind {
        text.push_str(&format!(
            "\n{} at {} {}: {}",
            finding.fact.kind,
            finding.node,
            finding.why.words(),
            finding.fact.text
        ));
    }
    output.data(&text, &json!({ "facts": facts, "file": out, "blind": blind }));
    Ok(if blind.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(BLIND) })
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot begin to wait for answers")
}
