//! Closed vocabularies. Each has a stable number for the ledger and a stable word for policies.

use crate::problem::UnknownWord;

macro_rules! vocabulary {
    ($(#[$meta:meta])* $name:ident : $repr:ty { $($(#[$vmeta:meta])* $variant:ident = $code:literal => $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$vmeta])* $variant),+ }

        impl $name {
            /// Every member, in the order of their codes.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The stable number written into ledger entries.
            #[must_use]
            pub fn code(self) -> $repr { match self { $(Self::$variant => $code),+ } }

            /// The stable word used in policies, files and pages.
            #[must_use]
            pub fn word(self) -> &'static str { match self { $(Self::$variant => $word),+ } }

            /// The member of a number, if there is one.
            #[must_use]
            pub fn from_code(code: $repr) -> Option<Self> { match code { $($code => Some(Self::$variant),)+ _ => None } }

            /// The member of a word.
            ///
            /// # Errors
            /// [`UnknownWord`] when the word is not in the list: unknown is closed.
            pub fn parse(word: &str) -> Result<Self, UnknownWord> {
                match word { $($word => Ok(Self::$variant),)+ _ => Err(UnknownWord::new(stringify!($name), word)) }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(self.word()) }
        }
    };
}

vocabulary! {
    /// How strictly a field is kept. The codes are single bits, so that a header can hold a set.
    DataClass: u8 {
        /// May be seen by anyone employed.
        Public = 1 => "public",
        /// May cross in treated form, or in plain under a support case.
        Allowable = 2 => "allowable",
        /// Leaves the region in no row-level form.
        Restricted = 4 => "restricted",
    }
}

vocabulary! {
    /// The form in which a field crosses, from plainest to safest. The codes are single bits.
    Treatment: u8 {
        /// As stored.
        Plain = 1 => "plain",
        /// Identifiers replaced by tokens that one recipient can join for one purpose.
        Pseudonymised = 2 => "pseudonymised",
        /// Values made coarser.
        Generalised = 4 => "generalised",
        /// Values hidden, their presence shown.
        Masked = 8 => "masked",
        /// Counts of groups of at least k people.
        Aggregate = 16 => "aggregate",
        /// Counts with calibrated noise.
        Dp = 32 => "dp",
    }
}

vocabulary! {
    /// Why data is asked for; there is no "unspecified".
    Purpose: u16 {
        /// A person asked for help.
        Support = 1 => "support",
        /// Protection of people from harm.
        Safety = 2 => "safety",
        /// Detection of fraud and automated accounts.
        Fraud = 3 => "fraud",
        /// Payments.
        Billing = 4 => "billing",
        /// Statistics and improvement.
        Research = 5 => "research",
        /// A lawful request of an authority of the region.
        LegalRequest = 6 => "legalRequest",
        /// Systems that must work together.
        Interoperability = 7 => "interoperability",
        /// An open incident.
        Incident = 8 => "incident",
        /// A person reads what is theirs.
        SelfAccess = 9 => "selfAccess",
        /// Data enters the region.
        Migration = 10 => "migration",
        /// The enclave's own upkeep: activations, border states.
        Operation = 11 => "operation",
    }
}

vocabulary! {
    /// The legal ground of a transfer to a third country (GDPR chapter V).
    Basis: u8 {
        /// Article 45.
        Adequacy = 1 => "adequacy",
        /// Article 46(2)(c) with a transfer impact assessment.
        SccWithTia = 2 => "sccWithTia",
        /// Article 47.
        Bcr = 3 => "bcr",
        /// Article 49.
        Art49Derogation = 4 => "art49Derogation",
    }
}

vocabulary! {
    /// The support cases that a policy knows.
    CaseKind: u8 {
        /// "My video does not appear."
        VideoNotShown = 1 => "videoNotShown",
        /// "I cannot get into my account."
        AccountAccess = 2 => "accountAccess",
        /// "My payment failed."
        PaymentFailed = 3 => "paymentFailed",
    }
}

vocabulary! {
    /// What a request for access asks for.
    Ground: u8 {
        /// A grant: a dataset or a list of its fields, until an absolute expiry.
        Grant = 1 => "grant",
        /// A support case: the fields that serve one person's complaint.
        Case = 2 => "case",
        /// A grant under an open incident, approved by people of different employers and reviewed afterwards.
        BreakGlass = 3 => "break-glass",
    }
}

vocabulary! {
    /// Which way data would move.
    Direction: u8 {
        /// Nothing moves: upkeep of the enclave.
        None = 0 => "none",
        /// A person or service outside (or inside, for people) receives data.
        Outward = 1 => "outward",
        /// Data enters the region.
        Inward = 2 => "inward",
    }
}

vocabulary! {
    /// Why a crossing was refused; `None` when it was released.
    Reason: u16 {
        /// Released.
        None = 0 => "none",
        /// No policy permits it, or a guardrail forbids it.
        Policy = 1 => "policy",
        /// A policy could not be evaluated.
        Evaluation = 2 => "evaluation",
        /// The request lacks or mangles a purpose, field, subject or grant.
        Request = 3 => "request",
        /// The named grant, case or flow does not exist, is not the caller's or has ended.
        Evidence = 4 => "evidence",
        /// The body is not in the lane's declared form.
        Malformed = 5 => "malformed",
        /// A body, row count or depth is over its limit.
        Limit = 6 => "limit",
        /// Personal data was found where none is declared.
        Finding = 7 => "finding",
        /// The lane, path or method does not exist.
        Unknown = 8 => "unknown",
        /// The upstream gave no usable answer.
        Upstream = 9 => "upstream",
        /// The subject is not in this region, or not here at all.
        Subject = 10 => "subject",
        /// No group was large enough to show.
        Threshold = 11 => "threshold",
        /// The ledger could not be written.
        Border = 12 => "border",
        /// What the grant allows in rows, bytes or people is spent.
        Budget = 13 => "budget",
        /// Policy would permit it, but for what the assessment of the country says, or that there is none in force.
        Assessment = 14 => "assessment",
        /// All crossings to and from the country are suspended.
        Suspended = 15 => "suspended",
        /// The rulebook was replaced while this was on its way, or nobody knows which one is in force.
        Rulebook = 16 => "rulebook",
        /// What may be learned of the dataset with noise in thirty days is learned.
        Privacy = 17 => "privacy",
        /// Few people would follow from the counts together with what the recipient was told before.
        Difference = 18 => "difference",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_and_code_leads_back_to_its_member() {
        for p in Purpose::ALL {
            assert_eq!(Purpose::parse(p.word()).unwrap(), *p);
            assert_eq!(Purpose::from_code(p.code()), Some(*p));
        }
        for r in Reason::ALL {
            assert_eq!(Reason::from_code(r.code()), Some(*r));
        }
    }

    #[test]
    fn an_unknown_word_is_an_error_and_not_a_default() {
        assert!(Purpose::parse("unspecified").is_err());
        assert!(DataClass::from_code(3).is_none());
    }
}
