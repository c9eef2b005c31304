//! The keys of one release.

use model::DataClass;
use model::lanes::Reversible;
use transform::pseudonym::{
    Check, Format, FormatKey, ReversibleKey, TokenCache, derive_format, derive_key, derive_reversible,
    normalise,
};

/// Most values whose tokens are remembered, for each class.
const REMEMBERED: usize = 65_536;

/// Whom a release is for, and when: what its keys are derived from, besides the class of a field.
#[derive(Debug, Clone, Copy)]
pub(crate) struct For<'a> {
    pub(crate) recipient: &'a str,
    pub(crate) purpose: &'a str,
    pub(crate) epoch: u32,
}

/// One set of keys a class, so that classes cannot be joined.
pub(crate) struct Keys {
    public: OfClass,
    allowable: OfClass,
    restricted: OfClass,
}

struct OfClass {
    plain: TokenCache,
    /// Only where a lane has tokens that can be opened.
    opened: Option<(ReversibleKey, FormatKey)>,
}

impl Keys {
    /// Derives them from the secret of the epoch.
    pub(crate) fn new(secret: &[u8; 32], to: For<'_>, reversible: bool) -> Self {
        let of = |class: DataClass| OfClass {
            plain: TokenCache::new(
                derive_key(secret, to.recipient, to.purpose, class.word(), to.epoch),
                REMEMBERED,
            ),
            opened: reversible.then(|| opening(secret, to, class)),
        };
        Self {
            public: of(DataClass::Public),
            allowable: of(DataClass::Allowable),
            restricted: of(DataClass::Restricted),
        }
    }

    fn of(&mut self, class: DataClass) -> &mut OfClass {
        match class {
            DataClass::Public => &mut self.public,
            DataClass::Allowable => &mut self.allowable,
            DataClass::Restricted => &mut self.restricted,
        }
    }

    /// Appends the token of a value. One that has no token of the declared form (too long, another form, a wrong check
    /// digit) gets a plain one, which nobody opens.
    pub(crate) fn token(
        &mut self,
        class: DataClass,
        label: &str,
        how: Option<Reversible>,
        text: &[u8],
        out: &mut Vec<u8>,
    ) {
        let keys = self.of(class);
        let opened = how.zip(keys.opened.as_ref()).is_some_and(|(how, (token, number))| match how {
            Reversible::Token => token.token(label, &normalise(label, text), out).is_ok(),
            how => {
                let made = std::str::from_utf8(text).ok().and_then(|text| sealed(number, how, label, text));
                out.extend_from_slice(made.as_deref().unwrap_or_default().as_bytes());
                made.is_some()
            }
        });
        if !opened {
            keys.plain.token(label, text, out);
        }
    }
}

/// The keys that make and open tokens of a class.
pub(crate) fn opening(secret: &[u8; 32], to: For<'_>, class: DataClass) -> (ReversibleKey, FormatKey) {
    let (recipient, purpose, class) = (to.recipient, to.purpose, class.word());
    (
        derive_reversible(secret, recipient, purpose, class, to.epoch),
        derive_format(secret, recipient, purpose, class, to.epoch),
    )
}

fn sealed(key: &FormatKey, how: Reversible, label: &str, text: &str) -> Option<String> {
    formatted(how, |format| key.token(label, format, text).ok())?
}

/// Runs with the form of numbers that a lane declares; `None` for tokens of letters.
pub(crate) fn formatted<T>(how: Reversible, run: impl FnOnce(Format<'_>) -> T) -> Option<T> {
    let front = match how {
        Reversible::Token => return None,
        Reversible::Luhn => return Some(run(Format::Checked(Check::Luhn))),
        Reversible::Mod11 => return Some(run(Format::Checked(Check::Mod11_10))),
        Reversible::Ean => return Some(run(Format::Checked(Check::Ean))),
        Reversible::Reserved(width, number) => format!("{number:0width$}", width = usize::from(width)),
    };
    Some(run(Format::Reserved(&front)))
}
