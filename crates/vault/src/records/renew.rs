//! People who are here and come again, as they are now: what differs is written, and what is no more is removed.

use std::collections::BTreeMap;

use ledger::{Receipt, SecretKey};
use model::{Country, Digest, SubjectId, UnixSeconds};

use super::change::{Precondition, WRITES_MAX, Write};
use super::engine::{At, Edit, Expect, PAGE_MAX, Table, To};
use super::row::{self, About};
use super::{Coming, Home, Person, RECORD_MAX, RecordError, RecordId, Records};
use crate::keys::{KeyService, PersonKeys, TagKey};

/// Bytes of a person's records that are looked at together.
const TOGETHER_BYTES: usize = 1 << 20;

/// Collection, id, what was there, and the record, or that it is no more.
type Change = (String, RecordId, Precondition, Option<Vec<u8>>);

/// A person who is here, and what is to be done so that they are as they came.
pub struct Renewal {
    person: Person,
    keys: PersonKeys,
    about: About,
    coming: Coming,
    writes: Vec<Change>,
}

impl Renewal {
    /// Whose.
    #[must_use]
    pub fn subject(&self) -> &SubjectId {
        &self.coming.subject
    }

    /// Makes their tag, for the entry.
    #[must_use]
    pub fn tags(&self) -> &TagKey {
        &self.keys.tags
    }

    /// Their detail key, for the entry's detail.
    #[must_use]
    pub fn detail(&self) -> &SecretKey {
        &self.keys.detail
    }

    /// How many records are written or removed.
    #[must_use]
    pub fn records(&self) -> u32 {
        u32::try_from(self.writes.len()).unwrap_or(u32::MAX)
    }

    /// Where they live by now and from when on, if that is another country than the one on record.
    #[must_use]
    pub fn moved_to(&self) -> Option<(Country, UnixSeconds)> {
        let Home { country, from, .. } = self.coming.home;
        let before = self.about.homes.last().map_or(UnixSeconds(0), |home| home.from.plus(1));
        Some((country, from.max(before))).filter(|(country, _)| *country != self.about.home())
    }

    /// True if they are here just as they came.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.writes.is_empty() && self.moved_to().is_none() && !self.is_found_otherwise()
    }

    fn is_found_otherwise(&self) -> bool {
        let sorted = |mut tags: Vec<_>| {
            tags.sort_unstable();
            tags
        };
        sorted(self.about.lookups.clone()) != sorted(self.coming.lookups.clone())
    }
}

impl Records {
    /// Compares a person who is here with how they come: `records` are all of theirs by collection, in their order, and
    /// `collections` all that they may have records in.
    ///
    /// # Errors
    /// [`RecordError::Served`] when there are records of theirs that no import wrote; [`RecordError::Held`] when one would be removed
    /// while there is a legal hold; [`RecordError::TooLarge`]; what store and keys say.
    pub fn renewal<'c>(
        &self,
        keys: &KeyService,
        person: Person,
        coming: Coming,
        collections: impl IntoIterator<Item = &'c str>,
        mut records: BTreeMap<String, Vec<Vec<u8>>>,
    ) -> Result<Renewal, RecordError> {
        let own = self.keys_of(keys, &person)?;
        let about = self.about(&own, &person)?;
        let mut writes = Vec::new();
        for collection in collections {
            let theirs = records.remove(collection).unwrap_or_default();
            self.compare(&person, &own, collection, theirs, &mut writes)?;
        }
        // Of a collection that nobody named.
        if !records.is_empty() {
            return Err(RecordError::Form);
        }
        // Before anything is on the ledger.
        if writes.iter().any(|(.., json)| json.as_ref().is_some_and(|json| json.len() > RECORD_MAX)) {
            return Err(RecordError::TooLarge);
        }
        if !about.holds.is_empty() && writes.iter().any(|(.., json)| json.is_none()) {
            return Err(RecordError::Held);
        }
        Ok(Renewal { person, keys: own, about, coming, writes })
    }

    /// That no service has made records of a person.
    ///
    /// # Errors
    /// [`RecordError::Served`] if one has; what the store says.
    pub fn must_not_be_served<'c>(
        &self,
        person: &Person,
        keys: &PersonKeys,
        collections: impl IntoIterator<Item = &'c str>,
    ) -> Result<(), RecordError> {
        collections
            .into_iter()
            .try_for_each(|collection| self.compare(person, keys, collection, Vec::new(), &mut Vec::new()))
    }

    fn compare(
        &self,
        person: &Person,
        keys: &PersonKeys,
        collection: &str,
        coming: Vec<Vec<u8>>,
        writes: &mut Vec<Change>,
    ) -> Result<(), RecordError> {
        let mut coming = (0..).zip(coming).map(|(place, json)| (RecordId::imported(place), json));
        let mut after: Option<RecordId> = None;
        loop {
            let within = (collection, after.as_ref());
            let page = self.list(person, keys, within, PAGE_MAX, TOGETHER_BYTES)?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            for (id, record) in page {
                if !id.is_imported() {
                    return Err(RecordError::Served);
                }
                // Ids are in the order of their places: what is here begins at the first, and has gaps where records were removed.
                let next = loop {
                    match coming.next() {
                        Some((place, json)) if place < id => {
                            writes.push((collection.to_owned(), place, Precondition::New, Some(json)));
                        }
                        other => break other,
                    }
                };
                let there = Precondition::Version(record.version);
                match next {
                    Some((_, json)) if json == record.json => {}
                    Some((_, json)) => writes.push((collection.to_owned(), id, there, Some(json))),
                    None => writes.push((collection.to_owned(), id, there, None)),
                }
            }
        }
        let new = |(id, json)| (collection.to_owned(), id, Precondition::New, Some(json));
        writes.extend(coming.map(new));
        Ok(())
    }

    /// Has people be as they came, once the entry that names them is on the ledger; up to 256 records of one person together.
    /// What broke off is whole when they are compared and renewed again.
    ///
    /// # Errors
    /// When the receipt is not that of this entry, one of them changed meanwhile, a legal hold forbids it, or the store refuses.
    pub fn renew(
        &self,
        renewals: &[Renewal],
        entry: &Digest,
        receipt: &Receipt,
        now: UnixSeconds,
    ) -> Result<(), RecordError> {
        if !receipt.covers(entry) {
            return Err(RecordError::OtherReceipt);
        }
        for one in renewals {
            for some in one.writes.chunks(WRITES_MAX) {
                let writes: Vec<Write<'_>> = some
                    .iter()
                    .map(|(collection, id, expect, json)| Write {
                        collection,
                        id,
                        expect: *expect,
                        json: json.as_deref(),
                    })
                    .collect();
                self.change(&one.person, &one.keys, now, &writes)?;
            }
            if one.is_found_otherwise() {
                self.find_otherwise(one)?;
            }
        }
        Ok(())
    }

    /// Has a person be found by the tags of the values that they have now, and by no others.
    fn find_otherwise(&self, one: &Renewal) -> Result<(), RecordError> {
        let (before, after) = (&one.about.lookups, &one.coming.lookups);
        let handle = one.coming.subject.as_str().as_bytes();
        let about = About { lookups: after.clone(), ..one.about.clone() };
        let version = one.person.version.saturating_add(1);
        let sealed = row::seal_about(&one.keys, one.person.place(version), &about)?;
        let mut edits = vec![one.person.unchanged(To::Put(sealed))];
        let gone = before.iter().filter(|tag| !after.contains(tag)).map(|tag| (tag, To::Removed));
        let new = after.iter().filter(|tag| !before.contains(tag)).map(|tag| (tag, To::Put(vec![1])));
        edits.extend(gone.chain(new).map(|(tag, to)| {
            let at = At { table: Table::Lookups, part: tag.bytes().to_vec(), key: handle.to_vec() };
            Edit { at, expect: Expect::Any, to }
        }));
        self.made(edits)
    }
}
