//! What is done to requests: recorded first, then stored, then known.

use std::sync::Arc;

use access::request::Done;
use access::{NotAllowed, Request};
use model::procedures::Procedures;
use model::{Name, UnixSeconds};

use super::memory::{OPEN_MAX, parse};
use super::store::{ChangeError, StoreError, Table};
use super::{Control, ControlError};

/// Records what was done to a request, durably, before it counts. An error keeps it from counting.
pub type Record<'a> = &'a mut dyn FnMut(&Request, &Done) -> Result<(), ChangeError>;

fn encode(request: &Request) -> Result<Vec<u8>, ChangeError> {
    serde_json::to_vec(request).map_err(|_| ChangeError::Form("request"))
}

/// Has everything recorded that was done since there were so many acts.
fn record_from(request: &Request, before: usize, record: Record<'_>) -> Result<(), ChangeError> {
    request.done.iter().skip(before).try_for_each(|done| record(request, done))
}

impl Control {
    /// Puts a request on record that was just asked.
    ///
    /// # Errors
    /// [`StoreError::Change`] when its name is taken or it could not be recorded; [`StoreError::Full`] when too many
    /// requests are open. Nothing was done then.
    pub fn ask(&self, request: &Request, record: Record<'_>) -> Result<Arc<Request>, ControlError> {
        if self.known().open() >= OPEN_MAX {
            return Err(StoreError::Full.into());
        }
        let key = request.id.as_str();
        self.put_new(Table::Requests, key, "request", &mut || {
            let bytes = encode(request)?;
            record_from(request, 0, record)?;
            Ok(bytes)
        })?;
        Ok(Arc::new(request.clone()))
    }

    /// Does something to a request as it is now, whatever this process remembers of it. Returns it as it is then.
    ///
    /// # Errors
    /// [`StoreError::Change`] with what `act` or `record` says, and nothing was done; else [`StoreError`].
    pub fn act(
        &self,
        id: &Name,
        act: &mut dyn FnMut(&mut Request) -> Result<(), NotAllowed>,
        record: Record<'_>,
    ) -> Result<Arc<Request>, ControlError> {
        let mut after = None;
        let row = self.store.change(Table::Requests, id.as_str(), &mut |row| {
            let row = row.ok_or(ChangeError::Missing("request"))?;
            let mut request: Request = parse("request", &row.bytes)?;
            let before = request.done.len();
            act(&mut request)?;
            let bytes = encode(&request)?;
            record_from(&request, before, record)?;
            after = Some(Arc::new(request));
            Ok(Some(bytes))
        })?;
        self.learn(Table::Requests, id.as_str(), row.as_ref())?;
        after.ok_or(ControlError::Missing("request"))
    }

    /// Lets time pass for requests that wait: a step whose time is over denies or escalates. Of several processes
    /// one does it. Returns whether anything changed.
    ///
    /// # Errors
    /// The first [`StoreError`]; the other requests had their time passed all the same.
    pub fn tick(&self, rules: &Procedures, now: UnixSeconds, record: Record<'_>) -> Result<bool, StoreError> {
        let late: Vec<Arc<Request>> =
            self.known().waiting().filter(|r| Request::clone(r).tick(rules, now)).collect();
        let (mut ticked, mut refused) = (false, None);
        for known in late {
            let key = known.id.as_str();
            let mut changed = false;
            let done = self.store.change(Table::Requests, key, &mut |row| {
                let Some(row) = row else { return Ok(None) };
                let mut request: Request = parse("request", &row.bytes)?;
                let before = request.done.len();
                if !request.tick(rules, now) {
                    return Ok(None);
                }
                let bytes = encode(&request)?;
                record_from(&request, before, record)?;
                changed = true;
                Ok(Some(bytes))
            });
            match done.and_then(|row| self.learn(Table::Requests, key, row.as_ref())) {
                Ok(()) => ticked |= changed,
                Err(e) => refused = refused.or(Some(e)),
            }
        }
        refused.map_or(Ok(ticked), Err)
    }
}
