//! The pages of the console put together: where each of their parts comes from.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use console::access::Office;
use console::api;
use console::pages::{
    Answer, Asked, Behind, Candidate, ErasureAsked, Ledger, Made, Pages, Parts, Question, Study, Trust,
};
use crossing::credential::Tokens;
use gateway::Enclave;
use gateway::http::Gateway;
use http::Request;
use http_body_util::BodyExt;
use ledger::note::Note;
use ledger::sha256;
use model::rulebook::{Rulebook, manifest};
use model::{Name, SubjectId, UnixSeconds};
use serde_json::Value;

use crate::assemble::{self, MANIFEST};
use crate::layout::Layout;
use crate::site::{self, Site};
use crate::{import, now, subjects, wishes};

/// Longest answer of a study.
const REPORT_MAX: u64 = 16 << 20;
/// How often it is looked whether a study has come to its end.
const LOOK: Duration = Duration::from_millis(100);
/// Days that a replay looks back.
const REPLAY_DAYS: &str = "30";

/// The pages of a running enclave: what is behind them, what they show it with, and the teams whose people operate it.
///
/// # Errors
/// When a key or the policy cannot be read.
pub fn open(
    layout: &Layout,
    (enclave, site, gateway): (&Arc<Enclave>, &Arc<Site>, &Arc<Gateway>),
    (office, tokens, status): (&Arc<Office>, &Arc<Tokens>, &Arc<api::Shown>),
    operators: &[Name],
) -> Result<Arc<Pages>> {
    let text = |path: &Path| {
        std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))
    };
    let trust = Trust {
        site_vkey: text(&layout.trust().join("site.vkey"))?.trim().to_owned(),
        policy: text(&layout.policy())?,
    };
    let logs = site.members.iter().filter(|m| m.enrolled.role == ledger::site::Role::Gateway);
    let ledgers = logs.map(|m| Ledger {
        name: m.enrolled.prefix.clone(),
        origin: m.enrolled.origin.clone(),
        vkey: m.enrolled.vkey.clone(),
        log: Arc::clone(&m.log),
    });
    let parts = Parts {
        status: Arc::clone(status),
        office: Arc::clone(office),
        tokens: Arc::clone(tokens),
        ledgers: ledgers.collect(),
        trust,
        behind: Box::new(Here {
            layout: layout.clone(),
            enclave: Arc::clone(enclave),
            site: Arc::clone(site),
            gateway: Arc::clone(gateway),
            known: Mutex::default(),
        }),
        operators: operators.to_vec(),
        clock: now,
    };
    Ok(Pages::new(parts))
}

/// The running enclave, as pages ask it.
struct Here {
    layout: Layout,
    enclave: Arc<Enclave>,
    site: Arc<Site>,
    gateway: Arc<Gateway>,
    /// A copy of the rulebook in force, made anew when another one is.
    known: Mutex<Option<Arc<Rulebook>>>,
}

fn words<T>(made: Result<T>) -> Made<T> {
    made.map_err(|e| format!("{e:#}"))
}

impl Behind for Here {
    fn ask(&self, question: Question) -> Asked {
        Box::pin(answered(Arc::clone(&self.gateway), question))
    }

    fn rulebook(&self) -> Arc<Rulebook> {
        let live = self.enclave.live();
        let book = live.road.rulebook();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match known.as_ref() {
            Some(copy) if copy.digest == book.digest => Arc::clone(copy),
            _ => Arc::clone(known.insert(Arc::new(book.clone()))),
        }
    }

    fn candidate(&self) -> Option<Candidate> {
        candidate(&self.layout, &self.enclave)
    }

    fn study(&self, study: Study, over: &AtomicBool) -> Made<Value> {
        words(study_of(&self.layout, study, over))
    }

    fn activate(&self, digest: &str) -> Made<()> {
        words(lay_down(&self.layout, digest))
    }

    fn history(&self, subject: &SubjectId) -> Made<Vec<u8>> {
        let made = || -> Result<Vec<u8>> {
            let keys = self.enclave.person(subject, now()).map_err(|e| anyhow::anyhow!(e))?;
            let log_set = self.enclave.live().road.rulebook().programme.name.to_string();
            let secret = keys.tags.secret().clone();
            Ok(site::history::history(&self.site, &log_set, secret, None, None)?.to_bytes()?)
        };
        words(made())
    }

    fn handle(&self, text: &str) -> Option<SubjectId> {
        import::handle(self.enclave.keys(), text)
    }

    fn holds(&self, subject: &SubjectId) -> bool {
        subjects::known(&self.enclave, subject)
    }

    fn wish(&self, subject: &SubjectId) -> Made<Option<ErasureAsked>> {
        words(wishes::of(&self.layout, subject).map(|wish| wish.map(asked)))
    }

    fn wishes_erasure(&self, subject: &SubjectId) -> Made<ErasureAsked> {
        words(wishes::ask(&self.layout, subject, now()).map(asked))
    }

    fn wishes(&self) -> Made<(usize, Option<UnixSeconds>)> {
        let all = words(wishes::all(&self.layout))?;
        Ok((all.len(), all.iter().map(|(_, at)| asked(*at).due).min()))
    }
}

fn asked(at: UnixSeconds) -> ErasureAsked {
    ErasureAsked { at, due: wishes::due(at) }
}

/// The one road, for the console.
async fn answered(gateway: Arc<Gateway>, question: Question) -> Answer {
    let Question { session, address, method, path, headers, body } = question;
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let Ok(request) = request.body(Bytes::from(body)) else {
        return Answer { status: http::StatusCode::BAD_REQUEST, receipt: None, body: Vec::new() };
    };
    let answer = gateway.ask(session, address, request).await;
    let status = answer.status();
    let receipt = answer.headers().get("clover-receipt").and_then(|v| v.to_str().ok()?.parse().ok());
    match answer.into_body().collect().await {
        Ok(body) => Answer { status, receipt, body: body.to_bytes().to_vec() },
        Err(never) => match never {},
    }
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
fn study_of(layout: &Layout, study: Study, over: &AtomicBool) -> Result<Value> {
    let rulebook = layout.rulebook();
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--dir").arg(layout.root()).args(["--json", "rulebook"]);
    match study {
        Study::Proofs => command.arg("prove").arg(assemble::in_force(layout)?),
        Study::Difference => command.arg("diff").arg("--candidate").arg(rulebook),
        Study::Replay => command.args(["replay", "--days", REPLAY_DAYS]).arg("--candidate").arg(rulebook),
    };
    let [mut out, mut err] = [tempfile::tempfile()?, tempfile::tempfile()?];
    command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(err.try_clone()?);
    // A group of its own, so that whatever it starts ends with it.
    let mut child = command.process_group(0).spawn()?;
    while child.try_wait()?.is_none() {
        if over.load(Ordering::Acquire) {
            let group = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
            if let Some(group) = group {
                let _ = rustix::process::kill_process_group(group, rustix::process::Signal::TERM);
            }
            child.wait()?;
            anyhow::bail!("the enclave ends");
        }
        std::thread::sleep(LOOK);
    }
    // The exit code says how it came out; a report is there whenever there is one.
    serde_json::from_str(&written(&mut out)?).with_context(|| {
        let said = written(&mut err).unwrap_or_default();
        said.lines().last().unwrap_or("there is no report").to_owned()
    })
}

/// What a process wrote, from the start.
fn written(file: &mut File) -> Result<String> {
    let mut text = String::new();
    file.rewind()?;
    let length = file.take(REPORT_MAX).read_to_string(&mut text)?;
    anyhow::ensure!((length as u64) < REPORT_MAX, "the report is too long to show");
    Ok(text)
}

/// Lays the rulebook in the folder down for this enclave, if both have signed it and it is the one that was meant.
fn lay_down(layout: &Layout, meant: &str) -> Result<()> {
    let digest = assemble::rulebook(layout)?.rulebook.digest;
    anyhow::ensure!(digest.to_string() == meant, "another rulebook lies there by now");
    site::rules::lay_down(layout, &digest).map(drop)
}
