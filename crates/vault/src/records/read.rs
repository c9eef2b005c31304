//! Reads of people and their records, where they stand or as they stood a moment ago at a site near by.

use std::cell::Cell as Slot;
use std::time::{Duration, Instant};

use model::{SubjectId, Tag};

use super::engine::{self, At, Cell, Engine, EngineError, Page, Table};
use super::near::Near;
use super::{Person, Record, RecordError, RecordId, person_of, row};
use crate::keys::PersonKeys;

/// Reads of one request.
pub struct Reader<'a> {
    engine: &'a dyn Engine,
    near: Option<(&'a Near, Duration)>,
    /// Since when something may be missing from what was read near by.
    complete_until: Slot<Option<Instant>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(engine: &'a dyn Engine, near: Option<(&'a Near, Duration)>) -> Self {
        Self { engine, near, complete_until: Slot::new(None) }
    }

    /// How old what was read may be, if a server near by served any of it.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        self.complete_until.get().map(|until| until.elapsed())
    }

    fn aged<T>(&self, (read, until): (T, Instant)) -> T {
        self.complete_until.set(Some(self.complete_until.get().map_or(until, |before| before.min(until))));
        read
    }

    fn cells(&self, places: &[At]) -> Result<Vec<Option<Cell>>, EngineError> {
        match self.near.and_then(|(near, most)| near.get(places, most)) {
            Some(served) => Ok(self.aged(served)),
            None => self.engine.get(places),
        }
    }

    fn page(
        &self,
        within: (Table, &[u8]),
        (prefix, after): (&[u8], &[u8]),
        most: usize,
        bytes: usize,
    ) -> Result<Page, EngineError> {
        let near = self.near.and_then(|(near, age)| near.page(within, (prefix, after), (most, bytes), age));
        match near {
            Some(served) => Ok(self.aged(served)),
            None => self.engine.page(within, prefix, after, most, bytes),
        }
    }

    /// The person of a handle.
    ///
    /// # Errors
    /// When the store refuses or a cell is not of this form.
    pub fn person(&self, subject: &SubjectId) -> Result<Option<Person>, RecordError> {
        let places = [Table::Subjects, Table::Keys].map(|t| At::one(t, subject.as_str().as_bytes()));
        let mut cells = self.cells(&places)?.into_iter();
        let (cell, key) = (cells.next().flatten(), cells.next().flatten());
        cell.map(|cell| person_of(subject, &cell, key)).transpose()
    }

    /// One record.
    ///
    /// # Errors
    /// When the store refuses or the record does not open.
    pub fn get(
        &self,
        person: &Person,
        keys: &PersonKeys,
        collection: &str,
        id: &RecordId,
    ) -> Result<Option<Record>, RecordError> {
        let key = row::record_key(collection, id);
        let at = At { table: Table::Records, part: person.internal.to_vec(), key };
        let cell = self.cells(std::slice::from_ref(&at))?.pop().flatten();
        let opened = cell.map(|c| row::open_record(keys, (&person.internal, &at.key), c.version, &c.value));
        Ok(opened.transpose()?.flatten())
    }

    /// A person's records of one collection behind `after`, in the order of their ids: at most `max`, and no more after
    /// they are `bytes` long together.
    ///
    /// # Errors
    /// When the store refuses or a record does not open.
    pub fn list(
        &self,
        person: &Person,
        keys: &PersonKeys,
        (collection, after): (&str, Option<&RecordId>),
        max: usize,
        bytes: usize,
    ) -> Result<Vec<(RecordId, Record)>, RecordError> {
        let prefix = [collection.as_bytes(), &[0]].concat();
        let mut behind = after.map_or_else(|| prefix.clone(), |id| row::record_key(collection, id));
        let (mut all, mut length) = (Vec::new(), 0);
        while all.len() < max && length <= bytes {
            let most = max.saturating_sub(all.len()).min(engine::PAGE_MAX);
            let room = bytes.saturating_sub(length);
            let page = self.page((Table::Records, &person.internal), (&prefix, &behind), most, room)?;
            let Some((last, _)) = page.last() else { break };
            behind.clone_from(last);
            for (key, cell) in page {
                let opened = row::open_record(keys, (&person.internal, &key), cell.version, &cell.value)?;
                let Some(record) = opened else { continue };
                let id = key.get(prefix.len()..).and_then(|id| std::str::from_utf8(id).ok());
                length += record.json.len();
                all.push((RecordId::parse(id.ok_or(RecordError::Form)?)?, record));
            }
        }
        Ok(all)
    }

    /// The people who have a value, by the tag that [`crate::KeyService::lookup_tag`] makes of it: at most 16.
    ///
    /// # Errors
    /// When the store refuses.
    pub fn lookup(&self, tag: &Tag) -> Result<Vec<SubjectId>, RecordError> {
        let found = self.page((Table::Lookups, tag.bytes()), (&[], &[]), 16, usize::MAX)?;
        let subject = |key: &[u8]| std::str::from_utf8(key).ok().and_then(|s| SubjectId::parse(s).ok());
        found.iter().map(|(key, _)| subject(key).ok_or(RecordError::Form)).collect()
    }
}
