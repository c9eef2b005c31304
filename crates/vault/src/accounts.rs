//! Local accounts: a passphrase and a code that changes every 30 seconds (TOTP, RFC 6238), for an enclave without an
//! identity provider; and for people whose data it is.
//!
//! Nobody has an account until the operator enrols them, and no password is there before its owner chooses it. An
//! account is one file, `control/accounts/<id>.sealed`, sealed with a key of the key service and bound to its name.
//! What the rules are stands in [`state`]; here are files, keys and randomness.

pub mod state;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use data_encoding::{BASE32_NOPAD, BASE64};
use ledger::SecretKey;
use model::{ActorId, Explain, UnixSeconds};

use self::state::{Account, Attested, Refused};
use crate::keys::{self, KeyError, KeyService};

/// How long a code for enrolment serves, in seconds.
pub const ENROLMENT_SECONDS: u64 = 24 * 3600;
/// Most bytes of an account's file.
const FILE_MAX: u64 = 16 << 10;

/// Why an account cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccountError {
    /// What was shown does not open it. The reason is for the log, not for whoever tries.
    #[error("the sign-in is refused")]
    Refused(#[from] Refused),
    /// There is no such account.
    #[error("there is no such account")]
    Missing,
    /// Its file cannot be used.
    #[error("the file of an account cannot be used")]
    Io(#[source] std::io::Error),
    /// Its file is not what was written.
    #[error("the file of an account is damaged")]
    Damaged,
    /// Keys or randomness are not to be had.
    #[error("keys cannot be used")]
    Keys(#[from] KeyError),
}

impl Explain for AccountError {
    fn code(&self) -> &'static str {
        "CLV-0703"
    }
    fn fix(&self) -> &'static str {
        "enrol the actor again with `clover actor enrol`; that replaces their account"
    }
    fn public(&self) -> &'static str {
        "the account, the passphrase or the code is wrong, or there were too many attempts"
    }
}

/// What a person puts into their authenticator.
pub struct NewSecret {
    /// The secret in base32, to type.
    pub base32: String,
    /// The same as an `otpauth` address, to scan.
    pub uri: String,
}

/// The accounts of an enclave.
pub struct Accounts {
    folder: PathBuf,
    /// What a file is bound to besides its name: an account of one kind is none of the other.
    kind: &'static [u8],
    programme: String,
    key: SecretKey,
    /// One attempt at a time: a code must not be spent twice by two attempts at once, and hashing is dear.
    attempt: Mutex<()>,
}

impl Accounts {
    /// The accounts of employees in the folder `control`, sealed with a key of this service.
    #[must_use]
    pub fn new(control: &Path, keys: &KeyService, programme: &str) -> Self {
        Self::of("accounts", b"account\0", control, keys, programme)
    }

    /// The accounts of people whose data it is, each under the person's handle.
    #[must_use]
    pub fn of_people(control: &Path, keys: &KeyService, programme: &str) -> Self {
        Self::of("people", b"person\0", control, keys, programme)
    }

    fn of(folder: &str, kind: &'static [u8], control: &Path, keys: &KeyService, programme: &str) -> Self {
        Self {
            folder: control.join(folder),
            kind,
            programme: programme.to_owned(),
            key: keys.accounts(),
            attempt: Mutex::default(),
        }
    }

    /// Makes an account and gives the one-time code with which its owner takes it. What was there is replaced.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn enrol(
        &self,
        actor: &ActorId,
        attested: Attested,
        now: UnixSeconds,
    ) -> Result<String, AccountError> {
        let mut code = [0; 15];
        keys::random(&mut code)?;
        let code = BASE32_NOPAD.encode(&code).to_ascii_lowercase();
        let account = Account::enrolled(attested, &code, now.plus(ENROLMENT_SECONDS));
        let _attempt = self.attempt.lock().unwrap_or_else(PoisonError::into_inner);
        self.write(actor, &account)?;
        Ok(code)
    }

    /// Removes an account: nobody signs in with it again. That there is none is as good.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn remove(&self, actor: &ActorId) -> Result<(), AccountError> {
        let _attempt = self.attempt.lock().unwrap_or_else(PoisonError::into_inner);
        match std::fs::remove_file(self.path(actor)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(AccountError::Io(e)),
            _ => Ok(()),
        }
    }

    /// The owner shows the code, chooses a passphrase, and gets the secret for their authenticator.
    ///
    /// # Errors
    /// [`AccountError`]; each wrong attempt is counted.
    pub fn begin(
        &self,
        actor: &ActorId,
        code: &str,
        passphrase: &str,
        now: UnixSeconds,
    ) -> Result<NewSecret, AccountError> {
        let (mut secret, mut salt) = ([0; 20], [0; 16]);
        keys::random(&mut secret)?;
        keys::random(&mut salt)?;
        self.change(actor, |account| account.begin(code, passphrase, secret, salt, now))?;
        let base32 = BASE32_NOPAD.encode(&secret);
        let (issuer, id) = (&self.programme, actor.as_str());
        let uri = format!("otpauth://totp/{issuer}:{id}?secret={base32}&issuer={issuer}");
        Ok(NewSecret { base32, uri })
    }

    /// The owner shows that their authenticator works; from then on the account serves.
    ///
    /// # Errors
    /// [`AccountError`]; each wrong attempt is counted.
    pub fn confirm(
        &self,
        actor: &ActorId,
        code: &str,
        totp: &str,
        now: UnixSeconds,
    ) -> Result<Attested, AccountError> {
        self.change(actor, |account| account.confirm(code, totp, now))
    }

    /// Signs in with passphrase and code.
    ///
    /// # Errors
    /// [`AccountError`]; each wrong attempt is counted, and after a few the account is shut for a while.
    pub fn sign_in(
        &self,
        actor: &ActorId,
        passphrase: &str,
        totp: &str,
        now: UnixSeconds,
    ) -> Result<Attested, AccountError> {
        self.change(actor, |account| account.sign_in(passphrase, totp, now))
    }

    /// Runs one attempt on an account and writes what became of it before anybody learns the outcome: a code that was
    /// accepted and not marked as spent could be used again.
    fn change<T>(
        &self,
        actor: &ActorId,
        attempt: impl FnOnce(&mut Account) -> Result<T, Refused>,
    ) -> Result<T, AccountError> {
        let _attempt = self.attempt.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(mut account) = self.read(actor)? else {
            // As dear as for an account that is there, so that time does not tell the two apart.
            state::stretch("nobody", &[0; 16]);
            return Err(AccountError::Missing);
        };
        let before = account.clone();
        let outcome = attempt(&mut account);
        if account != before {
            self.write(actor, &account)?;
        }
        Ok(outcome?)
    }

    fn aad(&self, actor: &ActorId) -> Vec<u8> {
        [self.kind, actor.as_str().as_bytes()].concat()
    }

    fn path(&self, actor: &ActorId) -> PathBuf {
        self.folder.join(format!("{}.sealed", actor.as_str()))
    }

    fn read(&self, actor: &ActorId) -> Result<Option<Account>, AccountError> {
        let path = self.path(actor);
        match std::fs::metadata(&path) {
            Ok(found) if found.len() > FILE_MAX => return Err(AccountError::Damaged),
            Ok(_) => {}
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(AccountError::Io(e)),
        }
        let text = std::fs::read_to_string(&path).map_err(AccountError::Io)?;
        let sealed = BASE64.decode(text.trim().as_bytes()).map_err(|_| AccountError::Damaged)?;
        let bytes = keys::unseal(&self.key, &self.aad(actor), &sealed)?;
        serde_json::from_slice(&bytes).map(Some).map_err(|_| AccountError::Damaged)
    }

    fn write(&self, actor: &ActorId, account: &Account) -> Result<(), AccountError> {
        use std::io::Write;
        use std::os::unix::fs::OpenOptionsExt;
        let bytes = serde_json::to_vec(account).map_err(|_| AccountError::Damaged)?;
        let sealed = BASE64.encode(&keys::seal(&self.key, &self.aad(actor), &bytes)?);
        let path = self.path(actor);
        let part = path.with_extension("new");
        let written = || {
            std::fs::create_dir_all(&self.folder)?;
            let mut options = std::fs::OpenOptions::new();
            let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&part)?;
            file.write_all(sealed.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&part, &path)?;
            std::fs::File::open(&self.folder)?.sync_all()
        };
        written().map_err(AccountError::Io)
    }
}

#[cfg(test)]
mod tests;
