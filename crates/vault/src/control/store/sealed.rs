//! Rows as their engine may see them: sealed, under keyed names, and counted.
//!
//! Specified in `docs/formats/control.md`. The head holds the place of the last change, how many rows there are, and
//! the sum of a keyed digest of each. So a process that follows all changes finds out when one is kept back, and a
//! process that starts finds out when a row is missing or older than the rest. What is left to whoever administers the
//! engine is to keep it all back: to serve a copy of everything as it once was, to a process that has seen nothing newer.
//!
//! A row that is removed stands in a record, which is a row itself. Whether a row that is missed was removed is settled by
//! following; whoever missed the record reads every row again, and the head says whether these are all.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::engine::{Change, Engine, Placed, Raw, RowName};
use super::{
    Becomes, ChangeError, Changed, EditAll, KEY_MAX, PAGE_MAX, ROW_MAX, ROWS_MAX, Row, Store, StoreError,
    TOGETHER_MAX, Table,
};

mod follow;
mod keys;
mod removed;

pub use keys::ControlKeys;
pub(in crate::control) use removed::removed;

pub(super) use keys::Head;

use follow::{Floor, Followed, Seen};
use keys::{Place, add};
use removed::Removed;

/// A store whose rows are sealed before the engine gets them.
pub struct Sealed<E> {
    engine: E,
    keys: ControlKeys,
    seen: Mutex<Seen>,
    followed: Mutex<Followed>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Rows of a page, each with what stands in it, and the head of that moment.
struct Opened {
    head: Head,
    rows: Vec<(Raw, Changed)>,
    /// There are no more.
    last: bool,
}

impl<E: Engine> Sealed<E> {
    /// Over an engine that has a head. Reads every row once and checks them all together.
    pub(super) fn over(engine: E, keys: ControlKeys) -> Result<Self, StoreError> {
        let head = engine.head()?.ok_or(StoreError::Missing)?;
        keys.open_head(&head)?;
        let store = Self { engine, keys, seen: Mutex::default(), followed: Mutex::default() };
        store.follow()?;
        Ok(store)
    }

    fn place<'a>(&self, table: Table, key: &'a str) -> Result<Place<'a>, StoreError> {
        if key.len() > KEY_MAX {
            return Err(StoreError::Large(key.len()));
        }
        Ok(Place { table, key, name: self.keys.name(table, key) })
    }

    fn at<'a>(&self, table: Table, key: &'a str) -> Result<At<'a>, StoreError> {
        let place = self.place(table, key)?;
        let floor = self.floor(&place.name);
        Ok(At { place, floor, row: None, old: None, becomes: None })
    }

    /// Opens what stands under a name, which must not be older than `floor`.
    fn opened(&self, raw: Option<&Raw>, name: &RowName, floor: Floor) -> Result<Option<Row>, StoreError> {
        let Some(raw) = raw else {
            return if floor.there { Err(StoreError::WentBack) } else { Ok(None) };
        };
        let row = self.keys.open_row(raw)?.row;
        if raw.name != *name {
            return Err(StoreError::Forged);
        }
        if !floor.holds(raw) {
            return Err(StoreError::WentBack);
        }
        lock(&self.seen).note(raw.name, raw.sequence);
        Ok(Some(row))
    }

    /// What must hold of the name from now on. Asked before the engine is: what is noted meanwhile is newer.
    fn floor(&self, name: &RowName) -> Floor {
        lock(&self.seen).floor(name)
    }

    /// Reads all changes up to now.
    fn follow(&self) -> Result<(), StoreError> {
        let mut after = lock(&self.followed).upto;
        loop {
            let page = self.changes(after, PAGE_MAX)?;
            match page.last() {
                Some(last) if page.len() == PAGE_MAX => after = last.sequence,
                _ => return Ok(()),
            }
        }
    }

    /// Whether rows that are missed were removed, as others say who did it.
    fn were_removed(&self, missed: &[RowName]) -> bool {
        !missed.is_empty() && self.follow().is_ok() && {
            let seen = lock(&self.seen);
            !missed.iter().any(|name| seen.knows(name))
        }
    }

    fn page(&self, after: u64, limit: usize, floor: u64) -> Result<Opened, StoreError> {
        let page = self.engine.changes(after, limit)?;
        let head = self.keys.open_head(&page.head)?;
        if head.sequence < floor {
            return Err(StoreError::WentBack);
        }
        let (mut place, last) = (after, page.rows.len() < limit);
        let mut rows = Vec::with_capacity(page.rows.len());
        for raw in page.rows {
            let changed = self.keys.open_row(&raw)?;
            if raw.sequence <= place || raw.sequence > head.sequence {
                return Err(StoreError::Forged);
            }
            place = raw.sequence;
            rows.push((raw, changed));
        }
        Ok(Opened { head, rows, last })
    }

    /// Takes note of a page. Returns which rows it says are gone.
    fn note(&self, followed: &mut Followed, page: &Opened) -> Result<Vec<(RowName, Removed)>, StoreError> {
        let (mut all, upto) = (Vec::new(), followed.upto);
        for (raw, changed) in page.rows.iter().filter(|(raw, _)| raw.sequence > upto) {
            let gone = match changed.table {
                Table::Removed => self.gone(followed, &changed.row)?,
                _ => Vec::new(),
            };
            followed.row(&self.keys, raw);
            gone.iter().for_each(|(name, removed)| followed.gone(name, removed));
            all.extend(gone);
        }
        Ok(all)
    }

    /// The rows of a record, none of which may lie there any more: it could be put back.
    fn gone(&self, followed: &Followed, record: &Row) -> Result<Vec<(RowName, Removed)>, StoreError> {
        let named = |removed: Removed| (self.keys.name(removed.table, &removed.key), removed);
        let gone: Vec<_> = removed(&record.bytes)?.into_iter().map(named).collect();
        for (name, removed) in gone.iter().filter(|(name, removed)| followed.loses(name, removed)) {
            if self.engine.get(name)?.is_some_and(|raw| raw.sequence <= removed.sequence) {
                return Err(StoreError::WentBack);
            }
        }
        Ok(gone)
    }

    /// Reads every row, whatever was followed before.
    fn everything(&self, floor: u64) -> Result<Followed, StoreError> {
        let mut all = Followed::default();
        loop {
            let page = self.page(all.upto, PAGE_MAX, floor)?;
            self.note(&mut all, &page)?;
            if page.last {
                all.check(&page.head)?;
                return Ok(all);
            }
        }
    }

    fn changing(&self, rows: &[(Table, &str)], change: EditAll<'_>) -> Tried {
        // INVARIANT: read before the engine is asked, as the floors are.
        let floor = lock(&self.seen).sequence;
        let at = rows.iter().map(|(table, key)| self.at(*table, key)).collect::<Result<Vec<_>, _>>();
        let (at, record) = match at.and_then(|at| Ok((at, self.at(Table::Removed, removed::KEY)?))) {
            Ok(at) => at,
            Err(e) => return Tried { done: Err(e), missed: Vec::new() },
        };
        let names: Vec<RowName> = at.iter().map(|at| at.place.name).collect();
        let (placed, gone, missed) = (Vec::new(), Vec::new(), Vec::new());
        let mut work = Work { store: self, at, record, floor, change, placed, gone, missed };
        let done = self.engine.change(&names, &mut work).map(|changed| {
            let mut seen = lock(&self.seen);
            if changed {
                work.placed.iter().for_each(|(name, sequence)| seen.note(*name, *sequence));
                work.gone.iter().for_each(|(name, sequence)| seen.forget(name, *sequence));
            }
            work.at.into_iter().map(|at| at.row).collect()
        });
        Tried { done, missed: work.missed }
    }
}

/// How a change went, and what it found missing before anybody was asked.
struct Tried {
    done: Result<Vec<Option<Row>>, StoreError>,
    missed: Vec<RowName>,
}

impl<E: Engine> Store for Sealed<E> {
    fn get(&self, table: Table, key: &str) -> Result<Option<Row>, StoreError> {
        let at = self.at(table, key)?;
        let raw = self.engine.get(&at.place.name)?;
        if raw.is_none() && at.floor.there && self.were_removed(&[at.place.name]) {
            return Ok(None);
        }
        self.opened(raw.as_ref(), &at.place.name, at.floor)
    }

    fn change_all(
        &self,
        rows: &[(Table, &str)],
        change: EditAll<'_>,
    ) -> Result<Vec<Option<Row>>, StoreError> {
        if rows.len() > TOGETHER_MAX {
            return Err(StoreError::Large(rows.len()));
        }
        if rows.iter().any(|(table, _)| *table == Table::Removed) {
            return Err(ChangeError::Form("change").into());
        }
        let tried = self.changing(rows, &mut *change);
        if self.were_removed(&tried.missed) { self.changing(rows, change).done } else { tried.done }
    }

    fn changes(&self, after: u64, limit: usize) -> Result<Vec<Changed>, StoreError> {
        let limit = limit.min(PAGE_MAX);
        let mut followed = lock(&self.followed);
        let floor = lock(&self.seen).sequence.max(followed.upto);
        let page = self.page(after, limit, floor)?;
        let (mut gone, mut all) = (Vec::new(), None);
        if after <= followed.upto {
            gone = self.note(&mut followed, &page)?;
            if page.last && followed.check(&page.head).is_err() {
                // More was removed than the record holds; or something is kept back, and this says so.
                *followed = self.everything(floor)?;
                all = Some(&*followed);
            }
        }
        let mut seen = lock(&self.seen);
        page.rows.iter().for_each(|(raw, _)| seen.note(raw.name, raw.sequence));
        gone.iter().for_each(|(name, removed)| seen.forget(name, removed.sequence));
        match all {
            Some(all) => seen.all(all),
            None if page.last && after <= followed.upto => seen.whole(page.head.sequence),
            None => seen.sequence = seen.sequence.max(page.head.sequence),
        }
        Ok(page.rows.into_iter().map(|(_, changed)| changed).collect())
    }
}

/// What becomes of a row that does not stay.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Put,
    Gone,
}

/// One row of a change under way.
struct At<'a> {
    place: Place<'a>,
    floor: Floor,
    /// As it is, and then as it will be.
    row: Option<Row>,
    /// The place of the row that goes, and what it added to the sum.
    old: Option<(u64, [u8; 32])>,
    becomes: Option<Fate>,
}

/// A change under way.
struct Work<'a, E> {
    store: &'a Sealed<E>,
    at: Vec<At<'a>>,
    /// The record of removed rows.
    record: At<'a>,
    /// The newest place that was seen before.
    floor: u64,
    change: EditAll<'a>,
    /// Name and place of each row as it will be.
    placed: Vec<(RowName, u64)>,
    /// Name and place of each row that goes.
    gone: Vec<(RowName, u64)>,
    /// Rows that were there once, and which somebody may have removed.
    missed: Vec<RowName>,
}

impl At<'_> {
    fn becomes(&mut self, becomes: Becomes) -> Result<(), StoreError> {
        let bytes = match becomes {
            Becomes::Same => return Ok(()),
            Becomes::Gone => {
                // What is not there is gone already.
                self.becomes = self.row.take().map(|_| Fate::Gone);
                return Ok(());
            }
            Becomes::Put(bytes) => bytes,
        };
        if bytes.len() > ROW_MAX {
            return Err(StoreError::Large(bytes.len()));
        }
        let version = self.row.as_ref().map_or(1, |row| row.version.saturating_add(1));
        self.row = Some(Row { version, bytes });
        self.becomes = Some(Fate::Put);
        Ok(())
    }

    fn found<E: Engine>(&mut self, store: &Sealed<E>, raw: Option<&Raw>) -> Result<Option<Row>, StoreError> {
        let row = store.opened(raw, &self.place.name, self.floor)?;
        self.old = raw.map(|raw| (raw.sequence, store.keys.part(raw)));
        Ok(row)
    }

    /// Gives the row its place in the order, and the head its part.
    fn put<E>(&self, store: &Sealed<E>, head: &mut Head) -> Result<Raw, StoreError> {
        head.sequence = head.sequence.saturating_add(1);
        let Some(row) = &self.row else { return Err(StoreError::Forged) };
        let raw = store.keys.seal_row(&self.place, row.version, head.sequence, &row.bytes)?;
        match self.old {
            Some((_, old)) => add(&mut head.sum, &old),
            None => head.rows += 1,
        }
        add(&mut head.sum, &store.keys.part(&raw));
        Ok(raw)
    }
}

impl<E: Engine> Work<'_, E> {
    /// Takes out of the head what goes, and puts it into the record.
    fn remove(&mut self, head: &mut Head, late: Option<&Raw>) -> Result<Option<Raw>, StoreError> {
        let mut more = Vec::new();
        for at in self.at.iter().filter(|at| at.becomes == Some(Fate::Gone)) {
            let Some((sequence, old)) = at.old else { continue };
            add(&mut head.sum, &old);
            head.rows = head.rows.saturating_sub(1);
            let (table, key) = (at.place.table, at.place.key.to_owned());
            more.push((at.place.name, Removed { table, key, sequence }));
        }
        if more.is_empty() {
            return Ok(None);
        }
        self.gone.extend(more.iter().map(|(name, removed)| (*name, removed.sequence)));
        let row = self.record.found(self.store, late)?;
        let all = row.as_ref().map_or_else(|| Ok(Vec::new()), |row| removed(&row.bytes))?;
        self.record.row = row;
        self.record.becomes(Becomes::Put(removed::with(all, more)))?;
        self.record.put(self.store, head).map(Some)
    }
}

impl<E: Engine> Change for Work<'_, E> {
    fn edit(&mut self, raws: &[Option<Raw>]) -> Result<bool, StoreError> {
        let missed = self.at.iter().zip(raws).filter(|(at, raw)| raw.is_none() && at.floor.there);
        self.missed = missed.map(|(at, _)| at.place.name).collect();
        let mut rows = Vec::with_capacity(raws.len());
        for (at, raw) in self.at.iter_mut().zip(raws) {
            rows.push(at.found(self.store, raw.as_ref())?);
        }
        let becomes = (self.change)(&rows)?;
        if rows.len() != self.at.len() || becomes.len() != rows.len() {
            return Err(ChangeError::Form("change").into());
        }
        for ((at, row), becomes) in self.at.iter_mut().zip(rows).zip(becomes) {
            at.row = row;
            at.becomes(becomes)?;
        }
        Ok(self.at.iter().any(|at| at.becomes.is_some()))
    }

    fn late(&self) -> Option<RowName> {
        let removes = self.at.iter().any(|at| at.becomes == Some(Fate::Gone));
        removes.then_some(self.record.place.name)
    }

    fn place(&mut self, head: &[u8], late: Option<&Raw>) -> Result<Placed, StoreError> {
        let mut head = self.store.keys.open_head(head)?;
        if head.sequence < self.floor {
            return Err(StoreError::WentBack);
        }
        let mut put = Vec::new();
        for at in self.at.iter().filter(|at| at.becomes == Some(Fate::Put)) {
            if at.old.is_none() && head.rows >= ROWS_MAX {
                return Err(StoreError::Full);
            }
            put.push(at.put(self.store, &mut head)?);
        }
        put.extend(self.remove(&mut head, late)?);
        self.placed = put.iter().map(|raw| (raw.name, raw.sequence)).collect();
        let gone = self.gone.iter().map(|(name, _)| *name).collect();
        Ok(Placed { head: self.store.keys.seal_head(&head)?, put, gone })
    }
}
