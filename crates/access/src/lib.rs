//! Who may ask on what ground: actors, grants, support cases and ended sessions as pure values.
//!
//! A grant or a case is a signed text that names people; it is verified where it is read, in `vault`, and
//! becomes [`model::facts::Evidence`] before policy sees it. No clock here: `now` is an argument.
//! Start reading at [`evidence`].

pub mod evidence;
pub mod registry;
pub mod sessions;
pub mod text;

pub use evidence::{Case, Grant, NotUsable};
pub use registry::{Actor, ActorKind};
pub use sessions::Ended;
pub use text::TextError;
