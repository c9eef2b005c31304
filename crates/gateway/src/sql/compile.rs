//! A grant, compiled to what PostgreSQL enforces: a role, views and functions.
//!
//! [`setup`] is what an administrator runs once in a database. [`compile`] then makes of a [`Plan`] a login role, a schema of
//! `security_barrier` views and rows in a table of keys; [`Drift`] tells when what a grant stands on is no longer what was compiled;
//! [`drop_ended`] takes away what ended. The gateway is the login `clover_gateway`, never a superuser, and sessions of a grant are
//! logged in *as* its role. No statement of a client is looked at here: `docs/sql.md` says what holds by privileges alone.

mod drift;
mod ended;
mod express;
mod make;
mod plan;
mod quote;
mod setup;
mod shown;

use tokio_postgres::error::SqlState;

pub use drift::{Changed, Compiled, Drift, Part};
pub use ended::{drop_ended, roles};
pub use make::compile;
pub use plan::{COLUMNS_MAX, Column, KeyOf, Plan, PlanError, Role, Shows, Subject, TABLES_MAX, Table};
pub use setup::{Declared, setup};
pub use shown::{Shown, people, views};

/// Why a grant was not compiled, looked at or dropped. Whoever gets one serves nobody under the grant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// The plan contradicts itself.
    #[error("the plan of a grant cannot be compiled")]
    Plan(#[from] PlanError),
    /// A table of the plan is not in the database, or is no ordinary table.
    #[error("there is no table `{0}`")]
    NoTable(String),
    /// A column of the plan is not in its table.
    #[error("there is no column `{0}`")]
    NoColumn(String),
    /// The owner of all views may not read a column.
    #[error("`clover_views` may not read the column `{0}`: declare it and run the set-up again")]
    NotDeclared(String),
    /// A column's type has no one text, or the person cannot be looked up by it.
    #[error("the column `{column}` has the type `{type_name}`, which no `{wanted}` can be made of")]
    Type {
        /// Schema, table and column.
        column: String,
        /// Its type.
        type_name: String,
        /// What was to be made.
        wanted: &'static str,
    },
    /// The database is not set up so that a compiled role can do only what it may.
    #[error("the database does not hold what a grant needs: {0}; run the set-up again")]
    Unsafe(String),
    /// The database refused, or went away. Its own text may hold values, so only its code is kept.
    #[error("the database does not {doing} (SQLSTATE {})", .state.as_ref().map_or("none", SqlState::code))]
    Database {
        /// What it was asked for.
        doing: &'static str,
        /// Its code, if it answered.
        state: Option<SqlState>,
    },
}

/// For `map_err`: what the database was asked for.
fn asked(doing: &'static str) -> impl Fn(tokio_postgres::Error) -> CompileError {
    move |e| CompileError::Database { doing, state: e.code().cloned() }
}
