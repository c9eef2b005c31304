//! Tokens of one batch, remembered by value.

use super::{PREFIX_MAX, PseudonymKey, TOKEN_LETTERS, TOKEN_TAIL_MAX};

/// Longest value that is remembered. Longer ones are rare and tokenised each time.
const VALUE_MAX: usize = 256;

/// Most kinds that one cache tells apart. Others are tokenised each time.
const KINDS_MAX: usize = 32;

/// How many places a value may be away from its own. Values that an attacker aims at one place
/// cost this much, and are not remembered.
const PROBES_MAX: usize = 8;

/// A [`PseudonymKey`] with a memory.
///
/// The values of a batch repeat: a person has many events. A remembered value costs neither
/// normalising nor an HMAC, since it is looked up as it is spelled. The memory is bounded in
/// values and bytes; when it is full it is emptied, so the cost stays even. It holds values in
/// clear, so it lives as long as the batch that holds them too, and no longer.
///
/// ```
/// use transform::pseudonym::{TokenCache, derive_key, normalise};
///
/// let key = derive_key(&[7; 32], "lab-oslo", "research", "contact", 12);
/// let (mut plain, mut cached) = (Vec::new(), Vec::new());
/// key.token("email", &normalise("email", b"Ann@example.org"), &mut plain);
///
/// let mut cache = TokenCache::new(key, 1_000);
/// cache.token("email", b"Ann@example.org", &mut cached);
/// assert_eq!(plain, cached);
/// ```
pub struct TokenCache {
    key: PseudonymKey,
    prefix: Vec<u8>,
    seed: u64,
    kinds: Vec<Box<str>>,
    /// Numbers of entries plus one, by hash; 0 is free. A power of two, at least twice the entries.
    places: Vec<u32>,
    entries: Vec<Entry>,
    values: Vec<u8>,
    entries_max: usize,
    hits: u64,
    misses: u64,
}

struct Entry {
    hash: u64,
    start: u32,
    len: u16,
    kind: u8,
    tail: [u8; TOKEN_LETTERS],
}

/// Where a value is, or may be put.
enum Found {
    Here(usize),
    Free(usize),
    Crowded,
}

impl TokenCache {
    /// A cache of at most `entries_max` values (never more than a million), which grows as they
    /// come.
    #[must_use]
    pub fn new(key: PseudonymKey, entries_max: usize) -> Self {
        let mut prefix = Vec::with_capacity(PREFIX_MAX);
        key.prefix(&mut prefix);
        Self {
            seed: key.cache_seed(),
            key,
            prefix,
            kinds: Vec::new(),
            places: vec![0; 64],
            entries: Vec::new(),
            values: Vec::new(),
            entries_max: entries_max.min(1_000_000),
            hits: 0,
            misses: 0,
        }
    }

    /// Appends the token of a value as it is spelled, normalised as
    /// [`normalise`](super::normalise) says.
    pub fn token(&mut self, kind: &str, value: &[u8], out: &mut Vec<u8>) {
        let Some(kind_at) = self.kind(kind).filter(|_| value.len() <= VALUE_MAX) else {
            self.misses += 1;
            return self.key.token(kind, &super::normalise(kind, value), out);
        };
        let hash = hash(self.seed ^ u64::from(kind_at), value);
        let found = self.find(hash, kind_at, value);
        let known = match found {
            Found::Here(at) => self.entries.get(at).map(|entry| entry.tail),
            _ => None,
        };
        out.reserve(TOKEN_TAIL_MAX);
        out.extend_from_slice(&self.prefix);
        if let Some(tail) = known {
            self.hits += 1;
            out.extend_from_slice(&tail);
            return;
        }
        self.misses += 1;
        let tail = self.key.tail(kind, &super::normalise(kind, value));
        out.extend_from_slice(&tail);
        if let Found::Free(place) = found {
            self.keep(place, value, Entry { hash, start: 0, len: value.len() as u16, kind: kind_at, tail });
        }
    }

    /// Values that were remembered, and those that were not.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        (self.hits, self.misses)
    }

    /// Values in memory.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn kind(&mut self, kind: &str) -> Option<u8> {
        if let Some(at) = self.kinds.iter().position(|known| **known == *kind) {
            return Some(at as u8);
        }
        if self.kinds.len() >= KINDS_MAX {
            return None;
        }
        self.kinds.push(kind.into());
        Some((self.kinds.len() - 1) as u8)
    }

    fn find(&self, hash: u64, kind: u8, value: &[u8]) -> Found {
        let mask = self.places.len() - 1;
        for probe in 0..PROBES_MAX {
            let place = (hash as usize).wrapping_add(probe) & mask;
            let Some(number) = self.places.get(place) else { return Found::Crowded };
            let Some(at) = number.checked_sub(1) else { return Found::Free(place) };
            let Some(entry) = self.entries.get(at as usize) else { continue };
            if entry.hash == hash && entry.kind == kind && self.value(entry) == value {
                return Found::Here(at as usize);
            }
        }
        Found::Crowded
    }

    fn value(&self, entry: &Entry) -> &[u8] {
        let start = entry.start as usize;
        self.values.get(start..start + usize::from(entry.len)).unwrap_or_default()
    }

    fn keep(&mut self, place: usize, value: &[u8], entry: Entry) {
        if self.entries_max == 0 {
            return;
        }
        if self.entries.len() >= self.entries_max {
            self.entries.clear();
            self.values.clear();
            self.places.fill(0);
        }
        self.entries.push(Entry { start: self.values.len() as u32, ..entry });
        self.values.extend_from_slice(value);
        let number = self.entries.len() as u32;
        if self.entries.len() * 2 > self.places.len() {
            self.grow();
        } else if let Some(free) = self.places.get_mut(place) {
            *free = number;
        }
    }

    /// Twice the places; an entry that would be too far from its own is forgotten by them.
    fn grow(&mut self) {
        let len = self.places.len() * 2;
        self.places.clear();
        self.places.resize(len, 0);
        for (at, entry) in self.entries.iter().enumerate() {
            let near = (0..PROBES_MAX).map(|probe| (entry.hash as usize).wrapping_add(probe) & (len - 1));
            for place in near {
                match self.places.get_mut(place) {
                    Some(free) if *free == 0 => {
                        *free = at as u32 + 1;
                        break;
                    }
                    _ => {}
                }
            }
        }
    }
}

impl std::fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TokenCache({} values, {:?})", self.entries.len(), self.key)
    }
}

/// Multiplied and folded, sixteen bytes at a time; the last sixteen overlap with those before, so
/// that no loop depends on the length. The seed is secret, and a lookup compares the value itself,
/// so a collision costs a probe and never a wrong token.
#[inline]
fn hash(seed: u64, value: &[u8]) -> u64 {
    const MIX: u64 = 0x9E37_79B9_7F4A_7C15;
    let fold = |a: u64, b: u64| {
        let wide = u128::from(a) * u128::from(b);
        (wide as u64) ^ ((wide >> 64) as u64)
    };
    let mut state = seed ^ (value.len() as u64).wrapping_mul(MIX);
    let (first, last) = match (value.first_chunk::<8>(), value.last_chunk::<8>()) {
        (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
        _ => (value.iter().fold(0, |word, b| word << 8 | u64::from(*b)), 0),
    };
    if value.len() > 16 {
        for pair in value.as_chunks::<16>().0 {
            let wide = u128::from_le_bytes(*pair);
            state = fold(state ^ (wide as u64), MIX ^ ((wide >> 64) as u64));
        }
        let ahead = value.last_chunk::<16>().and_then(|last| last.first_chunk::<8>()).copied();
        state ^= u64::from_le_bytes(ahead.unwrap_or_default()).rotate_left(32);
    }
    fold(state ^ first ^ MIX, seed.rotate_left(32) ^ MIX ^ last)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{derive_key, normalise};
    use super::*;

    fn key() -> PseudonymKey {
        derive_key(&[9; 32], "lab", "research", "contact", 3)
    }

    fn plain(kind: &str, value: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        key().token(kind, &normalise(kind, value), &mut out);
        out
    }

    fn cached(cache: &mut TokenCache, kind: &str, value: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        cache.token(kind, value, &mut out);
        out
    }

    #[test]
    fn a_cache_stays_within_its_bound_and_forgets_all_at_once() {
        let mut cache = TokenCache::new(key(), 100);
        for n in 0..1_000 {
            let value = format!("user{n}@example.org");
            assert_eq!(cached(&mut cache, "email", value.as_bytes()), plain("email", value.as_bytes()));
            assert!(cache.len() <= 100);
        }
        assert_eq!(cache.counts(), (0, 1_000));
        let mut nothing = TokenCache::new(key(), 0);
        assert_eq!(cached(&mut nothing, "email", b"a@b"), cached(&mut nothing, "email", b"a@b"));
        assert!(nothing.is_empty());
    }

    #[test]
    fn a_value_is_remembered_under_its_kind_only() {
        let mut cache = TokenCache::new(key(), 100);
        let (one, other) = (cached(&mut cache, "email", b"ann"), cached(&mut cache, "handle", b"ann"));
        assert_ne!(one, other);
        assert_eq!((cached(&mut cache, "email", b"ann"), cached(&mut cache, "handle", b"ann")), (one, other));
        assert_eq!(cache.counts(), (2, 2));
    }

    #[test]
    fn long_values_and_too_many_kinds_are_tokenised_without_being_kept() {
        let mut cache = TokenCache::new(key(), 100);
        let long = vec![b'x'; VALUE_MAX + 1];
        assert_eq!(cached(&mut cache, "id", &long), plain("id", &long));
        for n in 0..KINDS_MAX + 8 {
            let kind = format!("kind{n}");
            assert_eq!(cached(&mut cache, &kind, b"7"), plain(&kind, b"7"));
        }
        assert_eq!(cache.len(), KINDS_MAX - 1, "one kind was that of the long value");
    }

    #[test]
    fn debug_of_a_cache_shows_no_value() {
        let mut cache = TokenCache::new(key(), 100);
        cached(&mut cache, "email", b"ann@example.org");
        assert_eq!(format!("{cache:?}"), "TokenCache(1 values, PseudonymKey(epoch 3))");
    }

    proptest! {
        #[test]
        fn a_cached_token_is_the_plain_one(
            values in prop::collection::vec((0..3_usize, prop::collection::vec(0..4_u8, 0..20)), 0..200),
            bound in 0..40_usize,
        ) {
            let kinds = ["email", "phone", "id"];
            let mut cache = TokenCache::new(key(), bound);
            for (kind, value) in values {
                prop_assert_eq!(cached(&mut cache, kinds[kind], &value), plain(kinds[kind], &value));
            }
        }
    }
}
