//! What is asked and not yet answered, and what the server keeps for the client by a name.
//!
//! A name means what the server last confirmed for it. What is asked but not confirmed counts only within its own batch, up to the
//! next `Sync`: if it fails, the server skips the rest of the batch. Where it stands in an earlier batch nobody can know yet, and
//! whoever asks waits.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use super::super::super::gate::Verdict;
use super::exit::Waits;
use super::{Prepared, Source};

/// What a client may run by a portal's name.
#[derive(Clone)]
pub(super) struct Portal {
    pub(super) source: Source,
    /// A cursor that was declared: running it gives the rows of its query.
    pub(super) declared: bool,
}

/// A run whose result is awaited.
pub(super) struct Running {
    pub(super) id: u64,
    pub(super) source: Source,
    /// A cursor's portal is run, not its declaration.
    pub(super) declared: bool,
    pub(super) copying: bool,
}

impl Running {
    pub(super) fn tells(&self) -> bool {
        self.declared || self.source.prepared.verdict().tells()
    }

    pub(super) fn fits(&self, tag: &str) -> bool {
        if self.declared { Verdict::Read.fits(tag) } else { self.source.prepared.verdict().fits(tag) }
    }
}

/// What the server answers next.
pub(super) enum Expect {
    Parse {
        name: Bytes,
        prepared: Arc<Prepared>,
        quiet: bool,
    },
    Bind {
        name: Bytes,
        portal: Portal,
        quiet: bool,
    },
    /// Of a statement: its parameters come first.
    Statement {
        parameters: bool,
    },
    /// Of a portal. Quiet: for us alone. Simple: without saying that there are no rows.
    Portal {
        name: Bytes,
        quiet: bool,
        simple: bool,
    },
    Run(Running),
    Close {
        portal: bool,
        name: Bytes,
    },
    /// A statement that fails in place of one that was refused, and what the client is told of it.
    Refused {
        words: Bytes,
        /// Ends when the refusal is on record, where it is to be.
        noted: Option<Waits<()>>,
    },
    Flush,
    Sync,
}

/// What a name stands for.
pub(super) enum Look<T> {
    Found(T),
    Unknown,
    Wait,
}

/// See the module.
#[derive(Default)]
pub(super) struct Book {
    expected: VecDeque<Expect>,
    parses: usize,
    statements: HashMap<Bytes, Arc<Prepared>>,
    portals: HashMap<Bytes, Portal>,
}

impl Book {
    pub(super) fn expect(&mut self, next: Expect) {
        self.parses += usize::from(matches!(next, Expect::Parse { .. }));
        self.expected.push_back(next);
    }

    pub(super) fn next(&mut self) -> Option<&mut Expect> {
        self.expected.front_mut()
    }

    pub(super) fn answered(&mut self) -> Option<Expect> {
        let next = self.expected.pop_front();
        self.parses -= usize::from(matches!(next, Some(Expect::Parse { .. })));
        next
    }

    pub(super) fn awaited(&self) -> usize {
        self.expected.len()
    }

    /// How many names there are.
    pub(super) fn names(&self) -> usize {
        self.statements.len() + self.portals.len()
    }

    pub(super) fn statement(&self, name: &[u8]) -> Look<Arc<Prepared>> {
        let mut here = true;
        let mut left = self.parses;
        for next in self.expected.iter().rev() {
            if left == 0 {
                break;
            }
            match next {
                Expect::Sync => here = false,
                Expect::Parse { name: of, prepared, .. } => {
                    if of == name {
                        return if here { Look::Found(prepared.clone()) } else { Look::Wait };
                    }
                    left -= 1;
                }
                _ => {}
            }
        }
        self.statements.get(name).map_or(Look::Unknown, |p| Look::Found(p.clone()))
    }

    pub(super) fn portal(&self, name: &[u8]) -> Look<Portal> {
        let mut here = true;
        for next in self.expected.iter().rev() {
            let found = match next {
                Expect::Sync => {
                    here = false;
                    continue;
                }
                Expect::Bind { name: of, portal, .. } if of == name => portal.clone(),
                Expect::Run(run) if declares(run, name) => {
                    Portal { source: run.source.clone(), declared: true }
                }
                _ => continue,
            };
            return if here { Look::Found(found) } else { Look::Wait };
        }
        self.portals.get(name).map_or(Look::Unknown, |p| Look::Found(p.clone()))
    }

    /// Whether the description that comes next before the next run is that of this portal.
    pub(super) fn described(&self, name: &[u8]) -> bool {
        for next in self.expected.iter().rev() {
            match next {
                Expect::Portal { name: of, .. } => return of == name,
                Expect::Bind { name: of, .. } if of == name => return false,
                // What has this name may be another portal since then.
                Expect::Run(_) | Expect::Close { portal: true, .. } | Expect::Sync => return false,
                _ => {}
            }
        }
        false
    }

    /// The server confirmed a statement.
    pub(super) fn parsed(&mut self, name: Bytes, prepared: Arc<Prepared>) {
        self.statements.insert(name, prepared);
    }

    /// The server confirmed a portal or cursor.
    pub(super) fn bound(&mut self, name: Bytes, portal: Portal) {
        self.portals.insert(name, portal);
    }

    pub(super) fn closed(&mut self, portal: bool, name: &Bytes) {
        if portal {
            self.portals.remove(name);
        } else {
            self.statements.remove(name);
        }
    }

    /// What the end of a run changes.
    pub(super) fn ran(&mut self, run: Running) {
        match run.source.prepared.verdict() {
            Verdict::Declare(name) if !run.declared => {
                let name = Bytes::copy_from_slice(name.as_bytes());
                self.bound(name, Portal { source: run.source, declared: true });
            }
            Verdict::Deallocate(Some(name)) => drop(self.statements.remove(name.as_bytes())),
            Verdict::Deallocate(None) => self.statements.clear(),
            _ => {}
        }
    }

    /// No transaction is open: portals and cursors are gone.
    pub(super) fn idle(&mut self) {
        self.portals.clear();
    }
}

fn declares(run: &Running, name: &[u8]) -> bool {
    !run.declared && matches!(run.source.prepared.verdict(), Verdict::Declare(of) if of.as_bytes() == name)
}
