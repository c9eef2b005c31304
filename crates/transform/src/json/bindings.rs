//! Pointers bound to fields, compiled to a trie that is walked with the document.

use std::collections::BTreeMap;

use super::names::print;

/// The catalogue's number for a field, as the caller counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldIndex(pub u16);

/// Why a set of pointers cannot be compiled. Pointers are configuration, not data, and so may
/// be shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BindingError {
    /// A pointer is empty or starts with `/`.
    #[error("pointer `{0}` does not start with a slash")]
    NoSlash(String),
    /// RFC 6901 knows `~0` and `~1` only.
    #[error("pointer `{0}` has an unknown escape after a tilde")]
    Escape(String),
    /// `**` stands for everything beneath, so nothing can follow it.
    #[error("pointer `{0}` goes on after `**`")]
    AfterRest(String),
    /// One pointer, two fields.
    #[error("pointer `{0}` is bound twice")]
    Twice(String),
    /// The compiled form would not stay small.
    #[error("pointers need more than `{NODES_MAX}` nodes")]
    TooMany,
}

/// Most nodes of one compiled set.
const NODES_MAX: usize = 16_384;

/// A compiled set of pointers. What no pointer reaches is unbound, and is removed.
///
/// A pointer is an RFC 6901 JSON pointer with two more tokens: `*` is any member or element,
/// `**` (only at the end) is everything beneath, at any depth. A token of digits also reaches
/// the array element with that index. Where several pointers fit, a written name wins over `*`,
/// and `*` over `**`; what the winner does not bind is looked up in the others.
///
/// ```
/// use transform::json::{Bindings, FieldIndex};
///
/// let bindings = Bindings::compile([
///     ("/items/*/email", FieldIndex(0)),
///     ("/items/*/name", FieldIndex(1)),
///     ("/settings/**", FieldIndex(2)),
/// ])?;
/// assert_eq!(bindings.len(), 3);
/// # Ok::<(), transform::json::BindingError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Bindings {
    nodes: Vec<Node>,
    pointers: usize,
}

/// A position in the trie; `Place::UNBOUND` is outside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place(u32);

impl Default for Place {
    fn default() -> Self {
        Self::UNBOUND
    }
}

impl Place {
    pub(super) const ROOT: Self = Self(0);
    pub(super) const UNBOUND: Self = Self(u32::MAX);

    #[inline(always)]
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// The way from one node by one step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    pub(super) place: Place,
    /// The member's name is the peer's choice (`*` or `**`), not written in a pointer.
    pub(super) wild: bool,
}

impl Step {
    pub(super) const NOWHERE: Self = Self { place: Place::UNBOUND, wild: false };
}

#[derive(Debug, Clone, Default)]
struct Node {
    field: Option<FieldIndex>,
    any: Place,
    /// Prints of the children, in the same order: looked through first.
    prints: Vec<u64>,
    children: Vec<Child>,
}

#[derive(Debug, Clone)]
struct Child {
    name: Box<[u8]>,
    index: Option<usize>,
    place: Place,
}

impl Bindings {
    /// Compiles pointers, each with its field. Several pointers may share a field. The empty
    /// pointer binds a document that is one scalar.
    ///
    /// # Errors
    ///
    /// A pointer that is not one, a pointer bound twice, or a set that grows too large.
    pub fn compile<'p>(
        pointers: impl IntoIterator<Item = (&'p str, FieldIndex)>,
    ) -> Result<Self, BindingError> {
        let mut tree = Tree { nodes: vec![Branch::default()] };
        let mut count = 0;
        for (pointer, field) in pointers {
            tree.add(pointer, field)?;
            count += 1;
        }
        Ok(Self { nodes: tree.flatten()?, pointers: count })
    }

    /// How many pointers were compiled.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pointers
    }

    /// True if nothing is bound, so that every document loses all its members.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pointers == 0
    }

    /// The field of a member of the root, and whether no pointer writes its name; for formats
    /// whose records have no depth. `None` if nothing binds it as a scalar.
    pub(crate) fn flat(&self, name: &[u8]) -> Option<(FieldIndex, bool)> {
        let step = self.member(Place::ROOT, print(name, 0, name.len()), name);
        Some((self.field(step.place)?, step.wild))
    }

    /// All places, by index.
    pub(super) fn places(&self) -> impl Iterator<Item = Place> {
        (0..self.nodes.len() as u32).map(Place)
    }

    #[inline(always)]
    pub(super) fn field(&self, place: Place) -> Option<FieldIndex> {
        self.nodes.get(place.index()).and_then(|node| node.field)
    }

    /// True unless `place` is bound as a scalar and leads nowhere.
    #[inline(always)]
    pub(super) fn opens(&self, place: Place) -> bool {
        self.nodes.get(place.index()).is_some_and(|node| {
            node.field.is_none() || node.any != Place::UNBOUND || !node.children.is_empty()
        })
    }

    /// The step to the member called `name`, whose print is `print`.
    #[inline(always)]
    pub(super) fn member(&self, place: Place, print: u64, name: &[u8]) -> Step {
        let Some(node) = self.nodes.get(place.index()) else {
            return Step::NOWHERE;
        };
        for (child, known) in node.children.iter().zip(&node.prints) {
            // Up to eight bytes, print and length decide.
            if *known == print && child.name.len() == name.len() && (name.len() <= 8 || *child.name == *name)
            {
                return Step { place: child.place, wild: false };
            }
        }
        Step { place: node.any, wild: node.any != Place::UNBOUND }
    }

    /// The step to the array element `index`.
    #[inline(always)]
    pub(super) fn element(&self, place: Place, index: usize) -> Place {
        let Some(node) = self.nodes.get(place.index()) else { return Place::UNBOUND };
        let child = node.children.iter().find(|child| child.index == Some(index));
        child.map_or(node.any, |child| child.place)
    }
}

/// The pointers as written, before wildcards are resolved.
struct Tree {
    nodes: Vec<Branch>,
}

#[derive(Default)]
struct Branch {
    field: Option<FieldIndex>,
    children: BTreeMap<String, usize>,
    star: Option<usize>,
    rest: Option<FieldIndex>,
}

/// A place in the tree where the walk may be; `Rest` is anywhere beneath a `**`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum At {
    Branch(usize),
    Rest(FieldIndex),
}

impl Tree {
    fn add(&mut self, pointer: &str, field: FieldIndex) -> Result<(), BindingError> {
        let mut tokens = pointer.split('/');
        if tokens.next() != Some("") {
            return Err(BindingError::NoSlash(pointer.to_owned()));
        }
        let mut at = 0;
        while let Some(token) = tokens.next() {
            if token == "**" {
                if tokens.next().is_some() {
                    return Err(BindingError::AfterRest(pointer.to_owned()));
                }
                return self.bind(at, pointer, |branch| branch.rest.replace(field));
            }
            at = self.down(at, token, pointer)?;
        }
        self.bind(at, pointer, |branch| branch.field.replace(field))
    }

    fn bind(
        &mut self,
        at: usize,
        pointer: &str,
        set: impl FnOnce(&mut Branch) -> Option<FieldIndex>,
    ) -> Result<(), BindingError> {
        match self.nodes.get_mut(at).and_then(set) {
            None => Ok(()),
            Some(_) => Err(BindingError::Twice(pointer.to_owned())),
        }
    }

    fn down(&mut self, at: usize, token: &str, pointer: &str) -> Result<usize, BindingError> {
        let new = self.nodes.len();
        let Some(branch) = self.nodes.get_mut(at) else { return Ok(at) };
        let next = match token {
            "*" => *branch.star.get_or_insert(new),
            _ => *branch.children.entry(unescape_token(token, pointer)?).or_insert(new),
        };
        if next == new {
            if new >= NODES_MAX {
                return Err(BindingError::TooMany);
            }
            self.nodes.push(Branch::default());
        }
        Ok(next)
    }

    /// Resolves wildcards by subset construction: each node of the result stands for all the
    /// places where the walk may be, the strongest first, so that a walk never backtracks.
    fn flatten(&self) -> Result<Vec<Node>, BindingError> {
        let mut known = BTreeMap::from([(vec![At::Branch(0)], Place::ROOT)]);
        let mut sets = vec![vec![At::Branch(0)]];
        let mut nodes = Vec::new();
        while let Some(set) = sets.get(nodes.len()).cloned() {
            let mut place = |next: Vec<At>| {
                if next.is_empty() {
                    return Ok(Place::UNBOUND);
                }
                if let Some(place) = known.get(&next) {
                    return Ok(*place);
                }
                if sets.len() >= NODES_MAX {
                    return Err(BindingError::TooMany);
                }
                let place = Place(sets.len() as u32);
                known.insert(next.clone(), place);
                sets.push(next);
                Ok(place)
            };
            let mut node =
                Node { any: place(self.step(&set, None))?, field: self.field(&set), ..Node::default() };
            for name in self.names(&set) {
                let to = place(self.step(&set, Some(name)))?;
                node.prints.push(print(name.as_bytes(), 0, name.len()));
                node.children.push(Child {
                    name: name.as_bytes().into(),
                    index: array_index(name),
                    place: to,
                });
            }
            nodes.push(node);
        }
        Ok(nodes)
    }

    fn field(&self, set: &[At]) -> Option<FieldIndex> {
        set.iter().find_map(|at| match at {
            At::Branch(branch) => self.nodes.get(*branch).and_then(|branch| branch.field),
            At::Rest(field) => Some(*field),
        })
    }

    fn names<'s>(&'s self, set: &'s [At]) -> Vec<&'s str> {
        let branches = set.iter().filter_map(|at| match at {
            At::Branch(branch) => self.nodes.get(*branch),
            At::Rest(_) => None,
        });
        let mut names: Vec<&str> =
            branches.flat_map(|branch| branch.children.keys().map(String::as_str)).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Where the walk may be after the member `name`, or after one that no pointer writes.
    fn step(&self, set: &[At], name: Option<&str>) -> Vec<At> {
        let mut next = Vec::new();
        for at in set {
            let At::Branch(branch) = at else {
                next.push(*at);
                break;
            };
            let Some(branch) = self.nodes.get(*branch) else { continue };
            next.extend(name.and_then(|name| branch.children.get(name)).map(|to| At::Branch(*to)));
            next.extend(branch.star.map(At::Branch));
            if let Some(rest) = branch.rest {
                next.push(At::Rest(rest));
                break; // whatever comes after is weaker and would never be asked
            }
        }
        next
    }
}

/// The array index that a token spells, as RFC 6901 §4 writes it: no sign, no leading zero.
fn array_index(name: &str) -> Option<usize> {
    let canonical = name == "0" || name.starts_with(|c: char| matches!(c, '1'..='9'));
    if canonical { name.parse().ok() } else { None }
}

fn unescape_token(token: &str, pointer: &str) -> Result<String, BindingError> {
    let mut parts = token.split('~');
    let mut name = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let mut chars = part.chars();
        match chars.next() {
            Some('0') => name.push('~'),
            Some('1') => name.push('/'),
            _ => return Err(BindingError::Escape(pointer.to_owned())),
        }
        name.push_str(chars.as_str());
    }
    Ok(name)
}
