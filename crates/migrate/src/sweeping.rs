//! Looking into places, one after the other, for identifiers of people whose rows were destroyed: what was seen, what is left, and who
//! answers for it.

use std::collections::BTreeMap;
use std::time::Duration;

use residency::connect::Server;
use residency::scan::Scanner;
use residency::sweep::{self, Options, Progress, Report};

use crate::database::{password, trusting};
use crate::error::MigrateError;
use crate::evidence::Held;
use crate::plan::{Copy, End, Plan};

/// Looked for where there were no rows.
const NOTHING: &str = "clover-migrate: there were no rows";
/// What a sweep calls databases that it cannot connect to.
const TEMPLATES: &str = "databases that take no connections";
/// How long a server may be silent.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a sweep after a migration saw.
#[derive(Debug, Default, serde::Serialize)]
pub struct Swept {
    /// Of each set how many identifiers were searched for in files; none where its columns hold none.
    pub looked_for: BTreeMap<String, u64>,
    /// What was looked into.
    pub places: Vec<Looked>,
    /// What was found, could not be seen, or keeps a copy.
    pub left: Vec<Left>,
}

/// Somewhere that was looked into.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Looked {
    /// Where.
    pub place: String,
    /// How many files, objects or tables.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Whether it is the source itself, and not a copy.
    pub at_source: bool,
}

/// Something that is left of rows that were destroyed, or may be.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Left {
    /// Where.
    pub place: String,
    /// What.
    pub what: String,
    /// Who answers for it, if the plan says so: then it holds no certificate up, and stands on it.
    pub open: Option<String>,
    /// Whether it is at the source itself, and not a copy.
    pub at_source: bool,
}

impl Swept {
    /// What holds the certificate up.
    pub fn in_the_way(&self) -> impl Iterator<Item = &Left> {
        self.left.iter().filter(|left| left.open.is_none())
    }
}

/// Where something is that was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum At {
    /// At the source, where it can be removed: it does not stay, whatever the plan says of it.
    SourceItself,
    /// At the source.
    Source,
    /// Elsewhere.
    Copy,
}

/// A sweep under way.
pub(crate) struct Sweeping<'a> {
    plan: &'a Plan,
    scanner: Scanner,
    pub(crate) swept: Swept,
}

impl<'a> Sweeping<'a> {
    /// Begins to look for these, of which so many are each set's.
    pub(crate) fn new(
        plan: &'a Plan,
        (identifiers, looked_for): (Vec<String>, BTreeMap<String, u64>),
    ) -> Result<Self, MigrateError> {
        let none = || MigrateError::State("what is to be looked for cannot be".into());
        // Of no rows at all there is nothing to look for; some word is, so that all is read.
        let identifiers = if identifiers.is_empty() { vec![NOTHING.to_owned()] } else { identifiers };
        let scanner = Scanner::of_identifiers(&identifiers).ok_or_else(none)?;
        Ok(Self { plan, scanner, swept: Swept { looked_for, ..Swept::default() } })
    }

    /// Looks into every copy that the plan names.
    pub(crate) async fn copies(&mut self) -> Result<(), MigrateError> {
        for copy in &self.plan.copies {
            if copy.folder.is_some() || copy.bucket.is_some() {
                let (scanner, looked) = (self.scanner.clone(), copy.clone());
                let sweeping = tokio::task::spawn_blocking(move || sweep_copy(&scanner, &looked));
                let report = sweeping.await.map_err(|e| MigrateError::State(e.to_string()))?;
                self.take(&copy.what, report, At::Copy);
            }
            if let Some(end) = &copy.database {
                self.server(&copy.what, end, At::Copy).await;
            }
        }
        Ok(())
    }

    /// Looks into a server: its tables, and its files.
    pub(crate) async fn server(&mut self, called: &str, end: &End, at: At) {
        match server(end) {
            Err(why) => self.leave(Held { place: called.to_owned(), why }, beside(at)),
            Ok(server) => {
                let progress = Progress::default();
                let tables = sweep::database::sweep(&self.scanner, &server, &progress).await;
                self.take(&format!("{called} tables"), tables, at);
                let files = sweep::cluster::sweep(&self.scanner, &server, &progress).await;
                self.take(&format!("{called} files"), files, at);
            }
        }
    }

    /// Takes a report in.
    fn take(&mut self, called: &str, report: Report, at: At) {
        let (place, at_source) = (called.to_owned(), at != At::Copy);
        self.swept.places.push(Looked { place, count: report.places, bytes: report.bytes, at_source });
        // One line for each place: there may be thousands of people in one file. A name that is one of them is not told.
        let mut found = BTreeMap::<String, u64>::new();
        for find in report.finds {
            let place = match find.inside.as_str() {
                "" => find.place,
                "(name)" => format!("{called}, the name of a file or folder"),
                inside => format!("{}!{inside}", find.place),
            };
            *found.entry(place).or_default() += find.times;
        }
        for (place, times) in found {
            let why = format!("{times} identifiers of the region's people");
            self.leave(Held { place, why }, at);
        }
        for blind in report.blind {
            let why = format!("it was not seen: {}", blind.why);
            self.leave(Held { place: blind.place, why }, beside(at));
        }
        for (kind, count) in report.passed {
            // Every server has one database that takes no connections: a template, as it was delivered.
            if count > u64::from(kind == TEMPLATES) {
                let why = format!("{count} {kind} were not looked into");
                self.leave(Held { place: called.to_owned(), why }, beside(at));
            }
        }
        if report.beyond > 0 {
            let why = format!("{} lines more than a report holds", report.beyond);
            self.leave(Held { place: called.to_owned(), why }, beside(at));
        }
    }

    /// Takes down what is left, and who answers for it.
    pub(crate) fn leave(&mut self, held: Held, at: At) {
        let known = self.plan.open.iter().filter(|_| at != At::SourceItself);
        let mut known =
            known.filter(|open| open.place.as_ref().is_some_and(|place| is_in(&held.place, place)));
        let open = known.next().map(|open| format!("{}, due {}", open.owner, open.due));
        let at_source = at != At::Copy;
        self.swept.left.push(Left { place: held.place, what: held.why, open, at_source });
    }

    /// Holds what was swept against the copies that stand in the manifest: none of them is forgotten by taking it out of the plan.
    pub(crate) fn hold_to(&mut self, manifest: &serde_json::Value) {
        let named = manifest
            .get("copies")
            .and_then(serde_json::Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default();
        for what in named.iter().filter_map(serde_json::Value::as_str) {
            if !self.plan.copies.iter().any(|copy| copy.what == what) {
                let why = "it stands in the manifest as a copy, and was not looked into".into();
                self.leave(Held { place: what.to_owned(), why }, At::Copy);
            }
        }
    }
}

/// What keeps from looking may be answered for, also at the source.
const fn beside(at: At) -> At {
    match at {
        At::SourceItself => At::Source,
        at => at,
    }
}

/// Whether a place is another, or lies in it.
fn is_in(place: &str, other: &str) -> bool {
    let rest = place.strip_prefix(other);
    rest.is_some_and(|rest| {
        rest.is_empty() || other.ends_with('/') || rest.starts_with(['/', '!', ' ', ':', ','])
    })
}

/// Looks into a folder or a bucket.
fn sweep_copy(scanner: &Scanner, copy: &Copy) -> Report {
    let progress = Progress::default();
    let blind =
        |place: String, why: String| Report { blind: vec![sweep::Blind { place, why }], ..Report::default() };
    match (&copy.folder, &copy.bucket) {
        // What a link leads to, and not the link.
        (Some(folder), _) => match folder.canonicalize() {
            Err(_) => blind(folder.display().to_string(), "there is no such folder".into()),
            Ok(folder) => sweep::path(scanner, &folder, Options::default(), &progress),
        },
        (None, Some(bucket)) => match bucket.open() {
            Err(why) => blind(bucket.called(), why),
            Ok(open) => {
                let options = Options::default();
                sweep::objects(scanner, &open.calls(), &bucket.called(), options, &progress)
            }
        },
        (None, None) => Report::default(),
    }
}

fn server(end: &End) -> Result<Server, String> {
    let password = password(end).map_err(|e| e.to_string())?;
    let roots = end.roots.as_deref().map(trusting).transpose()?;
    Server::new(&end.address, password.as_deref(), roots, PATIENCE).map_err(|e| e.to_string())
}
