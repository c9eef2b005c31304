//! The entities of the latest callers: built and checked once, and not again for each second and each purpose.

use std::collections::HashMap;
use std::sync::Mutex;

use cedar_policy::Entities;

use crate::world::{BuildError, Caller};

/// Callers that are remembered; when there are more, all are forgotten.
const CALLERS_MAX: usize = 512;

#[derive(Default)]
pub(super) struct Callers(Mutex<HashMap<Caller, Entities>>);

impl Callers {
    /// The entities of a caller: the remembered ones, which `build` would build again.
    pub(super) fn entities(
        &self,
        caller: Caller,
        build: impl FnOnce() -> Result<Entities, BuildError>,
    ) -> Result<Entities, BuildError> {
        if let Ok(known) = self.0.lock()
            && let Some(entities) = known.get(&caller)
        {
            return Ok(entities.clone());
        }
        let entities = build()?;
        if let Ok(mut known) = self.0.lock() {
            if known.len() >= CALLERS_MAX {
                known.clear();
            }
            known.insert(caller, entities.clone());
        }
        Ok(entities)
    }
}
