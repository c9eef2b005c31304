//! Whose rows there are: the people of a dataset's tables, and the tokens that stand for them in views.

use std::collections::HashMap;
use std::sync::Arc;

use model::SubjectId;

/// Most people of a dataset of whom tokens are known. With more, grants are for one person each.
pub(super) const PEOPLE_MAX: usize = 200_000;
/// Most people whom one entry names: as many as have room with their sections of the detail.
pub(super) const NAMED_MAX: usize = 10_000;

/// The people of a dataset.
pub(super) struct People {
    list: Vec<SubjectId>,
    /// Whether these are all.
    whole: bool,
}

impl People {
    /// Of what the tables say, of which there may be more than are read.
    pub(super) fn new(mut list: Vec<SubjectId>, whole: bool) -> Self {
        list.sort();
        list.dedup();
        let whole = whole && list.len() <= PEOPLE_MAX;
        Self { list, whole }
    }

    /// These and those of before, of whom an older statement may still tell.
    pub(super) fn with(&self, before: &Self) -> Self {
        Self::new(self.list.iter().chain(&before.list).cloned().collect(), self.whole && before.whole)
    }
}

/// The same people as a grant sees them.
pub(super) struct Known {
    people: Arc<People>,
    tokens: HashMap<Vec<u8>, SubjectId>,
}

impl Known {
    pub(super) fn new(people: Arc<People>, token: impl Fn(&SubjectId) -> Vec<u8>) -> Self {
        let tokens = people.list.iter().map(|person| (token(person), person.clone())).collect();
        Self { people, tokens }
    }

    /// Whether everybody in the tables is among them.
    pub(super) fn is_whole(&self) -> bool {
        self.people.whole
    }

    /// Whose a token is.
    pub(super) fn person(&self, token: &[u8]) -> Option<SubjectId> {
        self.tokens.get(token).cloned()
    }

    /// All of them, if an entry has room for them and the ground is for as many.
    pub(super) fn all(&self, most: u64) -> Option<&[SubjectId]> {
        let list = self.people.list.as_slice();
        let fits = self.people.whole && list.len() <= NAMED_MAX && list.len() as u64 <= most;
        fits.then_some(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_people_are_named_only_if_they_are_all_there_and_the_ground_is_for_as_many() {
        let [ann, ben] = [1, 2].map(|n| SubjectId::from_index(&[n; 16]));
        let token = |person: &SubjectId| [b"t1.", person.as_str().as_bytes()].concat();
        let known = |whole| {
            Known::new(Arc::new(People::new(vec![ben.clone(), ann.clone(), ben.clone()], whole)), token)
        };
        let (all, some) = (known(true), known(false));
        let mut sorted = [ann.clone(), ben.clone()];
        sorted.sort();
        assert_eq!(all.all(2), Some(&sorted[..]));
        assert_eq!((all.all(1), some.all(2)), (None, None));
        assert_eq!(some.person(&token(&ann)), Some(ann));
        assert_eq!(some.person(b"t1.other"), None);
    }
}
