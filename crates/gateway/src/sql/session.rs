//! One session, and the road that each part of each result takes.
//!
//! INVARIANT: who it is, on what ground, what policy says and what the views show is asked anew for every part of every result. A
//! session whose views show something else than what is decided now releases nothing.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossing::credential::{Shown as Credential, Tokens};
use crossing::identify::Session as Who;
use crossing::{OwnerKeys, PEOPLE_CLASS, Permitted, Selection};
use model::catalogue::{FieldIndex, Kind};
use model::tables::Table;
use model::{Digest, Name, Reason, SubjectId, Treatment};
use zeroize::Zeroizing;

use super::compile::{self, Column, KeyOf, Plan, Shows};
use super::intended::Hand;
use super::numbers::{Answer, Numbers};
use super::people::Known;
use super::reach::Reach;
use super::source::{Granted, Source, SourceError};
use super::stand::{Now, Shown, Stand};
use super::wire::relay::{Refused, Source as Run};
use super::wire::scram::Verifier;
use super::words::told;
use crate::enclave::Enclave;
use crate::passage::{Named, claimed};
use crate::seen::Seen;

/// Bytes of temporary files that one session may make.
const TEMP_MAX: u64 = 1 << 30;
/// Sessions of one grant at a time.
const SESSIONS_MAX: u16 = 32;
/// How old what is known of people may be, unless somebody turns up who is not among them.
const KNOWN: Duration = Duration::from_secs(60);

/// Who signed in, as the front found out.
pub(super) struct Caller {
    pub(super) actor: String,
    pub(super) ground: String,
    pub(super) credential: Credential,
    pub(super) peer: IpAddr,
}

/// What a session is opened with.
pub(super) struct With<'a> {
    pub(super) enclave: &'a Arc<Enclave>,
    pub(super) tokens: &'a Arc<Tokens>,
    pub(super) sources: &'a HashMap<Name, Arc<Source>>,
    pub(super) statement_timeout: Duration,
    /// The origin of the gateway's log.
    pub(super) log: &'a str,
}

/// What a column of a view shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// A field.
    Field(FieldIndex),
    /// Whose the row is.
    Person,
}

/// A session of somebody who signed in.
pub(super) struct Session {
    pub(super) stand: Stand,
    pub(super) tokens: Arc<Tokens>,
    pub(super) seen: Seen,
    pub(super) source: Arc<Source>,
    pub(super) granted: Arc<Granted>,
    /// What the views were made to show.
    shown: Shown,
    /// For those who see no rows: what they may ask.
    pub(super) numbers: Option<Numbers>,
    pub(super) origins: HashMap<(u32, u16), Origin>,
    runs: Mutex<HashMap<u64, Begun>>,
    last: AtomicU64,
    log: String,
}

/// A run that was begun.
#[derive(Clone)]
pub(super) struct Begun {
    pub(super) run: Run,
    pub(super) reach: Reach,
    /// Parts of its result that were handed over.
    pub(super) parts: u64,
    /// Takes the one part of a run whose intent is on the ledger.
    pub(super) intended: Option<Hand>,
    /// The answer of a question about numbers.
    pub(super) answer: Option<Arc<(Answer, Selection)>>,
}

impl Begun {
    /// The digest of its text without values.
    pub(super) fn digest(&self) -> Digest {
        ledger::sha256(self.run.prepared.normalised().as_bytes())
    }
}

impl Session {
    /// Opens a session on a dataset: decides what its views show, and has them made.
    ///
    /// # Errors
    /// What the client is told.
    pub(super) async fn open(
        with: With<'_>,
        caller: Caller,
        dataset: &str,
    ) -> Result<(Arc<Self>, bool), Refused> {
        let stand = stand(&with, &caller, dataset)?;
        let seen = Seen::default();
        seen.country(stand.who.network);
        seen.credential(&caller.credential);
        let now = stand.now().await?;
        stand.named.name().into_iter().for_each(|name| seen.ground(name));
        let Some(source) = stand.tables.first().and_then(|table| with.sources.get(&table.source)) else {
            return Err(told("3D000", "there is no such database: connect to a dataset that has tables"));
        };
        let (shown, keys) = match decide(&stand, &now) {
            Ok(decided) => decided,
            Err(refused) => return Err(stand.record(*refused).await),
        };
        let numbers = keys.is_none().then(|| Numbers::of(&stand.tables));
        let role = {
            let rulebook = stand.rulebook.to_string();
            let who = caller.actor.as_bytes();
            let kind = format!("{:?} for {}", stand.named, now.serving.purpose.word());
            source.role(&[
                kind.as_bytes(),
                shown.recipient().as_bytes(),
                who,
                dataset.as_bytes(),
                rulebook.as_bytes(),
                &shown.bytes(),
            ])
        };
        let granted = match source.standing(&role).await.map_err(|e| unusable(&e))? {
            Some(granted) => granted,
            None => {
                let (plan, password) = plan(&stand, &now, role, &shown, keys, with.statement_timeout)?;
                source.compiled(plan, password).await.map_err(|e| unusable(&e))?
            }
        };
        let origins = origins(&granted, &stand.tables);
        let inside = now.is_inside();
        let session = Self {
            stand,
            tokens: Arc::clone(with.tokens),
            seen,
            source: Arc::clone(source),
            granted,
            shown,
            numbers,
            origins,
            runs: Mutex::default(),
            last: AtomicU64::new(u64::MAX),
            log: with.log.to_owned(),
        };
        Ok((Arc::new(session), inside))
    }

    fn runs(&self) -> MutexGuard<'_, HashMap<u64, Begun>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a run.
    pub(super) fn begun(&self, id: u64, begun: Begun) {
        self.runs().insert(id, begun);
    }

    /// A run of which one more part is there; the last one is forgotten with it.
    pub(super) fn part(&self, id: u64, last: bool) -> Option<Begun> {
        let mut runs = self.runs();
        // Those before it are over, or were skipped by the server.
        runs.retain(|other, _| *other >= id);
        let begun = runs.get_mut(&id)?;
        let part = begun.clone();
        begun.parts += 1;
        if last {
            runs.remove(&id);
        }
        Some(part)
    }

    /// The client is gone: whatever was begun is not answered any more.
    pub(super) fn forget(&self) {
        self.runs().clear();
    }

    /// The entry of what was released last, and the origin of its log.
    pub(super) fn last(&self) -> Option<(u64, &str)> {
        let last = Some(self.last.load(Ordering::Relaxed)).filter(|last| *last != u64::MAX);
        last.map(|last| (last, self.log.as_str()))
    }

    pub(super) fn released(&self, index: u64) {
        self.last.store(index, Ordering::Relaxed);
    }

    /// Has what was compiled for the ground dropped at once, if that is over.
    pub(super) fn let_go(&self) {
        let Some(name) = self.stand.named.name() else { return };
        let (control, now) = (self.stand.enclave.control(), crate::enclave::now().0);
        if control.grant(name, now).is_err() && control.case(name, now).is_err() {
            self.granted.close("the grant or case is over");
        }
    }

    /// Whether the views show what is decided now.
    pub(super) fn still_shows(&self, permitted: &Permitted<'_>) -> bool {
        Shown::of(permitted, &self.stand.tables) == self.shown
    }

    /// The people of the tables, as the views name them; all of them read anew if `anew`.
    pub(super) async fn known(&self, permitted: &Permitted<'_>, anew: bool) -> Result<Arc<Known>, Reason> {
        let keys = permitted.owner_keys().ok_or(Reason::Rulebook)?;
        let fresh = if anew { Duration::ZERO } else { KNOWN };
        let (dataset, tables) = (&self.stand.dataset, &self.stand.tables);
        let known = self
            .source
            .known(&self.granted, dataset, tables, fresh, |person: &SubjectId| keys.person(person));
        known.await.map_err(|e| {
            tracing::warn!(error = %e, "the people of a dataset could not be read");
            Reason::Upstream
        })
    }
}

/// What the views of a session show, and the keys of its tokens; no keys for those who see no rows.
type Decided = (Shown, Option<OwnerKeys>);

/// Asks policy for rows, and for numbers where there are no rows.
fn decide(stand: &Stand, now: &Now) -> Result<Decided, Box<crossing::Refused>> {
    let ask = stand.ask(now, None);
    let refused = match now.live.road.decide(&ask) {
        Ok(permitted) => {
            let shown = Shown::of(&permitted, &stand.tables);
            return match permitted.owner_keys() {
                Some(keys) => Ok((shown, Some(keys))),
                None => Err(Box::new(permitted.refuse(Reason::Rulebook))),
            };
        }
        Err(refused) => refused,
    };
    let numbers = stand.ask_numbers(now, &stand.selection, None);
    match now.live.road.decide(&numbers) {
        Ok(permitted) => Ok((Shown::nothing(&permitted), None)),
        Err(_) => Err(Box::new(refused)),
    }
}

/// Who and what there is, of what the caller named.
fn stand(with: &With<'_>, caller: &Caller, dataset: &str) -> Result<Stand, Refused> {
    let live = with.enclave.live();
    let nothing = || told("3D000", "there is no such dataset: connect to one that has tables");
    let dataset = Name::parse(dataset).map_err(|_| nothing())?;
    let ground = Name::parse(&caller.ground)
        .map_err(|_| told("28000", "the user's name is actor@grant, actor@case or actor@purpose"))?;
    let rulebook = live.road.rulebook();
    let tables: Vec<_> = rulebook.lanes.tables.values().filter(|t| t.dataset == dataset).cloned().collect();
    if tables.is_empty() {
        return Err(nothing());
    }
    let pointers: Vec<_> = tables
        .iter()
        .flat_map(|t| t.columns.iter().map(move |(column, field)| (format!("/{}/{column}", t.name), *field)))
        .collect();
    let selection = Selection::new(&rulebook.catalogue, &pointers, None).map_err(|_| nothing())?;
    let (now, _) = crate::enclave::now();
    // Names of cases and grants are apart: whatever serves nobody is looked for, and refused, as a grant.
    let control = with.enclave.control();
    let purpose = claimed(ground.as_str()).filter(|_| control.grant(&ground, now).is_err());
    let named = match (control.case(&ground, now), purpose) {
        (Ok(_), _) => Named::Case(ground),
        (Err(_), Some(purpose)) => Named::Purpose(purpose),
        (Err(_), None) => Named::Grant(ground),
    };
    let network = with.enclave.network_in(&live, caller.peer);
    Ok(Stand {
        enclave: Arc::clone(with.enclave),
        who: Who { network, ..caller.credential.session.clone() },
        named,
        lane: Name::parse("sql").map_err(|_| nothing())?,
        dataset,
        tables,
        selection,
        rulebook: rulebook.digest,
        since: now,
    })
}

/// What PostgreSQL is to enforce, and the password that opens it.
fn plan(
    stand: &Stand,
    now: &Now,
    role: compile::Role,
    shown: &Shown,
    keys: Option<OwnerKeys>,
    statement_timeout: Duration,
) -> Result<(Plan, Zeroizing<String>), Refused> {
    let (mut secret, mut salt) = (Zeroizing::new([0; 32]), [0; 16]);
    let starved = |_| super::words::broken();
    vault::keys::random(secret.as_mut_slice()).map_err(starved)?;
    vault::keys::random(&mut salt).map_err(starved)?;
    let password = Zeroizing::new(data_encoding::HEXLOWER.encode(secret.as_slice()));
    let verifier = Verifier::of_random(password.as_bytes(), &salt);
    let catalogue = &now.live.road.rulebook().catalogue;
    // Those who see no rows have no view.
    let tables = stand.tables.iter().filter(|_| keys.is_some()).map(|table| {
        let person = Column {
            name: table.person.clone(),
            shows: Shows::Token { class: PEOPLE_CLASS, kind: Kind::Id },
        };
        let columns = table.columns.iter().filter_map(|(name, index)| {
            let field = catalogue.field(*index)?;
            let shows = match shown.field(*index)? {
                Treatment::Plain => Shows::Plain,
                Treatment::Pseudonymised => Shows::Token { class: field.class, kind: field.kind },
                Treatment::Generalised => Shows::Generalised { kind: field.kind },
                Treatment::Masked => Shows::Masked,
                Treatment::Aggregate | Treatment::Dp => return None,
            };
            Some(Column { name: name.clone(), shows })
        });
        compile::Table {
            schema: table.schema.clone(),
            relation: table.relation.clone(),
            view: table.name.clone(),
            columns: std::iter::once(person).chain(columns).collect(),
            subject: Some(compile::Subject {
                column: table.person.clone(),
                only: now.subject().map(|subject| subject.as_str().to_owned()),
            }),
        }
    });
    let tables: Vec<_> = tables.collect();
    let key_of = |keys: OwnerKeys| {
        let epoch = keys.epoch;
        keys.keys.into_iter().map(|(class, key)| KeyOf { class, epoch, key }).collect()
    };
    let plan = Plan {
        role,
        until: now.serving.until,
        tables,
        keys: keys.map_or_else(Vec::new, key_of),
        statement_timeout_ms: u32::try_from(statement_timeout.as_millis()).unwrap_or(u32::MAX),
        connections_max: SESSIONS_MAX,
        temp_bytes_max: TEMP_MAX,
        verifier: Zeroizing::new(verifier.text()),
    };
    Ok((plan, password))
}

fn unusable(error: &SourceError) -> Refused {
    tracing::error!(error = %error, "a grant was not compiled; nobody is served under it");
    told("57P03", "the database behind cannot serve this grant now; whoever runs it was told why")
}

/// What the columns of the views show.
fn origins(granted: &Granted, tables: &[Table]) -> HashMap<(u32, u16), Origin> {
    let of = |view: &str, column: &str| {
        let table = tables.iter().find(|table| table.name == view)?;
        if table.person == column {
            return Some(Origin::Person);
        }
        table.columns.iter().find(|(name, _)| name == column).map(|(_, field)| Origin::Field(*field))
    };
    granted.columns.iter().filter_map(|(at, (view, column))| Some((*at, of(view, column)?))).collect()
}
