//! Decisions in batches: equal facts once, the others on all processors.

use std::{
    collections::{HashMap, HashSet},
    num::NonZeroUsize,
    sync::Arc,
    thread,
};

use super::Problem;
use crate::{facts::Facts, hash::Hash, report::Report, rulebook::Rulebook};

/// Decisions that are remembered; then all are forgotten.
const REMEMBERED_MAX: usize = 1 << 18;
/// Fewer questions than this are not worth a thread.
const SHARE_LEAST: usize = 8;

/// What an entry claims of its facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    Released,
    RefusedForPolicy,
}

/// One entry to decide again.
pub(crate) struct Job<'a> {
    pub(crate) index: u64,
    pub(crate) question: Question,
    pub(crate) rulebook: Arc<Rulebook>,
    pub(crate) facts: Facts<'a>,
    /// Hash of question, rulebook and facts.
    pub(crate) key: Hash,
}

impl Job<'_> {
    fn judge(&self) -> Vec<Problem> {
        let Some(judge) = &self.rulebook.judge else { return Vec::new() };
        match self.question {
            Question::Released => judge.released(&self.rulebook.programme, &self.facts),
            Question::RefusedForPolicy => judge.refused(&self.rulebook.programme, &self.facts),
        }
    }
}

/// Decides again, and remembers what it decided.
pub(crate) struct Decider {
    threads: usize,
    known: HashMap<Hash, Vec<Problem>>,
}

impl Decider {
    pub(crate) fn new() -> Self {
        let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self { threads, known: HashMap::new() }
    }

    /// Decides a batch and reports in the order of the entries.
    pub(crate) fn decide(&mut self, jobs: &[Job<'_>], report: &mut Report) {
        let mut asked = HashSet::new();
        let fresh: Vec<&Job<'_>> =
            jobs.iter().filter(|job| !self.known.contains_key(&job.key) && asked.insert(job.key)).collect();
        report.decisions += jobs.len() as u64;
        report.decisions_distinct += fresh.len() as u64;
        let share = fresh.len().div_ceil(self.threads).max(SHARE_LEAST);
        if fresh.len() <= share {
            self.known.extend(fresh.iter().map(|job| (job.key, job.judge())));
        } else {
            self.spread(&fresh, share);
        }
        for job in jobs {
            for (rule, text) in self.known.get(&job.key).into_iter().flatten() {
                report.entry(*rule, job.index, text.clone());
            }
        }
        if self.known.len() > REMEMBERED_MAX {
            self.known.clear();
        }
    }

    fn spread(&mut self, fresh: &[&Job<'_>], share: usize) {
        let answers = thread::scope(|scope| {
            let shares: Vec<_> = fresh
                .chunks(share)
                .map(|jobs| {
                    let work = move || jobs.iter().map(|job| (job.key, job.judge())).collect::<Vec<_>>();
                    (jobs, scope.spawn(work))
                })
                .collect();
            // A thread that dies leaves its share to this one: no decision is skipped.
            let again = |jobs: &[&Job<'_>]| jobs.iter().map(|job| (job.key, job.judge())).collect();
            shares
                .into_iter()
                .flat_map(|(jobs, share)| share.join().unwrap_or_else(|_| again(jobs)))
                .collect()
        });
        let answers: Vec<(Hash, Vec<Problem>)> = answers;
        self.known.extend(answers);
    }
}
