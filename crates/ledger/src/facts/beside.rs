//! What stands beside what policy read: it came about later.

use ciborium::Value;
use model::Digest;

use super::{FactsError, Risk, Spent};
use crate::entry::FACTS_MAX;

/// Longest map whose head is one byte (RFC 8949 §3).
const SHORT_MAP: u8 = 0xb7;

#[derive(Default)]
pub(super) struct Beside {
    /// What the release took of privacy budgets.
    pub(super) spent: Option<Spent>,
    /// What was measured of it.
    pub(super) risk: Option<Risk>,
    /// Which statement of SQL it answers.
    pub(super) statement: Option<Digest>,
}

/// Encoded facts with one more key in its place, or with another value of it. They are not read: whoever has them
/// encoded them, and each crossing pays for this.
pub(super) fn with(facts: &[u8], key: u8, value: &Value) -> Result<Vec<u8>, FactsError> {
    const NONE: FactsError = FactsError::Shape("value");
    let (head, mut rest) =
        facts.split_first().filter(|(head, _)| (0xa0..SHORT_MAP).contains(*head)).ok_or(NONE)?;
    let mut written = Vec::with_capacity(facts.len() + 64);
    written.push(*head);
    let mut after: &[u8] = &[];
    let mut replaces = false;
    for _ in 0xa0..*head {
        let found = *rest.first().ok_or(NONE)?;
        let pair = 1 + item(rest.get(1..).ok_or(NONE)?).ok_or(NONE)?;
        let (pair, more) = rest.split_at_checked(pair).ok_or(NONE)?;
        if found >= key {
            replaces = found == key;
            after = if replaces { more } else { rest };
            break;
        }
        written.extend_from_slice(pair);
        rest = more;
    }
    // Behind the last pair stands nothing.
    if after.is_empty() && !rest.is_empty() && !replaces {
        return Err(NONE);
    }
    if !replaces && let Some(first) = written.first_mut() {
        *first += 1;
    }
    written.push(key);
    ciborium::into_writer(value, &mut written).map_err(|_| NONE)?;
    written.extend_from_slice(after);
    if written.len() > FACTS_MAX { Err(FactsError::TooLong(written.len())) } else { Ok(written) }
}

/// How long the first item is, in bytes; `None` for what is no whole item of definite length.
fn item(bytes: &[u8]) -> Option<usize> {
    let head = *bytes.first()?;
    let (argument, length) = match head & 0x1f {
        small @ 0..24 => (u64::from(small), 1),
        wide @ 24..28 => {
            let width = 1_usize << (wide - 24);
            let value = bytes.get(1..=width)?.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
            (value, 1 + width)
        }
        _ => return None,
    };
    let argument = usize::try_from(argument).ok()?;
    match head >> 5 {
        0 | 1 | 7 => Some(length),
        2 | 3 => length.checked_add(argument),
        // The items of arrays, and of maps the keys and values.
        4 | 5 => {
            let count = if head >> 5 == 4 { argument } else { argument.checked_mul(2)? };
            let mut at = length;
            for _ in 0..count {
                at = at.checked_add(item(bytes.get(at..)?)?)?;
            }
            Some(at)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::facts::{
        Mechanism, RiskVerdict, read, statement, tests::facts, with_risk, with_spent, with_statement, write,
    };

    proptest! {
        #[test]
        fn a_key_that_is_put_in_gives_what_reading_and_writing_anew_gives(
            order in prop::collection::vec((0_u8..3, any::<u64>()), 0..6),
        ) {
            let mut bytes = crate::facts::encode(&facts()).unwrap();
            for (which, n) in order {
                let (facts, mut beside) = read(&bytes).unwrap();
                let took = Spent { mechanism: Mechanism::Laplace, epsilon_micro: n.max(1), rho_nano: 0, delta_atto: 1 };
                let asked = n % 1000;
                let measured =
                    Risk { verdict: RiskVerdict::Holds, asked, k: asked, l: 0, unique_micro: 0, linkable: false };
                let digest = Digest::new([u8::try_from(n % 256).unwrap(); 32]);
                bytes = match which {
                    0 => with_spent(&bytes, &took),
                    1 => with_risk(&bytes, &measured),
                    _ => with_statement(&bytes, &digest),
                }
                .unwrap();
                match which {
                    0 => beside.spent = Some(took),
                    1 => beside.risk = Some(measured),
                    _ => beside.statement = Some(digest),
                }
                prop_assert_eq!(&bytes, &write(&facts, &beside).unwrap());
            }
        }

        #[test]
        fn whatever_the_bytes_nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = with(&bytes, 14, &Value::from(1));
        }
    }

    #[test]
    fn facts_that_become_too_long_are_refused() {
        let long = with(&crate::facts::encode(&facts()).unwrap(), 14, &Value::Bytes(vec![0; FACTS_MAX]));
        assert!(matches!(long, Err(FactsError::TooLong(_))));
        assert_eq!(statement(&[0xa0]), Err(FactsError::Shape("version")));
        assert_eq!(with(&[0xa1, 0], 14, &Value::from(1)), Err(FactsError::Shape("value")));
    }
}
