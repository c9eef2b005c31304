//! What the auditor reads of `catalogue.toml`: how many fields no policy can tell apart.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::codes::Class;

/// The fields of each dataset, counted by class and lists.
#[derive(Debug)]
pub(crate) struct Catalogue {
    datasets: BTreeMap<String, Vec<Combination>>,
    /// The classes of a collection's fields, as bits.
    classes: BTreeMap<(String, String), u8>,
}

/// The fields of one class that stand in exactly these lists.
#[derive(Debug)]
struct Combination {
    class: Class,
    /// Ascending.
    lists: Vec<String>,
    fields: u64,
}

/// Why a catalogue cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CatalogueError {
    #[error("it cannot be read: {}", .0.message())]
    Toml(#[from] toml::de::Error),
    #[error("the class of `{0}` is unknown")]
    Class(String),
    #[error("dataset `{0}` is declared twice")]
    Dataset(String),
    #[error("field `{0}` is declared twice")]
    Field(String),
    #[error("list `{0}` is declared twice")]
    List(String),
}

#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    dataset: Vec<RawDataset>,
    #[serde(default)]
    list: Vec<RawList>,
}

#[derive(Deserialize)]
struct RawDataset {
    name: String,
    #[serde(default)]
    collection: Vec<RawCollection>,
}

#[derive(Deserialize)]
struct RawCollection {
    name: String,
    #[serde(default)]
    fields: Vec<RawField>,
}

#[derive(Deserialize)]
struct RawField {
    key: String,
    class: String,
}

#[derive(Deserialize)]
struct RawList {
    name: String,
    fields: Vec<String>,
}

impl Catalogue {
    pub(crate) fn parse(text: &str) -> Result<Self, CatalogueError> {
        let raw: Raw = toml::from_str(text)?;
        let lists = lists_of_fields(raw.list)?;
        let (mut datasets, mut classes) = (BTreeMap::new(), BTreeMap::new());
        let mut known = BTreeSet::new();
        for dataset in raw.dataset {
            let mut counts: BTreeMap<(u8, Vec<String>), Combination> = BTreeMap::new();
            for (name, class) in fields_of(&dataset) {
                let class = Class::from_word(class).ok_or_else(|| CatalogueError::Class(name.clone()))?;
                let lists: Vec<String> = lists.get(&name).into_iter().flatten().cloned().collect();
                let same = counts.entry((class.bit(), lists.clone()));
                same.or_insert(Combination { class, lists, fields: 0 }).fields += 1;
                if let Some(twice) = known.replace(name) {
                    return Err(CatalogueError::Field(twice));
                }
            }
            for collection in &dataset.collection {
                let bits =
                    collection.fields.iter().filter_map(|f| Class::from_word(&f.class)).map(Class::bit);
                let place = (dataset.name.clone(), collection.name.clone());
                *classes.entry(place).or_insert(0) |= bits.fold(0, |all, bit| all | bit);
            }
            let combinations = counts.into_values().collect();
            if datasets.insert(dataset.name.clone(), combinations).is_some() {
                return Err(CatalogueError::Dataset(dataset.name));
            }
        }
        Ok(Self { datasets, classes })
    }

    /// The classes of the fields of these collections, as the bits of a header.
    pub(crate) fn classes<'c>(&self, dataset: &str, collections: impl Iterator<Item = &'c str>) -> u8 {
        let of = |name: &str| self.classes.get(&(dataset.to_owned(), name.to_owned())).copied();
        collections.filter_map(of).fold(0, |all, bits| all | bits)
    }

    /// How many fields of the dataset have this class and stand in exactly these lists, which ascend.
    pub(crate) fn count(&self, dataset: &str, class: Class, lists: &[&str]) -> u64 {
        let combinations = self.datasets.get(dataset).map_or(&[][..], Vec::as_slice);
        let found = combinations.iter().find(|one| one.class == class && one.lists == lists);
        found.map_or(0, |one| one.fields)
    }
}

/// Full names and class words.
fn fields_of(dataset: &RawDataset) -> impl Iterator<Item = (String, &str)> {
    dataset.collection.iter().flat_map(|collection| {
        let full = |key: &str| format!("{}.{}.{key}", dataset.name, collection.name);
        collection.fields.iter().map(move |field| (full(&field.key), field.class.as_str()))
    })
}

/// For each full name, the lists that it stands in, ascending.
fn lists_of_fields(lists: Vec<RawList>) -> Result<BTreeMap<String, BTreeSet<String>>, CatalogueError> {
    let mut known = BTreeSet::new();
    let mut of_fields: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for list in lists {
        for field in list.fields {
            of_fields.entry(field).or_default().insert(list.name.clone());
        }
        if let Some(twice) = known.replace(list.name) {
            return Err(CatalogueError::List(twice));
        }
    }
    Ok(of_fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        unknown = "is ignored"
        [[dataset]]
        name = "d"
        [[dataset.collection]]
        name = "c"
        shape = "object"
        fields = [
          { key = "one", class = "public", kind = "text", also = ["One"] },
          { key = "two", class = "public" },
          { key = "three x", class = "public" },
          { key = "four", class = "restricted" },
        ]
        [[dataset]]
        name = "empty"
        [[list]]
        name = "b"
        fields = ["d.c.one", "d.c.two", "d.c.four"]
        [[list]]
        name = "a"
        fields = ["d.c.two", "d.c.two", "d.c.nothing"]
    "#;

    #[test]
    fn fields_are_counted_by_dataset_class_and_exact_lists() {
        let catalogue = Catalogue::parse(GOOD).unwrap();
        let count = |dataset, class, lists: &[&str]| catalogue.count(dataset, class, lists);
        assert_eq!(count("d", Class::Public, &["b"]), 1);
        assert_eq!(count("d", Class::Public, &["a", "b"]), 1);
        assert_eq!(count("d", Class::Public, &[]), 1);
        assert_eq!(count("d", Class::Restricted, &["b"]), 1);
        assert_eq!(count("d", Class::Public, &["a"]), 0);
        assert_eq!(count("d", Class::Restricted, &[]), 0);
        assert_eq!(count("empty", Class::Public, &[]), 0);
        assert_eq!(count("other", Class::Public, &[]), 0);
        assert!(Catalogue::parse("# nothing").is_ok());
    }

    #[test]
    fn a_catalogue_with_two_meanings_is_refused() {
        let with = |change: &dyn Fn(&str) -> String| Catalogue::parse(&change(GOOD)).is_err();
        assert!(!with(&|good| good.to_owned()));
        for (from, to) in [
            ("\"restricted\"", "\"Restricted\""),
            ("class = \"restricted\"", "kind = \"text\""),
            ("key = \"two\"", "key = \"one\""),
            ("name = \"empty\"", "name = \"d\""),
            ("name = \"a\"", "name = \"b\""),
            ("name = \"c\"", "title = \"c\""),
            ("[[list]]", "[list]"),
        ] {
            assert!(with(&|good| good.replacen(from, to, 1)), "{from} → {to}");
        }
    }
}
