//! Identifiers that are told without context: by letters, dates, several check digits, or the way in which they
//! are printed.

use super::{Compact, Verdict, north, verdict, west};
use crate::Rule;

/// What digits that stand together are.
pub(crate) fn alone_bare(digits: &[u8]) -> Option<Rule> {
    // Months beyond twelve are D-numbers' kin and BIS numbers: with them chance would hit four times as often.
    let month = |from: usize| digits.get(from..from + 2).is_some_and(|two| two <= &b"12"[..]);
    let valid = |rule: Rule, check: fn(&[u8]) -> Verdict| (check(digits) == Verdict::Valid).then_some(rule);
    match digits.len() {
        11 if month(2) => valid(Rule::BE_NRN, west::be_nrn).or_else(|| valid(Rule::NO_FNR, north::no_fnr)),
        13 if digits.starts_with(b"756") => valid(Rule::CH_AHV, west::ch_ahv),
        13 => valid(Rule::LU_MATRICULE, west::lu_matricule),
        15 => valid(Rule::FR_NIR, west::fr_nir),
        _ => None,
    }
}

/// The spellings in which groups of digits are printed: lengths of the groups, what stands between them, rule.
#[rustfmt::skip]
static PRINTED: &[(&[u8], &[u8], Rule)] = &[
    (&[2, 2, 2, 3, 2], b"..-.", Rule::BE_NRN),
    (&[6, 3, 2], b"  ", Rule::BE_NRN),
    (&[6, 3, 2], b"-.", Rule::BE_NRN),
    (&[6, 3, 2], b"--", Rule::BE_NRN),
    (&[3, 4, 4, 2], b"...", Rule::CH_AHV),
    (&[3, 4, 4, 2], b"   ", Rule::CH_AHV),
    (&[1, 2, 2, 2, 3, 3, 2], b"      ", Rule::FR_NIR),
    (&[13, 2], b" ", Rule::FR_NIR),
    (&[6, 5], b" ", Rule::NO_FNR),
    (&[6, 5], b"-", Rule::NO_FNR),
    (&[6, 5], b"-", Rule::LV_PK),
    (&[6, 4], b"/", Rule::CZ_RC),
    (&[6, 4], b"-", Rule::FI_HETU),
    (&[6, 4], b"+", Rule::FI_HETU),
    (&[6, 4], b"+", Rule::SE_PNR),
    (&[6, 4], b"-", Rule::IS_KENNITALA),
    (&[8, 4], b"-", Rule::SE_PNR),
    (&[4, 4, 3, 2], b"   ", Rule::LU_MATRICULE),
];

/// False if nothing is printed in groups that begin with these lengths (`0` is no group), with this sign between the
/// first two.
#[inline]
pub(crate) fn may_be_printed(lens: (u32, u32, u32), gap: u8) -> bool {
    match gap {
        b' ' => matches!(lens, (1, 2, 2) | (6, 3, 2) | (3, 4, 4) | (4, 4, 3) | (13, 2, _) | (6, 5, _)),
        b'-' => matches!(lens, (6, 3, 2) | (6, 4 | 5, _) | (8, 4, _)),
        b'.' => matches!(lens, (2, 2, 2) | (3, 4, 4)),
        b'/' | b'+' => matches!(lens, (6, 4, _)),
        _ => false,
    }
}

/// What groups of digits with these separators are. `lens` are the groups' lengths, `gaps` the separators.
pub(crate) fn alone_sequence(lens: &[u8], gaps: &[u8], spelled: &[u8]) -> Option<Rule> {
    let mut printed =
        PRINTED.iter().filter(|(shape, between, _)| *shape == lens && *between == gaps).peekable();
    printed.peek()?;
    let compact = Compact::of(spelled)?;
    printed.map(|(_, _, rule)| *rule).find(|rule| {
        let right = verdict(*rule, compact.bytes()) == Verdict::Valid;
        // A day and a time look like a long personnummer.
        right && (lens != [8, 4] || !compact.bytes().starts_with(b"20"))
    })
}

/// What a word of letters and digits is, with the dashes that are a part of some.
pub(crate) fn alone_word(word: &[u8]) -> Option<Rule> {
    let rules: &[Rule] = match word.len() {
        8 => &[Rule::IE_PPSN],
        9 => &[Rule::ES_DNI, Rule::ES_NIE, Rule::IE_PPSN],
        10 => &[Rule::ES_DNI],
        11 => &[Rule::FI_HETU, Rule::ES_NIE],
        12 => &[Rule::DE_RVNR, Rule::PT_CC],
        14 | 17 => &[Rule::PT_CC, Rule::DE_RVNR],
        13 => &[Rule::GB_NINO],
        15 => &[Rule::FR_NIR, Rule::DE_RVNR, Rule::PT_CC],
        16 => &[Rule::IT_CF],
        21 => &[Rule::FR_NIR],
        _ => return None,
    };
    if word.iter().any(u8::is_ascii_lowercase) && word.len() != 16 {
        return None;
    }
    let hetu = word.len() == 11 && rules.contains(&Rule::FI_HETU);
    let compact = if hetu && word.get(6).is_some_and(|b| b.is_ascii_alphabetic() || matches!(b, b'-' | b'+'))
    {
        let mut signed = [0; 11];
        signed.copy_from_slice(word);
        if verdict(Rule::FI_HETU, &signed) == Verdict::Valid {
            return Some(Rule::FI_HETU);
        }
        Compact::of(word)?
    } else {
        Compact::of(word)?
    };
    let dashed = compact.bytes().len() != word.len();
    let fits = |rule: &&Rule| {
        let separated_well = match **rule {
            Rule::ES_DNI => !dashed || word.get(8) == Some(&b'-'),
            Rule::ES_NIE => !dashed || word.get(1) == Some(&b'-') && word.get(9) == Some(&b'-'),
            Rule::IE_PPSN | Rule::IT_CF => !dashed,
            Rule::GB_NINO => word.iter().filter(|b| **b == b' ').count() == 4,
            Rule::FI_HETU => false,
            _ => true,
        };
        separated_well && verdict(**rule, compact.bytes()) == Verdict::Valid
    };
    rules.iter().find(fits).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_printed_shape_may_be_one() {
        for (lens, gaps, _) in PRINTED {
            let len = |at: usize| lens.get(at).map_or(0, |len| u32::from(*len));
            assert!(may_be_printed((len(0), len(1), len(2)), gaps[0]), "{lens:?}");
        }
        assert!(!may_be_printed((3, 1, 2), b'-') && !may_be_printed((8, 4, 0), b'.'));
    }
}
