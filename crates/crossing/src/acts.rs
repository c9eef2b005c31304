//! Acts on requests for access, as the site's log records them: who asked for what and who approved it, as tags and codes.

use access::Request;
use ledger::site::access::{AccessEntry, By};
use model::{ActorId, Digest, Name, Tag, UnixSeconds};

/// What the site's log says of one act of a request: the one with this number. `None` when there is no such act.
///
/// `name` makes the pseudonyms of requests, `actor` those of people.
#[must_use]
pub fn entry(
    request: &Request,
    number: usize,
    rulebook: Digest,
    name: impl Fn(&Name) -> Tag,
    actor: impl Fn(&ActorId) -> Tag,
) -> Option<AccessEntry> {
    use access::State;
    let done = request.done.get(number)?;
    let by = done.by.as_ref().zip(done.employer.as_ref());
    let by =
        by.map(|(id, employer)| By { tag: actor(id), employer: employer.clone(), country: done.country });
    let serves = match request.state {
        State::Granted { from, until } => (from, until),
        _ => (UnixSeconds(0), UnixSeconds(0)),
    };
    let over = !matches!(request.state, State::Waiting { .. });
    Some(AccessEntry {
        act: done.act.code(),
        request: name(&request.id),
        number: u16::try_from(number).ok()?,
        state: request.state.code(),
        by,
        requester: actor(&request.requester),
        step: u8::try_from(done.step).ok()?,
        ground: request.wanted.ground,
        purpose: request.wanted.purpose,
        dataset: request.wanted.dataset.clone(),
        procedure: request.procedure.clone(),
        amount: request.wanted.amount,
        asked_at: request.asked_at(),
        step_began: request.step_began(number),
        serves,
        decoy: over && request.decoy,
        rulebook,
    })
}
