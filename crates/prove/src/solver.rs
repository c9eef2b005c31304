//! The solver: a process of its own, with limits, one for each group of questions.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cedar_policy_symcc::solver::LocalSolver;
use cedar_policy_symcc::{Asserts, CedarSymCompiler, Env, WellFormedAsserts, err};
use tokio::process::Command;
use tokio::runtime::Runtime;

/// What a solver may take, and how many run at once.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For one question; beyond it the answer is "not proved".
    pub question: Duration,
    /// Address space of one process, in MiB.
    pub memory_mib: u64,
    /// Processes at once.
    pub workers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { question: Duration::from_secs(20), memory_mib: 4096, workers: 2 }
    }
}

/// How much longer than its own limit a solver is waited for before it is ended.
const GRACE: Duration = Duration::from_secs(5);
/// How long a solver may take to say its version.
const VERSION_WAIT: Duration = Duration::from_secs(10);
/// The symbolic compiler recurses over terms.
const STACK: usize = 64 << 20;

/// Why there is no solver.
#[derive(Debug, thiserror::Error)]
pub enum SolverError {
    /// No such program.
    #[error("no solver: `{0}` is not there; install cvc5 (Debian's package is named so)")]
    Missing(String),
    /// It does not answer.
    #[error("no solver: `{0}` does not say its version")]
    Silent(PathBuf),
}

/// A solver that answered.
#[derive(Debug)]
pub struct Solver {
    path: PathBuf,
    version: String,
    limits: Limits,
}

impl Solver {
    /// Finds a solver by path, or `cvc5` among the programs of this machine, and asks for its version.
    ///
    /// # Errors
    /// When it is not there or does not answer.
    pub fn find(path: Option<&Path>, limits: Limits) -> Result<Self, SolverError> {
        let path = match path {
            Some(path) => path.to_owned(),
            None => on_path("cvc5").ok_or_else(|| SolverError::Missing("cvc5".to_owned()))?,
        };
        if !path.is_file() {
            return Err(SolverError::Missing(path.display().to_string()));
        }
        let silent = || SolverError::Silent(path.clone());
        let runtime = runtime().map_err(|_| silent())?;
        let said = runtime.block_on(async {
            let child = Command::new(&path)
                .arg("--version")
                .env_clear()
                .stdin(Stdio::null())
                .stderr(Stdio::null())
                .kill_on_drop(true)
                .output();
            tokio::time::timeout(VERSION_WAIT, child).await.ok()?.ok()
        });
        let said = said.filter(|s| s.status.success()).ok_or_else(silent)?;
        let text = String::from_utf8_lossy(&said.stdout);
        let line: String = text.lines().next().unwrap_or_default().chars().take(100).collect();
        if line.trim().is_empty() {
            return Err(silent());
        }
        Ok(Self { path, version: line.trim().to_owned(), limits })
    }

    /// What it says of itself.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    fn start(&self) -> Result<CedarSymCompiler<LocalSolver>, Box<err::Error>> {
        let per_question = format!("--tlimit-per={}", self.limits.question.as_millis());
        let mut command = Command::new("/bin/sh");
        // The shell sets the limit and is then replaced. The limit of time is for each question: one for the whole
        // process would let every later question fail.
        command
            .args(["-c", "ulimit -v \"$0\" && exec \"$@\""])
            .arg((self.limits.memory_mib * 1024).to_string())
            .arg(&self.path)
            .args(["--lang", "smt", "--decision=internal", &per_question])
            .env_clear()
            .kill_on_drop(true);
        let process = LocalSolver::from_command(&mut command).map_err(err::Error::from)?;
        Ok(CedarSymCompiler::new(process)?)
    }
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

fn runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// Questions to one process. After a question without an answer the next one gets a new process.
pub(crate) struct Session<'s> {
    solver: Result<&'s Solver, String>,
    runtime: Option<Runtime>,
    process: Option<CedarSymCompiler<LocalSolver>>,
    known: BTreeMap<Asserts, bool>,
    /// Questions put so far, each once.
    pub(crate) asked: usize,
}

impl<'s> Session<'s> {
    fn new(solver: &'s Result<Solver, SolverError>) -> Self {
        let solver = solver.as_ref().map_err(ToString::to_string);
        let runtime = runtime().ok();
        Self { solver, runtime, process: None, known: BTreeMap::new(), asked: 0 }
    }

    /// Whether no request satisfies what is asserted. `Err` says why that is not known.
    ///
    /// Kinds of request that no policy tells apart lead to the same terms. What the solver reads is made from the
    /// terms and the schema alone, so that the same terms have the same answer: a session serves one schema.
    pub(crate) fn none(&mut self, asserts: &WellFormedAsserts<'_>) -> Result<bool, String> {
        if let Some(known) = self.known.get(asserts.asserts()) {
            return Ok(*known);
        }
        let none = self.ask(async |process| process.check_unsat(asserts).await)?;
        self.known.insert(asserts.asserts().clone(), none);
        Ok(none)
    }

    /// A request that satisfies what is asserted, if there is one.
    pub(crate) fn some(&mut self, asserts: &WellFormedAsserts<'_>) -> Result<Option<Env>, String> {
        self.ask(async |process| process.check_sat(asserts).await)
    }

    /// A request that satisfies the first of some assertions that any request satisfies; the last answer if none.
    pub(crate) fn first(&mut self, all: &[WellFormedAsserts<'_>]) -> Result<Option<Env>, String> {
        let mut last = Ok(None);
        for asserts in all {
            last = self.some(asserts);
            if matches!(last, Ok(Some(_))) {
                break;
            }
        }
        last
    }

    // INVARIANT: an answer comes from a process that has answered every question before this one.
    fn ask<T>(
        &mut self,
        question: impl AsyncFnOnce(&mut CedarSymCompiler<LocalSolver>) -> Result<T, err::Error>,
    ) -> Result<T, String> {
        let solver = self.solver.clone()?;
        let runtime = self.runtime.as_ref().ok_or("no runtime for the solver")?;
        self.asked += 1;
        let mut process = match self.process.take() {
            Some(process) => process,
            None => {
                let _entered = runtime.enter();
                solver.start().map_err(|e| e.to_string())?
            }
        };
        let wait = solver.limits.question + GRACE;
        let answer = runtime.block_on(async { tokio::time::timeout(wait, question(&mut process)).await });
        match answer {
            Ok(Ok(answer)) => {
                self.process = Some(process);
                Ok(answer)
            }
            Ok(Err(e)) => Err(one_line(&e.to_string())),
            Err(_) => Err(format!("no answer within {} s", wait.as_secs())),
        }
    }
}

/// Errors of the symbolic compiler can print whole terms.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(200).collect()
}

/// Does the same with each item, each with a session of its own, several at once. Results are in order.
pub(crate) fn each<T: Sync, R: Send>(
    items: &[T],
    solver: &Result<Solver, SolverError>,
    work: impl Fn(&mut Session<'_>, &T) -> R + Sync,
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, R)>> = Mutex::new(Vec::with_capacity(items.len()));
    let run = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { return };
            let result = work(&mut Session::new(solver), item);
            done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((index, result));
        }
    };
    let workers = solver.as_ref().map_or(1, |s| s.limits.workers).clamp(1, 16);
    std::thread::scope(|scope| {
        let spawn = |_| std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, run).is_ok();
        if (0..workers).filter(|n| spawn(*n)).count() == 0 {
            run();
        }
    });
    let mut done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}
