//! Reads from a server near by that follows the one which takes writes, for who accepts an answer of a moment ago.
//!
//! How old an answer may be is known without comparing clocks: this process writes a number into the database now and then, its
//! beat, and notes when it began to, by its own clock. A standby applies what was written in the order in which it was. So one
//! statement that sees a beat which was confirmed sees all that was confirmed before this process began to write it; each read
//! looks for the beat in its own statement. An answer that may be older than was asked for is not given: whoever asks is served by
//! the server that takes writes, as without this.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use tokio_postgres::Row;

use super::engine::{At, Cell, EngineError, Page, Table};
use super::postgres::{Database, cell, column, paged};
use crate::control::store::{Pool, StoreError};
use crate::keys;
use crate::log::Database as Server;
use crate::log::postgres::address::Address;

/// Connections of one process to the server near by.
const CONNECTIONS_MAX: usize = 8;
/// The longest wait for it: whoever asks can be served otherwise.
const WAIT: Duration = Duration::from_secs(2);
/// How long it is left alone after it failed or was behind.
const REST: Duration = Duration::from_secs(1);
/// How long the change that erases somebody may take.
const ERASING: Duration = Duration::from_secs(60);
/// Between two beats, at the least and at the most; else a quarter of the declared staleness.
const BEAT: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// Beats of which is known when they began.
const BEATS_MAX: usize = 4096;

/// A server near by, and how old what it answers may be.
#[derive(Clone)]
pub struct Nearby {
    /// The one server. `quorum` is not asked: it confirms nothing to us.
    pub server: Server,
    /// What the operator declares: nobody is served anything older, whatever they accept.
    pub staleness: Duration,
}

/// Why the server near by did not serve.
#[derive(Debug, thiserror::Error)]
enum NotNear {
    #[error("it is left alone for a moment")]
    Resting,
    #[error("it is too far behind")]
    Behind,
    #[error("this one accepts nothing as old")]
    Older,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The server near by.
pub(super) struct Near {
    pool: Pool,
    beats: Arc<Beats>,
    staleness: Duration,
    rests_until: Mutex<Option<Instant>>,
    /// Parts that this process erased, and when: a copy may still have them.
    erased: Mutex<VecDeque<(Instant, Vec<u8>)>>,
}

/// The beats of this process.
struct Beats {
    process: [u8; 16],
    /// Those that were confirmed, and when this process began to write them.
    confirmed: Mutex<VecDeque<(i64, Instant)>>,
}

impl Beats {
    /// Since when, at the latest, something may be missing from what shows this beat.
    fn complete_until(&self, number: i64) -> Option<Instant> {
        let confirmed = self.confirmed.lock().unwrap_or_else(PoisonError::into_inner);
        confirmed.iter().rev().find(|(n, _)| *n <= number).map(|(_, began)| *began)
    }

    fn confirmed(&self, number: i64, began: Instant) {
        let mut confirmed = self.confirmed.lock().unwrap_or_else(PoisonError::into_inner);
        confirmed.push_back((number, began));
        if confirmed.len() > BEATS_MAX {
            confirmed.pop_front();
        }
    }
}

impl Near {
    /// Begins to beat. The server is not asked yet, and need not be there.
    pub(super) fn open(nearby: &Nearby, writer: &Arc<Database>) -> Result<Self, EngineError> {
        let mut process = [0; 16];
        keys::random(&mut process).map_err(|_| EngineError::Form)?;
        let beats = Arc::new(Beats { process, confirmed: Mutex::default() });
        let pool = Pool::new(Address::reading(&nearby.server, WAIT)?, CONNECTIONS_MAX, WAIT);
        let every = (nearby.staleness / 4).clamp(BEAT.0, BEAT.1);
        writer.forget_beats()?;
        let (weak, writer) = (Arc::downgrade(&beats), Arc::clone(writer));
        let thread = std::thread::Builder::new().name("vault-beats".to_owned());
        thread.spawn(move || beat(&weak, &writer, every)).map_err(EngineError::Thread)?;
        Ok(Self {
            pool,
            beats,
            staleness: nearby.staleness,
            rests_until: Mutex::default(),
            erased: Mutex::default(),
        })
    }

    /// Asks elsewhere for what stands under these parts until no copy that serves can have it any more.
    pub(super) fn leave(&self, parts: &[Vec<u8>]) {
        let mut erased = self.erased.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        while erased.front().is_some_and(|(since, _)| !self.may_have(since)) {
            erased.pop_front();
        }
        erased.extend(parts.iter().map(|part| (now, part.clone())));
    }

    /// Whether this process erased any of these parts a moment ago.
    fn left<'p>(&self, mut parts: impl Iterator<Item = &'p [u8]>) -> bool {
        let erased = self.erased.lock().unwrap_or_else(PoisonError::into_inner);
        !erased.is_empty()
            && parts.any(|part| erased.iter().any(|(since, p)| p == part && self.may_have(since)))
    }

    /// Whether a copy that serves may still have what was erased then.
    fn may_have(&self, since: &Instant) -> bool {
        since.elapsed() <= self.staleness + ERASING
    }

    /// The cells of these places, and since when something may be missing from them; `None` when somebody else must be asked.
    pub(super) fn get(&self, places: &[At], most: Duration) -> Option<(Vec<Option<Cell>>, Instant)> {
        if self.left(places.iter().map(|at| at.part.as_slice())) {
            return None;
        }
        self.served(most, |beats| {
            self.pool.reading(|connection| {
                let mut sent = Vec::with_capacity(places.len());
                for at in places {
                    sent.push((at, connection.prepared(&one(at.table))?));
                }
                let process = &beats.process.as_slice();
                let rows = sent.iter().map(async |(at, statement)| {
                    connection.client.query(statement, &[process, &at.part, &at.key]).await
                });
                let answers = connection.run(try_join_all(rows))?;
                let answers = answers.iter().map(|rows| found(rows, |row| cell(row, 1)));
                let answers: Vec<(i64, Vec<Cell>)> = answers.collect::<Result<_, _>>()?;
                let beat = answers.iter().map(|(beat, _)| *beat).min().unwrap_or(0);
                Ok((answers.into_iter().map(|(_, mut cells)| cells.pop()).collect(), beat))
            })
        })
    }

    /// The same of a page.
    pub(super) fn page(
        &self,
        (table, part): (Table, &[u8]),
        bounds: (&[u8], &[u8]),
        (most, bytes): (usize, usize),
        staleness: Duration,
    ) -> Option<(Page, Instant)> {
        if self.left(std::iter::once(part)) {
            return None;
        }
        let sql = some(table);
        self.served(staleness, |beats| {
            let mut oldest = i64::MAX;
            let page = paged(bounds, most, bytes, |behind, limit| {
                self.pool.reading(|connection| {
                    let (statement, process) = (connection.prepared(&sql)?, &beats.process.as_slice());
                    let rows = connection
                        .run(connection.client.query(&statement, &[process, &part, &behind, &limit]))?;
                    let (beat, cells) = found(&rows, |row| Ok((column(row, 3)?, cell(row, 1)?)))?;
                    oldest = oldest.min(beat);
                    Ok(cells)
                })
            })?;
            Ok((page, oldest))
        })
    }

    fn served<T>(
        &self,
        most: Duration,
        read: impl FnOnce(&Beats) -> Result<(T, i64), StoreError>,
    ) -> Option<(T, Instant)> {
        if most.is_zero() {
            return None;
        }
        match self.try_served(most, read) {
            Ok(served) => Some(served),
            Err(NotNear::Resting | NotNear::Older) => None,
            Err(e) => {
                tracing::warn!(error = %e, "the server near by does not serve reads of records");
                let mut rests = self.rests_until.lock().unwrap_or_else(PoisonError::into_inner);
                *rests = Some(Instant::now() + REST);
                None
            }
        }
    }

    fn try_served<T>(
        &self,
        most: Duration,
        read: impl FnOnce(&Beats) -> Result<(T, i64), StoreError>,
    ) -> Result<(T, Instant), NotNear> {
        let rests = *self.rests_until.lock().unwrap_or_else(PoisonError::into_inner);
        if rests.is_some_and(|until| Instant::now() < until) {
            return Err(NotNear::Resting);
        }
        let (answer, beat) = read(&self.beats)?;
        // INVARIANT: the clock is read behind the answer, so that the time of the question counts.
        let complete = self.beats.complete_until(beat).ok_or(NotNear::Behind)?;
        match complete.elapsed() {
            age if age > self.staleness => Err(NotNear::Behind),
            age if age > most => Err(NotNear::Older),
            _ => Ok((answer, complete)),
        }
    }
}

/// The beat and what stands beside it: one row with nothing but the beat where nothing does. Without the beat, 0.
fn found<T>(rows: &[Row], read: impl Fn(&Row) -> Result<T, StoreError>) -> Result<(i64, Vec<T>), StoreError> {
    let beat = rows.first().map_or(Ok(0), |row| column(row, 0))?;
    let mut cells = Vec::with_capacity(rows.len());
    for row in rows {
        if column::<Option<i64>>(row, 1)?.is_some() {
            cells.push(read(row)?);
        }
    }
    Ok((beat, cells))
}

/// The statement behind one cell, with the beat that the same moment shows.
fn one(table: Table) -> String {
    format!(
        "select b.number, t.version, t.value from clover_vault_beats b \
         left join clover_vault_{} t on t.part = $2 and t.key = $3 where b.process = $1",
        table.word()
    )
}

/// The same of rows of a part, in the order of their keys.
fn some(table: Table) -> String {
    format!(
        "select b.number, t.version, t.value, t.key from clover_vault_beats b left join lateral \
         (select * from clover_vault_{} where part = $2 and key > $3 order by key limit $4) t on true \
         where b.process = $1 order by t.key",
        table.word()
    )
}

/// Beats for as long as somebody reads by it. A beat that is not confirmed counts for nothing.
fn beat(beats: &Weak<Beats>, writer: &Database, every: Duration) {
    for number in 1.. {
        let Some(held) = beats.upgrade() else { return };
        let began = Instant::now();
        match writer.beat(&held.process, number) {
            Ok(()) => held.confirmed(number, began),
            Err(e) => tracing::debug!(error = %e, "a beat was not written"),
        }
        drop(held);
        std::thread::sleep(every);
    }
}
