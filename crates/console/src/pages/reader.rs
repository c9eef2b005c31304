//! Who reads a page: their language, who they are here, and what that lets them see.

use std::sync::Arc;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::response::Response;
use crossing::credential::SignedIn;
use crossing::identify::{Session, Who};
use http::request::Parts;
use maud::{Markup, html};
use model::{SubjectId, UnixSeconds};

use super::words::Language;
use super::{Pages, layout};
use crate::access::Member;
use crate::web::Caller;

/// Somebody who works here.
pub(super) struct Staff {
    /// Their name here.
    pub(super) name: String,
    /// As the office knows them.
    pub(super) member: Arc<Member>,
    /// Whether they see how the enclave fares and which rules are in force: operators, and those who approve anything.
    pub(super) oversees: bool,
    /// Whether they operate it.
    pub(super) operates: bool,
    /// Whether they approve anything.
    pub(super) approves: bool,
}

/// Who somebody is here.
pub(super) enum Viewer {
    /// Nobody is signed in.
    Nobody,
    /// Somebody is, and has no part in this.
    Stranger,
    /// An employee on record.
    Staff(Staff),
    /// A person whose data it is.
    Subject(SubjectId),
}

/// What was done just before this page. The message's key, from a closed list: nothing of an address is shown.
#[derive(Clone, Copy)]
pub(super) struct Note(pub(super) &'static str);

const NOTES: &[(&str, Note)] = &[
    ("asked", Note("note-asked")),
    ("approve", Note("note-approved")),
    ("deny", Note("note-denied")),
    ("withdraw", Note("note-withdrawn")),
    ("revoke", Note("note-revoked")),
    ("review", Note("note-reviewed")),
    ("opened", Note("note-incident-opened")),
    ("closed", Note("note-incident-closed")),
    ("activated", Note("note-activated")),
    ("erasure", Note("note-erasure")),
    ("out", Note("note-out")),
];

/// Whoever reads a page. Take it as an argument of a handler.
pub(super) struct Reader {
    pub(super) language: Language,
    pub(super) path: String,
    pub(super) viewer: Viewer,
    pub(super) note: Option<Note>,
    pub(super) programme: String,
    pub(super) session: Option<Session>,
    pub(super) not_after: UnixSeconds,
    pub(super) sign_in: Option<SignedIn>,
    pub(super) signed_in: bool,
    /// A page from elsewhere led here.
    elsewhere: bool,
    token: Option<String>,
}

impl Reader {
    /// The hidden field that shows a form to be of a page of ours.
    pub(super) fn token(&self) -> Markup {
        html! { @if let Some(token) = &self.token { input type="hidden" name=(crate::web::FORM_FIELD) value=(token); } }
    }

    /// That no page from elsewhere made the reader's browser ask for what is a crossing.
    ///
    /// # Errors
    /// The page that says so.
    pub(super) fn on_purpose(&self) -> Result<(), Box<Response>> {
        if !self.elsewhere {
            return Ok(());
        }
        let why = self.language.t("refused-elsewhere");
        Err(Box::new(layout::refusal(self, http::StatusCode::FORBIDDEN, "refused-title", why)))
    }

    /// The employee who reads.
    ///
    /// # Errors
    /// The page that says that they are none.
    pub(super) fn staff(&self) -> Result<&Staff, Box<Response>> {
        match &self.viewer {
            Viewer::Staff(staff) => Ok(staff),
            Viewer::Nobody => Err(Box::new(layout::sign_in_first(self))),
            Viewer::Stranger | Viewer::Subject(_) => Err(Box::new(layout::not_yours(self))),
        }
    }

    /// The employee who reads, if they see how the enclave fares.
    ///
    /// # Errors
    /// The page that says that they do not.
    pub(super) fn overseer(&self) -> Result<&Staff, Box<Response>> {
        let staff = self.staff()?;
        if staff.oversees { Ok(staff) } else { Err(Box::new(layout::not_yours(self))) }
    }

    /// The person whose data it is.
    ///
    /// # Errors
    /// The page that says that they are none.
    pub(super) fn subject(&self) -> Result<&SubjectId, Box<Response>> {
        match &self.viewer {
            Viewer::Subject(subject) => Ok(subject),
            Viewer::Nobody => Err(Box::new(layout::sign_in_first(self))),
            Viewer::Stranger | Viewer::Staff(_) => Err(Box::new(layout::not_yours(self))),
        }
    }
}

impl FromRequestParts<Arc<Pages>> for Reader {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, pages: &Arc<Pages>) -> Result<Self, Response> {
        let caller =
            <Caller as OptionalFromRequestParts<Arc<Pages>>>::from_request_parts(parts, pages).await?;
        Ok(pages.reader(parts, caller).await)
    }
}

impl Pages {
    pub(super) async fn reader(self: &Arc<Self>, parts: &Parts, caller: Option<Caller>) -> Reader {
        let query = parts.uri.query().unwrap_or_default();
        let done = query.split('&').find_map(|pair| pair.strip_prefix("done="));
        let note = NOTES.iter().find(|(word, _)| done == Some(word)).map(|(_, note)| *note);
        let mut reader = Reader {
            language: Language::of(&parts.headers),
            path: parts.uri.path().to_owned(),
            viewer: Viewer::Nobody,
            note,
            programme: self.parts.status.programme.clone(),
            session: None,
            not_after: UnixSeconds(0),
            sign_in: None,
            signed_in: false,
            elsewhere: parts.headers.get("sec-fetch-site").is_some_and(|s| s == "cross-site"),
            token: None,
        };
        let Some(caller) = caller else { return reader };
        reader.session = Some(caller.session.clone());
        reader.not_after = caller.not_after;
        reader.sign_in = caller.signed_in;
        reader.signed_in = caller.signed_in.is_some();
        reader.token = caller.form;
        reader.viewer = match &caller.session.who {
            Who::Subject(subject) => {
                let (pages, asked) = (Arc::clone(self), subject.clone());
                let held = tokio::task::spawn_blocking(move || pages.parts.behind.holds(&asked)).await;
                if held.unwrap_or(false) { Viewer::Subject(subject.clone()) } else { Viewer::Stranger }
            }
            Who::Service(_) => Viewer::Stranger,
            Who::Employee(id) => {
                let (pages, session, name) =
                    (Arc::clone(self), caller.session.clone(), id.as_str().to_owned());
                // Records are read from files.
                let found = tokio::task::spawn_blocking(move || pages.staff(&session, name)).await;
                found.ok().flatten().map_or(Viewer::Stranger, Viewer::Staff)
            }
        };
        reader
    }

    /// The employee of a session, if they are on record. Reads files.
    pub(super) fn staff(&self, session: &Session, name: String) -> Option<Staff> {
        let member = self.parts.office.member(session).ok()?;
        let operates = member.is_in(&self.parts.operators);
        let approves = self.parts.office.is_approver(&member);
        Some(Staff { name, member: Arc::new(member), oversees: operates || approves, operates, approves })
    }
}
