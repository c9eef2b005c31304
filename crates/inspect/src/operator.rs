//! Kinds that the operator defines: a regular expression, and a check that has a name.

use regex::bytes::{Regex, RegexBuilder};
use thiserror::Error;

use crate::ids::identifier_valid;
use crate::{Confidence, Finding, Rule, iban_valid, luhn_valid};

/// Most rules, longest name and longest expression, in bytes.
const RULES_MAX: usize = 64;
const NAME_MAX: usize = 64;
const PATTERN_MAX: usize = 1_024;

/// Memory that one expression may take when it is compiled, and when it runs.
const COMPILED_MAX: usize = 1 << 20;

/// Most findings of one rule in one text.
const FINDINGS_MAX: usize = 10_000;

/// Why a rule was not taken.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OperatorError {
    /// There are as many rules as there may be.
    #[error("more than {RULES_MAX} rules")]
    TooMany,
    /// The name is empty, too long, or has other than small letters, digits, dots and dashes.
    #[error("a rule's name has 1 to {NAME_MAX} small letters, digits, dots and dashes")]
    Name,
    /// The expression is too long, cannot be read or would take too much memory.
    #[error("the expression of rule `{name}` is refused")]
    Pattern {
        /// The rule.
        name: String,
        /// What is wrong; absent if the expression is too long.
        source: Option<Box<regex::Error>>,
    },
    /// The expression matches an empty text, and so would be found everywhere.
    #[error("the expression of rule `{name}` matches nothing at all")]
    Empty {
        /// The rule.
        name: String,
    },
    /// There is no check of this name.
    #[error("rule `{name}` names no known check")]
    Check {
        /// The rule.
        name: String,
    },
}

/// What a match must pass beside the expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Check {
    None,
    Luhn,
    Iban,
    Identifier(Rule),
}

impl Check {
    fn named(name: &str) -> Option<Self> {
        match name {
            "" => Some(Self::None),
            "luhn" => Some(Self::Luhn),
            "iban" => Some(Self::Iban),
            rule => Rule::named(rule).filter(|rule| rule.country().is_some()).map(Self::Identifier),
        }
    }

    fn takes(self, text: &[u8]) -> bool {
        match self {
            Self::None => true,
            Self::Luhn => {
                let digits: Vec<u8> = text.iter().copied().filter(u8::is_ascii_digit).collect();
                luhn_valid(&digits)
            }
            Self::Iban => iban_valid(text),
            Self::Identifier(rule) => identifier_valid(rule, text),
        }
    }
}

#[derive(Debug)]
struct Own {
    name: String,
    pattern: Regex,
    check: Check,
}

/// The operator's rules.
///
/// ```
/// use inspect::OperatorRules;
///
/// let mut rules = OperatorRules::new();
/// rules.add("customer-number", r"\bKD-[0-9]{8}\b", "")?;
/// let mut found = Vec::new();
/// rules.scan(b"see KD-00112233", &mut found);
/// assert_eq!((found[0].start, rules.name(&found[0])), (4, Some("customer-number")));
/// # Ok::<(), inspect::OperatorError>(())
/// ```
#[derive(Debug, Default)]
pub struct OperatorRules {
    rules: Vec<Own>,
}

impl OperatorRules {
    /// No rules yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a rule. `check` is empty, `luhn`, `iban`, or the id of a national identifier's rule such as `nl.bsn`.
    ///
    /// # Errors
    ///
    /// What is wrong with the rule, which was not added then.
    pub fn add(&mut self, name: &str, pattern: &str, check: &str) -> Result<(), OperatorError> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-');
        if self.rules.len() >= RULES_MAX {
            return Err(OperatorError::TooMany);
        }
        if name.is_empty() || name.len() > NAME_MAX || !name.bytes().all(plain) {
            return Err(OperatorError::Name);
        }
        let name = name.to_owned();
        let Some(check) = Check::named(check) else { return Err(OperatorError::Check { name }) };
        if pattern.len() > PATTERN_MAX {
            return Err(OperatorError::Pattern { name, source: None });
        }
        let built = RegexBuilder::new(pattern).size_limit(COMPILED_MAX).dfa_size_limit(COMPILED_MAX).build();
        let pattern = match built {
            Ok(pattern) => pattern,
            Err(error) => return Err(OperatorError::Pattern { name, source: Some(Box::new(error)) }),
        };
        if pattern.is_match(b"") {
            return Err(OperatorError::Empty { name });
        }
        self.rules.push(Own { name, pattern, check });
        Ok(())
    }

    /// True if there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The name of the rule that made a finding of the operator's.
    #[must_use]
    pub fn name(&self, finding: &Finding) -> Option<&str> {
        finding.rule.operator_place().and_then(|place| self.rules.get(place)).map(|rule| rule.name.as_str())
    }

    /// Appends what the rules find in `text`, rule by rule.
    pub fn scan(&self, text: &[u8], out: &mut Vec<Finding>) {
        for (place, rule) in self.rules.iter().enumerate() {
            let matches = rule
                .pattern
                .find_iter(text)
                .filter(|found| !found.is_empty() && rule.check.takes(found.as_bytes()));
            for found in matches.take(FINDINGS_MAX) {
                let confidence =
                    if rule.check == Check::None { Confidence::Medium } else { Confidence::High };
                out.push(Finding::new(Rule::operator(place as u16), found.start(), found.end(), confidence));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_finds_what_its_check_takes() {
        let mut rules = OperatorRules::new();
        rules.add("membership", r"\bM[0-9]{9}\b", "").unwrap();
        rules.add("loyalty", r"\b[0-9]{4} [0-9]{4} [0-9]{3}\b", "luhn").unwrap();
        rules.add("staff-bsn", r"\b[0-9]{9}\b", "nl.bsn").unwrap();
        let found = |text: &str| {
            let mut out = Vec::new();
            rules.scan(text.as_bytes(), &mut out);
            out.iter()
                .map(|f| (rules.name(f).unwrap().to_owned(), text[f.start..f.end].to_owned(), f.kind.code()))
                .collect::<Vec<_>>()
        };
        assert_eq!(found("M123456789"), [("membership".to_owned(), "M123456789".to_owned(), 23)]);
        assert_eq!(
            found("7992 7398 713 and 7992 7398 714"),
            [("loyalty".to_owned(), "7992 7398 713".to_owned(), 23)]
        );
        assert_eq!(found("123456782 123456783"), [("staff-bsn".to_owned(), "123456782".to_owned(), 23)]);
    }

    #[test]
    fn rules_that_would_cost_too_much_are_refused() {
        let mut rules = OperatorRules::new();
        let refused = |rules: &mut OperatorRules, name: &str, pattern: &str, check: &str| {
            rules.add(name, pattern, check).unwrap_err().to_string()
        };
        assert_eq!(
            refused(&mut rules, "", "a", ""),
            "a rule's name has 1 to 64 small letters, digits, dots and dashes"
        );
        assert_eq!(refused(&mut rules, "a", "(", ""), "the expression of rule `a` is refused");
        assert_eq!(refused(&mut rules, "a", &"a".repeat(2_000), ""), "the expression of rule `a` is refused");
        assert_eq!(refused(&mut rules, "a", r"(\w{100}){100}", ""), "the expression of rule `a` is refused");
        assert_eq!(refused(&mut rules, "a", "x*", ""), "the expression of rule `a` matches nothing at all");
        assert_eq!(refused(&mut rules, "a", "x", "no.such"), "rule `a` names no known check");
        assert_eq!(refused(&mut rules, "a", "x", "email"), "rule `a` names no known check");
        for _ in 0..64 {
            rules.add("a", "x", "").unwrap();
        }
        assert_eq!(refused(&mut rules, "a", "x", ""), "more than 64 rules");
    }
}
