//! The pages of the console put together: where each of their parts comes from.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use bytes::Bytes;
use console::access::Office;
use console::api;
use console::pages::{Answer, Ask, Candidate, ErasureAsked, Ledger, Pages, Parts, Question, Study, Trust};
use crossing::credential::Tokens;
use gateway::Enclave;
use gateway::http::Gateway;
use http::Request;
use http_body_util::BodyExt;
use ledger::note::Note;
use ledger::sha256;
use model::Name;
use model::rulebook::{Rulebook, manifest};
use serde_json::Value;

use crate::assemble::{self, MANIFEST};
use crate::layout::Layout;
use crate::site::{self, Site};
use crate::{import, now, wishes};

/// Longest answer of a study.
const REPORT_MAX: usize = 16 << 20;
/// Days that a replay looks back.
const REPLAY_DAYS: &str = "30";

/// What pages are made of besides the folder.
pub struct From<'a> {
    /// The enclave.
    pub enclave: &'a Arc<Enclave>,
    /// Its site.
    pub site: &'a Arc<Site>,
    /// Its gateway, which asks the road.
    pub gateway: &'a Arc<Gateway>,
    /// Requests for access.
    pub office: &'a Arc<Office>,
    /// Sessions.
    pub tokens: &'a Arc<Tokens>,
    /// How it fares.
    pub status: &'a Arc<api::Shown>,
    /// Teams whose people operate it.
    pub operators: &'a [Name],
}

/// The pages of a running enclave.
///
/// # Errors
/// When a key or the policy cannot be read.
pub fn open(layout: &Layout, from: &From<'_>) -> Result<Arc<Pages>> {
    let text = |path: &Path| {
        std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))
    };
    let trust = Trust {
        site_vkey: text(&layout.trust().join("site.vkey"))?.trim().to_owned(),
        policy: text(&layout.policy())?,
    };
    let logs = from.site.members.iter().filter(|m| m.enrolled.role == ledger::site::Role::Gateway);
    let ledgers = logs.map(|m| Ledger {
        name: m.enrolled.prefix.clone(),
        origin: m.enrolled.origin.clone(),
        vkey: m.enrolled.vkey.clone(),
        log: Arc::clone(&m.log),
    });
    let [told, took, made, studied, laid, counted] = std::array::from_fn(|_| layout.clone());
    let [keyed, known, ruled] = std::array::from_fn(|_| Arc::clone(from.enclave));
    let (here, proved) = (Arc::clone(from.enclave), Arc::clone(from.site));
    let parts = Parts {
        status: Arc::clone(from.status),
        office: Arc::clone(from.office),
        tokens: Arc::clone(from.tokens),
        ledgers: ledgers.collect(),
        trust,
        rulebook: snapshot(ruled),
        candidate: Box::new(move || candidate(&told, &known)),
        study: Box::new(move |study| study_of(&studied, study).map_err(|e| format!("{e:#}"))),
        activate: Box::new(move || lay_down(&laid).map_err(|e| format!("{e:#}"))),
        ask: ask(Arc::clone(from.gateway)),
        history: Box::new(move |subject| {
            let made = || -> Result<Vec<u8>> {
                let keys = here.person(subject, now()).map_err(|e| anyhow::anyhow!(e))?;
                let log_set = here.live().road.rulebook().programme.name.to_string();
                Ok(site::history::history(&proved, &log_set, keys.tags.secret().clone(), None, None)?
                    .to_bytes()?)
            };
            made().map_err(|e| format!("{e:#}"))
        }),
        handle: Box::new(move |text| import::handle(keyed.keys(), text)),
        erasure: Box::new(move |subject| {
            wishes::of(&took, subject).map(|w| w.map(asked)).map_err(|e| format!("{e:#}"))
        }),
        erase: Box::new(move |subject| {
            wishes::ask(&made, subject, now()).map(asked).map_err(|e| format!("{e:#}"))
        }),
        erasures: Box::new(move || {
            let all = wishes::all(&counted).map_err(|e| format!("{e:#}"))?;
            Ok((all.len(), all.iter().map(|(_, at)| asked(*at).due).min()))
        }),
        operators: from.operators.to_vec(),
        clock: now,
    };
    Ok(Pages::new(parts))
}

fn asked(at: model::UnixSeconds) -> ErasureAsked {
    ErasureAsked { at, due: wishes::due(at) }
}

/// The rulebook in force, copied when another one is.
fn snapshot(enclave: Arc<Enclave>) -> Box<dyn Fn() -> Arc<Rulebook> + Send + Sync> {
    let known: Mutex<Option<Arc<Rulebook>>> = Mutex::default();
    Box::new(move || {
        let live = enclave.live();
        let book = live.road.rulebook();
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        match known.as_ref() {
            Some(copy) if copy.digest == book.digest => Arc::clone(copy),
            _ => Arc::clone(known.insert(Arc::new(book.clone()))),
        }
    })
}

/// The one road, for the console.
fn ask(gateway: Arc<Gateway>) -> Ask {
    Box::new(move |question| {
        let gateway = Arc::clone(&gateway);
        Box::pin(async move {
            let Question { session, address, method, path, headers, body } = question;
            let mut request = Request::builder().method(method).uri(path);
            for (name, value) in headers {
                request = request.header(name, value);
            }
            let nothing = |status| Answer { status, receipt: None, body: Vec::new() };
            let Ok(request) = request.body(Bytes::from(body)) else {
                return nothing(http::StatusCode::BAD_REQUEST);
            };
            let answer = gateway.ask(session, address, request).await;
            let status = answer.status();
            let receipt = answer.headers().get("clover-receipt").and_then(|v| v.to_str().ok()?.parse().ok());
            match answer.into_body().collect().await {
                Ok(body) => Answer { status, receipt, body: body.to_bytes().to_vec() },
                Err(never) => match never {},
            }
        })
    })
}

/// The rulebook in the enclave's folder, if it is another one than decides.
fn candidate(layout: &Layout, enclave: &Enclave) -> Option<Candidate> {
    let files = assemble::read_files(&layout.rulebook()).ok()?;
    let text = manifest(&files, sha256);
    let digest = sha256(text.as_bytes());
    if enclave.in_force().rulebook() == Some(digest) {
        return None;
    }
    let note: Option<Note> =
        std::fs::read_to_string(layout.rulebook().join(MANIFEST)).ok().and_then(|t| t.parse().ok());
    let note = note.filter(|note| note.unverified_text() == text);
    let has_signed = |who: &&'static str| {
        let key = assemble::verifier(layout, who).ok();
        note.as_ref().zip(key).is_some_and(|(note, key)| note.verify(std::slice::from_ref(&key)).is_ok())
    };
    let problem = crossing::rulebook::check(&files).err().map(|e| e.to_string());
    Some(Candidate {
        digest: digest.to_string(),
        signed: ["operator", "auditor"].into_iter().filter(has_signed).collect(),
        problem,
    })
}

/// Works something out with this program's own commands, in a process of its own: it takes long and much memory.
fn study_of(layout: &Layout, study: Study) -> Result<Value> {
    let rulebook = layout.rulebook();
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--dir").arg(layout.root()).args(["--json", "rulebook"]);
    match study {
        Study::Proofs => command.arg("prove").arg(assemble::in_force(layout)?),
        Study::Difference => command.arg("diff").arg("--candidate").arg(rulebook),
        Study::Replay => command.args(["replay", "--days", REPLAY_DAYS]).arg("--candidate").arg(rulebook),
    };
    let output = command.stdin(Stdio::null()).output()?;
    anyhow::ensure!(output.stdout.len() <= REPORT_MAX, "the report is too long to show");
    // The exit code says how it came out; a report is there whenever there is one.
    serde_json::from_slice(&output.stdout).with_context(|| {
        let said = String::from_utf8_lossy(&output.stderr);
        said.lines().last().unwrap_or("there is no report").to_owned()
    })
}

/// Lays the rulebook in the folder down for this enclave, if both have signed it.
fn lay_down(layout: &Layout) -> Result<()> {
    let digest = assemble::rulebook(layout)?.rulebook.digest;
    site::rules::lay_down(layout, &digest).map(drop)
}
