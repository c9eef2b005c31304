//! The plan: what moves, from where to where, and whose rows they are. A person edits it; nothing in it is guessed later.

use std::collections::BTreeMap;
use std::path::PathBuf;

use model::catalogue::Kind;
use model::{Country, DataClass, Name, UnixSeconds};

use crate::bucket::Bucket;

/// Most sets of a plan, and most processes of a server that one migration keeps busy.
const SETS_MAX: usize = 1_000;
const WORKERS_MAX: u8 = 32;

/// A plan that passed its checks.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// What the migration is called. Its slot and publication at the source bear the name.
    pub name: String,
    /// Where the data lies.
    pub source: Source,
    /// Where it goes.
    pub target: Target,
    /// Whose data goes.
    pub region: Region,
    /// How much of the servers it may take.
    #[serde(default)]
    pub limits: Limits,
    /// How services learn that the data has moved.
    pub cutover: Cutover,
    /// Where each stage is taken down for the ledger. Without it nothing is destroyed at the source.
    #[serde(default)]
    pub ledger: Option<Ledger>,
    /// Copies of the source that are swept before anybody certifies that it is gone: backups, archives, replicas.
    #[serde(default, rename = "copy")]
    pub copies: Vec<Copy>,
    /// What cannot be destroyed from here.
    #[serde(default, rename = "open")]
    pub open: Vec<Open>,
    /// How people go on into the vault, if they do.
    #[serde(default)]
    pub vault: Option<Vault>,
    /// What moves. Rows of people come after the people.
    #[serde(rename = "set")]
    pub sets: Vec<Set>,
}

/// How a database is reached.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    /// A connection string of libpq's form, without a password.
    pub address: String,
    /// A file with the user's password.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// A file with the certificates to trust, as PEM. Without it only this machine will do.
    #[serde(default)]
    pub roots: Option<PathBuf>,
}

/// Where the data lies.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The site.
    pub site: String,
    /// The country in which it stands.
    pub country: String,
    /// Who owns it.
    pub owner: String,
    /// Its database.
    pub database: End,
}

/// Where the data goes.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// The site.
    pub site: String,
    /// The country in which it stands.
    pub country: String,
    /// Its database.
    pub database: End,
}

/// Which people are the region's.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Region {
    /// What stands in the home of the region's people.
    pub homes: Vec<String>,
    /// What stands in the home of others, who stay.
    #[serde(default)]
    pub others: Vec<String>,
    /// What becomes of people of whom neither is said.
    #[serde(default)]
    pub unknown: Unknown,
}

/// What becomes of people whose home nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unknown {
    /// Nothing moves while there are any.
    #[default]
    Stop,
    /// They stay where they are; how many they are is told.
    Stay,
}

/// What it may take.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Parts that are copied at once.
    pub workers: u8,
    /// Rows of a part, about.
    pub part_rows: u64,
    /// Bytes that are read from the source in a second, at most; 0 for no limit.
    pub bytes_per_second: u64,
    /// Milliseconds that writers may wait at the cut-over.
    pub pause_ms: u64,
    /// Hours of the day in UTC in which parts are copied, as `22:00-06:00`; always without it.
    pub hours: Option<Hours>,
}

/// A span of each day, in UTC. It may go over midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct Hours {
    /// Minutes of the day.
    from: u64,
    to: u64,
}

const DAY: u64 = 24 * 60;

impl TryFrom<String> for Hours {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let minutes = |text: &str| {
            let (hours, minutes) = text.split_once(':').filter(|(h, m)| h.len() == 2 && m.len() == 2)?;
            let (hours, minutes) = (hours.parse::<u64>().ok()?, minutes.parse::<u64>().ok()?);
            (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
        };
        let both = text.split_once('-').and_then(|(from, to)| Some((minutes(from)?, minutes(to)?)));
        let (from, to) =
            both.filter(|(from, to)| from != to).ok_or("`hours` are written as `22:00-06:00`")?;
        Ok(Self { from, to })
    }
}

impl Hours {
    /// Seconds until they begin; 0 within them.
    #[must_use]
    pub fn wait(self, now: UnixSeconds) -> u64 {
        let day = now.0 % (DAY * 60);
        let (since, length) = ((day / 60 + DAY - self.from) % DAY, (self.to + DAY - self.from) % DAY);
        if since < length { 0 } else { (self.from * 60 + DAY * 60 - day) % (DAY * 60) }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { workers: 4, part_rows: 100_000, bytes_per_second: 0, pause_ms: 10_000, hours: None }
    }
}

/// The pointer that services read.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cutover {
    /// A file that says where each set is served from; it is replaced as a whole.
    pub pointer: PathBuf,
    /// The gateway that services outside the region ask from then on, if the pointer is to say so.
    #[serde(default)]
    pub gateway: Option<String>,
}

/// How people go on into the vault: those whose sets have a `pointer`.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vault {
    /// A folder in the region, its owner's alone, from which `clover import --follow` takes them.
    pub spool: PathBuf,
}

/// Where each stage is taken down (`docs/formats/migration.md`).
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    /// The programme.
    pub programme: String,
    /// A folder for texts and evidence, which operator and auditor sign.
    pub records: PathBuf,
    /// Files with the verifier keys of both.
    pub operator: PathBuf,
    /// See `operator`.
    pub auditor: PathBuf,
    /// A file with the verifier key of the log: then nothing is destroyed before its seal is proved to be in it. Without it the two
    /// signatures are enough.
    #[serde(default)]
    pub log: Option<PathBuf>,
}

/// A copy of the source that can be looked into: a folder, a bucket, or another server.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Copy {
    /// What it is.
    pub what: String,
    /// A folder on this machine, with all that is in it.
    #[serde(default)]
    pub folder: Option<PathBuf>,
    /// A bucket, with every object in it. What was loaded from it is looked for in it, too.
    #[serde(default)]
    pub bucket: Option<Bucket>,
    /// A server, with every database on it. If `what` is the name under which it follows the source, it is that replica.
    #[serde(default)]
    pub database: Option<End>,
    /// Whether it is where the source archives its log of changes.
    #[serde(default)]
    pub archive: bool,
}

/// What cannot be destroyed from here, and who has to see to it.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Open {
    /// What it is.
    pub what: String,
    /// Who answers for it.
    pub owner: String,
    /// The day by which it is gone, `YYYY-MM-DD`.
    pub due: String,
    /// Where a sweep meets it, as its report names places: what begins so is known and holds nothing up.
    #[serde(default)]
    pub place: Option<String>,
}

impl Open {
    /// The end of the day by which it is gone, if `due` is a day.
    pub(crate) fn until(&self) -> Option<u64> {
        UnixSeconds::parse(&format!("{}T23:59:59Z", self.due)).ok().map(|time| time.0)
    }
}

/// A table, and whose rows of it move.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Set {
    /// `schema.table`, of the same name at both ends.
    pub table: String,
    /// The column that names the person.
    pub subject: String,
    /// Of a table of people: the column that says where the person is at home.
    #[serde(default)]
    pub home: Option<String>,
    /// Of any other: the table of those people.
    #[serde(default)]
    pub of: Option<String>,
    /// Where its rows stand in the file of a person for the vault (`people`), a JSON pointer: of a table of people an object, else a list.
    #[serde(default)]
    pub pointer: Option<String>,
    /// Every column, with what it holds.
    pub columns: BTreeMap<String, Column>,
}

impl Set {
    /// The column of a table of people that holds the name by which the vault knows them: one, with a `[vault]`.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let named =
            self.columns.iter().filter(|(_, column)| self.home.is_some() && column.kind == Kind::Handle);
        named.map(|(name, _)| name.as_str())
    }
}

/// What a column holds, in the words of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// The class, or `unmapped`, which stops the plan.
    pub class: String,
    /// The kind.
    pub kind: Kind,
    /// Whether a sweep looks for its values, which no other rows have. Without it: if they are e-mail addresses, numbers of
    /// telephones, user names, links or identifiers that are texts.
    #[serde(default)]
    pub sweep: Option<bool>,
}

/// The word for a column that nobody has looked at.
pub(crate) const UNMAPPED: &str = "unmapped";

/// What is wrong with a plan: all of it, each with what to do.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// It cannot be read.
    #[error("the plan cannot be read: {0}")]
    Form(#[from] toml::de::Error),
    /// It can be read, and does not do.
    #[error("{}", .0.join("\n"))]
    Wrong(Vec<String>),
}

impl Plan {
    /// Reads and checks a plan.
    ///
    /// # Errors
    /// Everything that is wrong with it, at once.
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        let plan: Self = toml::from_str(text)?;
        let wrong = plan.problems();
        if wrong.is_empty() { Ok(plan) } else { Err(PlanError::Wrong(wrong)) }
    }

    fn problems(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        // The server's names for slots have small letters, figures and underscores.
        let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if !(1..=40).contains(&self.name.len()) || !self.name.chars().all(word) {
            wrong.push("`name` is not of 1 to 40 small letters, figures and underscores".to_owned());
        }
        for (end, country) in [("source", &self.source.country), ("target", &self.target.country)] {
            if Country::parse(country).ok().is_none_or(|country| country == Country::UNKNOWN) {
                wrong.push(format!("{end}: `{country}` is no code of a country"));
            }
        }
        wrong.extend(self.problems_of_destruction());
        if self.vault.is_some() {
            let mut people = self.sets.iter().filter(|set| set.home.is_some() && set.pointer.is_some());
            if people.clone().next().is_none() {
                wrong.push("vault: no set of people has a `pointer`".to_owned());
            }
            if let Some(set) = people.find(|set| set.names().count() != 1) {
                let text = "one column is of the kind `handle`: the name by which the vault knows people";
                wrong.push(format!("{}: {text}", set.table));
            }
        }
        for site in [&self.source.site, &self.target.site] {
            if Name::parse(site).is_err() {
                wrong.push(format!("`{site}` is no name of a site"));
            }
        }
        if self.source.owner.trim().is_empty() {
            wrong.push("source: nobody is named as its `owner`".to_owned());
        }
        if self.region.homes.is_empty() {
            wrong.push("region: `homes` names nobody's home".to_owned());
        }
        if let Some(both) = self.region.homes.iter().find(|home| self.region.others.contains(home)) {
            wrong.push(format!("region: `{both}` stands in `homes` and in `others`"));
        }
        if !(1..=WORKERS_MAX).contains(&self.limits.workers)
            || self.limits.part_rows == 0
            || self.limits.pause_ms == 0
        {
            wrong.push(format!(
                "limits: `workers` is 1 to {WORKERS_MAX}, `part_rows` and `pause_ms` are not 0"
            ));
        }
        if self.sets.is_empty() || self.sets.len() > SETS_MAX {
            wrong.push(format!("a plan has one to {SETS_MAX} sets"));
        }
        for (place, set) in self.sets.iter().enumerate() {
            wrong.extend(
                self.problems_of(place, set).into_iter().map(|text| format!("{}: {text}", set.table)),
            );
        }
        wrong
    }

    fn problems_of_destruction(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        if let Some(ledger) = &self.ledger {
            let sets = self.sets.iter().map(|set| &set.table);
            for name in sets.chain([&ledger.programme, &self.name]).filter(|name| Name::parse(name).is_err())
            {
                wrong.push(format!(
                    "ledger: `{name}` cannot stand on the ledger: 1 to 64 letters, digits, `-`, `_`, `.`"
                ));
            }
        }
        for copy in &self.copies {
            let named = [copy.folder.is_some(), copy.bucket.is_some(), copy.database.is_some()];
            if named.into_iter().filter(|is_named| *is_named).count() != 1 {
                wrong.push(format!(
                    "copy `{}`: name either its `folder`, its `bucket` or its `database`",
                    copy.what
                ));
            }
            if copy.bucket.as_ref().is_some_and(|bucket| !bucket.endpoint.starts_with("https://")) {
                wrong.push(format!("copy `{}`: its `endpoint` is not https://host:port", copy.what));
            }
        }
        for open in &self.open {
            if open.place.as_ref().is_some_and(|place| place.trim().is_empty()) {
                wrong.push(format!("open `{}`: its `place` is empty", open.what));
            }
            if open.until().is_none() || open.owner.trim().is_empty() {
                wrong.push(format!(
                    "open `{}`: it needs an `owner` and a day on which it is `due` (YYYY-MM-DD)",
                    open.what
                ));
            }
        }
        wrong
    }

    fn problems_of(&self, place: usize, set: &Set) -> Vec<String> {
        let mut wrong = Vec::new();
        let before = self.sets.get(..place).unwrap_or_default();
        if set.table.split('.').filter(|part| !part.is_empty()).count() != 2 {
            wrong.push("it is not written as `schema.table`".to_owned());
        }
        if before.iter().any(|other| other.table == set.table) {
            wrong.push("it is planned twice".to_owned());
        }
        match (&set.home, &set.of) {
            (Some(_), Some(_)) | (None, None) => {
                wrong.push(
                    "say either in which column people's `home` is, or whose rows they are (`of`)".to_owned(),
                );
            }
            (None, Some(of)) if !before.iter().any(|other| other.table == *of && other.home.is_some()) => {
                wrong.push(format!("`{of}` is no table of people that stands before it"));
            }
            _ => {}
        }
        if let Some(pointer) = &set.pointer {
            let inside = |other: &str| format!("{pointer}/").starts_with(&format!("{other}/"));
            let people = set.of.as_ref().and_then(|of| before.iter().find(|other| other.table == *of));
            if people.is_some_and(|people| people.pointer.is_none()) {
                wrong.push(format!("`{pointer}` is in nobody's file: its people have no `pointer`"));
            }
            if !pointer.starts_with('/') {
                wrong.push(format!("`{pointer}` is no JSON pointer: it begins with `/`"));
            }
            if before
                .iter()
                .filter_map(|other| other.pointer.as_deref())
                .any(|other| inside(other) || format!("{other}/").starts_with(&format!("{pointer}/")))
            {
                wrong.push(format!("`{pointer}` is another set's, or lies in it"));
            }
        }
        for column in [Some(&set.subject), set.home.as_ref()].into_iter().flatten() {
            if !set.columns.contains_key(column) {
                wrong.push(format!("`{column}` is none of its columns"));
            }
        }
        for (name, column) in &set.columns {
            if column.class == UNMAPPED {
                wrong.push(format!("`{name}` is unmapped: give its class"));
            } else if DataClass::parse(&column.class).is_err() {
                wrong.push(format!("`{name}`: `{}` is no class", column.class));
            }
        }
        wrong
    }

    /// The slot at the source.
    pub(crate) fn slot(&self) -> String {
        format!("clover_migrate_{}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str = r#"
        name = "video"
        [source]
        site = "singapore"
        country = "SG"
        owner = "Example Pte. Ltd."
        [source.database]
        address = "host=/tmp user=clover dbname=video"
        [target]
        site = "dublin"
        country = "IE"
        [target.database]
        address = "host=/tmp user=clover dbname=video"
        [region]
        homes = ["DE", "FR"]
        others = ["US"]
        [cutover]
        pointer = "where.json"
        [ledger]
        programme = "demo"
        records = "records"
        operator = "operator.vkey"
        auditor = "auditor.vkey"
        [[copy]]
        what = "dumps"
        folder = "/srv/dumps"
        [[open]]
        what = "tapes"
        owner = "Vault Co."
        due = "2026-12-31"
        [[set]]
        table = "app.users"
        subject = "id"
        home = "country"
        [set.columns]
        id = { class = "allowable", kind = "id" }
        country = { class = "allowable", kind = "word" }
        [[set]]
        table = "app.videos"
        subject = "owner"
        of = "app.users"
        [set.columns]
        owner = { class = "allowable", kind = "id" }
    "#;

    #[test]
    fn a_plan_is_read_with_its_limits() {
        let plan = Plan::parse(PLAN).unwrap();
        assert_eq!((plan.sets.len(), plan.limits.workers, plan.region.unknown), (2, 4, Unknown::Stop));
        assert_eq!(plan.slot(), "clover_migrate_video");
    }

    #[test]
    fn hours_of_the_day_may_go_over_midnight() {
        let hours = |text: &str| Hours::try_from(text.to_owned());
        let at = |hour: u64, minute: u64| UnixSeconds(20_000 * 86_400 + hour * 3_600 + minute * 60 + 5);
        let night = hours("22:00-06:30").unwrap();
        for (hour, minute, wait) in [
            (22, 0, 0),
            (23, 59, 0),
            (6, 29, 0),
            (6, 30, 15 * 3_600 + 30 * 60 - 5),
            (21, 59, 55),
            (12, 0, 36_000 - 5),
        ] {
            assert_eq!(night.wait(at(hour, minute)), wait, "{hour}:{minute}");
        }
        let noon = hours("11:00-13:00").unwrap();
        assert_eq!((noon.wait(at(12, 0)), noon.wait(at(13, 0))), (0, 22 * 3_600 - 5));
        for wrong in ["", "22-6", "22:00", "24:00-06:00", "22:60-06:00", "1:00-02:00", "06:00-06:00"] {
            assert!(hours(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_all_at_once() {
        let changed = |from: &str, to: &str| {
            assert!(PLAN.contains(from), "{from}");
            Plan::parse(&PLAN.replacen(from, to, 1)).unwrap_err().to_string()
        };
        for (from, to, told) in [
            ("\"video\"", "\"Video-1\"", "small letters"),
            ("\"SG\"", "\"Singapore\"", "no code of a country"),
            ("\"Example Pte. Ltd.\"", "\" \"", "owner"),
            ("[\"US\"]", "[\"FR\"]", "`FR` stands in `homes` and in `others`"),
            (
                "class = \"allowable\", kind = \"word\"",
                "class = \"unmapped\", kind = \"word\"",
                "`country` is unmapped",
            ),
            ("home = \"country\"", "home = \"place\"", "`place` is none of its columns"),
            ("home = \"country\"\n", "", "say either"),
            ("of = \"app.users\"", "of = \"app.people\"", "no table of people"),
            ("app.videos", "app.users", "planned twice"),
            ("[region]", "[region]\nwhole = 1", "whole"),
            ("folder = \"/srv/dumps\"", "", "`dumps`: name either"),
            (
                "folder = \"/srv/dumps\"",
                "[copy.bucket]\nendpoint = \"http://s\"\nname = \"b\"\naccess_key_file = \"a\"\nsecret_key_file = \"s\"\nroots = \"r\"",
                "`dumps`: its `endpoint` is not https",
            ),
            ("2026-12-31", "2026-02-30", "`tapes`: it needs"),
            ("Vault Co.", "", "`tapes`: it needs"),
            ("\"demo\"", "\"a b\"", "cannot stand on the ledger"),
        ] {
            let error = changed(from, to);
            assert!(error.contains(told), "{error}");
        }
        let both = PLAN.replacen("\"SG\"", "\"S\"", 1).replacen("app.videos", "videos", 1);
        assert_eq!(Plan::parse(&both).unwrap_err().to_string().lines().count(), 2);
    }
}
