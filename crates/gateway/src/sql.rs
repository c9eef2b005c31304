//! PostgreSQL's wire protocol to crossings and back.
//!
//! PostgreSQL itself enforces: [`compile`] makes of a grant a login role, views of a schema of its own and functions that it may
//! call, and every session is logged in as that role. [`gate`] refuses kinds of statements, the relay holds results until their
//! entry is durable, and [`aggregate`] is what those may ask who see no rows. None of them decides anything: the road does.

pub mod aggregate;
mod ask;
pub mod compile;
mod door;
pub mod gate;
mod intended;
pub mod lex;
pub mod login;
mod numbers;
mod people;
mod reach;
mod released;
pub mod serve;
mod session;
mod show;
pub mod source;
mod stand;
pub mod wire;
mod words;
