//! The programme: one deployment's promise about region, sites, destinations and auditor.

use std::collections::BTreeMap;

use ipnet::IpNet;

use crate::border::{self, Border};
use crate::id::{Country, Name};
use crate::problem::Problems;

/// What is promised.
#[derive(Debug, Clone)]
pub struct Programme {
    /// Its name, also the SPIFFE trust domain of its credentials.
    pub name: Name,
    /// The region's name, as policies use it.
    pub region: Name,
    /// The countries whose residents' data is kept, sorted, with the flags they carry (`eea`, `gb`, `ch`).
    pub countries: BTreeMap<Country, String>,
    /// Countries outside to which something may cross at all.
    pub destinations: Vec<Country>,
    /// Countries from which nothing is read in plain, whatever its class.
    pub heightened: Vec<Country>,
    /// Where bytes are stored.
    pub sites: Vec<Site>,
    /// Networks whose country is known to the operator: one half of location evidence.
    pub networks: Vec<(IpNet, Country)>,
    /// Legal entities and where they sit.
    pub employers: BTreeMap<Name, Country>,
    /// Smallest group shown in an aggregate, in distinct people.
    pub k: u32,
    /// When the border is open.
    pub border: Border,
    /// How pseudonyms change.
    pub epochs: Epochs,
}

/// How long an epoch of pseudonyms lasts, and how many stay behind the current one for opening their tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Epochs {
    /// Days of one.
    #[serde(default = "epoch_days")]
    pub days: u32,
    /// Epochs that are kept after their end.
    #[serde(default = "kept_epochs")]
    pub kept: u32,
}

/// A quarter.
const fn epoch_days() -> u32 {
    90
}

/// About a year of quarters.
const fn kept_epochs() -> u32 {
    4
}

impl Default for Epochs {
    fn default() -> Self {
        Self { days: epoch_days(), kept: kept_epochs() }
    }
}

/// A place where bytes are stored.
#[derive(Debug, Clone)]
pub struct Site {
    /// Its name.
    pub name: Name,
    /// Its country.
    pub country: Country,
    /// What it is for.
    pub role: Role,
}

/// What a site is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The region's data lives here.
    Resident,
    /// Data is moved away from here.
    Legacy,
    /// Data must never be here.
    Forbidden,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    name: String,
    region: RawRegion,
    destinations: Vec<String>,
    #[serde(default)]
    heightened: Vec<String>,
    site: Vec<RawSite>,
    networks: BTreeMap<String, String>,
    employers: BTreeMap<String, String>,
    aggregate_k: u32,
    #[serde(default)]
    border: border::Raw,
    #[serde(default)]
    epochs: Epochs,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRegion {
    name: String,
    flags: BTreeMap<String, Vec<String>>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSite {
    name: String,
    country: String,
    role: Role,
}

impl Programme {
    /// Reads `programme.toml`.
    ///
    /// # Errors
    /// Every problem of the file at once.
    pub fn parse(text: &str) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let raw: Raw = match toml::from_str(text) {
            Ok(raw) => raw,
            Err(e) => {
                problems.add(
                    "programme.toml",
                    e.to_string().replace('\n', " "),
                    "see docs/formats/rulebook.md",
                );
                return Err(problems);
            }
        };
        let p = &mut problems;
        let name = p.keep("programme.toml: name", "choose another name", Name::parse(&raw.name));
        let region =
            p.keep("programme.toml: region.name", "choose another name", Name::parse(&raw.region.name));
        let mut countries = BTreeMap::new();
        for (flag, list) in &raw.region.flags {
            for c in countries_of("programme.toml: region.flags", list, p) {
                if countries.insert(c, flag.clone()).is_some() {
                    p.add("programme.toml: region.flags", format!("`{c}` stands twice"), "keep one");
                }
            }
        }
        let destinations = countries_of("programme.toml: destinations", &raw.destinations, p);
        let heightened = countries_of("programme.toml: heightened", &raw.heightened, p);
        let mut employers = BTreeMap::new();
        for (employer, seat) in &raw.employers {
            let place = "programme.toml: employers";
            let employer = p.keep(place, "choose another name", Name::parse(employer));
            let seat = p.keep(place, "use ISO 3166-1 alpha-2", Country::parse(seat));
            if let (Some(e), Some(s)) = (employer, seat) {
                employers.insert(e, s);
            }
        }
        let sites = sites_of(&raw.site, &countries, p);
        let networks = networks_of(&raw.networks, p);
        if raw.aggregate_k < 10 {
            p.add("programme.toml: aggregate_k", "groups under 10 people identify them", "use 10 or more");
        }
        let border = raw.border.check(p);
        if !(1..=3_660).contains(&raw.epochs.days) || raw.epochs.kept > 1_000 {
            p.add("programme.toml: epochs", "not 1 to 3660 `days`, or over 1000 `kept`", "use 90 and 4");
        }
        let (Some(name), Some(region)) = (name, region) else { return Err(problems) };
        let k = raw.aggregate_k;
        problems.or(Self {
            name,
            region,
            countries,
            destinations,
            heightened,
            sites,
            networks,
            employers,
            k,
            border,
            epochs: raw.epochs,
        })
    }

    /// Whether a country belongs to the region.
    #[must_use]
    pub fn in_region(&self, country: Country) -> bool {
        self.countries.contains_key(&country)
    }

    /// The country of a network address, by the longest prefix; `None` when no network is declared for it.
    #[must_use]
    pub fn country_of(&self, address: std::net::IpAddr) -> Option<Country> {
        let mut best: Option<&(IpNet, Country)> = None;
        for n in self.networks.iter().filter(|(net, _)| net.contains(&address)) {
            if best.is_none_or(|b| n.0.prefix_len() > b.0.prefix_len()) {
                best = Some(n);
            }
        }
        best.map(|n| n.1)
    }
}

fn countries_of(place: &str, list: &[String], p: &mut Problems) -> Vec<Country> {
    list.iter().filter_map(|c| p.keep(place, "use ISO 3166-1 alpha-2", Country::parse(c))).collect()
}

fn sites_of(raw: &[RawSite], region: &BTreeMap<Country, String>, p: &mut Problems) -> Vec<Site> {
    let mut sites = Vec::new();
    for s in raw {
        let place = format!("programme.toml: site `{}`", s.name);
        let name = p.keep(&place, "choose another name", Name::parse(&s.name));
        let country = p.keep(&place, "use ISO 3166-1 alpha-2", Country::parse(&s.country));
        let (Some(name), Some(country)) = (name, country) else { continue };
        if s.role == Role::Resident && !region.contains_key(&country) {
            p.add(&place, "a resident site outside the region", "move it, or give it the role legacy");
        }
        sites.push(Site { name, country, role: s.role });
    }
    if !sites.iter().any(|s| s.role == Role::Resident) {
        p.add("programme.toml: site", "no resident site", "declare one: there is no default");
    }
    sites
}

fn networks_of(raw: &BTreeMap<String, String>, p: &mut Problems) -> Vec<(IpNet, Country)> {
    let mut networks = Vec::new();
    for (net, country) in raw {
        let place = "programme.toml: networks";
        let net = p.keep(place, "use CIDR, as 192.0.2.0/24", net.parse::<IpNet>());
        let country = p.keep(place, "use ISO 3166-1 alpha-2", Country::parse(country));
        if let (Some(n), Some(c)) = (net, country) {
            networks.push((n, c));
        }
    }
    networks
}
