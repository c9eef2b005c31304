//! The catalogue: datasets, their collections and fields, and the class of each field.
//!
//! A field that nobody declared is restricted and never leaves; here that means it has no index, and
//! what has no index has no way out.

use std::collections::BTreeMap;

use crate::codes::DataClass;
use crate::id::Name;
use crate::problem::Problems;

/// Position of a field in its catalogue. Only meaningful together with the catalogue that gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldIndex(pub u16);

/// What a value is, so that a treatment knows what to do with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// An e-mail address.
    Email,
    /// A telephone number.
    Phone,
    /// An IP address.
    Ip,
    /// A user name.
    Handle,
    /// A link, which usually names its author.
    Link,
    /// Prose written by people: always inspected.
    Text,
    /// A date or a date and time.
    Date,
    /// A count.
    Count,
    /// One of a few words: country, state, yes or no. Also inspected.
    Word,
    /// An identifier of a person, a device, an object.
    Id,
}

impl Kind {
    /// Its word in catalogues, by which tokens, too, tell kinds apart: it must never change.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Ip => "ip",
            Self::Handle => "handle",
            Self::Link => "link",
            Self::Text => "text",
            Self::Date => "date",
            Self::Count => "count",
            Self::Word => "word",
            Self::Id => "id",
        }
    }
}

/// One declared field.
#[derive(Debug, Clone)]
pub struct Field {
    /// `dataset.collection.key`.
    pub name: String,
    /// The key inside its collection.
    pub key: String,
    /// Other spellings of the key in older files.
    pub also: Vec<String>,
    /// Its class.
    pub class: DataClass,
    /// What its values are.
    pub kind: Kind,
    /// The named lists it stands in, sorted.
    pub lists: Vec<Name>,
}

/// How a collection lies in an import file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// One object, one record.
    Object,
    /// A list, one record an element.
    List,
    /// A map from a label to a list; the label becomes the member `_with`.
    MapOfLists,
    /// A map from a label to an object; the label becomes the member `_with`.
    MapOfObjects,
}

/// Moves a record to another collection when one of its values says so, for classes that depend on a
/// value (`WhoCanView`).
#[derive(Debug, Clone)]
pub struct Route {
    /// The key that is looked at.
    pub key: String,
    /// The value that moves the record.
    pub equals: String,
    /// Where to.
    pub to: Name,
}

/// Longest retention: a hundred years.
const KEEP_DAYS_MAX: u32 = 36_500;

/// Records of one shape inside a dataset.
#[derive(Debug, Clone)]
pub struct Collection {
    /// Its name, unique in its dataset.
    pub name: Name,
    /// Where it lies in an import file, all spellings.
    pub pointers: Vec<String>,
    /// How it lies there.
    pub shape: Shape,
    /// Where some of its records belong instead.
    pub route: Option<Route>,
    /// For how many days a record is kept after it was changed last; for ever without it.
    pub keep_days: Option<u32>,
    /// Its fields.
    pub fields: Vec<FieldIndex>,
}

/// A dataset: what grants and decisions name.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// Its name.
    pub name: Name,
    /// Pointers to the value that says whose file it is.
    pub identity: Vec<String>,
    /// Its collections.
    pub collections: Vec<Collection>,
}

/// Everything declared.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    fields: Vec<Field>,
    by_name: BTreeMap<String, FieldIndex>,
    datasets: Vec<Dataset>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCatalogue {
    dataset: Vec<RawDataset>,
    #[serde(default)]
    list: Vec<RawList>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDataset {
    name: String,
    #[serde(default)]
    identity: Vec<String>,
    collection: Vec<RawCollection>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCollection {
    name: String,
    #[serde(default)]
    pointers: Vec<String>,
    #[serde(default = "list_shape")]
    shape: Shape,
    route: Option<RawRoute>,
    keep_days: Option<u32>,
    fields: Vec<RawField>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRoute {
    key: String,
    equals: String,
    to: String,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawField {
    key: String,
    #[serde(default)]
    also: Vec<String>,
    class: String,
    kind: Kind,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawList {
    name: String,
    fields: Vec<String>,
}

fn list_shape() -> Shape {
    Shape::List
}

impl Catalogue {
    /// Reads `catalogue.toml`.
    ///
    /// # Errors
    /// Every problem of the file at once.
    pub fn parse(text: &str) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let raw: RawCatalogue = match toml::from_str(text) {
            Ok(raw) => raw,
            Err(e) => {
                problems.add(
                    "catalogue.toml",
                    e.to_string().replace('\n', " "),
                    "see docs/formats/rulebook.md",
                );
                return problems.or(Self::default());
            }
        };
        let mut catalogue = Self::default();
        for (i, dataset) in raw.dataset.into_iter().enumerate() {
            catalogue.add_dataset(&format!("catalogue.toml: dataset[{i}]"), dataset, &mut problems);
        }
        for list in raw.list {
            catalogue.add_list(&list, &mut problems);
        }
        catalogue.check_routes(&mut problems);
        catalogue.check_retention(&mut problems);
        problems.or(catalogue)
    }

    fn add_dataset(&mut self, place: &str, raw: RawDataset, problems: &mut Problems) {
        let Some(name) = problems.keep(place, "choose another name", Name::parse(&raw.name)) else { return };
        if self.dataset(name.as_str()).is_some() {
            problems.add(place, format!("dataset `{name}` is declared twice"), "merge the two");
        }
        let mut dataset = Dataset { name, identity: raw.identity, collections: Vec::new() };
        for c in raw.collection {
            let place = format!("{place}.collection `{}`", c.name);
            let Some(cname) = problems.keep(&place, "choose another name", Name::parse(&c.name)) else {
                continue;
            };
            if c.keep_days.is_some_and(|days| !(1..=KEEP_DAYS_MAX).contains(&days)) {
                problems.add(
                    &place,
                    "`keep_days` is not 1 to 36500",
                    "leave it out to keep records for ever",
                );
            }
            let route = c.route.and_then(|r| {
                let to = problems.keep(&place, "name a collection", Name::parse(&r.to))?;
                Some(Route { key: r.key, equals: r.equals, to })
            });
            let mut fields = Vec::new();
            for f in c.fields {
                let full = format!("{}.{}.{}", dataset.name, cname, f.key);
                let class =
                    problems.keep(&place, "use restricted, allowable or public", DataClass::parse(&f.class));
                let (Some(class), Ok(index)) = (class, u16::try_from(self.fields.len())) else { continue };
                let index = FieldIndex(index);
                if self.by_name.insert(full.clone(), index).is_some() {
                    problems.add(&place, format!("field `{full}` is declared twice"), "remove one");
                }
                let field =
                    Field { name: full, key: f.key, also: f.also, class, kind: f.kind, lists: vec![] };
                self.fields.push(field);
                fields.push(index);
            }
            dataset.collections.push(Collection {
                name: cname,
                pointers: c.pointers,
                shape: c.shape,
                route,
                keep_days: c.keep_days,
                fields,
            });
        }
        self.datasets.push(dataset);
    }

    fn add_list(&mut self, raw: &RawList, problems: &mut Problems) {
        let place = format!("catalogue.toml: list `{}`", raw.name);
        let Some(name) = problems.keep(&place, "choose another name", Name::parse(&raw.name)) else { return };
        for field in &raw.fields {
            match self.by_name.get(field).and_then(|i| self.fields.get_mut(usize::from(i.0))) {
                Some(f) if !f.lists.contains(&name) => {
                    f.lists.push(name.clone());
                    f.lists.sort();
                }
                Some(_) => problems.add(&place, format!("`{field}` is listed twice"), "remove one"),
                None => problems.add(&place, format!("`{field}` is not declared"), "declare it in a dataset"),
            }
        }
    }

    /// Records are kept under the name of their collection: what keeps them for so long must be the only one of it.
    fn check_retention(&self, problems: &mut Problems) {
        let all = || self.datasets.iter().flat_map(|d| &d.collections);
        for c in all().filter(|c| c.keep_days.is_some()) {
            if all().filter(|other| other.name == c.name).count() > 1 {
                let place = format!("catalogue.toml: collection `{}`", c.name);
                problems.add(
                    place,
                    "`keep_days`, and another dataset has a collection of this name",
                    "rename one",
                );
            }
        }
    }

    fn check_routes(&self, problems: &mut Problems) {
        for d in &self.datasets {
            for c in &d.collections {
                if let Some(r) = &c.route
                    && !d.collections.iter().any(|o| o.name == r.to)
                {
                    let place = format!("catalogue.toml: {}.{}", d.name, c.name);
                    problems.add(place, format!("routes to `{}`, which does not exist", r.to), "declare it");
                }
            }
        }
    }

    /// The field of an index.
    #[must_use]
    pub fn field(&self, index: FieldIndex) -> Option<&Field> {
        self.fields.get(usize::from(index.0))
    }

    /// The index of a full name, `dataset.collection.key`.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<FieldIndex> {
        self.by_name.get(name).copied()
    }

    /// The dataset of a name.
    #[must_use]
    pub fn dataset(&self, name: &str) -> Option<&Dataset> {
        self.datasets.iter().find(|d| d.name.as_str() == name)
    }

    /// All fields, in the order of their indices.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// All datasets.
    #[must_use]
    pub fn datasets(&self) -> &[Dataset] {
        &self.datasets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = r#"
        [[dataset]]
        name = "export"
        [[dataset.collection]]
        name = "profile"
        shape = "object"
        fields = [ { key = "email", class = "restricted", kind = "email" }, { key = "region", class = "allowable", kind = "word" } ]
        [[list]]
        name = "status"
        fields = ["export.profile.region"]
    "#;

    #[test]
    fn a_field_knows_its_class_and_lists() {
        let c = Catalogue::parse(SMALL).unwrap();
        let f = c.field(c.find("export.profile.region").unwrap()).unwrap();
        assert_eq!(f.class, DataClass::Allowable);
        assert_eq!(f.lists.iter().map(Name::as_str).collect::<Vec<_>>(), ["status"]);
        assert!(c.find("export.profile.shoeSize").is_none(), "an undeclared field has no index");
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let bad = SMALL
            .replace("\"restricted\"", "\"secret\"")
            .replace("export.profile.region", "export.profile.nope");
        let problems = Catalogue::parse(&bad).unwrap_err();
        assert_eq!(problems.list().len(), 2, "{problems}");
    }
}
