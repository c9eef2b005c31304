//! Digests of many rows that do not depend on their order.

/// Names the use of BLAKE3 here, so that the digest of a row is of nothing else.
const CONTEXT: &str = "clover 2026-11-27 row of a migrated table";

/// The key of a migration's digests: whoever does not know it cannot make rows whose digests add up to another's.
#[derive(Clone, Copy)]
pub(crate) struct DigestKey([u8; 32]);

impl DigestKey {
    /// From the random bytes of a migration.
    pub(crate) fn of(random: &[u8]) -> Self {
        Self(blake3::derive_key(CONTEXT, random))
    }

    /// The digest of one row.
    pub(crate) fn row(&self, row: &[u8]) -> [u8; 32] {
        *blake3::keyed_hash(&self.0, row).as_bytes()
    }
}

/// The sum of rows' digests, modulo 2^256, with their number and bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sum {
    words: [u64; 4],
    /// How many rows.
    pub(crate) rows: u64,
    /// How many bytes, as the server sends them.
    pub(crate) bytes: u64,
}

impl Sum {
    pub(crate) fn add(&mut self, digest: &[u8; 32], bytes: usize) {
        let mut carry = false;
        for (word, chunk) in self.words.iter_mut().zip(digest.as_chunks::<8>().0) {
            (*word, carry) = carrying(*word, u64::from_le_bytes(*chunk), carry);
        }
        self.rows += 1;
        self.bytes += bytes as u64;
    }

    /// Adds the rows of another sum.
    pub(crate) fn join(&mut self, other: &Self) {
        let mut carry = false;
        for (word, more) in self.words.iter_mut().zip(other.words) {
            (*word, carry) = carrying(*word, more, carry);
        }
        self.rows += other.rows;
        self.bytes += other.bytes;
    }

    /// The sum that has this digest.
    pub(crate) fn of(digest: &[u8], rows: u64, bytes: u64) -> Self {
        let mut words = [0; 4];
        for (word, chunk) in words.iter_mut().zip(digest.as_chunks::<8>().0) {
            *word = u64::from_le_bytes(*chunk);
        }
        Self { words, rows, bytes }
    }

    /// The digest of all rows.
    pub(crate) fn digest(&self) -> Vec<u8> {
        self.array().to_vec()
    }

    /// The same.
    pub(crate) fn array(&self) -> [u8; 32] {
        let mut out = [0; 32];
        for (to, word) in out.as_chunks_mut::<8>().0.iter_mut().zip(self.words) {
            *to = word.to_le_bytes();
        }
        out
    }
}

fn carrying(left: u64, right: u64, carry: bool) -> (u64, bool) {
    let (sum, first) = left.overflowing_add(right);
    let (sum, second) = sum.overflowing_add(u64::from(carry));
    (sum, first || second)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sum<'a>(rows: impl Iterator<Item = &'a Vec<u8>>) -> Sum {
        let key = DigestKey::of(b"a test");
        let mut sum = Sum::default();
        rows.for_each(|row| sum.add(&key.row(row), row.len()));
        sum
    }

    proptest! {
        #[test]
        fn the_order_of_rows_does_not_matter_and_each_of_them_does(
            rows in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..9), 1..20), at in any::<prop::sample::Index>(),
        ) {
            let whole = sum(rows.iter());
            prop_assert_eq!(whole, sum(rows.iter().rev()));
            let mut other = rows.clone();
            other[at.index(rows.len())].push(7);
            prop_assert_ne!(whole.digest(), sum(other.iter()).digest());
            let (first, second) = rows.split_at(at.index(rows.len()));
            let mut joined = sum(first.iter());
            joined.join(&sum(second.iter()));
            let written = Sum::of(&joined.digest(), joined.rows, joined.bytes);
            prop_assert_eq!([joined, written], [whole, whole]);
            // Twice is not not at all, as it would be if they were joined by XOR.
            let twice = rows.iter().chain([&rows[0], &rows[0]]);
            prop_assert_ne!(whole.digest(), sum(twice).digest());
        }
    }

    #[test]
    fn the_sum_carries_from_word_to_word() {
        let mut sum = Sum::default();
        sum.add(&[0xff; 32], 1);
        sum.add(
            &{
                let mut one = [0; 32];
                one[0] = 1;
                one
            },
            1,
        );
        assert_eq!((sum.digest(), sum.rows, sum.bytes), (vec![0; 32], 2, 2));
    }
}
