//! The rulebook: programme, catalogue, lanes and policies as one bundle with one digest.

use std::collections::BTreeMap;

use crate::assessments::{ASSESSMENTS, Assessments};
use crate::catalogue::Catalogue;
use crate::id::Digest;
use crate::lanes::Lanes;
use crate::problem::Problems;
use crate::procedures::Procedures;
use crate::programme::Programme;

/// The files of a bundle, by name.
pub type Files = BTreeMap<String, String>;

/// The files that every bundle has; one whose programme names destinations has `assessments.toml` besides. Policies are
/// every file that ends in `.cedar` but [`PROPERTIES`].
pub const REQUIRED: [&str; 5] =
    ["programme.toml", "catalogue.toml", "lanes.toml", "access.toml", "clover.cedarschema"];

/// What is proved of the policies: signed with them, and never one of them.
pub const PROPERTIES: &str = "properties.cedar";

/// First line of a manifest.
pub const MANIFEST: &str = "clover-rulebook/v1";

/// A checked bundle. Its signatures are checked where it is opened, in `crossing`.
#[derive(Debug, Clone)]
pub struct Rulebook {
    /// SHA-256 of the manifest text.
    pub digest: Digest,
    /// The promise.
    pub programme: Programme,
    /// The fields.
    pub catalogue: Catalogue,
    /// The lanes and flows.
    pub lanes: Lanes,
    /// Who approves what.
    pub access: Procedures,
    /// What was found of the destinations.
    pub assessments: Assessments,
    /// The Cedar schema.
    pub schema: String,
    /// The Cedar policies, all files in the order of their names.
    pub policies: String,
    /// The properties to prove of them; empty if the bundle has no such file.
    pub properties: String,
}

/// The canonical text that is signed: a first line, then `<sha256> <name>` for each file in the order
/// of names, each line ended by a line feed.
#[must_use]
pub fn manifest(files: &Files, sha256: impl Fn(&[u8]) -> Digest) -> String {
    let mut text = format!("{MANIFEST}\n");
    for (name, content) in files {
        text.push_str(&format!("{} {name}\n", sha256(content.as_bytes())));
    }
    text
}

impl Rulebook {
    /// Checks every file of a bundle. The digest is that of its manifest.
    ///
    /// # Errors
    /// Every problem of every file at once. Policies are checked by the crate `policy`.
    pub fn parse(files: &Files, sha256: impl Fn(&[u8]) -> Digest) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        for name in REQUIRED {
            if !files.contains_key(name) {
                problems.add(name, "the file is missing", "add it to the rulebook's folder");
            }
        }
        let text = |name: &str| files.get(name).map_or("", String::as_str);
        let programme = gather(Programme::parse(text("programme.toml")), &mut problems);
        let catalogue = gather(Catalogue::parse(text("catalogue.toml")), &mut problems);
        let lanes =
            catalogue.as_ref().and_then(|c| gather(Lanes::parse(text("lanes.toml"), c), &mut problems));
        let access = gather(Procedures::parse(text("access.toml")), &mut problems);
        if let (Some(access), Some(catalogue)) = (&access, &catalogue) {
            unknown_datasets(access, catalogue, &mut problems);
        }
        let assessments = programme
            .as_ref()
            .and_then(|p| gather(Assessments::of_bundle(files.get(ASSESSMENTS), p), &mut problems));
        let mut policies = String::new();
        // INVARIANT: a property is written as a permit, and permits nothing.
        let policy = |name: &str| name.ends_with(".cedar") && name != PROPERTIES;
        for (_, content) in files.iter().filter(|(name, _)| policy(name)) {
            policies.push_str(content);
            policies.push('\n');
        }
        if policies.is_empty() {
            problems.add("*.cedar", "no policy file", "add one: without it everything is refused");
        }
        let digest = sha256(manifest(files, &sha256).as_bytes());
        match (programme, catalogue, lanes, access, assessments) {
            (Some(programme), Some(catalogue), Some(lanes), Some(access), Some(assessments)) => {
                let schema = text("clover.cedarschema").to_owned();
                let properties = text(PROPERTIES).to_owned();
                problems.or(Self {
                    digest,
                    programme,
                    catalogue,
                    lanes,
                    access,
                    assessments,
                    schema,
                    policies,
                    properties,
                })
            }
            _ => Err(problems),
        }
    }
}

fn unknown_datasets(access: &Procedures, catalogue: &Catalogue, problems: &mut Problems) {
    for procedure in &access.procedures {
        for dataset in procedure.datasets.iter().filter(|d| catalogue.dataset(d.as_str()).is_none()) {
            let place = format!("access.toml: procedure `{}`", procedure.name);
            problems.add(
                place,
                format!("the dataset `{dataset}` is not in the catalogue"),
                "name one that is",
            );
        }
    }
}

fn gather<T>(result: Result<T, Problems>, problems: &mut Problems) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(found) => {
            problems.extend(found);
            None
        }
    }
}
