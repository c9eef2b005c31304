//! The databases of services: grants compiled in them, and a look each second at what those stand on.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use model::tables::Table;
use model::{Name, SubjectId};
use tokio::sync::{MappedMutexGuard, Mutex as Turn, MutexGuard, watch};
use tokio_postgres::Client;
use transform::budget::Query;
use transform::dp::Cost;
use vault::log::{Database, PostgresError};
use zeroize::Zeroizing;

use super::compile::{self, CompileError, Compiled, Drift, Plan, Role};
use super::people::{Known, PEOPLE_MAX, People};
use super::wire::back::Place;

/// How often what compiled grants stand on is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How long a grant stays compiled that nobody uses.
const IDLE: Duration = Duration::from_secs(60);
/// What those are told whose grant no longer is what was compiled.
const CHANGED: &str = "what the grant stands on in the database has changed";
/// How long people are remembered who are gone from a table, since a statement that sees them may still run.
const GONE: Duration = Duration::from_secs(3600);
/// How long a database may take for a statement of ours.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is wrong with a source. Nothing of what the database holds is in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The connection string names no one server.
    #[error("the address of the database `{0}` names no one server and database")]
    Address(Name),
    /// It is not to be reached.
    #[error("the database cannot be reached")]
    Unreachable(#[from] PostgresError),
    /// It took too long.
    #[error("the database did not answer in time")]
    Slow,
    /// A grant was not compiled.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// A table holds what is no handle of a person.
    #[error("the table `{0}` names people otherwise than by their handles")]
    Handles(String),
}

/// A grant in a database, as long as somebody holds it.
pub(super) struct Granted {
    pub(super) role: Role,
    pub(super) password: Zeroizing<String>,
    /// For each column of its views, by number of view and column: the view's name and its own.
    pub(super) columns: HashMap<(u32, u16), (String, String)>,
    compiled: Compiled,
    /// Why it is closed, once it is.
    closed: watch::Sender<Option<&'static str>>,
    used: Mutex<Instant>,
    known: Mutex<Option<(Instant, Arc<Known>)>>,
}

impl Granted {
    /// Changes when the grant is closed.
    pub(super) fn closed(&self) -> watch::Receiver<Option<&'static str>> {
        self.closed.subscribe()
    }

    /// Ends it for whoever holds it.
    pub(super) fn close(&self, why: &'static str) {
        self.closed.send_replace(Some(why));
    }

    fn touch(&self) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

/// Most answers that nobody was told yet.
const UNTOLD_MAX: usize = 10_000;

/// A connection's turn, for which nobody waits for ever.
async fn turn_of<T>(turn: &Turn<T>) -> Result<MutexGuard<'_, T>, SourceError> {
    tokio::time::timeout(PATIENCE, turn.lock()).await.map_err(|_| SourceError::Slow)
}

/// The people of datasets, and when they were read.
type Remembered = BTreeMap<Name, (Instant, Arc<People>)>;

/// One database.
pub struct Source {
    name: Name,
    server: Database,
    place: Place,
    database: String,
    /// What names of roles of this gateway begin with.
    ours: [u8; 4],
    /// By which grants are compiled and dropped.
    client: Turn<Option<Client>>,
    /// By which it is looked at what they stand on, and what is asked there.
    looking: Turn<(Option<Client>, Option<Drift>)>,
    /// By which people and numbers are asked for.
    asking: Turn<Option<Client>>,
    /// Whether grants ended that are not dropped yet.
    ended: AtomicBool,
    /// What answers took of budgets that nobody was told yet.
    untold: Mutex<HashMap<[u8; 32], Cost>>,
    live: Mutex<BTreeMap<Role, Arc<Granted>>>,
    people: Turn<Remembered>,
}

impl Source {
    /// A source of a gateway of this name. Nothing is asked of it yet.
    ///
    /// # Errors
    /// [`SourceError::Address`]
    pub fn new(name: Name, gateway: &str, server: Database) -> Result<Self, SourceError> {
        let (place, database) = reached(&server).ok_or_else(|| SourceError::Address(name.clone()))?;
        let digest = ledger::sha256(gateway.as_bytes());
        let ours = digest.bytes().first_chunk::<4>().copied().unwrap_or_default();
        Ok(Self {
            name,
            server,
            place,
            database,
            ours,
            client: Turn::default(),
            looking: Turn::default(),
            asking: Turn::default(),
            ended: AtomicBool::new(true),
            untold: Mutex::default(),
            live: Mutex::default(),
            people: Turn::default(),
        })
    }

    /// Where it is, and the name of its database.
    pub(super) fn place(&self) -> (&Place, &str) {
        (&self.place, &self.database)
    }

    /// Roles belong to a whole server and to one gateway: its own part comes first, then what a grant is.
    pub(super) fn role(&self, parts: &[&[u8]]) -> Role {
        let mut text = Vec::new();
        for part in [self.database.as_bytes()].iter().chain(parts) {
            text.extend_from_slice(&(part.len() as u64).to_be_bytes());
            text.extend_from_slice(part);
        }
        let digest = ledger::sha256(&text);
        let mut name = [0; 12];
        let bytes = self.ours.iter().chain(digest.bytes());
        name.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        Role::of(&name)
    }

    /// Compiles a grant, unless it is.
    pub(super) async fn compiled(
        &self,
        plan: Plan,
        password: Zeroizing<String>,
    ) -> Result<Arc<Granted>, SourceError> {
        let mut turn = self.client.lock().await;
        if let Some(granted) = self.held(&plan.role) {
            return Ok(granted);
        }
        let client = self.connected(&mut turn).await?;
        let work = async {
            let compiled = compile::compile(client, &plan).await?;
            let columns = compile::views(client, &plan.role).await?;
            Ok::<_, CompileError>((compiled, columns))
        };
        let done = tokio::time::timeout(PATIENCE, work).await;
        let (compiled, columns) = match done {
            Ok(Ok(done)) => done,
            Ok(Err(e)) => {
                // It may have broken: the next one connects anew.
                *turn = None;
                return Err(e.into());
            }
            Err(_) => {
                *turn = None;
                return Err(SourceError::Slow);
            }
        };
        let granted = Arc::new(Granted {
            role: plan.role.clone(),
            password,
            columns: columns.into_iter().filter_map(column).collect(),
            compiled,
            closed: watch::Sender::new(None),
            used: Mutex::new(Instant::now()),
            known: Mutex::default(),
        });
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.insert(plan.role, Arc::clone(&granted));
        Ok(granted)
    }

    /// A grant that is compiled and still stands on what it was compiled for.
    ///
    /// # Errors
    /// [`SourceError`] where the database does not say so.
    pub(super) async fn standing(&self, role: &Role) -> Result<Option<Arc<Granted>>, SourceError> {
        if let Some(granted) = self.held(role) {
            self.look_at(std::slice::from_ref(&granted)).await?;
        }
        Ok(self.held(role))
    }

    /// A grant that is compiled and open.
    fn held(&self, role: &Role) -> Option<Arc<Granted>> {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let granted = live.get(role).filter(|granted| granted.closed.borrow().is_none())?;
        granted.touch();
        Some(Arc::clone(granted))
    }

    /// The people of a dataset as a grant sees them; read anew where they are older than this.
    pub(super) async fn known(
        &self,
        granted: &Granted,
        dataset: &Name,
        tables: &[Table],
        fresh: Duration,
        token: impl Fn(&SubjectId) -> Vec<u8>,
    ) -> Result<Arc<Known>, SourceError> {
        let young = |at: &Instant| at.elapsed() < fresh;
        let held = granted.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, known)) = held.filter(|(at, _)| young(at)) {
            return Ok(known);
        }
        let mut remembered = self.people.lock().await;
        let mut read = Instant::now();
        let people = match remembered.get(dataset).filter(|(at, _)| young(at)) {
            Some((at, people)) => {
                read = *at;
                Arc::clone(people)
            }
            None => {
                let now = self.read(tables).await?;
                // Somebody who is gone may be in what an older statement sees.
                let now = match remembered.get(dataset) {
                    Some((at, before)) if at.elapsed() < GONE => now.with(before),
                    _ => now,
                };
                let people = Arc::new(now);
                remembered.insert(dataset.clone(), (read, Arc::clone(&people)));
                people
            }
        };
        drop(remembered);
        let known = Arc::new(Known::new(people, token));
        let now = (read, Arc::clone(&known));
        *granted.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
        Ok(known)
    }

    async fn read(&self, tables: &[Table]) -> Result<People, SourceError> {
        let mut turn = turn_of(&self.asking).await?;
        let client = self.connected(&mut turn).await?;
        let (mut list, mut whole) = (Vec::new(), true);
        for table in tables {
            let place = (table.schema.as_str(), table.relation.as_str(), table.person.as_str());
            let asked = compile::people(client, place, u32::try_from(PEOPLE_MAX + 1).unwrap_or(u32::MAX));
            let Ok(texts) = tokio::time::timeout(PATIENCE, asked).await else {
                // What runs there is not waited for by the next one.
                *turn = None;
                return Err(SourceError::Slow);
            };
            let texts = texts?;
            whole &= texts.len() <= PEOPLE_MAX;
            for text in texts {
                let person = SubjectId::parse(&text).map_err(|_| SourceError::Handles(table.name.clone()))?;
                list.push(person);
            }
        }
        Ok(People::new(list, whole))
    }

    /// The connection by which the database is asked as the owner of all views, which no client ever has.
    pub(super) async fn held_open(&self) -> Result<MappedMutexGuard<'_, Client>, SourceError> {
        let mut turn = turn_of(&self.asking).await?;
        self.connected(&mut turn).await?;
        MutexGuard::try_map(turn, Option::as_mut).map_err(|_| SourceError::Slow)
    }

    /// Takes note of what an answer took that nobody was told yet, or takes that away: its first release says it.
    pub(super) fn untold(&self, query: Query, took: Option<Cost>) -> Option<Cost> {
        let mut untold = self.untold.lock().unwrap_or_else(PoisonError::into_inner);
        match took {
            Some(took) if untold.len() < UNTOLD_MAX => untold.insert(*query.digest(), took),
            Some(_) => None,
            None => untold.remove(query.digest()),
        }
    }

    async fn connected<'c>(&self, client: &'c mut Option<Client>) -> Result<&'c mut Client, SourceError> {
        if client.as_ref().is_none_or(Client::is_closed) {
            let (fresh, moving) = vault::log::connect(&self.server).await?;
            tokio::spawn(moving);
            let limit = fresh.batch_execute("set statement_timeout = '55s'");
            match tokio::time::timeout(PATIENCE, limit).await {
                Ok(Ok(())) => *client = Some(fresh),
                _ => return Err(SourceError::Slow),
            }
        }
        client.as_mut().ok_or(SourceError::Slow)
    }

    /// Looks after the grants in it until `stop` changes: what they stand on, and those that nobody uses.
    pub(super) async fn watch(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut tick = tokio::time::interval(LOOK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // Told once, not each second for as long as a database is down.
        let mut told = false;
        loop {
            tokio::select! {
                _ = stop.changed() => break,
                _ = tick.tick() => {}
            }
            let looked = self.look().await;
            match &looked {
                Ok(()) if told => {
                    tracing::info!(source = %self.name, "what grants stand on is looked at again")
                }
                Err(e) if !told => {
                    tracing::warn!(source = %self.name, error = %e, "what grants stand on could not be looked at: they are closed");
                }
                _ => {}
            }
            told = looked.is_err();
            if told {
                self.close_all("the database could not be looked at");
                *self.looking.lock().await = (None, None);
            }
        }
        self.close_all("the gateway stops");
        self.live.lock().unwrap_or_else(PoisonError::into_inner).clear();
        if let Err(e) = self.drop_ended().await {
            tracing::warn!(source = %self.name, error = %e, "grants were not dropped; the next start drops them");
        }
    }

    fn close_all(&self, why: &'static str) {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        for granted in live.values() {
            granted.close(why);
        }
    }

    async fn look(&self) -> Result<(), SourceError> {
        {
            let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
            let before = live.len();
            live.retain(|_, granted| {
                let idle = granted.used.lock().unwrap_or_else(PoisonError::into_inner).elapsed() > IDLE;
                let closed = granted.closed.borrow().is_some();
                Arc::strong_count(granted) > 1 || !(idle || closed)
            });
            if live.len() != before {
                self.ended.store(true, Ordering::Release);
            }
        }
        let all: Vec<_> = {
            let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
            live.values().filter(|granted| granted.closed.borrow().is_none()).cloned().collect()
        };
        self.look_at(&all).await?;
        if self.ended.load(Ordering::Acquire) { self.drop_ended().await } else { Ok(()) }
    }

    /// Closes those of these grants that no longer stand on what was compiled.
    async fn look_at(&self, all: &[Arc<Granted>]) -> Result<(), SourceError> {
        if all.is_empty() {
            return Ok(());
        }
        let mut turn = turn_of(&self.looking).await?;
        let (client, prepared) = &mut *turn;
        if client.as_ref().is_none_or(Client::is_closed) {
            *prepared = None;
        }
        let client = self.connected(client).await?;
        let compiled: Vec<_> = all.iter().map(|granted| granted.compiled.clone()).collect();
        let looks = async {
            let drift = match prepared {
                Some(drift) => drift,
                None => prepared.insert(Drift::prepare(client).await?),
            };
            drift.look(client, &compiled).await
        };
        let looked = tokio::time::timeout(PATIENCE, looks).await;
        for changed in looked.map_err(|_| SourceError::Slow)?? {
            tracing::error!(source = %self.name, part = %changed.part, "what a grant stands on has changed: it is closed");
            let granted = all.iter().find(|granted| granted.role == changed.role);
            if let Some(granted) = granted {
                granted.close(CHANGED);
            }
        }
        Ok(())
    }

    /// Drops the grants of this gateway that are not live.
    pub(super) async fn drop_ended(&self) -> Result<(), SourceError> {
        let mut turn = self.client.lock().await;
        let client = self.connected(&mut turn).await?;
        let dropped = async {
            let roles = compile::roles(client).await?;
            let stays: BTreeSet<Role> = {
                let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
                // Those of other gateways are theirs to drop.
                roles.into_iter().filter(|role| !role.begins(&self.ours) || live.contains_key(role)).collect()
            };
            compile::drop_ended(client, &stays).await
        };
        drop(tokio::time::timeout(PATIENCE, dropped).await.map_err(|_| SourceError::Slow)??);
        self.ended.store(false, Ordering::Release);
        Ok(())
    }
}

/// A column of a view as row descriptions name it.
fn column(shown: compile::Shown) -> Option<((u32, u16), (String, String))> {
    Some(((shown.view, u16::try_from(shown.number).ok()?), (shown.name, shown.column)))
}

/// The one server of a connection string, and the name of its database.
fn reached(server: &Database) -> Option<(Place, String)> {
    use tokio_postgres::config::Host;
    let config: tokio_postgres::Config = server.address.parse().ok()?;
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let database = config.get_dbname()?.to_owned();
    let place = match config.get_hosts() {
        [Host::Tcp(host)] => Place::Tcp { host: host.clone(), port, tls: server.tls.clone() },
        [Host::Unix(folder)] => Place::Unix(folder.join(format!(".s.PGSQL.{port}"))),
        _ => return None,
    };
    Some((place, database))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_server_and_database_are_named_or_it_is_no_source() {
        let of = |address: &str| reached(&Database { address: address.to_owned(), ..Database::default() });
        let (place, database) = of("host=/run/pg port=5433 dbname=services user=clover_gateway").unwrap();
        assert!(matches!(place, Place::Unix(path) if path.ends_with(".s.PGSQL.5433")));
        assert_eq!(database, "services");
        assert!(matches!(of("host=db.example dbname=s").unwrap().0, Place::Tcp { port: 5432, .. }));
        for wrong in ["host=db.example", "dbname=services", "host=a,b dbname=services", "host"] {
            assert!(of(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_role_is_of_its_gateway_its_database_and_all_that_a_grant_is() {
        let source = |gateway: &str, database: &str| {
            let address = format!("host=/run/pg dbname={database}");
            Source::new(Name::parse("s").unwrap(), gateway, Database { address, ..Database::default() })
                .unwrap()
        };
        let one = source("gw", "a");
        assert_eq!(one.role(&[b"x", b"y"]), source("gw", "a").role(&[b"x", b"y"]));
        let others = [
            one.role(&[b"xy"]),
            source("gw", "b").role(&[b"x", b"y"]),
            source("gv", "a").role(&[b"x", b"y"]),
        ];
        assert!(others.iter().all(|other| *other != one.role(&[b"x", b"y"])));
        assert!(one.role(&[b"x"]).begins(&one.ours) && !one.role(&[b"x"]).begins(&source("gv", "a").ours));
    }
}
