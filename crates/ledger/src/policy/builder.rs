//! Making a policy from its parts: what the parser does for each line, and `clover init` for a new
//! enclave. Every rule of the specification that is not about lines is checked here.

use crate::note::{KeyError, KeyKind, Verifier};

use super::{DEFINITIONS_MAX, Definition, Log, NO_QUORUM, Policy, Rule, Threshold, Witness};

/// A policy in the making. A call that fails adds nothing.
///
/// ```
/// use ledger::note::{Cosigner, Signer};
/// use ledger::policy::{Builder, Policy};
///
/// let log = Signer::from_seed("gateway.example/log", &[1; 32])?;
/// let mirror = Cosigner::from_seed("gateway.example/mirror", &[2; 32])?;
/// let mut builder = Builder::default();
/// builder.log(log.verifier().clone(), None)?;
/// builder.witness("mirror", mirror.verifier().clone(), Some("http://127.0.0.1:7777/"))?;
/// let policy = builder.build("mirror")?;
/// assert_eq!(policy.to_string().parse(), Ok(policy));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Builder {
    logs: Vec<Log>,
    witnesses: Vec<Witness>,
    definitions: Vec<Definition>,
}

/// A line or part of a policy is not in order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The first word is none of the four.
    #[error("a line begins with `log`, `witness`, `group` or `quorum`, or with `#` for a comment")]
    Keyword,
    /// Too few or too many words.
    #[error("the line must be `{wanted}`")]
    Shape {
        /// What a line of that kind looks like.
        wanted: &'static str,
    },
    /// A control character, such as a carriage return.
    #[error("the only control characters of a policy are tab and newline")]
    Character,
    /// The verifier key does not parse.
    #[error("the key cannot be used")]
    Key(#[from] KeyError),
    /// A log must sign with plain Ed25519.
    #[error("the key `{key}` is not one of a log, type `01`")]
    NotLogKey {
        /// Name of the key.
        key: String,
    },
    /// A witness must sign with a timestamp.
    #[error("the key `{key}` is not one of a cosigner, type `04`")]
    NotWitnessKey {
        /// Name of the key.
        key: String,
    },
    /// Another log, or another witness, has the same public key.
    #[error("the public key of `{key}` is listed before")]
    DuplicateKey {
        /// Name of the key.
        key: String,
    },
    /// A name or address that a line cannot carry.
    #[error("a name or address is not empty and has no spaces, tabs or control characters")]
    Word,
    /// `none` means something else.
    #[error("the name `none` is predefined: it can only be the quorum")]
    Reserved,
    /// A witness or group of that name exists.
    #[error("the name `{name}` is defined before")]
    Redefined {
        /// The name.
        name: String,
    },
    /// No witness or group of that name stands before.
    #[error("the name `{name}` is not defined before it is used")]
    Undefined {
        /// The name.
        name: String,
    },
    /// A group has it as a member already.
    #[error("`{name}` is a member already: nobody may count twice")]
    MemberTwice {
        /// The name.
        name: String,
    },
    /// A group of nobody.
    #[error("a group has at least one member")]
    NoMembers,
    /// The number is zero, above the number of members, or not plain decimal.
    #[error(
        "the threshold of a group is `any`, `all`, or a decimal number from 1 to its `{members}` members"
    )]
    Threshold {
        /// How many members the group has.
        members: usize,
    },
    /// A second quorum line.
    #[error("a policy has one quorum line")]
    SecondQuorum,
    /// More than [`DEFINITIONS_MAX`] of a kind.
    #[error("a policy has at most `{DEFINITIONS_MAX}` logs, witnesses and groups each")]
    TooMany,
}

impl Builder {
    /// Adds a log.
    ///
    /// # Errors
    ///
    /// [`Problem`] when the key is not that of a log or is listed before.
    pub fn log(&mut self, key: Verifier, url: Option<&str>) -> Result<&mut Self, Problem> {
        if key.kind() != KeyKind::Ed25519 {
            return Err(Problem::NotLogKey { key: key.name().to_owned() });
        }
        check_duplicate(&key, self.logs.iter().map(|log| &log.key))?;
        check_room(self.logs.len())?;
        let url = url.map(word).transpose()?;
        self.logs.push(Log { key, url });
        Ok(self)
    }

    /// Adds a witness. The name is for groups and the quorum of this policy only.
    ///
    /// # Errors
    ///
    /// [`Problem`] when the name is taken, or the key is not that of a cosigner or is listed before.
    pub fn witness(&mut self, name: &str, key: Verifier, url: Option<&str>) -> Result<&mut Self, Problem> {
        let name = self.new_name(name)?;
        if key.kind() != KeyKind::Cosignature {
            return Err(Problem::NotWitnessKey { key: key.name().to_owned() });
        }
        check_duplicate(&key, self.witnesses.iter().map(|witness| &witness.key))?;
        check_room(self.witnesses.len())?;
        let url = url.map(word).transpose()?;
        let rule = Rule::Witness(self.witnesses.len());
        self.witnesses.push(Witness { name: name.clone(), key, url });
        self.definitions.push(Definition { name, rule, is_member: false });
        Ok(self)
    }

    /// Adds a group of witnesses and groups that were added before.
    ///
    /// # Errors
    ///
    /// [`Problem`] when the name is taken, a member is unknown or in a group already, or the
    /// threshold cannot be met.
    pub fn group(
        &mut self,
        name: &str,
        threshold: Threshold,
        members: &[&str],
    ) -> Result<&mut Self, Problem> {
        let name = self.new_name(name)?;
        if members.is_empty() {
            return Err(Problem::NoMembers);
        }
        if !(1..=members.len()).contains(&threshold.of(members.len())) {
            return Err(Problem::Threshold { members: members.len() });
        }
        check_room(self.definitions.len() - self.witnesses.len())?;
        let mut places = Vec::with_capacity(members.len());
        for member in members {
            let place = self.find(member)?;
            let taken = self.definitions.get(place).is_some_and(|definition| definition.is_member);
            if taken || places.contains(&place) {
                return Err(Problem::MemberTwice { name: (*member).to_owned() });
            }
            places.push(place);
        }
        for place in &places {
            if let Some(definition) = self.definitions.get_mut(*place) {
                definition.is_member = true;
            }
        }
        let rule = Rule::Group { threshold, members: places };
        self.definitions.push(Definition { name, rule, is_member: false });
        Ok(self)
    }

    /// The policy whose quorum is the witness or group of that name, or `none`.
    ///
    /// # Errors
    ///
    /// [`Problem::Undefined`] when nothing of that name was added.
    pub fn build(self, quorum: &str) -> Result<Policy, Problem> {
        let quorum = self.find_quorum(quorum)?;
        Ok(self.finish(quorum))
    }

    pub(super) fn finish(self, quorum: Option<usize>) -> Policy {
        let Self { logs, witnesses, definitions } = self;
        Policy { logs, witnesses, definitions, quorum }
    }

    pub(super) fn find_quorum(&self, name: &str) -> Result<Option<usize>, Problem> {
        if name == NO_QUORUM { Ok(None) } else { self.find(name).map(Some) }
    }

    fn find(&self, name: &str) -> Result<usize, Problem> {
        if name == NO_QUORUM {
            return Err(Problem::Reserved);
        }
        let place = self.definitions.iter().position(|definition| definition.name == name);
        place.ok_or_else(|| Problem::Undefined { name: name.to_owned() })
    }

    fn new_name(&self, name: &str) -> Result<String, Problem> {
        match self.find(name) {
            Err(Problem::Undefined { .. }) => word(name),
            Err(problem) => Err(problem),
            Ok(_) => Err(Problem::Redefined { name: name.to_owned() }),
        }
    }
}

fn check_room(taken: usize) -> Result<(), Problem> {
    if taken < DEFINITIONS_MAX { Ok(()) } else { Err(Problem::TooMany) }
}

/// Keys are the same if the public key is, whatever their names are.
fn check_duplicate<'k>(
    key: &Verifier,
    mut listed: impl Iterator<Item = &'k Verifier>,
) -> Result<(), Problem> {
    let public = public_key(key);
    if listed.any(|other| public_key(other) == public) {
        return Err(Problem::DuplicateKey { key: key.name().to_owned() });
    }
    Ok(())
}

/// Type and public key in base64: the third part of a verifier key. Base64 may have plus signs.
fn public_key(key: &Verifier) -> Option<String> {
    key.to_vkey().splitn(3, '+').nth(2).map(str::to_owned)
}

/// A name or address as one word of a line. Beyond ASCII anything goes: the bytes are opaque.
fn word(text: &str) -> Result<String, Problem> {
    let fits = |byte: u8| byte > b' ' && byte != 0x7f;
    if !text.is_empty() && text.bytes().all(fits) { Ok(text.to_owned()) } else { Err(Problem::Word) }
}
