//! The lines of a policy file.

use std::str::FromStr;

use crate::note::{Verifier, decimal};

use super::{Builder, POLICY_BYTES_MAX, Policy, Problem, Threshold};

/// A policy file is not in order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// Longer than [`POLICY_BYTES_MAX`].
    #[error("a policy of `{bytes}` bytes is above the limit of `{POLICY_BYTES_MAX}`")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// The last line does not end in a newline: the file may be cut short.
    #[error("every line of a policy ends in a newline, also the last one")]
    Unterminated,
    /// No quorum line.
    #[error("a policy has a quorum line, with `none` if no cosignature is asked for")]
    NoQuorum,
    /// A line is not in order.
    #[error("line `{line}` of the policy is not in order")]
    Line {
        /// Number of the line, from 1.
        line: usize,
        /// What is wrong with it.
        #[source]
        problem: Problem,
    },
}

impl FromStr for Policy {
    type Err = PolicyError;

    fn from_str(file: &str) -> Result<Self, PolicyError> {
        parse(file)
    }
}

pub(super) fn parse(file: &str) -> Result<Policy, PolicyError> {
    if file.len() > POLICY_BYTES_MAX {
        return Err(PolicyError::TooLong { bytes: file.len() });
    }
    let Some(lines) = file.strip_suffix('\n') else {
        return Err(if file.is_empty() { PolicyError::NoQuorum } else { PolicyError::Unterminated });
    };
    let mut reader = Reader::default();
    for (line, text) in (1..).zip(lines.split('\n')) {
        reader.read(text).map_err(|problem| PolicyError::Line { line, problem })?;
    }
    let quorum = reader.quorum.ok_or(PolicyError::NoQuorum)?;
    Ok(reader.builder.finish(quorum))
}

#[derive(Default)]
struct Reader {
    builder: Builder,
    /// What the quorum line names, once it was read; `Some(None)` is `quorum none`.
    quorum: Option<Option<usize>>,
}

impl Reader {
    fn read(&mut self, line: &str) -> Result<(), Problem> {
        if line.bytes().any(|byte| (byte < b' ' && byte != b'\t') || byte == 0x7f) {
            return Err(Problem::Character);
        }
        // Space and tab only: other characters that look like space are part of words.
        let words: Vec<&str> = line.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
        let Some((first, rest)) = words.split_first() else { return Ok(()) };
        match *first {
            comment if comment.starts_with('#') => Ok(()),
            "log" => self.read_log(rest),
            "witness" => self.read_witness(rest),
            "group" => self.read_group(rest),
            "quorum" => self.read_quorum(rest),
            _ => Err(Problem::Keyword),
        }
    }

    fn read_log(&mut self, words: &[&str]) -> Result<(), Problem> {
        let (vkey, url) = match *words {
            [vkey] => (vkey, None),
            [vkey, url] => (vkey, Some(url)),
            _ => return Err(Problem::Shape { wanted: "log <vkey> [<url>]" }),
        };
        self.builder.log(Verifier::parse(vkey)?, url).map(|_| ())
    }

    fn read_witness(&mut self, words: &[&str]) -> Result<(), Problem> {
        let (name, vkey, url) = match *words {
            [name, vkey] => (name, vkey, None),
            [name, vkey, url] => (name, vkey, Some(url)),
            _ => return Err(Problem::Shape { wanted: "witness <name> <vkey> [<url>]" }),
        };
        self.builder.witness(name, Verifier::parse(vkey)?, url).map(|_| ())
    }

    fn read_group(&mut self, words: &[&str]) -> Result<(), Problem> {
        let [name, threshold, members @ ..] = words else {
            return Err(Problem::Shape { wanted: "group <name> <k|any|all> <name>.." });
        };
        let threshold = match *threshold {
            "any" => Threshold::Any,
            "all" => Threshold::All,
            number => {
                let number = decimal(number).and_then(|number| usize::try_from(number).ok());
                Threshold::AtLeast(number.ok_or(Problem::Threshold { members: members.len() })?)
            }
        };
        self.builder.group(name, threshold, members).map(|_| ())
    }

    fn read_quorum(&mut self, words: &[&str]) -> Result<(), Problem> {
        let [name] = *words else { return Err(Problem::Shape { wanted: "quorum <name>" }) };
        if self.quorum.is_some() {
            return Err(Problem::SecondQuorum);
        }
        self.quorum = Some(self.builder.find_quorum(name)?);
        Ok(())
    }
}
