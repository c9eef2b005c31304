//! Where in a file which collection stands.

use std::collections::BTreeMap;

use super::UNKNOWN;

/// How the items of a collection stand in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One object is the one record.
    Object,
    /// Each element of a list is a record.
    List,
    /// An object whose members are lists; each element is a record and carries the member's name.
    MapOfLists,
    /// An object whose members are objects; each is a record and carries the member's name.
    MapOfObjects,
}

/// One collection and where a file may hold it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collection {
    /// The name that its records get. Several entries may share one, if the shapes of the places differ.
    pub name: String,
    /// JSON pointers (RFC 6901), one for each spelling.
    pub pointers: Vec<String>,
    /// The shape at these places.
    pub shape: Shape,
}

/// The collections of a file and where it says whose it is.
#[derive(Clone, Debug)]
pub struct Layout {
    root: Node,
}

/// Why a list of collections is no layout.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// No name, or the one that is kept for what nobody declared.
    #[error("`{name}` cannot be the name of a collection")]
    Name {
        /// The name.
        name: String,
    },
    /// Not a pointer to something inside the file.
    #[error("`{pointer}` is not a json pointer below the top of the file")]
    Pointer {
        /// The text.
        pointer: String,
    },
    /// Two collections would claim the same value.
    #[error("`{pointer}` is the place of another collection, or above or below one")]
    Overlap {
        /// The later one of the two.
        pointer: String,
    },
}

/// One level of the tree that all pointers form.
#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    children: BTreeMap<String, Node>,
    pub(super) collection: Option<(String, Shape)>,
    pub(super) is_identity: bool,
    /// A collection stands somewhere below.
    pub(super) leads_on: bool,
}

impl Layout {
    /// Makes a layout from collections and the places of the identity, the first of which that holds a text
    /// decides; all that hold one must agree.
    ///
    /// # Errors
    ///
    /// [`LayoutError`] for the first entry that is not right.
    pub fn new(
        collections: impl IntoIterator<Item = Collection>,
        identity: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Self, LayoutError> {
        let mut root = Node::default();
        for Collection { name, pointers, shape } in collections {
            if name.is_empty() || name == UNKNOWN {
                return Err(LayoutError::Name { name });
            }
            for pointer in pointers {
                root.declare(&pointer, &name, shape)?;
            }
        }
        for pointer in identity {
            let node = steps(pointer.as_ref())?.into_iter().fold(&mut root, Node::enter);
            node.is_identity = true;
        }
        Ok(Self { root })
    }

    pub(super) fn root(&self) -> &Node {
        &self.root
    }
}

impl Node {
    pub(super) fn child(&self, name: &str) -> Option<&Self> {
        self.children.get(name)
    }

    fn enter(&mut self, step: String) -> &mut Self {
        self.children.entry(step).or_default()
    }

    fn declare(&mut self, pointer: &str, name: &str, shape: Shape) -> Result<(), LayoutError> {
        let overlap = || LayoutError::Overlap { pointer: pointer.to_owned() };
        let mut node = self;
        for step in steps(pointer)? {
            if node.collection.is_some() {
                return Err(overlap());
            }
            node.leads_on = true;
            node = node.enter(step);
        }
        if node.collection.is_some() || node.leads_on {
            return Err(overlap());
        }
        node.collection = Some((name.to_owned(), shape));
        Ok(())
    }
}

fn steps(pointer: &str) -> Result<Vec<String>, LayoutError> {
    let refused = || LayoutError::Pointer { pointer: pointer.to_owned() };
    let body = pointer.strip_prefix('/').ok_or_else(refused)?;
    let step = |step: &str| {
        let bare = step.replace("~0", "").replace("~1", "");
        if bare.contains('~') { Err(refused()) } else { Ok(step.replace("~1", "/").replace("~0", "~")) }
    };
    body.split('/').map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(pointers: &[&str]) -> Result<Layout, LayoutError> {
        let collection = |pointer: &&str| Collection {
            name: "c".to_owned(),
            pointers: vec![(*pointer).to_owned()],
            shape: Shape::List,
        };
        Layout::new(pointers.iter().map(collection), ["/id"])
    }

    #[test]
    fn two_collections_never_claim_one_value() {
        for pointers in [["/a", "/a"], ["/a", "/a/b"], ["/a/b", "/a"]] {
            assert!(matches!(layout(&pointers), Err(LayoutError::Overlap { .. })), "{pointers:?}");
        }
        assert!(layout(&["/a/b", "/a/c", "/ab"]).is_ok());
    }

    #[test]
    fn a_pointer_is_checked_and_its_escapes_are_read() {
        for pointer in ["", "a", "a/b", "/a~2", "/~"] {
            assert!(matches!(layout(&[pointer]), Err(LayoutError::Pointer { .. })), "{pointer}");
        }
        let layout = layout(&["/a~1b/c~0d~01"]).unwrap();
        assert!(layout.root().child("a/b").and_then(|node| node.child("c~d~1")).is_some());
    }

    #[test]
    fn the_name_for_the_unknown_is_kept() {
        let collection = Collection { name: UNKNOWN.to_owned(), pointers: vec![], shape: Shape::List };
        assert_eq!(
            Layout::new([collection], ["/id"]).unwrap_err().to_string(),
            "`unknown` cannot be the name of a collection"
        );
    }
}
