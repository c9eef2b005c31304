//! The words of Clover as types: identifiers, closed vocabularies, and the rulebook's data files.
//!
//! Every identifier has a parser as its only public constructor, so that a value of the type is a
//! checked value. Nothing here does IO, knows the time or draws a random number.
//! Start reading at [`rulebook`], then [`facts`].

pub mod assessments;
pub mod border;
pub mod catalogue;
pub mod codes;
pub mod counts;
pub mod explain;
pub mod facts;
pub mod id;
pub mod inside;
pub mod lanes;
pub mod problem;
pub mod procedures;
pub mod programme;
pub mod rulebook;
mod stored;
pub mod tables;

pub use assessments::Assessments;
pub use border::Border;
pub use codes::{Basis, CaseKind, DataClass, Direction, Ground, Purpose, Reason, Treatment};
pub use explain::Explain;
pub use facts::Facts;
pub use id::{ActorId, Country, Digest, FlowId, Name, SessionId, SubjectId, Tag, UnixSeconds};
pub use problem::{Problem, Problems};
pub use procedures::Procedures;
