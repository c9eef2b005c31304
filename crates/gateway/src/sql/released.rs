//! The way out: a part of a result is looked at, paid for, sealed, recorded, and only then given to the relay.

use std::sync::Arc;

use bytes::Bytes;
use crossing::{Column, Permitted, Rows, Treated, Whose};
use model::Reason;

use super::people::Known;
use super::reach::Reach;
use super::session::{Begun, Origin, Session};
use super::stand::Now;
use super::wire::frame::Frames;
use super::wire::own::{self, Description};
use super::wire::relay::{Refused, Window};
use super::words::broken;
use crate::enclave::Held;
use crate::passage::Paid;

/// Types whose values may be any text: `name`, `text`, `json`, `xml`, `unknown`, `bpchar`, `varchar`.
const TEXTS: &[u32] = &[19, 25, 114, 142, 705, 1042, 1043];
/// The type `jsonb`, whose binary form begins with a number.
const JSONB: u32 = 3802;
/// Longest statement that a sealed detail holds whole, in bytes.
const STATEMENT_MAX: usize = 64 << 10;

/// A part of the result of a run.
pub(super) struct Part<'a> {
    pub(super) begun: &'a Begun,
    pub(super) window: &'a Window,
}

/// Takes the road for one part, under the decision that was made for it.
pub(super) async fn release(
    session: &Arc<Session>,
    now: &Now,
    permitted: Permitted<'_>,
    part: Part<'_>,
) -> Result<Bytes, Refused> {
    let stand = &session.stand;
    if !session.still_shows(&permitted) {
        return Err(stand.record(permitted.refuse(Reason::Evidence)).await);
    }
    let (columns, person) = columns(session, part.window.description.as_ref());
    let reach = match part.begun.reach {
        // An error may tell of any row that was looked at, and how many rows there were of any person.
        Reach::Rows if person.is_none() || part.window.error.is_some() => Reach::Anybody,
        // Nobody's row was shown.
        Reach::Rows if part.window.rows == 0 => Reach::Nobody,
        reach => reach,
    };
    // What fails shows no row; everybody of the grant is named for it.
    let unnamed = reach == Reach::Anybody && part.window.error.is_none();
    if unnamed && now.subject().is_none() && stand.tables.iter().any(|table| table.demands_person) {
        return Err(stand.record(permitted.refuse(Reason::Subject)).await);
    }
    let known = match reach {
        _ if now.subject().is_some() => None,
        Reach::Nobody => None,
        Reach::Rows | Reach::Anybody => match known(session, &permitted, part.window, reach, person).await {
            Ok(known) => Some(known),
            Err(reason) => return Err(stand.record(permitted.refuse(reason)).await),
        },
    };
    let resolve = |token: &[u8]| known.as_ref().and_then(|known| known.person(token));
    let whose = match (now.subject(), reach, person, &known) {
        (Some(subject), ..) => Whose::All(std::slice::from_ref(subject)),
        (None, Reach::Nobody, ..) => Whose::All(&[]),
        (None, Reach::Rows, Some(person), _) => Whose::Column(person, &resolve),
        (None, _, _, known) => match known.as_ref().and_then(|k| k.all(u64::from(now.people_max()))) {
            Some(all) => Whose::All(all),
            None => return Err(stand.record(permitted.refuse(Reason::Subject)).await),
        },
    };
    let rows =
        Rows { messages: &part.window.frames, columns: &columns, whose, statement: statement(part.begun) };
    let treated = match permitted.rows(&rows) {
        Ok(treated) => treated,
        Err(refused) => return Err(stand.record(refused).await),
    };
    leave(session, now, treated).await
}

/// What was looked at is paid for, sealed, recorded and released.
pub(super) async fn leave(session: &Session, now: &Now, treated: Treated) -> Result<Bytes, Refused> {
    let stand = &session.stand;
    let paid = match Paid::of(&stand.enclave, &now.serving.ground, treated).await {
        Ok(paid) => paid,
        Err(refused) => return Err(stand.record(refused).await),
    };
    match paid.release(&stand.enclave, &stand.places()).await {
        Ok((bytes, index)) => {
            session.released(index);
            stand.count("released", Reason::None);
            let bytes = Bytes::from(bytes);
            stand.enclave.kept().keep(index, &bytes);
            Ok(bytes)
        }
        Err(Held::Refused(refused)) => Err(stand.record(*refused).await),
        Err(e) => {
            tracing::error!(error = ?e, "a result was not recorded; nothing was released");
            Err(broken())
        }
    }
}

/// The columns of a result as the road looks at them, and the one that says whose a row is.
fn columns(session: &Session, description: Option<&Description>) -> (Vec<Column>, Option<usize>) {
    let mut person = None;
    let columns =
        description.into_iter().flat_map(Description::columns).enumerate().map(|(place, column)| {
            let origin = session.origins.get(&(column.table, column.number)).copied();
            if origin == Some(Origin::Person) && person.is_none() {
                person = Some(place);
            }
            let field = match origin {
                Some(Origin::Field(field)) => Some(field),
                _ => None,
            };
            Column { field, text: TEXTS.contains(&column.kind) || (column.kind == JSONB && !column.binary) }
        });
    let columns = columns.collect();
    (columns, person)
}

/// The people of the tables: read anew if a row is of somebody who is not among them.
async fn known(
    session: &Session,
    permitted: &Permitted<'_>,
    window: &Window,
    reach: Reach,
    person: Option<usize>,
) -> Result<Arc<Known>, Reason> {
    // Whoever came since the list was read may be in the answer.
    let known = session.known(permitted, reach == Reach::Anybody).await?;
    let Some(person) = person.filter(|_| reach == Reach::Rows) else { return Ok(known) };
    let stranger = Frames::of(&window.frames).any(|(kind, row)| {
        let token = || own::values(row).nth(person).flatten();
        kind == b'D' && token().is_some_and(|token| known.person(token).is_none())
    });
    // Of people who were not all read, another reading would not be whole either.
    if stranger && known.is_whole() { session.known(permitted, true).await } else { Ok(known) }
}

/// What the sealed detail says of a run: its text, a digest of its parameters, and which part of its result this is.
pub(super) fn statement(begun: &Begun) -> serde_json::Value {
    let text = begun.run.prepared.text();
    let mut end = text.len().min(STATEMENT_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    serde_json::json!({
        "text": text.get(..end),
        "parameters": ledger::sha256(&begun.run.parameters).to_string(),
        "part": begun.parts,
    })
}
