//! C2SP tlog-policy: which cosigners must have signed a checkpoint.

use std::collections::BTreeSet;

use crate::{
    cosign::CosignerKey,
    note::{KeyError, NoteError, VerifierKey},
};

/// Lines that define something.
const LINES_MAX: usize = 1000;

/// A policy file.
#[derive(Debug)]
pub(crate) struct Policy {
    /// If there are any, the log must be one of them.
    logs: Vec<VerifierKey>,
    witnesses: Vec<CosignerKey>,
    /// In the order of their definition, witnesses and groups.
    names: Vec<(String, Member)>,
    quorum: Option<usize>,
}

#[derive(Debug)]
enum Member {
    Witness(usize),
    /// So many of these, which are defined before.
    Group(usize, Vec<usize>),
}

/// Why a policy was not taken.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {why}")]
pub(crate) struct PolicyError {
    line: usize,
    why: &'static str,
}

/// Why a checkpoint is not cosigned.
#[derive(Debug, thiserror::Error)]
pub(crate) enum QuorumError {
    #[error("the log is not one of the policy")]
    Log,
    #[error(transparent)]
    Note(#[from] NoteError),
    #[error("only {0} of the policy's witnesses cosigned it, and that is no quorum")]
    Short(usize),
}

/// Who cosigned, and when (Unix seconds).
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Cosigner {
    pub(crate) name: String,
    pub(crate) time: u64,
}

impl Policy {
    /// Reads a policy file.
    pub(crate) fn parse(text: &str) -> Result<Self, PolicyError> {
        let mut policy = Self { logs: Vec::new(), witnesses: Vec::new(), names: Vec::new(), quorum: None };
        let (mut used, mut quorums) = (BTreeSet::new(), 0);
        for (number, line) in text.split('\n').enumerate() {
            let items: Vec<&str> = line.split([' ', '\t']).filter(|item| !item.is_empty()).collect();
            let result = match items.as_slice() {
                [] => continue,
                [first, ..] if first.starts_with('#') => continue,
                _ if line.chars().any(|c| c.is_ascii_control() && c != '\t') => {
                    Err("it has a control character")
                }
                _ if number >= LINES_MAX => Err("the file is too long"),
                ["log", key] | ["log", key, _] => policy.log(key),
                ["witness", name, key] | ["witness", name, key, _] => policy.witness(name, key),
                ["group", name, count, members @ ..] => policy.group(name, count, members, &mut used),
                ["quorum", name] => {
                    quorums += 1;
                    policy.quorum(name)
                }
                _ => Err("it defines nothing"),
            };
            result.map_err(|why| PolicyError { line: number + 1, why })?;
        }
        if quorums == 1 {
            Ok(policy)
        } else {
            Err(PolicyError { line: 0, why: "there is not just one quorum" })
        }
    }

    /// Whether the policy asks for anybody's cosignature.
    pub(crate) fn asks(&self) -> bool {
        self.quorum.is_some()
    }

    /// Checks that the quorum has cosigned the checkpoint of `log`, and says who did.
    pub(crate) fn check(&self, checkpoint: &[u8], log: &VerifierKey) -> Result<Vec<Cosigner>, QuorumError> {
        if !self.logs.is_empty() && !self.logs.contains(log) {
            return Err(QuorumError::Log);
        }
        let (mut signed, mut cosigners) = (Vec::new(), Vec::new());
        for witness in &self.witnesses {
            let time = witness.cosigned_at(checkpoint)?;
            signed.push(time.is_some());
            cosigners.extend(time.map(|time| Cosigner { name: witness.name().to_owned(), time }));
        }
        let mut met: Vec<bool> = Vec::new();
        for (_, member) in &self.names {
            met.push(match member {
                Member::Witness(number) => signed.get(*number).copied().unwrap_or_default(),
                Member::Group(count, members) => {
                    members.iter().filter(|member| met.get(**member).is_some_and(|met| *met)).count()
                        >= *count
                }
            });
        }
        match self.quorum {
            Some(name) if !met.get(name).is_some_and(|met| *met) => Err(QuorumError::Short(cosigners.len())),
            _ => Ok(cosigners),
        }
    }

    fn log(&mut self, key: &str) -> Result<(), &'static str> {
        let key = VerifierKey::parse(key).map_err(|error| key_problem(&error))?;
        if self.logs.iter().any(|log| log.same_key(&key)) {
            return Err("the log is defined twice");
        }
        self.logs.push(key);
        Ok(())
    }

    fn witness(&mut self, name: &str, key: &str) -> Result<(), &'static str> {
        let key = CosignerKey::parse(key).map_err(|error| key_problem(&error))?;
        if self.witnesses.iter().any(|witness| witness.same_key(&key)) {
            return Err("the witness is defined twice");
        }
        self.witnesses.push(key);
        self.define(name, Member::Witness(self.witnesses.len() - 1))
    }

    fn group(
        &mut self,
        name: &str,
        count: &str,
        members: &[&str],
        used: &mut BTreeSet<usize>,
    ) -> Result<(), &'static str> {
        let mut places = Vec::new();
        for member in members {
            let place = self.place(member).ok_or("a member is not defined before")?;
            if !used.insert(place) {
                return Err("a name is a member twice");
            }
            places.push(place);
        }
        let count = match count {
            "all" => places.len(),
            "any" => 1,
            number if number.starts_with('+') => 0,
            number => number.parse().unwrap_or(0),
        };
        if !(1..=places.len()).contains(&count) {
            return Err("the group's number is not between 1 and that of its members");
        }
        self.define(name, Member::Group(count, places))
    }

    fn quorum(&mut self, name: &str) -> Result<(), &'static str> {
        self.quorum = match name {
            "none" => None,
            name => Some(self.place(name).ok_or("the quorum is not defined before")?),
        };
        Ok(())
    }

    fn define(&mut self, name: &str, member: Member) -> Result<(), &'static str> {
        if name == "none" || self.place(name).is_some() {
            return Err("the name is taken");
        }
        self.names.push((name.to_owned(), member));
        Ok(())
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|(other, _)| other == name)
    }
}

fn key_problem(error: &KeyError) -> &'static str {
    match error {
        KeyError::Form => "the key is malformed",
        KeyError::Type => "the key is of another type",
        KeyError::Id => "the key's id is that of another",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cosign::{KeyKind, SigningKey};

    const TEXT: &str = "site.t/s\n7\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";

    fn witness(seed: u8) -> SigningKey {
        SigningKey::from_seed(&format!("w.test/{seed}"), KeyKind::Cosigner, &[seed; 32]).unwrap()
    }

    fn log() -> SigningKey {
        SigningKey::from_seed("site.t/s", KeyKind::Auditor, &[99; 32]).unwrap()
    }

    fn policy(rest: &str) -> Result<Policy, PolicyError> {
        let witnesses: String =
            (1..=5).map(|n| format!("witness w{n} {} http://w\n", witness(n).vkey())).collect();
        Policy::parse(&format!("# a comment\n\n log {}\t\n{witnesses}{rest}", log().vkey()))
    }

    fn met(rest: &str, signers: &[u8]) -> bool {
        let lines: String = signers.iter().map(|n| witness(*n).line(TEXT, 5)).collect();
        let note = format!("{TEXT}\n{}{lines}", log().line(TEXT, 0));
        let key = VerifierKey::parse(&log().vkey()).unwrap();
        policy(rest).unwrap().check(note.as_bytes(), &key).is_ok()
    }

    #[test]
    fn a_quorum_is_met_by_just_those_who_meet_it() {
        let two_levels = "group x 2 w1 w2 w3\ngroup y any w4 w5\ngroup both all x y\nquorum both\n";
        assert!(met(two_levels, &[1, 3, 5]));
        assert!(!met(two_levels, &[1, 2, 3]));
        assert!(!met(two_levels, &[1, 4, 5]));
        assert!(met("quorum w2\n", &[2]));
        assert!(!met("quorum w2\n", &[1]));
        assert!(met("quorum none\n", &[]));
    }

    #[test]
    fn one_forged_cosignature_refuses_the_checkpoint() {
        let key = VerifierKey::parse(&log().vkey()).unwrap();
        let line = witness(2).line(TEXT, 5).replace("— w.test/2 ", "— w.test/2 x");
        let note = format!("{TEXT}\n{}{}{line}", log().line(TEXT, 0), witness(1).line(TEXT, 5));
        assert!(policy("quorum w1\n").unwrap().check(note.as_bytes(), &key).is_err());
    }

    #[test]
    fn another_log_is_not_of_the_policy() {
        let other = SigningKey::from_seed("site.t/other", KeyKind::Auditor, &[98; 32]).unwrap();
        let key = VerifierKey::parse(&other.vkey()).unwrap();
        let note = format!("{TEXT}\n{}", other.line(TEXT, 0));
        let checked = policy("quorum none\n").unwrap().check(note.as_bytes(), &key);
        assert!(matches!(checked, Err(QuorumError::Log)));
    }

    #[test]
    fn a_policy_with_two_meanings_is_refused() {
        assert!(policy("group g 2 w1 w2\nquorum g\n").is_ok());
        for bad in [
            "",
            "quorum w9\n",
            "quorum w1\nquorum w1\n",
            "quorum g\ngroup g all w1\n",
            "group g 0 w1\nquorum g\n",
            "group g 3 w1 w2\nquorum g\n",
            "group g +1 w1\nquorum g\n",
            "group g all\nquorum g\n",
            "group g all w1 w1\nquorum g\n",
            "group g all w1\ngroup h all w1 w2\nquorum h\n",
            "group w1 all w2\nquorum w1\n",
            "group none all w2\nquorum none\n",
            "witness again w.test/1+00000000+AAAA\nquorum w1\n",
            "quorums w1\n",
            "quorum w1\r\n",
        ] {
            assert!(policy(bad).is_err(), "{bad:?}");
        }
        let twice = format!("witness other {}\nquorum w1\n", witness(1).vkey());
        assert!(policy(&twice).is_err());
    }
}
