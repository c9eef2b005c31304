//! The region and its sites on a map that is drawn here. Outlines: Natural Earth, public domain (`map/outlines.txt`).

use std::sync::LazyLock;

use maud::{Markup, html};
use model::programme::{Programme, Role};

use super::words::Language;

/// Places for sites, by country: its capital, in degrees. A programme names countries, not addresses.
const PLACES: [(&str, f64, f64); 44] = [
    ("AL", 41.3, 19.8),
    ("AT", 48.2, 16.4),
    ("BA", 43.9, 18.4),
    ("BE", 50.9, 4.4),
    ("BG", 42.7, 23.3),
    ("BY", 53.9, 27.6),
    ("CH", 46.9, 7.4),
    ("CY", 35.2, 33.4),
    ("CZ", 50.1, 14.4),
    ("DE", 52.5, 13.4),
    ("DK", 55.7, 12.6),
    ("EE", 59.4, 24.7),
    ("ES", 40.4, -3.7),
    ("FI", 60.87, 26.7),
    ("FR", 48.9, 2.3),
    ("GB", 51.5, -0.1),
    ("GR", 38.0, 23.7),
    ("HR", 45.8, 16.0),
    ("HU", 47.5, 19.0),
    ("IE", 53.3, -6.3),
    ("IS", 64.1, -21.9),
    ("IT", 41.9, 12.5),
    ("LI", 47.1, 9.5),
    ("LT", 54.7, 25.3),
    ("LU", 49.6, 6.1),
    ("LV", 56.9, 24.1),
    ("MD", 47.0, 28.9),
    ("ME", 42.4, 19.3),
    ("MK", 42.0, 21.4),
    ("MT", 35.9, 14.5),
    ("NL", 52.4, 4.9),
    ("NO", 60.8, 11.07),
    ("PL", 52.2, 21.0),
    ("PT", 38.7, -9.1),
    ("RO", 44.4, 26.1),
    ("RS", 44.8, 20.5),
    ("RU", 55.8, 37.6),
    ("SE", 59.3, 18.1),
    ("SI", 46.1, 14.5),
    ("SK", 48.1, 17.1),
    ("TN", 36.8, 10.2),
    ("TR", 39.9, 32.9),
    ("UA", 50.5, 30.5),
    ("XK", 42.7, 21.2),
];

static SHAPES: LazyLock<Vec<(&'static str, &'static str)>> = LazyLock::new(|| {
    let lines = include_str!("map/outlines.txt").lines().filter(|l| !l.starts_with('#'));
    lines.filter_map(|l| l.split_once(' ')).collect()
});

/// Where degrees lie on the map, as `map/outlines.txt` says.
fn point(latitude: f64, longitude: f64) -> (f64, f64) {
    (9.14f64.mul_add(longitude, 228.5), (-14.22f64).mul_add(latitude, 1023.84))
}

/// Islands that have codes of their own, and whose they are.
fn holder(code: &str) -> &str {
    if code == "AX" { "FI" } else { code }
}

/// The map, and a list of the sites for everybody.
pub(super) fn region(l: Language, programme: &Programme) -> Markup {
    let inside = |code: &str| programme.countries.keys().any(|c| c.as_str() == holder(code));
    let mut used: Vec<&str> = Vec::new();
    let mut marks = Vec::new();
    for site in &programme.sites {
        let code = site.country.as_str();
        let before = used.iter().filter(|c| **c == code).count();
        used.push(code);
        if let Some((_, latitude, longitude)) = PLACES.iter().find(|(c, ..)| *c == code) {
            let (x, y) = point(*latitude, *longitude);
            marks.push((site, x, (before as f64).mul_add(17.0, y)));
        }
    }
    let role = |role: Role| match role {
        Role::Resident => l.t("site-resident"),
        Role::Legacy => l.t("site-legacy"),
        Role::Forbidden => l.t("site-forbidden"),
    };
    html! {
        figure.map {
            figcaption id="map-title" { (l.fill("map-title", &[programme.region.as_str(), &programme.countries.len().to_string()])) }
            svg viewBox="0 0 640 540" role="img" aria-labelledby="map-title" focusable="false" {
                @for (code, path) in SHAPES.iter() { path class=(if inside(code) { "land in" } else { "land" }) d=(path) {} }
                @for (site, x, y) in &marks {
                    g.site transform=(format!("translate({x:.1} {y:.1})")) {
                        circle.halo r="9" {}
                        circle r="4.5" {}
                        text x="13" y="5" { (site.name) }
                    }
                }
            }
            ul.legend aria-hidden="true" {
                li { span.swatch.in {} (l.t("map-in")) }
                li { span.swatch.out {} (l.t("map-out")) }
            }
            ul.sites { @for site in &programme.sites { li { strong { (site.name) } " " (l.country(site.country.as_str())) " · " (role(site.role)) } } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_country_of_the_starter_region_is_drawn_and_has_a_place() {
        let text = std::fs::read_to_string(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../policies/starter/programme.toml"
        ));
        let programme = Programme::parse(&text.unwrap()).unwrap();
        assert_eq!(programme.countries.len(), 32);
        for country in programme.countries.keys() {
            assert!(SHAPES.iter().any(|(code, _)| *code == country.as_str()), "{country}");
            let place = PLACES.iter().find(|(code, ..)| *code == country.as_str());
            let (x, y) = place.map(|(_, lat, lon)| point(*lat, *lon)).unwrap();
            assert!((0.0..640.0).contains(&x) && (0.0..540.0).contains(&y), "{country}");
        }
        let drawn = region(Language::En, &programme).into_string();
        assert_eq!(drawn.matches("class=\"land in\"").count(), 33, "32 and Åland");
        assert!(drawn.contains("dublin-1") && drawn.len() < 40_000);
    }
}
