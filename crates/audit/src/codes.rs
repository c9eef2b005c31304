//! The closed vocabularies of `docs/formats/entry.md`.

/// What an entry records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Answer,
    Refusal,
    Import,
    Activation,
    Border,
    Open,
    Extend,
    Close,
    Suspension,
    Demand,
    Erasure,
    Home,
    Inside,
    Migration,
}

/// A class of fields; the codes are those of the header's bit set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Public,
    Allowable,
    Restricted,
}

/// A form in which a field may cross; the codes are those of the header's bit set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Treatment {
    Plain,
    Pseudonymised,
    Generalised,
    Masked,
    Aggregate,
    DifferentiallyPrivate,
}

impl Kind {
    pub(crate) fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::Answer,
            2 => Self::Refusal,
            3 => Self::Import,
            4 => Self::Activation,
            5 => Self::Border,
            6 => Self::Open,
            7 => Self::Extend,
            8 => Self::Close,
            9 => Self::Suspension,
            10 => Self::Demand,
            11 => Self::Erasure,
            12 => Self::Home,
            13 => Self::Inside,
            14 => Self::Migration,
            _ => return None,
        })
    }

    /// Whether something left on the strength of a decision that this entry records.
    pub(crate) fn is_release(self) -> bool {
        matches!(self, Self::Answer | Self::Open)
    }

    /// Whether a signed text stands in place of facts.
    pub(crate) fn is_signed(self) -> bool {
        matches!(self, Self::Suspension | Self::Demand | Self::Migration)
    }

    /// Whether it is about one person and lets nothing out.
    pub(crate) fn is_of_one(self) -> bool {
        matches!(self, Self::Erasure | Self::Home)
    }

    /// Whether it goes on with a stream that another entry opened.
    pub(crate) fn continues(self) -> bool {
        matches!(self, Self::Extend | Self::Close)
    }
}

impl Class {
    pub(crate) fn from_code(code: u64) -> Option<Self> {
        Some(match code {
            1 => Self::Public,
            2 => Self::Allowable,
            4 => Self::Restricted,
            _ => return None,
        })
    }

    pub(crate) fn from_word(word: &str) -> Option<Self> {
        [Self::Public, Self::Allowable, Self::Restricted].into_iter().find(|class| class.word() == word)
    }

    pub(crate) fn bit(self) -> u8 {
        match self {
            Self::Public => 1,
            Self::Allowable => 2,
            Self::Restricted => 4,
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Allowable => "allowable",
            Self::Restricted => "restricted",
        }
    }
}

impl Treatment {
    pub(crate) fn from_code(code: u64) -> Option<Self> {
        Some(match code {
            1 => Self::Plain,
            2 => Self::Pseudonymised,
            4 => Self::Generalised,
            8 => Self::Masked,
            16 => Self::Aggregate,
            32 => Self::DifferentiallyPrivate,
            _ => return None,
        })
    }

    pub(crate) fn bit(self) -> u8 {
        match self {
            Self::Plain => 1,
            Self::Pseudonymised => 2,
            Self::Generalised => 4,
            Self::Masked => 8,
            Self::Aggregate => 16,
            Self::DifferentiallyPrivate => 32,
        }
    }

    /// The word in files, and the name of the attribute of a country.
    pub(crate) fn attribute(self) -> &'static str {
        match self {
            Self::DifferentiallyPrivate => "dp",
            other => other.word(),
        }
    }

    /// Whether it shows records, not sums over them.
    pub(crate) fn is_row_level(self) -> bool {
        !matches!(self, Self::Aggregate | Self::DifferentiallyPrivate)
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Pseudonymised => "pseudonymised",
            Self::Generalised => "generalised",
            Self::Masked => "masked",
            Self::Aggregate => "aggregate",
            Self::DifferentiallyPrivate => "differentially private",
        }
    }
}

/// The bits that mean a class, and those that mean a treatment.
pub(crate) const CLASS_BITS: u8 = 0b111;
pub(crate) const TREATMENT_BITS: u8 = 0b11_1111;

/// Codes 1 to 11.
pub(crate) const PURPOSE_MAX: u16 = 11;
/// Codes 1 to 18; 0 is none.
pub(crate) const REASON_MAX: u16 = 18;
/// The reason *policy*.
pub(crate) const REASON_POLICY: u16 = 1;
/// The reason *assessment*.
pub(crate) const REASON_ASSESSMENT: u16 = 14;

/// The name of a purpose; an unknown code has none.
pub(crate) fn purpose_name(code: u16) -> &'static str {
    match code {
        1 => "support",
        2 => "safety",
        3 => "fraud",
        4 => "billing",
        5 => "research",
        6 => "legalRequest",
        7 => "interoperability",
        8 => "incident",
        9 => "selfAccess",
        10 => "migration",
        11 => "operation",
        _ => "",
    }
}

/// The word of a purpose that policies know; `selfAccess`, `migration` and `operation` are none.
pub(crate) fn purpose_word(code: u16) -> Option<&'static str> {
    (1..=8).contains(&code).then(|| purpose_name(code))
}

/// The code of a purpose's name.
pub(crate) fn purpose_code(name: &str) -> Option<u16> {
    (1..=PURPOSE_MAX).find(|code| purpose_name(*code) == name)
}

/// The word of a kind of support case.
pub(crate) fn case_word(code: u64) -> Option<&'static str> {
    Some(match code {
        1 => "videoNotShown",
        2 => "accountAccess",
        3 => "paymentFailed",
        _ => return None,
    })
}

/// The word of a basis of transfer.
pub(crate) fn basis_word(code: u64) -> Option<&'static str> {
    Some(match code {
        1 => "adequacy",
        2 => "sccWithTia",
        3 => "bcr",
        4 => "art49Derogation",
        _ => return None,
    })
}

/// The code of a basis of transfer.
pub(crate) fn basis_code(word: &str) -> Option<u64> {
    (1..=4).find(|code| basis_word(*code) == Some(word))
}

/// Whether it is spelt like an ISO 3166-1 alpha-2 code, `ZZ` included.
pub(crate) fn is_country(code: &[u8]) -> bool {
    code.len() == 2 && code.iter().all(u8::is_ascii_uppercase)
}
