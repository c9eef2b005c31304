//! How counts of a dataset leave: what `[[count]]` of `lanes.toml` says of it, and the most that may be said.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::catalogue::Catalogue;
use crate::id::Name;
use crate::problem::Problems;

/// Most that one noisy release may cost, in millionths of epsilon.
pub const EPSILON_MAX_MICRO: u32 = 1_000_000;
/// Most that one recipient may learn of one dataset in thirty days, in millionths of epsilon.
pub const RECIPIENT_MAX_MICRO: u64 = 4_000_000;
/// What all recipients together may learn of one dataset in that time, unless the operator says less or more.
pub const DATASET_MICRO: u64 = 8_000_000;
/// Most that an operator may say.
pub const DATASET_MAX_MICRO: u64 = 16_000_000;

/// How counts of a dataset leave. A dataset of which nothing is said has its small groups withheld.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Privacy {
    /// Small groups are withheld; each release stands for itself.
    #[default]
    Threshold,
    /// The same, and nothing leaves from which few would follow together with what the recipient was told before.
    Guard,
    /// With noise, and a budget for it.
    Noise(Noise),
}

/// What noisy counts of a dataset may cost, in millionths of epsilon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noise {
    /// One release.
    pub epsilon_micro: u32,
    /// All releases to one recipient in thirty days.
    pub recipient_micro: u64,
    /// All releases to anybody in thirty days.
    pub dataset_micro: u64,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Word {
    Threshold,
    Guard,
    Noise,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Raw {
    dataset: String,
    privacy: Word,
    epsilon: Option<String>,
    recipient_epsilon: Option<String>,
    dataset_epsilon: Option<String>,
}

/// What is said of every dataset of which anything is said.
pub(crate) fn all(raw: &[Raw], catalogue: &Catalogue, p: &mut Problems) -> BTreeMap<Name, Privacy> {
    let mut counts = BTreeMap::new();
    for raw in raw {
        if let Some((dataset, privacy)) = parse(raw, catalogue, p)
            && counts.insert(dataset, privacy).is_some()
        {
            p.add(format!("lanes.toml: count of `{}`", raw.dataset), "declared twice", "remove one");
        }
    }
    counts
}

fn parse(raw: &Raw, catalogue: &Catalogue, p: &mut Problems) -> Option<(Name, Privacy)> {
    let place = format!("lanes.toml: count of `{}`", raw.dataset);
    let dataset = p.keep(&place, "choose another name", Name::parse(&raw.dataset));
    if catalogue.dataset(&raw.dataset).is_none() {
        p.add(&place, format!("dataset `{}` is not declared", raw.dataset), "declare it in catalogue.toml");
    }
    let mut amount = |key: &str, text: Option<&String>, usual: Option<u64>, most: u64| {
        let fix = || format!("say a ratio such as \"1/2\", of at most {} for `{key}`", most / 1_000_000);
        match (text, usual) {
            (None, Some(usual)) => Some(usual),
            (None, None) => {
                p.add(&place, format!("noise without `{key}`"), fix());
                None
            }
            (Some(text), _) => {
                let micro = micro(text).filter(|micro| (1..=most).contains(micro));
                if micro.is_none() {
                    p.add(&place, format!("`{key}` is no ratio within its limits"), fix());
                }
                micro
            }
        }
    };
    let said = [&raw.epsilon, &raw.recipient_epsilon, &raw.dataset_epsilon];
    let privacy = match raw.privacy {
        Word::Threshold => Some(Privacy::Threshold),
        Word::Guard => Some(Privacy::Guard),
        Word::Noise => {
            let epsilon = amount("epsilon", said[0].as_ref(), None, u64::from(EPSILON_MAX_MICRO));
            let usual = (Some(RECIPIENT_MAX_MICRO), Some(DATASET_MICRO));
            let recipient = amount("recipient_epsilon", said[1].as_ref(), usual.0, RECIPIENT_MAX_MICRO);
            let dataset = amount("dataset_epsilon", said[2].as_ref(), usual.1, DATASET_MAX_MICRO);
            let all = (epsilon.and_then(|e| u32::try_from(e).ok()), recipient, dataset);
            if let (Some(one), Some(recipient), Some(dataset)) = all {
                if u64::from(one) > recipient || recipient > dataset {
                    let fix = "`epsilon` is at most `recipient_epsilon`, and that at most `dataset_epsilon`";
                    p.add(&place, "no release would ever fit its budgets", fix);
                }
                let noise = Noise { epsilon_micro: one, recipient_micro: recipient, dataset_micro: dataset };
                Some(Privacy::Noise(noise))
            } else {
                None
            }
        }
    };
    if !matches!(raw.privacy, Word::Noise) && said.iter().any(|text| text.is_some()) {
        p.add(&place, "an epsilon without noise", "say `privacy = \"noise\"`, or leave it out");
    }
    Some((dataset?, privacy?))
}

/// Millionths as people write them: `0.5`.
#[must_use]
pub fn decimal(micro: u64) -> String {
    let (whole, rest) = (micro / 1_000_000, micro % 1_000_000);
    let text = format!("{whole}.{rest:06}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A ratio such as `1/2` or `4` in millionths, if it is a whole number of them.
fn micro(text: &str) -> Option<u64> {
    let (n, d) = text.split_once('/').unwrap_or((text, "1"));
    let number = |t: &str| {
        let plain = (1..=9).contains(&t.len()) && t.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| t.parse::<u64>().ok()).flatten()
    };
    let (n, d) = (number(n)? * 1_000_000, number(d)?);
    (n.checked_rem(d)? == 0).then_some(n / d)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lanes::Lanes;

    const CATALOGUE: &str = r#"
        [[dataset]]
        name = "export"
        [[dataset.collection]]
        name = "profile"
        fields = [ { key = "region", class = "allowable", kind = "word" } ]
    "#;

    fn said(text: &str) -> Result<Privacy, Problems> {
        let catalogue = Catalogue::parse(CATALOGUE).unwrap();
        let text = format!("[[count]]\ndataset = \"export\"\n{text}");
        Lanes::parse(&text, &catalogue).map(|lanes| lanes.counting(&Name::parse("export").unwrap()))
    }

    #[test]
    fn a_ratio_is_exact_or_refused() {
        assert_eq!(micro("1/2"), Some(500_000));
        assert_eq!(micro("4"), Some(4_000_000));
        assert_eq!(micro("1/1000000"), Some(1));
        assert_eq!([0, 10, 500_000, 4_000_000].map(decimal), ["0", "0.00001", "0.5", "4"]);
        for text in ["1/3", "0.5", "1/0", "", "/", "1/", "-1", "+1", "1 ", "1/2/3", "1e3", "99999999999"] {
            assert_eq!(micro(text), None, "{text}");
        }
    }

    #[test]
    fn a_dataset_of_which_nothing_is_said_has_its_small_groups_withheld() {
        let catalogue = Catalogue::parse(CATALOGUE).unwrap();
        let lanes = Lanes::parse("", &catalogue).unwrap();
        assert_eq!(lanes.counting(&Name::parse("export").unwrap()), Privacy::Threshold);
        assert_eq!(said("privacy = \"guard\"").unwrap(), Privacy::Guard);
        let Privacy::Noise(noise) = said("privacy = \"noise\"\nepsilon = \"1/2\"").unwrap() else {
            panic!("no noise")
        };
        assert_eq!((noise.epsilon_micro, noise.recipient_micro), (500_000, RECIPIENT_MAX_MICRO));
        assert_eq!(noise.dataset_micro, DATASET_MICRO);
    }

    #[test]
    fn what_is_said_of_counts_is_known_whole_and_within_its_limits() {
        for text in [
            "",
            "privacy = \"none\"",
            "privacy = \"noise\"",
            "privacy = \"noise\"\nepsilon = \"2\"",
            "privacy = \"noise\"\nepsilon = \"0\"",
            "privacy = \"noise\"\nepsilon = \"1/3\"",
            "privacy = \"noise\"\nepsilon = 0.5",
            "privacy = \"noise\"\nepsilon = \"1/2\"\nrecipient_epsilon = \"5\"",
            "privacy = \"noise\"\nepsilon = \"1/2\"\ndataset_epsilon = \"17\"",
            "privacy = \"noise\"\nepsilon = \"1/2\"\nrecipient_epsilon = \"1/4\"",
            "privacy = \"noise\"\nepsilon = \"1/2\"\ndataset_epsilon = \"2\"",
            "privacy = \"noise\"\nepsilon = \"1/2\"\ndelta = \"1\"",
            "privacy = \"guard\"\nepsilon = \"1/2\"",
            "privacy = \"guard\"\n[[count]]\ndataset = \"export\"\nprivacy = \"guard\"",
            "privacy = \"guard\"\n[[count]]\ndataset = \"nothing\"\nprivacy = \"guard\"",
        ] {
            assert!(said(text).is_err(), "{text}");
        }
    }
}
