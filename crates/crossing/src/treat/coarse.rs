//! The class of a value, as its lane has it.

use model::lanes::Coarse;
use transform::generalise::{self, Axis, Prefixes};
use transform::mask;

/// The class; `None` when the value was not understood, and is hidden whole.
pub(crate) fn class(how: Coarse, text: &str) -> Option<String> {
    let owned = |part: Option<&str>| part.map(str::to_owned);
    match how {
        Coarse::Hour => generalise::hour(text),
        Coarse::Day => owned(mask::day(text)),
        Coarse::Month => owned(mask::month(text)),
        Coarse::Year => owned(mask::year(text)),
        Coarse::Years(years) => generalise::year_band(text, years),
        Coarse::Age(years) => generalise::age_band(text, years),
        Coarse::Latitude(places) => generalise::coordinate(text, Axis::Latitude, usize::from(places)),
        Coarse::Longitude(places) => generalise::coordinate(text, Axis::Longitude, usize::from(places)),
        Coarse::Cell(places) => generalise::cell(text, usize::from(places)),
        Coarse::Network(v4, v6) => generalise::network(text, Prefixes { v4, v6 }),
        Coarse::Agent => {
            let (family, platform) = generalise::agent(text);
            Some(format!("{} {}", family.word(), platform.word()))
        }
        Coarse::Postcode(country) => generalise::postcode(text, country.as_str()),
        Coarse::Count => text.parse().ok().map(|exact| mask::count(exact).to_string()),
    }
}
