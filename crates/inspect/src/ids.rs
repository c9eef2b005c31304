//! National identifiers: one function a rule, and the table of them.
//!
//! A check digit of mod 10 or 11 lets one number in ten through, so what is only digits counts alone only
//! where a date or more than one check digit makes chance hits rare; anything else needs a key, a declared
//! field or a neighbouring word. Where a field is declared to hold an identifier a wrong check digit does not
//! clear it: a mistyped number is still somebody's.

mod alone;
mod check;
mod east;
mod north;
mod south;
mod west;

use crate::{Kind, Rule};

pub(crate) use alone::{alone_bare, alone_sequence, alone_word, may_be_printed};

/// How well a text fits a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// Not of this form, or with an impossible date.
    No,
    /// The form is right and the check digit is not.
    Wrong,
    /// The form is right, and the rule has no check digit that could be relied upon.
    Unchecked,
    /// All of it is right.
    Valid,
}

impl Verdict {
    pub(crate) const fn by(right: bool) -> Self {
        if right { Self::Valid } else { Self::Wrong }
    }
}

struct Id {
    rule: Rule,
    /// Bit `n` for identifiers of `n` letters and digits.
    lens: u32,
    check: fn(&[u8]) -> Verdict,
}

const fn id(rule: Rule, lens: u32, check: fn(&[u8]) -> Verdict) -> Id {
    Id { rule, lens, check }
}

/// Longest identifier, in letters and digits.
pub(crate) const LEN_MAX: usize = 16;

/// In the order in which they are tried: those whose form is rarest first.
#[rustfmt::skip]
static IDS: &[Id] = &[
    id(Rule::IT_CF, 1 << 16, south::it_cf),
    id(Rule::FR_NIR, 1 << 15, west::fr_nir),
    id(Rule::CH_AHV, 1 << 13, west::ch_ahv),
    id(Rule::LU_MATRICULE, 1 << 13, west::lu_matricule),
    id(Rule::DE_RVNR, 1 << 12, west::de_rvnr),
    id(Rule::PT_CC, 1 << 12, south::pt_cc),
    id(Rule::FI_HETU, 1 << 10 | 1 << 11, north::fi_hetu),
    id(Rule::BE_NRN, 1 << 11, west::be_nrn),
    id(Rule::NO_FNR, 1 << 11, north::no_fnr),
    id(Rule::SI_EMSO, 1 << 13, east::si_emso),
    id(Rule::RO_CNP, 1 << 13, east::ro_cnp),
    id(Rule::FR_SPI, 1 << 13, west::fr_spi),
    id(Rule::ES_DNI, 1 << 9, south::es_dni),
    id(Rule::ES_NIE, 1 << 9, south::es_nie),
    id(Rule::GB_NINO, 1 << 8 | 1 << 9, west::gb_nino),
    id(Rule::IE_PPSN, 1 << 8 | 1 << 9, west::ie_ppsn),
    id(Rule::CY_TIC, 1 << 9, south::cy_tic),
    id(Rule::MT_ID, 1 << 8, south::mt_id),
    id(Rule::DE_PERSO, 1 << 9 | 1 << 10, west::de_perso),
    id(Rule::DE_IDNR, 1 << 11, west::de_idnr),
    id(Rule::EE_ISIKUKOOD, 1 << 11, north::ee_isikukood),
    id(Rule::LT_ASMENS_KODAS, 1 << 11, north::lt_asmens_kodas),
    id(Rule::LV_PK, 1 << 11, north::lv_pk),
    id(Rule::PL_PESEL, 1 << 11, east::pl_pesel),
    id(Rule::HU_PERSONAL, 1 << 11, east::hu_personal),
    id(Rule::GR_AMKA, 1 << 11, south::gr_amka),
    id(Rule::HR_OIB, 1 << 11, east::hr_oib),
    id(Rule::PT_NISS, 1 << 11, south::pt_niss),
    id(Rule::SE_PNR, 1 << 10 | 1 << 12, north::se_pnr),
    id(Rule::IS_KENNITALA, 1 << 10, north::is_kennitala),
    id(Rule::BG_EGN, 1 << 10, east::bg_egn),
    id(Rule::CZ_RC, 1 << 9 | 1 << 10, east::rodne_cislo),
    id(Rule::SK_RC, 1 << 9 | 1 << 10, east::rodne_cislo),
    id(Rule::AT_SVNR, 1 << 10, west::at_svnr),
    id(Rule::DK_CPR, 1 << 10, north::dk_cpr),
    id(Rule::HU_TAX, 1 << 10, east::hu_tax),
    id(Rule::GB_NHS, 1 << 10, west::gb_nhs),
    id(Rule::PL_NIP, 1 << 10, east::pl_nip),
    id(Rule::BG_PNF, 1 << 10, east::bg_pnf),
    id(Rule::GB_UTR, 1 << 10 | 1 << 11, west::gb_utr),
    id(Rule::NL_BSN, 1 << 9, west::nl_bsn),
    id(Rule::PT_NIF, 1 << 9, south::pt_nif),
    id(Rule::GR_AFM, 1 << 9, south::gr_afm),
    id(Rule::HU_TAJ, 1 << 9, east::hu_taj),
    id(Rule::AT_TIN, 1 << 9, west::at_tin),
    id(Rule::SI_TAX, 1 << 8, east::si_tax),
    id(Rule::LI_PEID, 0x1FF0, west::li_peid),
];

/// What an identifier is looked for as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// This rule; others only if it does not fit at all.
    Rule(Rule),
    /// Any rule of this kind before the others.
    Kind(Kind),
}

/// An identifier's letters and digits, in upper case and without what stands between them.
pub(crate) struct Compact {
    bytes: [u8; LEN_MAX + 2],
    len: usize,
}

impl Compact {
    /// `None` for what is too short or too long, or has anything but letters, digits and separators.
    pub(crate) fn of(text: &[u8]) -> Option<Self> {
        let mut compact = Self { bytes: [0; LEN_MAX + 2], len: 0 };
        for b in text {
            if b.is_ascii_alphanumeric() {
                *compact.bytes.get_mut(compact.len)? = b.to_ascii_uppercase();
                compact.len += 1;
            } else if !is_separator(*b) {
                return None;
            }
        }
        (compact.len >= 4).then_some(compact)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// What people write between the parts of an identifier.
pub(crate) fn is_separator(b: u8) -> bool {
    matches!(b, b' ' | b'-' | b'.' | b'/' | b'+')
}

/// True if `text` is an identifier by `rule`, with the right check digits where there are any. Separators are passed
/// over.
///
/// ```
/// use inspect::{Rule, identifier_valid};
///
/// let pesel = Rule::named("pl.pesel").ok_or("no such rule")?;
/// assert!(identifier_valid(pesel, b"44051401359") && !identifier_valid(pesel, b"44051401358"));
/// # Ok::<(), &str>(())
/// ```
#[must_use]
pub fn identifier_valid(rule: Rule, text: &[u8]) -> bool {
    let signed = text.len() == 11 && rule == Rule::FI_HETU && verdict(rule, text) == Verdict::Valid;
    signed || Compact::of(text).is_some_and(|compact| verdict(rule, compact.bytes()) == Verdict::Valid)
}

/// Asks one rule.
pub(crate) fn verdict(rule: Rule, compact: &[u8]) -> Verdict {
    let known = IDS.iter().find(|id| id.rule == rule);
    known.filter(|id| id.lens >> compact.len().min(31) & 1 == 1).map_or(Verdict::No, |id| (id.check)(compact))
}

/// The rule that fits best at `least` or better: the wanted one, then those of its kind, then any.
pub(crate) fn best(compact: &[u8], wanted: Wanted, least: Verdict) -> Option<(Rule, Verdict)> {
    if let Wanted::Rule(rule) = wanted {
        let verdict = verdict_of_any_spelling(rule, compact);
        if verdict >= least {
            return Some((rule, verdict));
        }
    }
    let rank = |rule: Rule| match wanted {
        Wanted::Kind(kind) => rule.kind() == kind,
        Wanted::Rule(wanted) => rule.country() == wanted.country(),
    };
    let bit = compact.len().min(31);
    let fits = |id: &&Id| id.lens >> bit & 1 == 1 && id.rule != Rule::LI_PEID;
    let mut found: Option<(Rule, Verdict)> = None;
    for id in IDS.iter().filter(fits) {
        let verdict = (id.check)(compact);
        let better = found.is_none_or(|(rule, known)| (verdict, rank(id.rule)) > (known, rank(rule)));
        if verdict >= least && better {
            found = Some((id.rule, verdict));
        }
    }
    found.or_else(|| prefixed(compact, least))
}

/// A French number may have lost its key.
fn verdict_of_any_spelling(rule: Rule, compact: &[u8]) -> Verdict {
    let letters = compact.iter().filter(|b| !b.is_ascii_digit()).count();
    if rule == Rule::FR_NIR
        && compact.len() == 13
        && letters < 2
        && matches!(compact.first(), Some(b'1'..=b'8'))
    {
        return Verdict::Unchecked;
    }
    verdict(rule, compact)
}

/// A number that lost the zero before it, as numbers in JSON do.
pub(crate) fn without_zero(rule: Rule, digits: &[u8]) -> bool {
    let mut padded = [b'0'; LEN_MAX];
    let Some(place) = padded.get_mut(1..=digits.len()) else { return false };
    place.copy_from_slice(digits);
    padded.get(..=digits.len()).is_some_and(|padded| verdict(rule, padded) >= Verdict::Unchecked)
}

/// An identifier behind its country's letters, as in a VAT number.
fn prefixed(compact: &[u8], least: Verdict) -> Option<(Rule, Verdict)> {
    let (head, rest) = compact.split_first_chunk::<2>()?;
    let head = if head == b"EL" { *b"GR" } else { *head };
    let country = crate::Country::new(head)?;
    let of_country =
        IDS.iter().filter(|id| id.rule.country() == Some(country) && id.lens >> rest.len().min(31) & 1 == 1);
    of_country.map(|id| (id.rule, (id.check)(rest))).find(|(_, verdict)| *verdict >= least)
}
