//! Tag lists: the people of an entry that has more than four.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufReader, Read},
    sync::{Mutex, PoisonError},
};

use crate::{
    hash::{Frontier, Hash, leaf_hash},
    header::Tag,
    tree::{Tree, hex_of},
};

/// Lists that are remembered; then all are forgotten, and a list that is named again is read again.
const KNOWN_MAX: usize = 1 << 16;

/// Checks lists in the memory of one tag.
pub(crate) struct TagLists<'t> {
    tree: &'t Tree,
    /// How many tags a list has, or what is wrong with it.
    known: Mutex<HashMap<Hash, Result<u64, String>>>,
}

impl<'t> TagLists<'t> {
    pub(crate) fn new(tree: &'t Tree) -> Self {
        Self { tree, known: Mutex::default() }
    }

    /// Checks that the list of this root is there, good, and names `people`.
    pub(crate) fn check(&self, root: &Hash, people: u32) -> Result<(), String> {
        let count = self.count(root)?;
        if count == u64::from(people) {
            return Ok(());
        }
        Err(format!("its tag list names {count} people, and its header {people}"))
    }

    fn count(&self, root: &Hash) -> Result<u64, String> {
        let lock = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(root) {
            return known.clone();
        }
        // Not under the lock, since a list may be long.
        let count = read(self.tree, root);
        let mut known = lock();
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(*root, count.clone());
        count
    }
}

fn read(tree: &Tree, root: &Hash) -> Result<u64, String> {
    let name = hex_of(root);
    let path = tree.path(&format!("tags/{name}"));
    let file =
        File::open(path).map_err(|_| format!("its tag list `{name}` is missing or cannot be opened"))?;
    let (count, found) = fold(BufReader::with_capacity(1 << 16, file))
        .map_err(|what| format!("its tag list `{name}` {what}"))?;
    if found == *root { Ok(count) } else { Err(format!("its tag list `{name}` does not hash to its root")) }
}

/// Counts and hashes a list, and refuses tags that do not ascend.
pub(crate) fn fold(mut list: impl Read) -> Result<(u64, Hash), &'static str> {
    let (mut frontier, mut scratch) = (Frontier::default(), Vec::new());
    let (mut count, mut last): (u64, Option<Tag>) = (0, None);
    loop {
        let mut tag: Tag = [0; 16];
        let mut filled = 0;
        while let Some(rest) = tag.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match list.read(rest).map_err(|_| "cannot be read")? {
                0 => break,
                read => filled += read,
            }
        }
        match filled {
            0 => return Ok((count, frontier.root())),
            16 => {}
            _ => return Err("is not a multiple of 16 bytes"),
        }
        if last.is_some_and(|last| last >= tag) {
            return Err("is not ascending and distinct");
        }
        last = Some(tag);
        frontier.push(0, leaf_hash(&tag, &mut scratch));
        count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_must_ascend_and_be_whole() {
        let tags = |bytes: &[u8]| bytes.iter().flat_map(|byte| [*byte; 16]).collect::<Vec<_>>();
        assert_eq!(fold(&*tags(&[1, 2, 3])).map(|(count, _)| count), Ok(3));
        assert!(fold(&*tags(&[1, 3, 2])).is_err());
        assert!(fold(&*tags(&[1, 1])).is_err());
        assert!(fold(&tags(&[1, 2])[..31]).is_err());
    }
}
