//! The closed grammar of those who see no rows: what may be asked, and the statement that we make of it.
//!
//! [`parse`] makes of a text a [`Question`] about a [`Declared`] table, and of everything else a [`Refusal`] that says what is possible.
//! [`Plan::new`] joins it with how the table's numbers may leave: with noise ([`Noisy`]), or exact ([`Exact`]), with a guard or without. A
//! plan has a [`Statement`], in which nothing of the asker's stands but typed parameters, and makes of what [`run`] reads an
//! answer ([`Told`]). With noise the order is: charge (`Control::prepay`), run, draw, settle (`Control::answer`), tell.

use model::counts::Privacy;
use transform::dp::DpError;

mod declared;
mod exact;
mod literal;
mod noisy;
mod parse;
mod question;
mod refusal;
pub mod run;
mod statement;
mod told;

pub use declared::{COLUMNS_MAX, Column, Declared, KEY_BYTES_MAX, Key, Kind, LISTED_MAX, Misdeclared, Sum};
pub use exact::{Exact, Measured, Measuring};
pub use noisy::Noisy;
pub use parse::{TEXT_MAX, parse};
pub use question::{KEYS_MAX, NAMED_MAX, Question};
pub use refusal::{GRAMMAR, Refusal};
pub use statement::Statement;
pub use told::{Cell, Told, ToldColumn};

/// A row of what a statement answers: texts.
pub type Row = Vec<Option<String>>;

/// How a question will be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// With noise.
    Noisy(Box<Noisy>),
    /// Without.
    Exact(Box<Exact>),
}

impl Plan {
    /// Answers a question as numbers of its table may leave, in groups of at least `k` people.
    ///
    /// # Errors
    /// [`Refusal`] when such an answer cannot be given to this question.
    pub fn new(question: Question, privacy: Privacy, k: u32) -> Result<Self, Refusal> {
        if question.least.is_some_and(|least| least < k) {
            let why = format!("the smallest group has {k} people: `HAVING` can only ask for larger ones");
            return Err(Refusal::grammar(None, why).about(&question.declared));
        }
        Ok(match privacy {
            Privacy::Noise(noise) => Self::Noisy(Box::new(Noisy::new(question, noise, k)?)),
            Privacy::Threshold => Self::Exact(Box::new(Exact::new(question, k, false)?)),
            Privacy::Guard => Self::Exact(Box::new(Exact::new(question, k, true)?)),
        })
    }
}

/// Why there is no answer to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unanswered {
    /// The database answered something else than was asked for.
    #[error("the database's answer is not in its form")]
    Form,
    /// There are more groups or people than one question may have.
    #[error("there are more groups or people than one question may have")]
    TooMany,
    /// What was read goes beyond its bounds, or no noise was drawn.
    #[error("no answer was made")]
    Noise(#[from] DpError),
}
