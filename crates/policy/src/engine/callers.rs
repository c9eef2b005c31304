//! The entities of the latest callers: built and checked once, and not again for each second and each purpose.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex};

use cedar_policy::Entities;
use model::facts::Group;
use model::{DataClass, Name};

use crate::world::{BuildError, Caller, Shared};

/// How many of a kind are remembered; when there are more, all are forgotten.
const REMEMBERED_MAX: usize = 256;
/// Groups of fields that are remembered of one caller.
const GROUPS_MAX: usize = 64;

/// What was built for the latest callers, and what of it others share.
#[derive(Default)]
pub(super) struct Callers {
    latest: Remembered<Caller, Arc<Known>>,
    shared: Remembered<Shared, Entities>,
}

/// The entities of one caller, and those with the field of a group.
pub(super) struct Known {
    pub(super) entities: Entities,
    groups: Remembered<(DataClass, Vec<Name>), Entities>,
}

impl Callers {
    /// The entities of a caller: the remembered ones, which `build` would build again.
    pub(super) fn entities(
        &self,
        caller: Caller,
        build: impl FnOnce() -> Result<Entities, BuildError>,
    ) -> Result<Arc<Known>, BuildError> {
        self.latest.get(caller, REMEMBERED_MAX, || {
            let (entities, groups) = (build()?, Remembered::default());
            Ok(Arc::new(Known { entities, groups }))
        })
    }

    /// What many callers share: the remembered entities, which `build` would build again.
    pub(super) fn shared(
        &self,
        shared: Shared,
        build: impl FnOnce() -> Result<Entities, BuildError>,
    ) -> Result<Entities, BuildError> {
        self.shared.get(shared, REMEMBERED_MAX, build)
    }
}

impl Known {
    /// The entities with the field of a group: the remembered ones, which `build` would build again.
    pub(super) fn with_field(
        &self,
        group: &Group,
        build: impl FnOnce() -> Result<Entities, BuildError>,
    ) -> Result<Entities, BuildError> {
        self.groups.get((group.class, group.lists.clone()), GROUPS_MAX, build)
    }
}

/// Values by what they were built from.
struct Remembered<K, V>(Mutex<HashMap<K, V>>);

impl<K, V> Default for Remembered<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, V: Clone> Remembered<K, V> {
    fn get(
        &self,
        key: K,
        most: usize,
        build: impl FnOnce() -> Result<V, BuildError>,
    ) -> Result<V, BuildError> {
        if let Ok(known) = self.0.lock()
            && let Some(value) = known.get(&key)
        {
            return Ok(value.clone());
        }
        let value = build()?;
        if let Ok(mut known) = self.0.lock() {
            if known.len() >= most {
                known.clear();
            }
            known.insert(key, value.clone());
        }
        Ok(value)
    }
}
