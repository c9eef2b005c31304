//! The names that one object has shown so far.

use std::collections::HashSet;

/// What a kept name costs beside its bytes: the text's header and its place in the set.
const NAME_OVERHEAD_BYTES: usize = 64;

/// From how many names on a set is faster than a look through all.
const FEW: usize = 16;

/// The names of one object.
#[derive(Default)]
pub(super) struct Names {
    few: Vec<String>,
    many: HashSet<String>,
    bytes: usize,
}

impl Names {
    /// Remembers a name; `false` if the object had it before.
    pub(super) fn insert(&mut self, name: &str) -> bool {
        self.bytes = self.bytes.saturating_add(name.len() + NAME_OVERHEAD_BYTES);
        if self.few.len() < FEW && self.many.is_empty() {
            let fresh = !self.few.iter().any(|known| known == name);
            self.few.push(name.to_owned());
            return fresh;
        }
        self.many.extend(self.few.drain(..));
        self.many.insert(name.to_owned())
    }

    /// Bytes of memory that the names take, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_new_once_among_few_and_among_many() {
        for count in [1, 15, 16, 17, 200] {
            let mut names = Names::default();
            for name in 0..count {
                assert!(names.insert(&name.to_string()));
            }
            for name in 0..count {
                assert!(!names.insert(&name.to_string()), "{name} of {count}");
            }
        }
    }
}
