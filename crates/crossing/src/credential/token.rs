//! Signed tokens for callers without a client certificate: a SPIFFE id and an expiry as a signed note, sent as a
//! bearer token or in a cookie.
//!
//! There are two issuers. The operator issues tokens by hand, mostly for services. The enclave's session key issues
//! the token of a person who has signed in; it names its session, which ends when they sign out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use access::Ended;
use data_encoding::BASE64URL_NOPAD;
use ledger::note::{Note, Signer, Verifier};
use model::{SessionId, UnixSeconds};

use super::{Shown, SignedIn, spiffe};
use crate::identify::Session;

const KIND: &str = "clover-token/v1";
/// Most verified tokens remembered.
const REMEMBERED: usize = 10_000;
/// Longest token in bytes.
const TOKEN_MAX: usize = 2048;
/// Longest life of a signed-in session.
pub const SESSION_SECONDS_MAX: u64 = 12 * 3600;

/// A token that does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the token is not signed by an issuer of this programme, has expired, or its session has ended")]
pub struct BadToken;

/// Issues a token by hand.
///
/// # Errors
/// [`BadToken`] when the issuer's key refuses the text.
pub fn issue(
    programme: &str,
    session: &Session,
    not_after: UnixSeconds,
    issuer: &Signer,
) -> Result<String, BadToken> {
    sign(&text(programme, session, not_after), issuer)
}

/// Issues the token of a person who has signed in.
///
/// # Errors
/// [`BadToken`] when it would live too long, or the key refuses the text.
pub fn issue_session(
    programme: &str,
    session: &Session,
    signed_in: SignedIn,
    not_after: UnixSeconds,
    key: &Signer,
) -> Result<String, BadToken> {
    let SignedIn { id, since } = signed_in;
    if not_after > since.plus(SESSION_SECONDS_MAX) {
        return Err(BadToken);
    }
    sign(&format!("{}session {id}\nsince {}\n", text(programme, session, not_after), since.0), key)
}

fn text(programme: &str, session: &Session, not_after: UnixSeconds) -> String {
    format!("{KIND}\nname {}\nnot-after {}\n", spiffe::write(programme, session), not_after.0)
}

fn sign(text: &str, key: &Signer) -> Result<String, BadToken> {
    let mut note = Note::new(text).map_err(|_| BadToken)?;
    note.add(key.sign(text).map_err(|_| BadToken)?);
    Ok(BASE64URL_NOPAD.encode(note.to_string().as_bytes()))
}

/// Verifies tokens, and remembers those that it verified. One value serves every listener of a process.
pub struct Tokens {
    programme: String,
    issuer: Verifier,
    sessions: Verifier,
    ended: Arc<Ended>,
    known: Mutex<HashMap<String, Shown>>,
}

impl Tokens {
    /// Accepts the tokens of the operator, and those of people who have signed in and are not in `ended`.
    #[must_use]
    pub fn new(programme: &str, issuer: Verifier, sessions: Verifier, ended: Arc<Ended>) -> Self {
        Self { programme: programme.to_owned(), issuer, sessions, ended, known: Mutex::default() }
    }

    /// The programme whose tokens these are.
    #[must_use]
    pub fn programme(&self) -> &str {
        &self.programme
    }

    /// What a token shows now.
    ///
    /// # Errors
    /// [`BadToken`], without a reason: a stranger learns nothing from it.
    pub fn shown(&self, token: &str, now: UnixSeconds) -> Result<Shown, BadToken> {
        if token.len() > TOKEN_MAX {
            return Err(BadToken);
        }
        let known = self.known.lock().ok().and_then(|k| k.get(token).cloned());
        let shown = match known {
            Some(known) => known,
            None => self.verify(token)?,
        };
        // Both are asked at each use: what is remembered is only that the signature holds.
        let ended = shown.signed_in.is_some_and(|s| self.is_ended(s));
        if ended || now >= shown.not_after { Err(BadToken) } else { Ok(shown) }
    }

    /// Whether a sign-in has ended before its time.
    #[must_use]
    pub fn is_ended(&self, signed_in: SignedIn) -> bool {
        self.ended.is_ended(&signed_in.id, signed_in.since)
    }

    /// How many times sessions were ended so far.
    #[must_use]
    pub fn ends(&self) -> u64 {
        self.ended.ends()
    }

    /// The session of a token.
    ///
    /// # Errors
    /// As [`Tokens::shown`].
    pub fn session(&self, token: &str, now: UnixSeconds) -> Result<Session, BadToken> {
        self.shown(token, now).map(|shown| shown.session)
    }

    fn verify(&self, token: &str) -> Result<Shown, BadToken> {
        let bytes = BASE64URL_NOPAD.decode(token.as_bytes()).map_err(|_| BadToken)?;
        let note: Note = std::str::from_utf8(&bytes).map_err(|_| BadToken)?.parse().map_err(|_| BadToken)?;
        let by = |key: &Verifier| note.verify(std::slice::from_ref(key)).is_ok();
        let shown = self.read(note.unverified_text()).ok_or(BadToken)?;
        // Each key signs one form only: the operator's word is no sign-in, and no sign-in is the operator's word.
        let signed = match shown.signed_in {
            Some(_) => by(&self.sessions),
            None => by(&self.issuer),
        };
        if !signed {
            return Err(BadToken);
        }
        if let Ok(mut known) = self.known.lock() {
            if known.len() >= REMEMBERED {
                known.clear();
            }
            known.insert(token.to_owned(), shown.clone());
        }
        Ok(shown)
    }

    fn read(&self, text: &str) -> Option<Shown> {
        let mut lines = text.lines();
        let name = (lines.next() == Some(KIND)).then(|| lines.next()?.strip_prefix("name ")).flatten()?;
        let number = |line: Option<&str>, key: &str| line?.strip_prefix(key)?.parse().ok().map(UnixSeconds);
        let not_after = number(lines.next(), "not-after ")?;
        let signed_in = match lines.next() {
            None => None,
            Some(line) => {
                let id = SessionId::parse(line.strip_prefix("session ")?).ok()?;
                let since = number(lines.next(), "since ")?;
                (not_after <= since.plus(SESSION_SECONDS_MAX)).then_some(())?;
                Some(SignedIn { id, since })
            }
        };
        let session = spiffe::read(&self.programme, name).ok()?;
        lines.next().is_none().then_some(Shown { session, not_after, signed_in })
    }
}

#[cfg(test)]
mod tests;
