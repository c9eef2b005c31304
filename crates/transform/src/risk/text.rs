//! Reports for people.

use std::fmt;

use super::content::Kind;
use super::profile::SIZES;
use super::{Finding, Linked, Report, Verdict};

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} rows in {} classes of people who look alike", self.rows, self.classes)?;
        writeln!(f, "  smallest class: {} (asked for: {})", people(self.k), self.asked)?;
        let mut sizes = SIZES.iter().zip(self.sizes).peekable();
        while let Some((from, rows)) = sizes.next() {
            let to = sizes.peek().map(|(next, _)| **next - 1);
            let size = match to {
                Some(to) if to == *from => format!("{from}"),
                Some(to) => format!("{from} to {to}"),
                None => format!("{from} and more"),
            };
            writeln!(f, "  rows in classes of {size}: {rows} ({})", share(rows, self.rows))?;
        }
        for (column, l) in &self.sensitive {
            writeln!(f, "  fewest values of `{column}` in a class: {l}")?;
        }
        if self.found.tokens > 0 {
            writeln!(
                f,
                "{} tokens, {} beside content that can be found again",
                self.found.tokens, self.found.found
            )?;
            for (kind, contents) in &self.found.contents {
                writeln!(f, "  {}: {contents}", kind.plural())?;
            }
            writeln!(
                f,
                "  rows reached through them: {} ({})",
                self.found.rows,
                share(self.found.rows, self.rows)
            )?;
        }
        conclude(f, self.verdict(), &self.findings())
    }
}

impl fmt::Display for Linked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, second) = self.rows;
        writeln!(f, "{first} and {second} rows, {} quasi-identifiers in common", self.columns)?;
        writeln!(f, "  equal tokens: {}", self.equal_tokens)?;
        writeln!(f, "  combinations that both have: {}", self.common)?;
        writeln!(
            f,
            "  rows that join one to one: {} ({})",
            self.joined,
            share(self.joined, first.min(second))
        )?;
        conclude(f, self.verdict(), &self.findings())
    }
}

fn conclude(f: &mut fmt::Formatter<'_>, verdict: Verdict, findings: &[Finding]) -> fmt::Result {
    let word = match verdict {
        Verdict::Holds => "nothing was found",
        Verdict::Weak => "people can be singled out or joined",
        Verdict::Plain => "pseudonyms can be undone: it counts as plain",
    };
    write!(f, "{}: {word}", verdict.code())?;
    for finding in findings {
        write!(f, "\n  {}: {}", finding.code(), finding.meaning())?;
    }
    Ok(())
}

impl Finding {
    const fn meaning(self) -> &'static str {
        match self {
            Self::Unique => "generalise the quasi-identifiers, or hold these rows",
            Self::SmallClasses => "generalise the quasi-identifiers, or hold the rows of small classes",
            Self::NoDiversity => {
                "whoever knows the class knows the value: generalise, hold, or release noisy counts"
            }
            Self::TokenBesideContent => "treat links, handles and texts as well, or leave the token out",
            Self::EqualTokens => "two recipients must have keys of their own",
            Self::JoinedRows => "generalise what both have, or leave it out for one of them",
        }
    }
}

impl Kind {
    const fn plural(self) -> &'static str {
        match self {
            Self::Link => "links",
            Self::Handle => "handles and single words",
            Self::Text => "texts",
        }
    }
}

fn people(count: usize) -> String {
    if count == 1 { "1 person".to_owned() } else { format!("{count} people") }
}

/// A share in per cent with one decimal place, rounded up so that something is never nothing.
fn share(part: u64, of: u64) -> String {
    let tenths = part.saturating_mul(1_000).div_ceil(of.max(1));
    format!("{}.{} %", tenths / 10, tenths % 10)
}
