//! Which fields are asked for, grouped so that one decision serves all fields that no policy can tell apart.

use std::sync::Arc;

use inspect::{Context, Known};
use model::DataClass;
use model::catalogue::{Catalogue, FieldIndex, Kind};
use model::facts::Group;
use model::lanes::{Coarse, Form, Lane, Reversible, SubjectFrom};
use transform::json::{BindingError, Bindings};
use transform::multipart::{PartKind, Parts};

/// The index that marks the pointer to the person of a row. No catalogue reaches so far.
pub(crate) const SUBJECT: u16 = u16::MAX;

/// Fields asked for, with the pointers that carry them.
#[derive(Debug, Clone)]
pub struct Selection {
    pub(crate) bindings: Bindings,
    /// The same for formats of rows, where it is not the same.
    pub(crate) rows: Option<Bindings>,
    /// The same for a body of parts; no part may come where the lane has none.
    pub(crate) parts: Parts,
    pub(crate) groups: Vec<Group>,
    /// For each field of the catalogue: how it is used, if it is asked for.
    pub(crate) uses: Vec<Option<Use>>,
    pub(crate) names: Arc<[String]>,
    /// The group of each name.
    pub(crate) name_groups: Vec<u16>,
    /// Whether each row must say whose it is.
    pub(crate) names_people: bool,
}

/// A field that is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Use {
    pub(crate) group: u16,
    pub(crate) class: DataClass,
    pub(crate) kind: Kind,
    /// What the name of the field says of its values.
    pub(crate) known: Known,
    /// How coarse its lane makes it.
    pub(crate) coarse: Option<Coarse>,
    /// How its lane has tokens opened again.
    pub(crate) reversible: Option<Reversible>,
    /// Which fields its values may be parts of one value with, if any: those of an array, and those of fields that are numbered.
    pub(crate) series: Option<u16>,
}

impl Selection {
    /// Binds pointers to fields. `subject` is the pointer to the person of a row, which never leaves.
    ///
    /// # Errors
    /// When a pointer is malformed or bound twice.
    pub fn new(
        catalogue: &Catalogue,
        pointers: &[(String, FieldIndex)],
        subject: Option<&str>,
    ) -> Result<Self, BindingError> {
        let bound = pointers.iter().map(|(p, f)| (p.as_str(), transform::json::FieldIndex(f.0)));
        let subject = subject.map(|p| (p, transform::json::FieldIndex(SUBJECT)));
        let bindings = Bindings::compile(bound.chain(subject))?;
        let mut groups: Vec<Group> = Vec::new();
        let mut uses = vec![None; catalogue.fields().len()];
        let (mut names, mut name_groups) = (Vec::new(), Vec::new());
        let mut indices: Vec<FieldIndex> = pointers.iter().map(|(_, f)| *f).collect();
        indices.sort_unstable();
        indices.dedup();
        for index in indices {
            let Some(field) = catalogue.field(index) else { continue };
            let same = |g: &Group| g.class == field.class && g.lists == field.lists;
            let at = groups.iter().position(same).unwrap_or_else(|| {
                groups.push(Group {
                    class: field.class,
                    lists: field.lists.clone(),
                    fields: 0,
                    outcome: None,
                });
                groups.len() - 1
            });
            if let Some(g) = groups.get_mut(at) {
                g.fields = g.fields.saturating_add(1);
            }
            if let (Some(slot), Ok(group)) = (uses.get_mut(usize::from(index.0)), u16::try_from(at)) {
                names.push(field.name.clone());
                name_groups.push(group);
                let known = Context::of_key(field.key.as_bytes()).known();
                *slot = Some(Use {
                    group,
                    class: field.class,
                    kind: field.kind,
                    known,
                    coarse: None,
                    reversible: None,
                    series: series(catalogue, pointers, index),
                });
            }
        }
        Ok(Self {
            bindings,
            rows: None,
            parts: Parts::new(),
            groups,
            uses,
            names: names.into(),
            name_groups,
            names_people: subject.is_some(),
        })
    }

    /// Binds what a lane declares, for all formats that it carries.
    ///
    /// # Errors
    /// When a pointer is malformed or bound twice.
    pub fn of_lane(catalogue: &Catalogue, lane: &Lane) -> Result<Self, BindingError> {
        let subject = match &lane.subject {
            SubjectFrom::Pointer(pointer) => Some(pointer.as_str()),
            _ => None,
        };
        let mut selection = Self::new(catalogue, &lane.bind, subject)?;
        for (index, used) in selection.uses.iter_mut().enumerate() {
            let (Some(used), Ok(index)) = (used, u16::try_from(index)) else { continue };
            used.coarse = lane.terms.coarse.get(&FieldIndex(index)).copied();
            used.reversible = lane.terms.reversible.get(&FieldIndex(index)).copied();
        }
        if lane.forms == [Form::Json] {
            return Ok(selection);
        }
        let bound = lane.bind.iter().map(|(pointer, field)| (lane.in_row(pointer), field.0));
        let rows: Vec<_> = bound.chain(subject.map(|pointer| (lane.in_row(pointer), SUBJECT))).collect();
        let index = transform::json::FieldIndex;
        selection.rows =
            Some(Bindings::compile(rows.iter().map(|(pointer, field)| (*pointer, index(*field))))?);
        if lane.forms.contains(&Form::Multipart) {
            for (pointer, field) in rows {
                // As RFC 6901 spells a member of the root.
                let name = pointer.strip_prefix('/').unwrap_or(pointer).replace("~1", "/").replace("~0", "~");
                let parts = std::mem::take(&mut selection.parts);
                selection.parts = parts.with(&name, PartKind::Text(index(field)));
            }
        }
        Ok(selection)
    }

    /// The names of the fields that cross under these outcomes.
    pub(crate) fn crossing(&self, outcomes: &[Option<model::Treatment>]) -> Arc<[String]> {
        if outcomes.iter().all(Option::is_some) {
            return Arc::clone(&self.names);
        }
        let crosses = |group: &u16| outcomes.get(usize::from(*group)).copied().flatten().is_some();
        self.names.iter().zip(&self.name_groups).filter(|(_, g)| crosses(g)).map(|(n, _)| n.clone()).collect()
    }
}

/// Which series a field is in: its own, where a row may have it many times, or that of the first of those that are called the
/// same but for a figure at the end.
fn series(catalogue: &Catalogue, pointers: &[(String, FieldIndex)], index: FieldIndex) -> Option<u16> {
    let stem = |index: FieldIndex| {
        let name = catalogue.field(index)?.name.as_str();
        Some(name.trim_end_matches(|c: char| c.is_ascii_digit())).filter(|stem| stem.len() < name.len())
    };
    let alike = || pointers.iter().map(|(_, other)| *other).filter(|other| stem(*other) == stem(index));
    let several = stem(index).is_some() && alike().any(|other| other != index);
    let numbered = alike().min().filter(|_| several);
    // A root that is an array has a row in each element.
    let repeats = |pointer: &str| pointer.split('/').skip(2).any(|part| matches!(part, "*" | "**"));
    let often = pointers.iter().any(|(pointer, of)| *of == index && repeats(pointer));
    numbered.or(often.then_some(index)).map(|index| index.0)
}
