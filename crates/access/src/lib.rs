//! Who may ask on what ground: actors, grants, support cases and ended sessions as pure values.
//!
//! Somebody asks ([`request`]), others approve, and what was asked for is a grant or a case for a while: evidence that
//! becomes [`model::facts::Evidence`] before policy sees it. What crosses under it is counted ([`budget`]), and how
//! approvers decide is measured ([`quality`]). All of it is pure state: `vault` stores it, `now` is an argument.
//! Start reading at [`request`].

pub mod budget;
pub mod evidence;
pub mod quality;
pub mod registry;
pub mod request;
pub mod sessions;
pub mod text;

pub use budget::{Counted, Reserved, Share, Spent, Taken};
pub use evidence::{Approval, Case, Grant, NotUsable};
pub use registry::{Actor, ActorKind};
pub use request::{Act, NotAllowed, Person, Request, State, Wanted};
pub use sessions::Ended;
pub use text::TextError;
